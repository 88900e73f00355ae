"""NumPy's functions, one row each, in files named after the chapters of NumPy's own reference."""
