"""A stage: a loss of a model, trained by Keras' `fit`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras.backend import StepByBackend, by_tiles, workers
from wyner_keras.data import Pairs
from wyner_keras.divergence import KeepLastGood
from wyner_keras.execution import Epoch, in_bfloat16
from wyner_keras.latents import Latent
from wyner_keras.losses import Loss
from wyner_keras.losses.loss import rows_of
from wyner_keras.model import WynerModel
from wyner_keras.received import received

logger = logging.getLogger(__name__)
Tensor = Any
# Where evaluation's counter of draws begins: those made before a data set is gone through, and
# those made on the way, have ranges of their own.
_BEFORE, _ON_THE_WAY = 2**30, 0


@dataclass(frozen=True)
class NoiseDraw:
    """Samples of one step, from a stream of noise; what a loss calls `draw`.

    Args:
        stream: of the noise.
        temperature: of relaxed samples.
        two_epsilon_squared: 2ε² in squared feature units.
        heads: the loss's own layers.
    """

    stream: keras.random.SeedGenerator
    temperature: Any
    two_epsilon_squared: Any
    heads: list[Any]

    def __call__(self, latent: Latent, distribution: Any, exact: bool = False) -> Tensor:
        """A sample of a distribution of the latent, relaxed at the temperature unless exact."""
        rows = rows_of({"outputs": distribution.outputs()[0]})
        noise = latent.random_noise(rows, self.stream)
        return distribution.sample(noise, None if exact else self.temperature)

    def prior(self, latent: Latent, count: Any) -> Tensor:
        """Samples of the latent's prior, `(count, size)`."""
        return latent.prior_sample(latent.random_noise(count, self.stream))

    def normal(self, shape: Any) -> Tensor:
        """Standard normal noise."""
        return keras.random.normal(shape, seed=self.stream)

    def uniform(self, shape: Any) -> Tensor:
        """Uniform noise on [0, 1)."""
        return keras.random.uniform(shape, seed=self.stream)


@keras.saving.register_keras_serializable(package="wyner_keras")
class Stage(StepByBackend, keras.Model):
    """Train some networks of a model by a loss; `fit` takes all that Keras' does.

    Training and evaluation draw noise from a stream each. Evaluation's begins anew at each
    evaluation: the same weights and data give the same losses, and what is evaluated while
    training changes nothing in it.

    The variables `temperature`, of the Gumbel-softmax, and `two_epsilon_squared`, 2ε² in squared
    feature units (features have unit variance), may be scheduled, see `Schedule`.

    Args:
        model: the W-model.
        loss: what is minimised, over which of its networks.
        bfloat16: whether the steps of `fit` may take their products in bfloat16, see
            `StageSettings`.

    Example:
        >>> stage = Stage(model, wk.losses.Joint())  # doctest: +SKIP
        >>> stage.compile(optimizer="adam")  # doctest: +SKIP
        >>> history = stage.fit(pairs, epochs=3)  # doctest: +SKIP
    """

    train_function: Any

    def __init__(
        self,
        model: WynerModel,
        loss: Loss,
        bfloat16: bool = True,
        **kwargs: Any,
    ) -> None:
        workers.refuse_strategies()
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(model, WynerModel) or not isinstance(loss, Loss):
            raise ValueError(
                "A Stage should be of a WynerModel and a Loss. "
                f"Received: model={received(model)}, loss={received(loss)}"
            )
        self.model = model
        self.objective = loss
        self.heads = loss.heads(model)
        self.bfloat16 = bfloat16
        self.seed_generator = keras.random.SeedGenerator(model.seed)
        # Of Keras' seed generators no file keeps the state.
        apart = np.random.SeedSequence([model.seed, 1]).generate_state(1)[0]
        self.evaluation_seed_generator = keras.random.SeedGenerator(int(apart))
        self.shared_nats: float | None = None
        self.found: dict[str, Any] = {}  # what the alignment says of z
        self.batch_size = 0  # of `fit`
        self.epoch = 0  # of `fit`: with it a resumed one shuffles as if it had never stopped
        self._evaluates = False

        def scheduled(name: str, value: float) -> Any:
            return self.add_weight(
                name=name,
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=False,
                dtype="float32",
            )

        self.temperature = scheduled("temperature", 0.5)
        self.two_epsilon_squared = scheduled("two_epsilon_squared", 0.04)
        loss.trained(model)  # which refuses a model that lacks what it trains
        self.trackers: dict[str, keras.metrics.Metric] = {}
        for name in ("loss", *loss.weights(model)):
            self.trackers[name] = keras.metrics.Mean(name=name)
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """One mean a term, reset by Keras at each epoch."""
        return list(self.trackers.values())

    @property
    def trained(self) -> list[keras.layers.Layer]:
        """The networks that the loss trains, and its own."""
        return [*self.objective.trained(self.model), *self.heads]

    @property
    def trainable_variables(self) -> list[Any]:
        """The variables that the loss trains, nothing else."""
        return [variable for layer in self.trained for variable in layer.trainable_variables]

    @property
    def trainable_weights(self) -> list[Any]:
        """The same; an optimizer's moving averages of them end up in these."""
        return self.trainable_variables

    def draw(self, training: bool) -> NoiseDraw:
        """Where a step's samples come from: training's stream of noise, or evaluation's."""
        evaluates = self._evaluates or not training
        stream = self.evaluation_seed_generator if evaluates else self.seed_generator
        return NoiseDraw(stream, self.temperature, self.two_epsilon_squared, self.heads)

    def terms(self, batch: Any, training: bool) -> dict[str, Tensor]:
        """The loss's terms of a batch, unreduced; see `Loss.__call__`."""
        return self.objective(self.model, self._named(batch), self.draw(training), training)

    def loss_and_terms(self, batch: Any, training: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted loss in nats, a scalar, and the batch mean of each term."""
        means = {name: ops.mean(term) for name, term in self.terms(batch, training).items()}
        weights = self.objective.weights(self.model)
        return sum(weight * means[name] for name, weight in weights.items()), means

    def report(self, loss: Tensor, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Means of the loss and its terms over the epoch so far, this batch's taken in."""
        for name, value in {"loss": loss, **means}.items():
            self.trackers[name].update_state(value)
        return {name: tracker.result() for name, tracker in self.trackers.items()}

    def _named(self, batch: Any) -> Mapping[str, Tensor]:
        """A batch by name: of a tuple (x, y), as users' datasets have it, the examples."""
        if isinstance(batch, Mapping):
            return batch
        # Steps of Keras' own, `train_on_batch` say, bring None for weights.
        *examples, weights = keras.utils.unpack_x_y_sample_weight(batch)
        self._refuse_weights({"sample_weight": weights})
        return {
            side.name: side.modality.prepare(data)
            for side, data in zip(self.model.sides, examples, strict=True)
        }

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """What is computed inside draws its noise from evaluation's stream."""
        before, self._evaluates = self._evaluates, True
        try:
            yield
        finally:
            self._evaluates = before

    def _rewind(self, place: int) -> None:
        """Put evaluation's stream where an evaluation begins it."""
        state = self.evaluation_seed_generator.state
        state.assign([int(np.asarray(state)[0]), place])

    def _batches(self, pairs: Pairs, batch_size: int, training: bool) -> tf.data.Dataset:
        """What the loss reads of pairs: features computed once, examples where it reads them."""
        for side, modality in zip(self.model.sides, pairs.modalities, strict=True):
            if modality.shape != side.modality.shape:
                raise ValueError(
                    f"Examples of {side.name} should have shape {side.modality.shape}. "
                    f"Received: {modality.shape}"
                )
        by_pair = self.objective.arrays(self, pairs)
        # Experts that are trained change from step to step.
        trained = self.objective.trained(self.model)
        kept = all(side.expert_network not in trained for side in self.model.sides)
        repeatedly = kept and training
        by_row = None
        if not (by_pair and self.objective.arrays_suffice):
            by_row = self.model.rows(pairs, experts=kept, repeatedly=repeatedly)
        return pairs.batches(
            batch_size,
            data=self.objective.reads(self.model),
            by_pair=by_pair,
            by_row=by_row,
            shuffle=training,
            seed=self.model.seed,
            # For a shorter last batch the step would be traced, and by JAX compiled, once more.
            drop_remainder=training and len(pairs) >= batch_size,
            epoch=lambda: self.epoch,
            worker=workers.worker() if training else None,
        )

    def _prepared(self, x: Any, y: Any, batch_size: int, training: bool) -> tf.data.Dataset:
        """A dataset of batches, of whatever `fit` was given, checked before any work."""
        if isinstance(x, Pairs):
            if y is not None:
                raise ValueError(f"y should be None beside `Pairs`. Received: y={received(y)}")
            return self._batches(x, batch_size, training)
        if isinstance(x, tf.data.Dataset):
            spec = x.element_spec
            if y is not None or not isinstance(spec, tuple) or len(spec) != 2:
                parts = f"{len(spec)} parts a batch" if isinstance(spec, tuple) else received(x)
                raise ValueError(
                    "A dataset should hold batches (x, y), without weights, beside no y. "
                    f"Received: {parts}, y={received(y)}"
                )
            return x
        if x is None or y is None:
            raise ValueError(
                "x should be `Pairs`, a tf.data.Dataset of (x, y) batches, or an array beside y. "
                f"Received: x={received(x)}, y={received(y)}"
            )
        modalities = [side.modality for side in self.model.sides]
        arrays = [
            modality.check(np.asarray(values), side.name)
            for modality, values, side in zip(modalities, (x, y), self.model.sides, strict=True)
        ]
        return self._batches(
            Pairs(*arrays, x_modality=modalities[0], y_modality=modalities[1]),
            batch_size,
            training,
        )

    @staticmethod
    def _refuse_weights(settings: Mapping[str, Any]) -> None:
        for name in ("sample_weight", "class_weight"):
            if settings.get(name) is not None:
                raise ValueError(
                    f"`{name}` should be None: a pair counts as often as it is there. "
                    f"Received: {name}={received(settings[name])}"
                )

    def _check_workers(self, x: Any, batch_size: int) -> None:
        """Of a dataset, and of a batch that does not divide, workers would have no slices."""
        own = workers.worker()
        if own.count == 1:
            return
        if isinstance(x, tf.data.Dataset):
            raise ValueError(
                "x should be `Pairs`, or an array beside y, where several workers train. "
                f"Received: x={received(x)}"
            )
        if own.divisible(batch_size) != batch_size:
            raise ValueError(
                f"`batch_size` should be a multiple of the workers' {own.devices} devices. "
                f"Received: batch_size={batch_size}"
            )

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int = 256,
        *,
        validation_data: Any = None,
        chooses: bool = True,
        callbacks: Any = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train; as `keras.Model.fit`, and x may be `Pairs`.

        Args:
            x: `Pairs`, a tf.data.Dataset of (x, y) batches, or examples `(n, ...)`.
            y: examples `(n, ...)` where x is an array.
            batch_size: pairs a step, of all workers where several train together.
            validation_data: `Pairs`, a dataset, or a tuple of arrays.
            chooses: whether the loss may choose by them at its end, if they are `Pairs`: the
                alignment chooses z. Without it they are only evaluated on.
            callbacks: as in `keras.Model.fit`.
            **kwargs: of `keras.Model.fit`.

        Raises:
            ValueError: if arrays or pairs are malformed, weights come with them, or a tf.distribute
                strategy is in use.
            TrainingDiverged: if the loss stops being finite; see `KeepLastGood`.
        """
        workers.refuse_strategies()
        self._refuse_weights(kwargs)
        if isinstance(validation_data, tuple) and len(validation_data) != 2:
            raise ValueError(
                "`validation_data` should be `Pairs`, a dataset, or a tuple (x, y). "
                f"Received: a tuple of {len(validation_data)}"
            )
        self._check_workers(x, batch_size)
        self.batch_size = batch_size
        pairs = x if isinstance(x, Pairs) else None
        if pairs is not None:
            self.objective.begin(self, pairs)
        data = self._prepared(x, y, batch_size, training=True)
        held_pairs = validation_data if isinstance(validation_data, Pairs) else None
        with self._evaluating():
            self._rewind(_BEFORE)
            if validation_data is not None:
                held = validation_data
                held = held if isinstance(held, tuple) else (held, None)
                validation_data = self._prepared(held[0], held[1], batch_size, training=False)
        callbacks = [Epoch(), *(callbacks or [])]
        if not any(isinstance(callback, KeepLastGood) for callback in callbacks):
            callbacks.append(KeepLastGood())
        # A dataset shuffles itself; Keras would warn that it ignores the flag.
        with workers.together(self):
            history = super().fit(
                data,
                validation_data=validation_data,
                callbacks=callbacks,
                **{"shuffle": False, **kwargs},
            )
        if pairs is not None:
            self.objective.end(self, pairs, held_pairs if chooses else None)
        return history

    @property
    def multiplies_bfloat16(self) -> bool:
        """Whether steps of the last `fit`'s batches do."""
        # XLA, where it is asked for, multiplies as the graph says.
        if not self.bfloat16 or self.jit_compile:
            return False
        return in_bfloat16(self.trained, self.batch_size)

    def make_train_function(self, force: bool = False) -> None:
        """As Keras does; steps alone multiply in bfloat16, where that is faster."""
        before = self.train_function
        super().make_train_function(force)
        if self.train_function is not before and self.multiplies_bfloat16:
            logger.info("Products are taken in bfloat16, sums in float32")
            self.train_function = by_tiles(self.train_function)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: int = 256, **kwargs: Any) -> Any:
        """The mean terms; as `keras.Model.evaluate`, and x may be `Pairs`."""
        self._refuse_weights(kwargs)
        # In a `fit` the data has been prepared at its beginning.
        if not kwargs.get("_use_cached_eval_dataset", False):
            with self._evaluating():
                self._rewind(_BEFORE)
                x, y = self._prepared(x, y, batch_size, training=False), None
        with workers.apart(self):
            self._rewind(_ON_THE_WAY)
            return super().evaluate(x, y, **kwargs)

    def call(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The model's reconstruction of a batch of pairs."""
        return self.model(inputs)

    def predict(self, *args: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        """The model's reconstruction of all pairs, as arrays; see `WynerModel.predict`."""
        return self.model.predict(*args, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.load_weights`; the optimizer's are loaded too."""
        if self.compiled and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)
        super().load_weights(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Model and loss."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "model": serialize(self.model),
            "loss": serialize(self.objective),
            "bfloat16": self.bfloat16,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The stage again, from `get_config`'s values."""
        deserialize = keras.saving.deserialize_keras_object
        own = {name: deserialize(config[name]) for name in ("model", "loss")}
        return cls(**{**config, **own})
