"""A run on a page while it is recorded: read, thinned, sent."""
