"""The loss as a function of the flat parameter vector; the only code that runs the model."""
