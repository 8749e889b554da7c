"""The judge: a small classifier trained on real training images only, cached on disk."""

from __future__ import annotations

import hashlib
import logging
import math
import os
from pathlib import Path

import keras
import numpy as np
import platformdirs
from keras import layers

from wyner_keras.data import ImageSource, LabelledImages, Pairs, check_images
from wyner_keras.data.checks import check_least
from wyner_keras.files import whole
from wyner_keras.networks import RandomShiftShear

logger = logging.getLogger(__name__)

_VERSION = 2  # part of the cache key: raise it whenever the network or its training changes
_BATCH, _MANY, _BATCH_OF_MANY = 32, 7_500, 128


def _network(shape: tuple[int, int, int], classes: int, seed: int) -> keras.Model:
    """The judge's network: images to (logits, 128 features)."""

    def initial(offset: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=1000 * seed + offset)

    images = keras.Input(shape, name="images")
    hidden = RandomShiftShear(min(shape[:2]) / 14, seed=seed)(images)
    for index, filters in enumerate((32, 64)):
        convolution = layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=initial(index)
        )
        hidden = convolution(hidden)
        if min(shape[:2]) >= 14 or index == 0:  # 8x8 digits have no pixels to spare for a second
            hidden = layers.MaxPool2D(padding="same")(hidden)
    hidden = layers.Dropout(0.3, seed=1000 * seed + 10)(layers.Flatten()(hidden))
    dense = layers.Dense(128, activation="relu", kernel_initializer=initial(2), name="features")
    features = dense(hidden)
    hidden = layers.Dropout(0.3, seed=1000 * seed + 11)(features)
    logits = layers.Dense(classes, kernel_initializer=initial(3), name="logits")(hidden)
    return keras.Model(images, [logits, features], name="judge")


class Judge:
    """Reads labels off images, and gives the features on which images are compared.

    Two convolutions, a dense layer of 128 features, dropout; trained with small random shifts and
    shears. It has seen training images only, so that its reading of test or generated images is
    that of a stranger. About 0.993 on MNIST's test digits after 8 epochs.

    Args:
        network: model from images `(batch, h, w, c)` to `(logits, features)`.
        classes: the labels, ascending, that the logits stand for; int64 `(classes,)`.

    Example:
        >>> import wyner_keras as wk
        >>> digits = wk.data.load("digits")
        >>> judge = wk.evaluation.Judge.train(digits.train, epochs=3, verbose=0)
        >>> judge.accuracy(digits.test) > 0.8
        True
    """

    def __init__(self, network: keras.Model, classes: np.ndarray) -> None:
        self.network = network
        self.classes = np.asarray(classes, dtype=np.int64)
        if network.output_shape[0][-1] != len(self.classes):
            raise ValueError(
                f"`network` should have one logit for each of the {len(self.classes)} classes. "
                f"Received: {network.output_shape[0][-1]} logits"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape `(h, w, c)` of the images that it reads."""
        return tuple(self.network.input_shape[1:])

    @classmethod
    def train(
        cls,
        images: LabelledImages,
        *,
        seed: int = 0,
        epochs: int | None = None,
        verbose: int | str = "auto",
    ) -> Judge:
        """Trains a judge.

        Args:
            images: the training images and their labels, of at least two classes.
            seed: seed of the weights, the augmentation and the order; same seed, same judge.
            epochs: passes over the images; by default 8 for 7,500 images and more, and as many
                as make 40,000 images in all for fewer, at most 1,250.
            verbose: as in `keras.Model.fit`.

        Returns:
            The trained judge.

        Raises:
            ValueError: fewer than two classes, or a number of epochs below one.
        """
        classes = np.asarray(images.classes)
        if len(classes) < 2:
            raise ValueError(
                f"`images` should hold at least two classes. Received: {classes.tolist()}"
            )
        if epochs is not None:
            epochs = check_least(epochs, "`epochs`", 1)
        targets = np.searchsorted(classes, images.labels)
        count = len(images)
        # A batch that is not full counts as full: steps, not epochs, are what training takes.
        epochs = epochs or max(8, 40_000 // max(count, _BATCH))
        batch = _BATCH_OF_MANY if count >= _MANY else _BATCH
        network = _network(images.image_shape, len(classes), seed)

        # Dataset.shuffle would mix TensorFlow's global seed into ours.
        batches = Pairs.diagonal(images).dataset(
            batch, seed=seed, y_values=targets.astype(np.float32)
        )

        trained = keras.Model(network.input, network.outputs[0])
        schedule = keras.optimizers.schedules.CosineDecay(2e-3, epochs * math.ceil(count / batch))
        trained.compile(
            optimizer=keras.optimizers.Adam(schedule),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,  # XLA slows small convolutions on a CPU
        )
        trained.fit(batches, epochs=epochs, verbose=verbose, shuffle=False)
        return cls(network, classes)

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and features in one pass.

        Args:
            images: float32 `(n, h, w, c)` in [0, 1].

        Returns:
            Labels, int64 `(n,)`, and features, float32 `(n, 128)`, without unit.

        Raises:
            ValueError: images of another shape, dtype or range.
        """
        images = check_images(images, shape=self.image_shape)
        logits, features = self.network.predict(images, batch_size=500, verbose=0)
        return self.classes[np.argmax(logits, axis=-1)], features

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Labels, int64 `(n,)`, of images `(n, h, w, c)` in [0, 1]."""
        return self.read(images)[0]

    def features(self, images: np.ndarray) -> np.ndarray:
        """Features, float32 `(n, 128)` without unit, of images `(n, h, w, c)` in [0, 1]."""
        return self.read(images)[1]

    def accuracy(self, images: LabelledImages) -> float:
        """Share of the images whose label it reads correctly, in [0, 1]."""
        return float(np.mean(self.predict(images.images) == images.labels))


def _cache_path(
    images: LabelledImages, seed: int, epochs: int | None, cache_dir: str | os.PathLike[str] | None
) -> Path:
    folder = cache_dir or os.environ.get("WYNER_CACHE_DIR")
    folder = folder or platformdirs.user_cache_dir("wyner_keras")
    digest = hashlib.blake2b(digest_size=12)
    # Sets smaller than a batch had more epochs in version 2.
    version = _VERSION + int(len(images) < _BATCH)
    digest.update(repr((version, images.images.shape, seed, epochs)).encode())
    digest.update(np.ascontiguousarray(images.images).data)
    digest.update(np.ascontiguousarray(images.labels).data)
    return Path(folder) / f"judge-{digest.hexdigest()}.keras"


def judgeable(source: ImageSource) -> bool:
    """Whether a source has what a judge is taught by: training images of at least two classes.

    Args:
        source: the images.

    Returns:
        Whether `judge_for(source)` can be had; without it `evaluate` leaves out what a judge tells.

    Raises:
        ValueError: training images without labels.

    Example:
        >>> import wyner_keras as wk
        >>> judgeable(wk.data.load("digits"))
        True
    """
    return len(source.train.classes) > 1


def judge_for(
    source: ImageSource,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    seed: int = 0,
    epochs: int | None = None,
    verbose: int | str = "auto",
) -> Judge:
    """The judge of a source: trained once on `source.train`, then read from the cache.

    Args:
        source: its `train` images teach the judge; its `test` images are not looked at.
        cache_dir: folder of the cache; by default the environment variable `WYNER_CACHE_DIR`, and
            without it the user's cache folder. The file's name is a hash of the training images,
            their labels, the settings and the version of the network.
        seed: as in `Judge.train`.
        epochs: as in `Judge.train`.
        verbose: as in `keras.Model.fit`; a judge from the cache shows nothing.

    Returns:
        The judge. An unreadable cache file is replaced.

    Raises:
        ValueError: training images of fewer than two classes; see `judgeable`.
    """
    path = _cache_path(source.train, seed, epochs, cache_dir)
    if path.exists():
        try:
            network = keras.saving.load_model(path, compile=False)
            return Judge(network, np.asarray(source.train.classes))
        except Exception as error:  # a damaged archive fails in its zip, its JSON or its HDF5
            logger.warning(
                "The cached judge %s cannot be read and is trained anew: %s", path, error
            )
    logger.info("Training the judge of %s on %d images", source.name, len(source.train))
    judge = Judge.train(source.train, seed=seed, epochs=epochs, verbose=verbose)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as temporary:
        judge.network.save(temporary)
    return judge
