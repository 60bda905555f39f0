"""COCO's annotation JSON: https://cocodataset.org/#format-data."""
