"""The page in a notebook, with a kernel behind it that measures."""
