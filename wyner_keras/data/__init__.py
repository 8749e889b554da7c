"""Data come in here: images by label, and pairs (x, y) of anything, in memory or not."""

from wyner_keras.data.annotated import latents_to_obsm
from wyner_keras.data.checks import check_images
from wyner_keras.data.file_rows import DiskRows, FileRows, HDF5Rows
from wyner_keras.data.images import LabelledImages
from wyner_keras.data.loading import load_pairs
from wyner_keras.data.pairings import add_one, from_indices, label_map, next_label, same_label
from wyner_keras.data.pairs import Facts, Pairs
from wyner_keras.data.rows import ArrayRows, Rows, Subset
from wyner_keras.data.sources import ImageSource, load, rotated, whole_name

__all__ = [
    "ArrayRows",
    "DiskRows",
    "Facts",
    "FileRows",
    "HDF5Rows",
    "ImageSource",
    "LabelledImages",
    "Pairs",
    "Rows",
    "Subset",
    "add_one",
    "check_images",
    "from_indices",
    "label_map",
    "latents_to_obsm",
    "load",
    "load_pairs",
    "next_label",
    "rotated",
    "same_label",
    "whole_name",
]
