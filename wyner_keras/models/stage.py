"""What the training stages share: input at the door, named terms, one taped step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras import objectives
from wyner_keras.data import Pairs, check_images
from wyner_keras.latents import Latent
from wyner_keras.models.divergence import KeepLastGood
from wyner_keras.models.given import NOTHING, check_dataset, check_pair
from wyner_keras.models.pair import PairModel
from wyner_keras.models.wyner import WynerModel
from wyner_keras.received import received

Tensor = Any
# Where evaluation's counter of draws begins: those made before a data set is gone through, and
# those made on the way, have ranges of their own.
_BEFORE, _ON_THE_WAY = 2**30, 0


class Stage(keras.Model):
    """A training stage over some of a model's parts; `fit` takes all that Keras' does.

    Subclasses name their loss terms in `terms` and say which parts they train in `parts`.

    Training and evaluation draw noise from a stream each. Evaluation's begins anew at each
    evaluation: the same weights and data give the same losses, and what is evaluated while
    training changes nothing in it.

    Args:
        model: the model to train, of the type `model_type`: the W-model, where a subclass does not
            name another.
    """

    term_names: tuple[str, ...] = ()
    model_type: ClassVar[type[PairModel]] = WynerModel

    def __init__(self, model: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(model, self.model_type):
            raise ValueError(
                f"`model` should be a {self.model_type.__name__}. Received: model={received(model)}"
            )
        self.model = model
        self.seed_generator = keras.random.SeedGenerator(model.config.seed)
        # Of Keras' seed generators no file keeps the state.
        apart = np.random.SeedSequence([model.config.seed, 1]).generate_state(1)[0]
        self.evaluation_seed_generator = keras.random.SeedGenerator(int(apart))
        self._evaluates = False
        self.temperature = self.scheduled("temperature", 1.0)
        self.two_epsilon_squared = self.scheduled(
            "two_epsilon_squared", model.config.two_epsilon_squared
        )
        self.trackers = {name: keras.metrics.Mean(name=name) for name in ("loss", *self.term_names)}

    def scheduled(self, name: str, value: float) -> Any:
        """A float32 variable that a schedule callback may assign and a checkpoint keeps."""
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            dtype="float32",
        )

    def build(self, input_shape: Any = None) -> None:
        """Create the model's parts, if it has none yet."""
        if not self.model.built:
            self.model.build(input_shape)
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """One mean a term, reset by Keras at each epoch."""
        return list(self.trackers.values())

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """The parts that this stage trains."""
        raise TypeError("A stage names the parts that it trains")

    @property
    def trainable_variables(self) -> list[Any]:
        """The variables of this stage's parts, nothing else."""
        if not self.model.built:
            return []
        return [variable for part in self.parts for variable in part.trainable_variables]

    @property
    def trainable_weights(self) -> list[Any]:
        """The same; an optimizer's moving averages of them end up in these."""
        return self.trainable_variables

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Named loss terms, unreduced: nats per example `(batch,)`, or a batch scalar."""
        raise TypeError("A stage defines its loss terms")

    @property
    def reads_images(self) -> bool:
        """Whether batches should be images even where features would be quicker."""
        return self.model.config.distance == "pixels"

    def weights_of_terms(self) -> dict[str, Any]:
        """The weight of each term in the loss."""
        raise TypeError("A stage defines the weights of its loss terms")

    @staticmethod
    def batch_count(batch: Tensor) -> Any:
        """Rows of a batch: static where known, which lets XLA specialise."""
        return batch.shape[0] if batch.shape[0] is not None else ops.shape(batch)[0]

    @property
    def noise_stream(self) -> keras.random.SeedGenerator:
        """What noise is drawn from: training's stream, or evaluation's while that is computed."""
        return self.evaluation_seed_generator if self._evaluates else self.seed_generator

    @contextlib.contextmanager
    def _evaluating(self, evaluates: bool = True) -> Iterator[None]:
        """What is computed, or traced, inside draws its noise from evaluation's stream."""
        before, self._evaluates = self._evaluates, self._evaluates or evaluates
        try:
            yield
        finally:
            self._evaluates = before

    def _rewind(self, place: int) -> None:
        """Put evaluation's stream where an evaluation begins it."""
        state = self.evaluation_seed_generator.state
        state.assign([int(state.numpy()[0]), place])

    def draw(self, family: Latent, parameters: Tensor, count: Any) -> Tensor:
        """A reparameterised sample at the stage's temperature, `(count, size)`."""
        noise = family.random_noise(count, self.noise_stream)
        return family.sample(parameters, noise, self.temperature)

    def reconstruction(
        self, target: Tensor, features: Tensor, code: Tensor | None, z: Tensor, side: str
    ) -> Tensor:
        """−log p(x|u,z), nats per example, without the delta decoder's constant.

        z stands for all that the decoder is given besides the local latent's code.
        """
        mean, log_variance = self.model.decode_code(code, z, side)
        if log_variance is not None:
            return objectives.gaussian_negative_log_likelihood(features, mean, log_variance)
        if self.model.config.distance == "pixels":
            error = objectives.squared_error(target, self.model.images(mean, side))
        else:
            error = objectives.squared_error(features, mean)
        return error / self.two_epsilon_squared

    def loss_and_terms(
        self, x: Tensor, y: Tensor, training: bool
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted loss in nats, a scalar, and the batch mean of each term."""
        with self._evaluating(not training):
            means = {name: ops.mean(term) for name, term in self.terms(x, y, training).items()}
        weights = self.weights_of_terms()
        return sum(weights[name] * mean for name, mean in means.items()), means

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.load_weights`; a model that knows its shapes needs no call before."""
        if self.model.built and not self.built:
            self.build()
        if self.compiled and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        super().load_weights(*args, **kwargs)

    def __call__(self, inputs: Any = NOTHING, *args: Any, **kwargs: Any) -> Any:
        """The model's reconstruction of a batch of pairs; see `PairModel.__call__`."""
        if args:
            # Which says what is wrong.
            return self.model(inputs, *args)
        return super().__call__(check_pair(self.model, inputs), **kwargs)

    def call(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The model's reconstruction of a batch of pairs."""
        return self.model(inputs)

    def predict(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, np.ndarray]:
        """The model's reconstruction of all pairs, as arrays; see `PairModel.predict`."""
        return self.model.predict(*args, **kwargs)

    def predict_on_batch(self, *args: Any) -> tuple[np.ndarray, np.ndarray]:
        """As `predict`, of one batch (x, y)."""
        return self.model.predict_on_batch(*args)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """One gradient step over this stage's variables."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            loss, means = self.loss_and_terms(x, y, training=True)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply_gradients(
            zip(tape.gradient(scaled, variables), variables, strict=True)
        )
        return self._track(loss, means)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """The same terms without a step."""
        x, y, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._track(*self.loss_and_terms(x, y, training=False))

    def _track(self, loss: Tensor, means: dict[str, Tensor]) -> dict[str, Tensor]:
        for name, value in {"loss": loss, **means}.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _prepared(self, data: Any, batch_size: int, shuffle: bool) -> Any:
        """A dataset of `Pairs` with the wrapper's features cached; other data unchanged."""
        if not isinstance(data, Pairs):
            return data
        self.build(((None, *data.x.image_shape), (None, *data.y.image_shape)))
        for side, images in (("x", data.x), ("y", data.y)):
            expected = self.model.image_shape(side)
            if images.image_shape != expected:
                raise ValueError(
                    f"Images of {side} should have shape {expected}. Received: {images.image_shape}"
                )
        values = {}
        if self.model.wrapper_x is not None and not self.reads_images:
            values = {
                "x_values": self.model.cached_features(data.x.images, "x"),
                "y_values": self.model.cached_features(data.y.images, "y"),
            }
        return data.dataset(
            batch_size,
            shuffle=shuffle,
            seed=self.model.config.seed,
            # A shorter last batch would make XLA compile the step a second time.
            drop_remainder=shuffle and len(data) >= batch_size,
            **values,
        )

    def _checked(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Arrays and datasets of pairs checked at the door; Keras' own kinds of data unchanged."""
        if isinstance(x, tf.data.Dataset):
            if y is not None:
                raise ValueError(f"y should be None beside a dataset. Received: y={received(y)}")
            self._check_dataset(x)
            return x, y
        if isinstance(x, tf.Tensor):
            x, y = np.asarray(x), np.asarray(y) if isinstance(y, tf.Tensor) else y
        if not isinstance(x, np.ndarray):
            if x is None or isinstance(x, str | bytes | list | tuple | dict | int | float):
                raise ValueError(
                    "x should be `Pairs`, a tf.data.Dataset of (x, y) batches, or an array of "
                    f"images beside y. Received: x={received(x)}, y={received(y)}"
                )
            return x, y
        shapes = (self.model.config.x_shape, self.model.config.y_shape)
        x = check_images(x, name="x", shape=shapes[0])
        y = check_images(y, name="y", shape=shapes[1])
        if len(x) != len(y):
            raise ValueError(
                f"x and y should have the same length. Received: {len(x)} and {len(y)}"
            )
        self.build(((None, *x.shape[1:]), (None, *y.shape[1:])))
        return x, y

    def _check_dataset(self, data: tf.data.Dataset) -> None:
        check_dataset(self.model, data)

    def _for_validation(self, data: Any, batch_size: int) -> Any:
        """What `fit` validates on, as Keras takes it."""
        if data is None:
            return None
        if isinstance(data, Pairs):
            return self._prepared(data, batch_size, shuffle=False)
        if not isinstance(data, tuple | list):
            return self._checked(data, None)[0]
        if len(data) not in (2, 3):
            raise ValueError(
                "`validation_data` should be `Pairs`, a dataset, or a tuple (x, y). "
                f"Received: {received(data)}"
            )
        return self._checked(*data[:2])

    @staticmethod
    def _alone(y: Any) -> None:
        if y is not None:
            raise ValueError(f"y should be None beside `Pairs`. Received: y={received(y)}")

    def _build_for(self, data: Any) -> None:
        """Create the model's parts for a dataset of (x, y) batches of images."""
        if isinstance(data, tf.data.Dataset) and not self.built:
            if self.model.built:
                self.build()
            else:
                self.build(tuple(spec.shape for spec in data.element_spec[:2]))

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        *,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train; as `keras.Model.fit`, and x may be `Pairs`.

        Args:
            x: `Pairs`, a tf.data.Dataset of (x, y) batches, or images `(n, h, w, c)`.
            y: images `(n, h, w, c)` where x is an array.
            batch_size: default 256.
            validation_data: `Pairs`, a dataset, or a tuple of arrays.
            **kwargs: of `keras.Model.fit`.

        Raises:
            ValueError: if arrays or pairs are malformed.
            TrainingDiverged: if the loss stops being finite; see `KeepLastGood`.
        """
        batch_size = 256 if batch_size is None else batch_size
        if kwargs.get("shuffle", True) and isinstance(x, np.ndarray | tf.Tensor):
            # Keras shuffles arrays by the global seed: the same seed should give the same weights.
            keras.utils.set_random_seed(self.model.config.seed)
        if isinstance(x, Pairs):
            self._alone(y)
            data, rows = self._prepared(x, batch_size, shuffle=True), None
        else:
            data, y = self._checked(x, y)
            self._build_for(data)
            rows = batch_size if isinstance(data, np.ndarray) else None
        with self._evaluating():
            self._rewind(_BEFORE)
            validation_data = self._for_validation(validation_data, batch_size)
        callbacks = kwargs.pop("callbacks", None)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = list(callbacks or [])
            if not any(isinstance(callback, KeepLastGood) for callback in callbacks):
                callbacks.append(KeepLastGood())
        if rows is None:
            # A dataset shuffles itself; Keras would warn that it ignores the flag.
            kwargs.setdefault("shuffle", False)
        return super().fit(
            data, y, rows, validation_data=validation_data, callbacks=callbacks, **kwargs
        )

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> Any:
        """The mean terms; as `keras.Model.evaluate`, and x may be `Pairs`."""
        # In a `fit` the data has been prepared at its beginning.
        if not kwargs.get("_use_cached_eval_dataset", False):
            with self._evaluating():
                self._rewind(_BEFORE)
                if isinstance(x, Pairs):
                    self._alone(y)
                    x, batch_size = self._prepared(x, batch_size or 256, shuffle=False), None
                else:
                    x, y = self._checked(x, y)
                    self._build_for(x)
        self._rewind(_ON_THE_WAY)
        return super().evaluate(x, y, batch_size=batch_size, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """One step on one batch; as `keras.Model.train_on_batch`."""
        return super().train_on_batch(*self._checked(x, y), *args, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The mean terms of one batch; as `keras.Model.test_on_batch`."""
        return super().test_on_batch(*self._checked(x, y), *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The model."""
        return {
            **super().get_config(),
            "model": keras.saving.serialize_keras_object(self.model),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Stage:
        """The stage again, from `get_config`'s values."""
        values = dict(config)
        return cls(keras.saving.deserialize_keras_object(values.pop("model")), **values)
