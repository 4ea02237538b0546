"""Whether solutions are connected: barriers, curves, averages."""
