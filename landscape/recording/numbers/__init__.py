"""Numbers recorded at every step."""
