"""Anybody's predictions for the images of a split, read from files.

asked.py         the images that are asked about, and what errors have in common
results_file.py  COCO's result list, checked, its entries by image
results.py       its entries as Detections
mask_folder.py   pictures of masks as Detections
class_table.py   a CSV table of class probabilities as Classifications
open.py          which of these a path is
"""
