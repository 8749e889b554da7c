"""Sample data of a bundle: images as PNG, vectors as CSV, all else as arrays of NumPy."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wyner_serving.contents import read_file
from wyner_serving.errors import BundleError

# Grey, grey with opacity, colour, colour with opacity: what PNG holds.
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def _form(entry: Mapping[str, Any]) -> str:
    """In which form the samples of a side are kept, by what the manifest says of the side."""
    if entry["kind"] == "image" and entry["shape"][-1] in _MODES:
        return "png"
    return "csv" if "columns" in entry else "npy"


def write_samples(folder: Path, side: str, entry: Mapping[str, Any], values: np.ndarray) -> None:
    """Write the samples of one side into a bundle.

    Args:
        folder: of the bundle.
        side: its name; images become `samples/SIDE/00.png` and so on, vectors `samples/SIDE.csv`
            with the columns' names above, all else `samples/SIDE.npy`.
        entry: what the manifest says of the side.
        values: float32 `(n, *shape)`; images in [0, 1]. In a CSV a value that is missing is empty.
    """
    place, form = folder / "samples" / side, _form(entry)
    place.parent.mkdir(exist_ok=True)
    if form == "npy":
        np.save(place.with_suffix(".npy"), values, allow_pickle=False)
    elif form == "csv":
        with place.with_suffix(".csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(column["name"] for column in entry["columns"])
            for row in values:
                # The shortest text that reads back as the same float32.
                writer.writerow("" if np.isnan(v) else str(v).removesuffix(".0") for v in row)
    else:
        place.mkdir()
        for number, image in enumerate(values):
            write_png(place / f"{number:02d}.png", image)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write an image `(h, w, channels)` in [0, 1] of 1 to 4 channels."""
    pixels = np.round(255 * image).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)


def read_samples(folder: Path, manifest: Mapping[str, Any], side: str) -> np.ndarray:
    """The samples of one side, float32 `(n, *shape)`; images in [0, 1]. See `write_samples`.

    Args:
        folder: of the bundle.
        manifest: its checked manifest; every file is checked against its SHA-256.
        side: its name.

    Raises:
        BundleError: if there are none, or not of that shape.
    """
    entry = manifest["sides"][side]
    place, shape, form = folder / "samples" / side, tuple(entry["shape"]), _form(entry)
    start, end = (f"samples/{side}/", ".png") if form == "png" else (f"samples/{side}.{form}", "")
    names = sorted(
        name for name in manifest["files"] if name.startswith(start) and name.endswith(end)
    )
    contents = [read_file(folder, manifest, name) for name in names]
    try:
        values = {"png": _pngs, "csv": _table, "npy": _array}[form](contents, shape)
    # Broken files make Pillow, zlib and NumPy raise as they like.
    except Exception as error:
        raise BundleError(
            f"{place} should hold samples of shape {shape}. "
            f"Received: {type(error).__name__}: {error!s:.200}"
        ) from error
    if shape[-1:] == (1,) and values.shape[1:] == shape[:-1]:
        values = values[..., None]
    if values.shape[1:] != shape or not len(values):
        raise BundleError(
            f"{place} should hold samples of shape {shape}. Received: shape {values.shape}"
        )
    return values.astype(np.float32, copy=False)


def _pngs(contents: Sequence[bytes], shape: tuple[int, ...]) -> np.ndarray:
    pixels = []
    for content in contents:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            # Before its pixels are unpacked: a small file can hold many.
            if (image.height, image.width) != shape[:2]:
                raise ValueError(f"an image {image.height} high and {image.width} wide")
            pixels.append(np.asarray(image))
    return np.stack(pixels).astype(np.float32) / np.float32(255)


def _table(contents: Sequence[bytes], shape: tuple[int, ...]) -> np.ndarray:
    (content,) = contents
    _, *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
    return np.array([[float(value or "nan") for value in row] for row in rows])


def _array(contents: Sequence[bytes], shape: tuple[int, ...]) -> np.ndarray:
    (content,) = contents
    values = np.load(io.BytesIO(content), allow_pickle=False)
    if values.dtype.kind != "f":
        raise ValueError(f"an array of {values.dtype}")
    return values
