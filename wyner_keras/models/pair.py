"""What every model of pairs has: settings, wrappers, features, and how it is stored."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras.latents import Latent
from wyner_keras.models.given import NOTHING, check_pair, to_predict
from wyner_keras.models.pair_config import PairConfig
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.received import received

Tensor = Any


class PairModel(keras.Model):
    """A model of pairs (x, y), inside a wrapper or of the pixels themselves.

    Subclasses make their parts in `make_parts`. Called with a pair (x, y) of batches, or asked to
    `predict` pairs, a model reconstructs both sides; its own methods are its tasks. Stages train
    it: it has no `fit` of its own.

    Args:
        config: the settings, of the type `config_type`.
        wrapper: a trained `ConvAutoencoder` for both sides, a pair of them (for x, for y), or None
            to model the pixels themselves.

    Raises:
        ValueError: if a wrapper's image shape contradicts the settings.
    """

    built: bool
    config_type: ClassVar[type[PairConfig]] = PairConfig

    def __init__(
        self,
        config: Any,
        wrapper: keras.Model | Sequence[keras.Model] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(config, self.config_type):
            raise ValueError(
                f"`config` should be a {self.config_type.__name__}. "
                f"Received: config={received(config)}"
            )
        wrappers = tuple(wrapper) if isinstance(wrapper, list | tuple) else (wrapper, wrapper)
        if len(wrappers) != 2 or any((side is None) != (wrappers[0] is None) for side in wrappers):
            raise ValueError(
                "`wrapper` should be one wrapper, a pair (for x, for y) or None. "
                f"Received: wrapper={received(wrapper)}"
            )
        self.wrapper_x, self.wrapper_y = wrappers
        for name, side in (("x_shape", self.wrapper_x), ("y_shape", self.wrapper_y)):
            if side is None:
                continue
            if not isinstance(side, ConvAutoencoder) or not side.built:
                raise ValueError(
                    "`wrapper` should be a trained ConvAutoencoder, a pair of them or None. "
                    f"Received: wrapper={received(wrapper)}"
                )
            side.trainable = False
            given = getattr(config, name)
            if given is not None and given != side.image_shape:
                raise ValueError(
                    f"`{name}` should be the wrapper's image shape {side.image_shape}. "
                    f"Received: {name}={received(given)}"
                )
            shape: dict[str, Any] = {name: side.image_shape}
            config = dataclasses.replace(config, **shape)
        self.config = config
        if config.x_shape is not None and config.y_shape is not None:
            self.build(((None, *config.x_shape), (None, *config.y_shape)))

    def build(self, input_shape: Any = None) -> None:
        """Create all parts for x and y of these shapes, each `(batch, h, w, c)`."""
        if self.built:
            return
        x_shape, y_shape = input_shape
        self.config = dataclasses.replace(
            self.config, x_shape=tuple(x_shape[1:]), y_shape=tuple(y_shape[1:])
        )
        self.make_parts()
        self.built = True

    def __call__(self, inputs: Any = NOTHING, *args: Any, **kwargs: Any) -> Any:
        """Reconstructed images x and y of a batch of pairs (x, y), as tensors.

        Args:
            inputs: x and y, images `(batch, h, w, c)` in [0, 1] or features `(batch, features)`.
            *args: refused; the pair is one argument.
            **kwargs: of `keras.layers.Layer.__call__`.

        Raises:
            ValueError: if it is anything else; the message says which method takes it.
        """
        if args:
            raise ValueError(
                f"A {type(self).__name__} takes a pair as one tuple: model((x, y)). "
                f"Received: {received((inputs, *args))}"
            )
        return super().__call__(check_pair(self, inputs), **kwargs)

    def predict(
        self, x: Any = NOTHING, batch_size: int | None = None, *args: Any, **kwargs: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Reconstructed images of all pairs; as `keras.Model.predict`, and x may be `Pairs`.

        Args:
            x: `Pairs`, a tf.data.Dataset of (x, y) batches, or a tuple (x, y) of images
                `(n, h, w, c)` in [0, 1].
            batch_size: default 256.
            *args: of `keras.Model.predict`.
            **kwargs: of `keras.Model.predict`.

        Returns:
            x and y, float32 arrays `(n, h, w, c)` in [0, 1].

        Raises:
            ValueError: if it is anything else; the message says which method takes it.

        Example:
            >>> x, y = model.predict(pairs)  # doctest: +SKIP
        """
        data = to_predict(self, x, 256 if batch_size is None else batch_size)
        found: tuple[np.ndarray, np.ndarray] = super().predict(data, None, *args, **kwargs)
        return found

    def predict_on_batch(self, x: Any = NOTHING) -> tuple[np.ndarray, np.ndarray]:
        """As `predict`, of one batch (x, y)."""
        found: tuple[np.ndarray, np.ndarray] = super().predict_on_batch(check_pair(self, x))
        return found

    def compile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages are compiled."""
        self._refuse("compile", *args, *kwargs.values())

    def fit(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages train a model."""
        self._refuse("fit", *args, *kwargs.values())

    def train_on_batch(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages train a model."""
        self._refuse("train_on_batch", *args, *kwargs.values())

    def evaluate(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages have the losses, `wyner_keras.evaluation` judges what is generated."""
        self._refuse("evaluate", *args, *kwargs.values())

    def test_on_batch(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused, as `evaluate` is."""
        self._refuse("test_on_batch", *args, *kwargs.values())

    def _refuse(self, method: str, *given: Any) -> NoReturn:
        name, given_to = type(self).__name__, ", ".join(received(each) for each in given)
        instead = {
            "compile": "is trained by its stages: compile one of them",
            "evaluate": "is judged by wyner_keras.evaluation.evaluate(model, source); its losses "
            "are those of its stages",
        }.get(
            "evaluate" if method == "test_on_batch" else method,
            "is trained by its stages, or by wyner_keras.training.train",
        )
        raise ValueError(f"A {name} {instead}. Received: {method} of {given_to or 'no arguments'}")

    def make_parts(self) -> None:
        """Create and build encoders and decoders; the image shapes are known."""
        raise TypeError("A model of pairs makes its parts")

    def feature_size(self, side: str) -> int:
        """Width of the features of side "x" or "y": the wrapper's, or the number of pixels."""
        wrapper = self.wrapper(side)
        if wrapper is not None:
            return wrapper.feature_size
        height, width, channels = self.image_shape(side)
        return height * width * channels

    def wrapper(self, side: str) -> keras.Model | None:
        """The wrapper of side "x" or "y"."""
        return self.wrapper_x if side == "x" else self.wrapper_y

    def image_shape(self, side: str) -> Any:
        """`(h, w, c)` of side "x" or "y"; None before the model is built."""
        return self.config.x_shape if side == "x" else self.config.y_shape

    @property
    def common(self) -> Latent | None:
        """The family of the common latent Z; None where a model has none."""
        return None

    def local(self, side: str) -> Latent | None:
        """The family of U (side "x") or V (side "y")."""
        return self.config.u if side == "x" else self.config.v

    @functools.cached_property
    def _feature_cache(self) -> dict[int, Any]:
        return {}

    def features(self, images: Tensor, side: str) -> Tensor:
        """Features `(batch, features)` of images `(batch, h, w, c)`; features pass unchanged."""
        if len(images.shape) == 2:
            return ops.cast(images, "float32")
        wrapper = self.wrapper(side)
        if wrapper is not None:
            return ops.cast(wrapper.encode(images), "float32")
        return ops.reshape(ops.cast(images, "float32"), (-1, self.feature_size(side)))

    def cached_features(self, images: np.ndarray, side: str) -> np.ndarray:
        """The wrapper's features of a whole array, `(n, features)`, computed once an array."""
        wrapper, key = self.wrapper(side), id(images)
        # Models that have a wrapper in common share what it computed.
        cache = self._feature_cache if wrapper is None else wrapper.feature_cache
        cached = cache.get(key)
        if cached is None or cached[0]() is not images:
            encode = tf.function(lambda batch: self.features(batch, side), reduce_retracing=True)
            features = np.concatenate(
                [encode(images[i : i + 1000]).numpy() for i in range(0, len(images), 1000)]
            )
            # Forgotten with the array: its address may become another's.
            cached = (weakref.ref(images, lambda _: cache.pop(key, None)), features)
            cache[key] = cached
        return cached[1]

    def images(self, features: Tensor, side: str) -> Tensor:
        """Images `(batch, h, w, c)` in [0, 1] of features `(batch, features)`."""
        wrapper = self.wrapper(side)
        if wrapper is not None:
            return ops.cast(wrapper.decode(features), "float32")
        return ops.clip(ops.reshape(features, (-1, *self.image_shape(side))), 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Settings and wrappers."""
        serialize = keras.saving.serialize_keras_object
        if self.wrapper_x is None:
            wrapper = None
        elif self.wrapper_x is self.wrapper_y:
            wrapper = serialize(self.wrapper_x)
        else:
            wrapper = [serialize(self.wrapper_x), serialize(self.wrapper_y)]
        return {**super().get_config(), "config": serialize(self.config), "wrapper": wrapper}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The model again, from `get_config`'s values; weights are loaded by Keras."""
        values, deserialize = dict(config), keras.saving.deserialize_keras_object

        def wrapper_of(stored: Any) -> Any:
            wrapper = deserialize(stored)
            if isinstance(wrapper, ConvAutoencoder):
                # With variables, so that weights can be loaded into them.
                wrapper.build()
            return wrapper

        wrapper = values.pop("wrapper")
        if isinstance(wrapper, list | tuple):
            wrapper = tuple(wrapper_of(side) for side in wrapper)
        elif wrapper is not None:
            wrapper = wrapper_of(wrapper)
        return cls(deserialize(values.pop("config")), wrapper=wrapper, **values)

    def get_build_config(self) -> dict[str, Any] | None:
        """The pair of batch shapes that `build` takes; None before the model is built."""
        if not self.built:
            return None
        return {"shapes": [[None, *self.image_shape("x")], [None, *self.image_shape("y")]]}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the parts for the shapes that `get_build_config` told."""
        self.build(tuple(tuple(shape) for shape in config["shapes"]))
