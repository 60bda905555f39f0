"""Splits that tear no group and no near-duplicates apart, and their proof."""
