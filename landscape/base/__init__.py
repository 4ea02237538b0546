"""The ground: layouts, files, results on disk, provenance, progress."""
