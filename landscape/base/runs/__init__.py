"""Recorded runs on disk: one HDF5 file each."""
