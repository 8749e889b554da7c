"""Figures of saved images that the evaluator does not have: completed digits, partners found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.preprocessing import normalize

from experiments.peers.saved import asked
from experiments.peers.table import COLUMNS, judged, kept
from wyner_keras.data import Pairs
from wyner_keras.evaluation import Judge, frechet_distance, recall_at
from wyner_serving.sides import OTHER

Arrays = Mapping[str, np.ndarray]
Figures = dict[str, dict[str, float | None]]
SIZES = (30, 60, 120, 200)  # of PCA
_NOTE = (
    "– is what a model cannot do: transfer takes local latents; a calibrated score ranks pairs by "
    "log p(x,y) / p(x) p(y); what x and y share is told by the W-model alone."
)


class Shown(NamedTuple):
    """What a table shows of a kind of pairs.

    Args:
        columns: figures and how they are headed.
        beside: what the last row is.
        note: below the table.
    """

    columns: dict[str, str]
    beside: str
    note: str


_COMPLETED = Shown(
    {
        "completed_accuracy_y": "accuracy y",
        "completed_accuracy_x": "accuracy x",
        "frechet_y": "FD y",
        "frechet_x": "FD x",
        "frechet_joint": "FD of pairs",
    },
    "real digits",
    "Digits are judged whole: the half given beside the half made, or both halves of a pair from "
    f"the prior. {_NOTE}",
)
SHOWN = {
    "letters": Shown(COLUMNS, "real letters", _NOTE),
    "halves": _COMPLETED,
    "digit-halves": _COMPLETED,
    "emoji": Shown(
        {
            "found_first_y": "R@1 y from x",
            "found_in_5_y": "R@5 y from x",
            "found_first_x": "R@1 x from y",
            "found_in_5_x": "R@5 x from y",
            "error_y": "pixel error y",
            "error_stranger_y": "of a stranger",
        },
        "chance",
        "R@1 and R@5 of the W-model are by its log p(x,y) / p(x) p(y); of MultiVae's by the means "
        "of the shared latent given x and given y, their cosine or negative squared distance, "
        "whichever finds more of the held-out partners; PCA + CCA has the size that finds most of "
        "them. Pixel error: mean absolute difference of the mean of 8 samples of y given x from "
        f"the real y, and from another's. {_NOTE}",
    ),
}


def real_reports(
    name: str,
    held_out: Pairs,
    judges: Mapping[str, Judge],
    files: Mapping[str, Path],
    pairs: Arrays,
) -> dict[str, dict[str, Any]]:
    """The report of every model, and of a linear one where partners are ranked.

    Args:
        name: of the pairs, one of `REAL`.
        held_out: the pairs held out, with their labels.
        judges: of `judges_of`.
        files: saved images, by model.
        pairs: of `write_unlabelled`.
    """
    if name == "letters":
        return {each: judged(file, pairs, held_out, judges) for each, file in files.items()}

    def report(file: Path) -> dict[str, Any]:
        saved = dict(np.load(file))
        if name == "emoji":
            return {"figures": {**partners(saved, pairs), **pixel_errors(saved, pairs)}}
        labels = held_out.x_labels
        assert labels is not None
        return {"figures": completed(saved, pairs, labels, judges["whole"])}

    reports = {each: kept(file, partial(report, file)) for each, file in files.items()}
    if name == "emoji":
        reports["PCA + CCA"] = {"facts": {}, "figures": linear(pairs)}
    return reports


def completed(saved: Arrays, pairs: Arrays, labels: np.ndarray, judge: Judge) -> Figures:
    """Accuracy of completed images, and their Fréchet distance and that of pairs from the prior.

    Half of the real images are what all are compared with, the others' halves are completed.

    Args:
        saved: images of a model.
        pairs: of `write_unlabelled`, x the left and y the right half of one image.
        labels: of the held-out images.
        judge: of whole images.
    """
    settings = json.loads(str(pairs["settings"]))
    real_read, real = judge.read(_whole(pairs["test_x"], pairs["test_y"]))
    ceiling = float(np.mean(real_read == labels))
    order = np.random.default_rng(settings["seed"]).permutation(len(labels))
    reference, others = np.split(order, [len(order) // 2])
    found: Figures = {}
    features: dict[str, np.ndarray] = {}
    for made in "yx":
        rows, half = pairs[f"inputs_{made}"], saved[f"conditional_{made}"]
        sides = {OTHER[made]: asked(pairs, f"inputs_{made}"), made: _unit(half)}
        read, seen = judge.read(_whole(sides["x"], sides["y"]))
        accuracy = float(np.mean(read == labels[rows]))
        found[f"completed_accuracy_{made}"] = {"model": accuracy, "beside": ceiling}
        features[made] = seen[np.isin(rows, others)]
    if "joint_x" in saved:
        features["joint"] = judge.read(_whole(_unit(saved["joint_x"]), _unit(saved["joint_y"])))[1]
    # The same size whatever a model can do: distances of other numbers do not compare.
    size = min(len(reference), settings["pairs"], *(len(features[made]) for made in "yx"))
    beside = frechet_distance(real[reference[:size]], real[others[:size]])
    for each, rows in features.items():
        distance = frechet_distance(real[reference[:size]], rows[:size])
        found[f"frechet_{each}"] = {"model": distance, "beside": beside}
    return found


def _unit(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 255


def _whole(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.concatenate([left, right], axis=2)


def partners(saved: Arrays, pairs: Arrays) -> Figures:
    """How often a model finds held-out partners, by its scores or its latents' means.

    Of means the better of cosine and negative squared distance: none of a model without either.
    """
    if "scores" in saved:
        return _found(saved["scores"])
    if "mean_x" not in saved:
        return {}
    x, y = (saved[f"mean_{side}"].astype(np.float64) for side in "xy")
    distances = (x**2).sum(axis=1)[:, None] - 2 * x @ y.T + (y**2).sum(axis=1)
    return max((_found(normalize(x) @ normalize(y).T), _found(-distances)), key=_both)


def _found(scores: np.ndarray) -> Figures:
    return {
        f"found_{which}_{made}": {"model": recall_at(table, k), "beside": k / len(table)}
        for made, table in (("y", scores), ("x", scores.T))
        for which, k in (("first", 1), ("in_5", 5))
    }


def _both(found: Figures) -> float:
    """R@1 of both ways together."""
    return sum(found[f"found_first_{made}"]["model"] or 0.0 for made in "xy")


def linear(pairs: Arrays) -> Figures:
    """How often PCA and canonical correlations find held-out partners; the best of four sizes."""
    rows = {name: each.reshape(len(each), -1) for name, each in pairs.items() if each.ndim == 4}
    seen = [rows[f"train_{side}"][pairs["index"][:, column]] for column, side in enumerate("xy")]
    apart = [rows[f"test_{side}"] for side in "xy"]
    return max((_found(linear_scores(seen, apart, size)) for size in SIZES), key=_both)


def linear_scores(seen: Sequence[np.ndarray], apart: Sequence[np.ndarray], size: int) -> np.ndarray:
    """How well held-out rows of x go with those of y: the cosine of canonical variates.

    Args:
        seen: x and y in pairs, `(pairs, values)` each.
        apart: those held out, likewise.
        size: how many principal components there are of each side, at most.
    """
    sides = []
    for train, held in zip(seen, apart, strict=True):
        pca = PCA(min(size, *train.shape), whiten=True, random_state=0).fit(train)
        sides.append((pca.transform(train), pca.transform(held)))
    (x, x_held), (y, y_held) = sides
    left, correlations, right = np.linalg.svd(x.T @ y / len(x))
    root = np.sqrt(np.clip(correlations, 0, 1))
    scores: np.ndarray = normalize(x_held @ left * root) @ normalize(y_held @ right.T * root).T
    return scores


def pixel_errors(saved: Arrays, pairs: Arrays) -> Figures:
    """Mean absolute difference of the mean of samples of y from the real y, and from another's."""
    mean = _unit(saved["diverse_y"]).mean(axis=1)
    rows = pairs["diverse_y"]
    others = {"error_y": rows, "error_stranger_y": np.roll(rows, 1)}
    return {
        name: {"model": float(np.abs(mean - pairs["test_y"][each]).mean()), "beside": None}
        for name, each in others.items()
    }
