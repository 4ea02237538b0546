"""Recording: write what an optimizer visits to a trajectory file while it trains."""
