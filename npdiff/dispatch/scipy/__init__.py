"""Rows of SciPy: imported once the user has imported SciPy (see dispatch/optional.py)."""
