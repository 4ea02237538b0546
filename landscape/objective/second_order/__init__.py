"""The Hessian of the loss at one point."""
