"""Lines and planes through parameter space."""
