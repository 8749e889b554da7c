"""Style of handwriting as two numbers an image: its slant and the thickness of its strokes."""

from __future__ import annotations

import math

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from wyner_keras.data import check_images
from wyner_keras.data.checks import as_real, check_labels
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.evaluation.spaces import varies
from wyner_keras.networks import shear

_STYLES = 3  # of which a correlation can be had
_THICKNESS = 10  # concepts whose results' thickness is measured, which takes long
_BLOCK = 20  # images measured as one picture: few calls, yet small enough for the cache


def slant(images: np.ndarray) -> np.ndarray:
    """Slant of images `(n, h, w, c)` in [0, 1], ink bright, by `networks.shear.slant`.

    Returns:
        `(n,)`, pixels to the right for a pixel downwards: italics (`/`) are negative, upright ink,
        none, or one row of it 0.

    Example:
        >>> slant(np.eye(9, dtype="float32")[None, ::-1, :, None]).round(6)
        array([-1.], dtype=float32)
    """
    return np.asarray(shear.slant(check_images(images)))


def _magnify(size: int, scale: int) -> np.ndarray:
    """Weights `(size * scale, size)` of linear interpolation along one axis."""
    place = (np.arange(size * scale) + 0.5) / scale - 0.5
    return np.maximum(1 - np.abs(place[:, None] - np.arange(size)), 0).astype(np.float32)


def _thickness(ink: np.ndarray, scale: int) -> np.ndarray:
    """Thickness of a block of images `(n, h, w)`, all measured as one tall picture."""
    ink = np.pad(ink, ((0, 0), (1, 1), (1, 1)))  # keeps strokes of neighbouring images apart
    count, height, width = ink.shape
    fine = _magnify(height, scale) @ ink @ _magnify(width, scale).T
    peak = ink.max((1, 2))[:, None, None]
    shape = ((fine > peak / 2) & (peak > 0)).reshape(-1, fine.shape[2])
    distance = ndimage.distance_transform_edt(shape)
    ridge = skeletonize(shape)
    total, length = ((part * ridge).reshape(count, -1).sum(1) for part in (distance, ridge))
    return np.divide(2 * total, scale * length, out=np.zeros(count), where=length > 0)


def stroke_thickness(images: np.ndarray) -> np.ndarray:
    """Mean thickness of the strokes of images `(n, h, w, c)` in [0, 1], ink bright.

    An image is magnified linearly, its ink cut at half the image's peak, and twice the distance
    to the paper averaged over the skeleton of the ink. Drawn bars of 1 to 6 pixels come out exact
    when upright, up to 0.3 pixels thin when turned.

    Returns:
        `(n,)` in pixels of the image; 0 where an image has no ink.

    Example:
        >>> bar = np.zeros((1, 28, 28, 1), "float32")
        >>> bar[:, 4:24, 12:15] = 1
        >>> bool(abs(stroke_thickness(bar)[0] - 3) < 0.25)
        True

    Source: Castro et al., Morpho-MNIST, 2019; the skeleton is Zhang and Suen's of 1984.
    """
    ink = check_images(images).mean(-1)
    scale = max(4, math.ceil(96 / max(ink.shape[1:])))
    blocks = [_thickness(ink[at : at + _BLOCK], scale) for at in range(0, len(ink), _BLOCK)]
    return np.concatenate(blocks)


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    if not (varies(first) and varies(second)):
        return 0.0
    first, second = ((each - each.mean()) / each.std() for each in (first, second))
    return float(np.mean(first * second))


def style_correlation(
    reference: np.ndarray, results: np.ndarray, groups: np.ndarray
) -> tuple[float, float]:
    """Pearson correlation of a style reference's value and that of what was made in its style.

    Args:
        reference: value of each style reference, `(styles,)`, at least three.
        results: value of each result, `(styles, concepts)`.
        groups: class of each concept, `(concepts,)`.

    Returns:
        Over the results of one concept class, averaged over the classes, so that differences
        between classes neither help nor hurt; and over all the results at once. 0 where either
        side is constant.

    Example:
        >>> style_correlation(np.arange(4.0), np.arange(4.0)[:, None] + [0, 9], np.arange(2))[0]
        1.0
    """
    reference = as_real(reference, "`reference`", "an array of numbers (styles,)")
    results = as_real(results, "`results`", "an array of numbers (styles, concepts)")
    groups = check_labels(groups, results.shape[-1], "`groups`")
    if reference.ndim != 1 or len(reference) < 3 or results.shape[:-1] != reference.shape:
        raise ValueError(
            "`reference` should have shape (styles,), three or more, and `results` (styles, "
            f"concepts). Received: {reference.shape} and {results.shape}"
        )
    repeated = np.broadcast_to(reference[:, None], results.shape)
    within = [
        _pearson(repeated[:, groups == group].ravel(), results[:, groups == group].ravel())
        for group in np.unique(groups)
    ]
    return float(np.mean(within)), _pearson(repeated.ravel(), results.ravel())


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Slant and thickness of style references that transfer keeps, where images show ink."""
    found: dict[str, Figure | str] = {}
    measures = {"slant": (slant, None), "thickness": (stroke_thickness, _THICKNESS)}
    for made in evaluation.made("transfer"):
        if made.entry["kind"] != "image":
            continue
        plan = made.plan
        needs = "" if made.modality.slant else "grey images, bright ink on an empty ground"
        if len(plan.styles) < _STYLES:
            needs = needs or f"{_STYLES} held-out images or more"
        groups = np.zeros(len(plan.concepts), int)
        if made.labels is not None:
            groups = made.labels[made.other.partner[plan.concepts]]
        for kind, (measure, most) in measures.items():
            names = [f"{kind}_correlation{pooled}_{made.name}" for pooled in ("", "_pooled")]
            if needs:
                found |= dict.fromkeys(names, needs)
                continue
            part = made.ask("transfer")[:, :most]
            values = measure(made.flat(part)).reshape(part.shape[:2])
            kept = style_correlation(measure(made.examples[plan.styles]), values, groups[:most])
            found |= {name: Figure(value, 1.0) for name, value in zip(names, kept, strict=True)}
            if made.labels is None:
                found[names[0]] = "labels"
    return found
