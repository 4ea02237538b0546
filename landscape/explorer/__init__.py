"""The explorer: one offline interactive page."""
