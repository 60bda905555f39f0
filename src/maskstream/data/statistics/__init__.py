"""Counts, sizes, positions and colours of a dataset."""
