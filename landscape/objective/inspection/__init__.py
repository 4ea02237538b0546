"""A look at a model and its losses before they are measured."""
