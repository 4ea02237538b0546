"""A model borrowed, and given back as it was."""
