"""The data of an objective: read once, held on the device, cut into batches."""
