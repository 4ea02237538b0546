"""How points get evaluated: borrow the model, hold the data, sum the metrics."""
