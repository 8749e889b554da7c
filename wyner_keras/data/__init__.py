"""Image sources and pairings: labelled images go in, pairs (x, y) of them come out."""

from wyner_keras.data.checks import check_images
from wyner_keras.data.images import LabelledImages
from wyner_keras.data.pairings import add_one, from_indices, label_map, same_label
from wyner_keras.data.pairs import Pairs
from wyner_keras.data.sources import ImageSource, load, rotated, whole_name

__all__ = [
    "ImageSource",
    "LabelledImages",
    "Pairs",
    "add_one",
    "check_images",
    "from_indices",
    "label_map",
    "load",
    "rotated",
    "same_label",
    "whole_name",
]
