"""The judge: a small classifier trained on real training examples only, cached on disk."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import platformdirs

from wyner_keras.backend import Adam
from wyner_keras.data import ArrayRows, Pairs, Rows, Subset
from wyner_keras.data.checks import check_labels, check_whole
from wyner_keras.data.rows import blocks
from wyner_keras.execution import execution
from wyner_keras.modality import Modality, modality_of
from wyner_keras.networks.classifier import build_classifier
from wyner_serving.rows import check_rows
from wyner_serving.whole import clear_leftovers, whole_file

logger = logging.getLogger(__name__)

MOST_CLASSES = 100
_VERSION = 4  # part of the cache key: raise it whenever the network or its training changes
_BATCH, _MANY, _BATCH_OF_MANY = 32, 7_500, 128
_READ = 500  # examples read at once
_MOST = 60_000  # examples that a judge is taught by
_LOOKED_AT = 2000  # of them, that mean and deviation are taken of


class Judge:
    """Reads labels off examples, and gives the features on which they are compared.

    It has seen training examples only, so that its reading of held-out or generated ones is that
    of a stranger. About 0.993 on MNIST's test digits after 8 epochs.

    Args:
        network: model from examples `(batch, *shape)` to `(logits, features)`.
        classes: the labels, ascending, that the logits stand for, `(classes,)`.
        modality: what the examples are.

    Example:
        >>> import wyner_keras as wk
        >>> digits = wk.data.load("digits")
        >>> judge = Judge.train(digits.train.images, digits.train.labels, epochs=3, verbose=0)
        >>> judge.accuracy(digits.test.images, digits.test.labels) > 0.8
        True
    """

    def __init__(self, network: keras.Model, classes: np.ndarray, modality: Modality) -> None:
        self.network, self.classes, self.modality = network, np.asarray(classes), modality

    @classmethod
    def train(
        cls,
        examples: Any,
        labels: Any,
        modality: Modality | None = None,
        *,
        seed: int = 0,
        epochs: int | None = None,
        verbose: int | str = "auto",
    ) -> Judge:
        """Train a judge.

        Args:
            examples: an array `(n, *shape)` or a store of rows.
            labels: integers or texts `(n,)`, of two classes or more.
            modality: of the examples; None to be told from them.
            seed: same seed, same judge.
            epochs: by default 8, or as many as make 40,000 examples in all, at most 1,250.
            verbose: as in `keras.Model.fit`.

        Raises:
            ValueError: fewer than two classes, or a number of epochs below one.
        """
        rows = examples if isinstance(examples, Rows) else ArrayRows(examples, "examples")
        classes, targets = np.unique(check_labels(labels, len(rows)), return_inverse=True)
        if len(classes) < 2:
            raise ValueError(
                f"`labels` should be of at least two classes. Received: {classes.tolist()}"
            )
        if epochs is not None:
            epochs = check_whole(epochs, "`epochs`", minimum=1)
        count = len(rows)
        # A batch that is not full counts as full: steps, not epochs, are what training takes.
        epochs = epochs or max(8, 40_000 // max(count, _BATCH))
        batch = _BATCH_OF_MANY if count >= _MANY else _BATCH
        sample = rows.take(np.sort(np.random.default_rng(seed).permutation(count)[:_LOOKED_AT]))
        modality = modality or modality_of(sample, "examples")
        kind = modality.describe()["kind"]
        network = build_classifier(kind, modality.shape, len(classes), sample, seed)
        trained = keras.Model(network.input, network.outputs[0])
        steps = math.ceil(count / batch)
        schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * steps)
        trained.compile(
            optimizer=Adam(schedule),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            **execution(steps, epochs),  # XLA slows small convolutions on a CPU
        )
        batches = Pairs(rows, rows, x_modality=modality).batches(
            batch, by_pair={"class": targets.astype(np.float32)}, seed=seed
        )
        batches = batches.map(lambda named: (named["x"], named["class"]))
        trained.fit(batches, epochs=epochs, verbose=verbose, shuffle=False)
        return cls(network, classes, modality)

    def read(self, examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels `(n,)`, and features, float32 `(n, 128)` without unit, of examples `(n, *shape)`.

        Raises:
            ValueError: examples of another shape, dtype or range.
        """
        examples = check_rows(examples, "examples", self.modality.describe())
        parts = np.array_split(examples, -(-len(examples) // _READ))
        outputs = [self.network(part, training=False) for part in parts]
        logits, features = (np.concatenate(each) for each in zip(*outputs, strict=True))
        return self.classes[np.argmax(logits, axis=-1)], features

    def accuracy(self, examples: np.ndarray, labels: np.ndarray) -> float:
        """Share of the examples whose label it reads correctly, in [0, 1]."""
        return float(np.mean(self.read(examples)[0] == labels))


def judges_for(
    pairs: Pairs,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    verbose: int | str = "auto",
) -> dict[str, Judge]:
    """The judges of pairs: each trained once on the rows that the pairs use, then cached.

    Sides of one store, labelled alike, share one. Of more than 60,000 rows a random part teaches.

    Args:
        pairs: with labels.
        cache_dir: by default the environment's `WYNER_CACHE_DIR`, or the user's cache folder. A
            file's name is a hash of all that a judge depends on; an unreadable one is replaced.
        seed: as in `Judge.train`, and so are `epochs` and `verbose`.
        epochs: the same.
        verbose: the same.

    Returns:
        Judges by side; none of a side without labels of two to 100 classes.
    """
    folder = cache_dir or os.environ.get("WYNER_CACHE_DIR")
    folder = Path(folder or platformdirs.user_cache_dir("wyner_keras"))
    judges: dict[str, Judge] = {}
    made: dict[Path, Judge] = {}
    for name, (rows, labels, modality) in _taught_by(pairs, seed).items():
        described = json.dumps(modality.describe(), sort_keys=True)
        digest = hashlib.blake2b(digest_size=12)
        digest.update(repr((_VERSION, described, str(rows.dtype), seed, epochs)).encode())
        digest.update(repr(labels.tolist()).encode())
        for _, block in blocks(rows):
            digest.update(np.ascontiguousarray(block).data)
        path = folder / f"judge-{digest.hexdigest()}.keras"
        if folder.is_dir():
            clear_leftovers(folder, path.name)
        judge = made.get(path) or _cached(path, np.unique(labels), modality)
        if judge is None:
            logger.info("Training the judge of %s on %d examples", name, len(rows))
            judge = Judge.train(rows, labels, modality, seed=seed, epochs=epochs, verbose=verbose)
            _keep(judge, path)
        judges[name] = made[path] = judge
    return judges


def _keep(judge: Judge, path: Path) -> None:
    """Cache a judge, if that can be: who asked for figures gets them."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            judge.network.save(temporary)
    except OSError as error:
        logger.warning(
            "The judge is not kept for the next time: WYNER_CACHE_DIR should name a folder to "
            "write into. Received: %s (%s)",
            path.parent,
            error,
        )


def _cached(path: Path, classes: np.ndarray, modality: Modality) -> Judge | None:
    if not path.is_file():
        return None
    try:
        return Judge(keras.saving.load_model(path, compile=False), classes, modality)
    except Exception as error:  # a damaged archive fails in its zip, its JSON or its HDF5
        logger.warning("The cached judge %s cannot be read and is trained anew: %s", path, error)
        return None


def _taught_by(pairs: Pairs, seed: int) -> dict[str, tuple[Rows, np.ndarray, Modality]]:
    """By side the rows that its pairs use, their labels and modality, where they teach a judge."""
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for column, labels in enumerate((pairs.x_labels, pairs.y_labels)):
        if labels is not None:
            positions, first = np.unique(pairs.index[:, column], return_index=True)
            found[pairs.names[column]] = positions, labels[first]
    if len(found) == 2 and pairs.x is pairs.y:
        (x, of_x), (y, of_y) = found.values()
        _, in_x, in_y = np.intersect1d(x, y, assume_unique=True, return_indices=True)
        if of_x.dtype.kind == of_y.dtype.kind and (of_x[in_x] == of_y[in_y]).all():
            positions, first = np.unique(np.concatenate([x, y]), return_index=True)
            found = dict.fromkeys(found, (positions, np.concatenate([of_x, of_y])[first]))
    taught: dict[str, tuple[Rows, np.ndarray, Modality]] = {}
    for column, name in enumerate(pairs.names):
        positions, labels = found.get(name, (np.empty(0, int), np.empty(0, int)))
        some = np.sort(np.random.default_rng(seed).permutation(len(labels))[:_MOST])
        labels = labels[some]
        if 2 <= len(np.unique(labels)) <= MOST_CLASSES:
            rows = Subset(pairs.stores[column], positions[some])
            taught[name] = rows, labels, pairs.modalities[column]
    return taught
