"""Files of other programs: read what they measured, write what they read."""
