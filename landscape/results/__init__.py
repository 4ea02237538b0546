"""What was measured: one frozen dataclass a file, without torch."""
