"""Identical and near-duplicate images."""
