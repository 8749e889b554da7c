"""The W-model: one `Side` for x and one for y around the common latent z."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras.backend import compiled
from wyner_keras.data import Pairs
from wyner_keras.data.rows import rows_at_once
from wyner_keras.graphs import parts_of, tasks_of
from wyner_keras.latents import Family, Latent, prior_log_prob
from wyner_keras.modality import Modality
from wyner_keras.networks.codec import Codec
from wyner_keras.received import received
from wyner_keras.side import Side, SideSettings, seeds_of
from wyner_serving.pmi import with_shares
from wyner_serving.tasks import Tasks

if TYPE_CHECKING:
    from wyner_keras.presets import Card

Tensor = Any
_AT_ONCE = 1000  # rows encoded at once, at most
_HELD = 2**27  # bytes that a side's experts give of all rows, at most, to be held
_PRIOR_OF = 100_000  # pairs, at most, that p(z) is fitted to


@keras.saving.register_keras_serializable(package="wyner_keras")
class WynerModel(keras.Model, Tasks):
    """Joint latent variable model of pairs (x, y): common z, local u and v.

    Generative part p(z) p(u) p(v) with x = x_θ(u, z) and y = y_θ(v, z). Posteriors: the product of
    experts q(z|x,y) ∝ p(z) e(z;x) e(z;y), q(z|x), q(z|y), q(u|x,z), q(v|y,z). Stages train it, see
    `wyner_keras.train`; called with a pair (x, y) of batches it reconstructs both.

    Args:
        z: the common latent.
        modalities: of the sides, by name: "x" and "y".
        codecs: of the sides, by name; one codec may serve both.
        settings: of the sides, by name.
        learned_prior: whether joint generation draws z from a p(z) that `fit_prior` fits, where
            the family of z has one; else from the prior that the losses have.
        seed: of the initial weights.

    Raises:
        ValueError: if an argument is not as said.

    Example:
        >>> import wyner_keras as wk
        >>> image = wk.Image(shape=(8, 8, 1))
        >>> model = WynerModel(
        ...     wk.Categorical(n=1, k=10), {"x": image, "y": image},
        ...     codecs={side: image.codec(None, 0) for side in "xy"},
        ...     settings={side: SideSettings(reader="features") for side in "xy"},
        ... )
        >>> x, y = model.generate_pairs(4, seed=0)
        >>> x.shape
        (4, 8, 8, 1)

    Source: the W-model paper, section 2.2, figure 1.
    """

    built: bool
    batch_size = 1000

    def __init__(
        self,
        z: Latent,
        modalities: Mapping[str, Modality],
        codecs: Mapping[str, Codec],
        settings: Mapping[str, SideSettings],
        learned_prior: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        # Under mixed precision the networks alone compute in half.
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(z, Latent):
            raise ValueError(
                "`z` should be a latent family such as Categorical(n=1, k=10). "
                f"Received: z={received(z)}"
            )
        for name, values in (("codecs", codecs), ("settings", settings)):
            if list(values) != list(modalities):
                raise ValueError(
                    f"`{name}` should be of the sides {list(modalities)}. "
                    f"Received: {received(list(values))}"
                )
        self.z, self.seed = z, seed
        self.sides = tuple(
            Side(
                name,
                modality,
                codecs[name],
                z,
                settings[name],
                seeds_of(seed, position, len(modalities)),
            )
            for position, (name, modality) in enumerate(modalities.items())
        )
        self.learned_prior = learned_prior
        self.prior = z.prior_layer() if learned_prior else None
        self.built = True

    def side(self, name: str) -> Side:
        """The side of that name."""
        return next(side for side in self.sides if side.name == name)

    def sample_prior(self, noise: Tensor) -> Tensor:
        """A sample of p(z), `(batch, size)`."""
        return self.z.prior_sample(noise) if self.prior is None else self.prior(noise)

    def log_prior(self, z: Tensor) -> Tensor:
        """The log of p(z) of the p(z) that `sample_prior` draws from, nats `(batch,)`."""
        if self.prior is not None:
            return self.prior.log_prob(z)
        return prior_log_prob(self.z, z)

    @property
    def side_entries(self) -> dict[str, dict[str, Any]]:
        """By side what its modality says of itself, and `local`, its local latent's name."""
        return {
            side.name: {**side.modality.describe(), "local": side.local_name} for side in self.sides
        }

    @property
    def latent_entries(self) -> dict[str, dict[str, Any] | None]:
        """By latent, "z" first, what it says of itself; None for one that the model lacks."""
        locals_ = {side.local_name: side.local for side in self.sides}
        found = {
            name: None if latent is None else latent.describe()
            for name, latent in {"z": self.z, **locals_}.items()
        }
        common, shares = cast(Any, found["z"]), self.kind_shares
        if shares is not None and np.ptp(shares) > 0 and "pmi" in common:
            common["pmi"] = with_shares(common["pmi"], shares.tolist())
        return found

    @property
    def kind_shares(self) -> np.ndarray | None:
        """p(z) of each kind as it is fitted, float64 `(k,)`; None where z has none. Eager."""
        found = getattr(self.prior, "kind_shares", None)
        return None if found is None else np.asarray(found, np.float64)

    def pmi_of(
        self,
        posteriors_x: Sequence[Tensor],
        posteriors_y: Sequence[Tensor],
        shares: Any = None,
    ) -> Tensor:
        """Pointwise mutual information of every x with every y, nats; see `Latent.log_pmi`.

        Args:
            posteriors_x: of q(z|x) what `Distribution.outputs` gives.
            posteriors_y: of q(z|y) likewise.
            shares: p(z) of each kind, to be a constant of a graph; None takes it as it is fitted
                when the graph runs.
        """
        common = self.z
        shares = getattr(self.prior, "kind_shares", None) if shares is None else shares
        if shares is None or not isinstance(common, Family):
            return common.log_pmi(posteriors_x, posteriors_y)
        return common.log_pmi(posteriors_x, posteriors_y, shares)

    @property
    def posterior_names(self) -> Sequence[str]:
        """Names of what `posteriors` gives, in its order."""
        return self.z.output_names

    @property
    def identity(self) -> str:
        """SHA-256 of what q(z|x) and q(z|y) are made of: a gallery's model is known by it."""
        told = {"sides": self.side_entries, "z": self.latent_entries["z"]}
        found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        for side in self.sides:
            for weight in side.reader_weights:
                found.update(weight.numpy().tobytes())
        return found.hexdigest()

    @functools.cached_property
    def _compiled_graphs(self) -> dict[str, Any]:
        parts = {name: compiled(part, self) for name, part in parts_of(self).items()}
        tasks = {
            name: compiled(functools.partial(task, parts), self)
            for name, task in tasks_of(self).items()
        }
        return parts | tasks

    def run_graph(self, name: str, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph, in their order.

        Raises:
            ValueError: if the model has no such graph.
        """
        if name not in self._compiled_graphs:
            raise ValueError(
                f"`name` should be of {', '.join(self._compiled_graphs)}; score_pairs needs a z "
                f"with log_pmi. Received: name={received(name)}, z={received(self.z)}"
            )
        return [np.asarray(output) for output in self._compiled_graphs[name](**inputs)]

    def features(self, side: Side, rows: Any) -> np.ndarray:
        """Features of all rows of a store, `(rows, width)`, computed once a store and codec."""
        cached: Any = _FEATURES.setdefault(rows, weakref.WeakKeyDictionary())
        if side.codec not in cached:
            cached[side.codec] = self.by_rows(side, rows, side.encode)
        return cached[side.codec]

    def by_rows(self, side: Side, rows: Any, made: Callable[[Tensor], Tensor]) -> np.ndarray:
        """What is made of the examples in all rows of a store, `(rows, width)`."""

        def of(batch: Tensor) -> Tensor:
            return made(side.modality.prepare(batch))

        at_once = rows_at_once(rows.shape, _AT_ONCE)
        return in_parts(of, len(rows), lambda places: rows.take(places), at_once)

    def rows(
        self, pairs: Pairs, experts: bool = True, repeatedly: bool = False
    ) -> dict[str, tuple[np.ndarray, int]]:
        """What losses read of the rows of pairs, and each one's column of `pairs.index`.

        Args:
            pairs: the pairs.
            experts: whether what experts of data make of their examples is there, as "x_expert".
            repeatedly: whether rows are read again and again by experts that stay as they are: then
                what those of features make of them is there too, unless it takes much memory.
        """
        found = {}
        for column, (side, store) in enumerate(zip(self.sides, pairs.stores, strict=True)):
            h = self.features(side, store)
            found[f"{side.name}_features"] = (h, column)
            if experts and side.settings.expert == "data":
                found[f"{side.name}_expert"] = (self.by_rows(side, store, side.expert), column)
            elif repeatedly and len(h) * self.z.parameter_size * h.itemsize <= _HELD:
                e = in_parts(side.expert, len(h), h.__getitem__)
                found[f"{side.name}_expert"] = (e, column)
        return found

    def batches(self, pairs: Pairs) -> Iterator[dict[str, Tensor]]:
        """Batches of `rows` of all pairs in their order, of 1,000 each; "partners" if there are."""
        rows = self.rows(pairs)
        for start in range(0, len(pairs), _AT_ONCE):
            index = pairs.index[start : start + _AT_ONCE]
            batch = {
                name: ops.convert_to_tensor(values[index[:, column]])
                for name, (values, column) in rows.items()
            }
            if pairs.partners is not None:
                partners = pairs.partners[start : start + _AT_ONCE]
                batch["partners"] = ops.convert_to_tensor(partners)
            yield batch

    def by_batch(self, pairs: Pairs, made: Callable[..., Any], *layers: Any) -> Iterator[Any]:
        """What is made of each of `batches`, of which it gets the parts by name.

        Args:
            pairs: the pairs.
            made: of a batch.
            layers: whose variables it changes, such as a stage's that draws noise.
        """
        # To compile it for one call would take longer than the call.
        step = compiled(made, *layers) if len(pairs) > _AT_ONCE else made
        return (step(**part) for part in self.batches(pairs))

    def features_of(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features `(batch, width)` by side: those that the batch holds, or its examples'."""
        return {
            side.name: batch[f"{side.name}_features"]
            if f"{side.name}_features" in batch
            else ops.stop_gradient(side.encode(batch[side.name]))
            for side in self.sides
        }

    def experts(self, batch: Mapping[str, Tensor]) -> list[Tensor]:
        """Parameters of e(z;x) and e(z;y): those that the batch holds, or of what it holds."""
        h = self.features_of(batch)
        return [
            batch[f"{side.name}_expert"]
            if f"{side.name}_expert" in batch
            else side.expert(side.read_by_expert(batch.get(side.name), h[side.name]))
            for side in self.sides
        ]

    def with_experts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The batch with what `experts` makes of it, for a loss that asks more than once."""
        names = (f"{side.name}_expert" for side in self.sides)
        return {**batch, **dict(zip(names, self.experts(batch), strict=True))}

    def joint_z(self, batch: Mapping[str, Tensor]) -> Any:
        """q(z|x,y), the product of the sides' experts, of a batch by name."""
        return self.z.product(*self.experts(batch))

    def known_z(self, batch: Mapping[str, Tensor], made: Callable[[Any], Tensor]) -> list[Tensor]:
        """What is made of q(z|x,y), by side; of strangers, of q(z|x) ∝ p(z) e(z;x) alone.

        Args:
            batch: by name; with "partners", a mask `(batch,)`, where some rows are strangers.
            made: of a distribution a row each, `(batch, ...)`.
        """
        experts = self.experts(batch)
        joint = made(self.z.product(*experts))
        if "partners" not in batch:
            return [joint for _ in self.sides]
        partners = ops.reshape(batch["partners"], (-1, *(1,) * (len(joint.shape) - 1)))
        return [ops.where(partners, joint, made(self.z.product(each))) for each in experts]

    def arguments(self) -> dict[str, Any]:
        """The constructor's, by name."""
        # No property: Keras would save what that holds, codecs among it, in a place of its own.
        return {
            "z": self.z,
            "modalities": {side.name: side.modality for side in self.sides},
            "codecs": {side.name: side.codec for side in self.sides},
            "settings": {side.name: side.settings for side in self.sides},
            "learned_prior": self.learned_prior,
            "seed": self.seed,
        }

    def with_z(self, z: Latent, reader: str | None = None) -> WynerModel:
        """A new model with another z and the experts' hidden layers of this one.

        Args:
            z: the latent.
            reader: of both sides, see `SideSettings`; None for this model's.
        """
        arguments = {**self.arguments(), "z": z}
        if reader is not None:
            arguments["settings"] = {
                side.name: dataclasses.replace(side.settings, reader=reader) for side in self.sides
            }
        model = WynerModel(**arguments)
        for old, new in zip(self.sides, model.sides, strict=True):
            for source, target in zip(
                old.expert_network.hidden_layers, new.expert_network.hidden_layers, strict=True
            ):
                target.set_weights(source.get_weights())
        return model

    def fit_prior(self, pairs: Pairs) -> None:
        """Fit p(z) to the aggregated posterior, the mean of q(z|x,y) over pairs.

        Of more than 100,000 pairs, so many at random. Of strangers, the mean of what is known of z
        by either side.

        Raises:
            ValueError: if the model has no prior that can be fitted.
        """
        if self.prior is None:
            raise ValueError(
                "fit_prior needs a model with `learned_prior` and a z that has such a prior. "
                f"Received: z={received(self.z)}, learned_prior={self.learned_prior}"
            )

        def outputs(**part: Tensor) -> tuple[Tensor, ...]:
            if "partners" not in part:
                return tuple(self.joint_z(part).outputs())

            def output(place: int) -> Tensor:
                return ops.concatenate(self.known_z(part, lambda q_z: q_z.outputs()[place]))

            return tuple(map(output, range(len(self.z.output_names))))

        if len(pairs) > _PRIOR_OF:
            pairs = pairs.take(_PRIOR_OF, seed=self.seed)
        self.prior.fit(self.by_batch(pairs, outputs))

    def call(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Reconstructions of a batch of pairs, at the modes of the posteriors."""
        data = {
            side.name: side.modality.prepare(rows)
            for side, rows in zip(self.sides, inputs, strict=True)
        }
        features = self.features_of(data)
        named = {f"{name}_features": values for name, values in features.items()}
        z = self.joint_z(data | named).mode
        return tuple(
            side.codec.decode(
                side.decode(
                    None if side.local is None else side.posterior(features[side.name], z).mode, z
                )
            )
            for side in self.sides
        )

    def __call__(self, *inputs: Any, **kwargs: Any) -> Any:
        """Reconstructions of a batch of pairs, one tuple (x, y), as tensors.

        Raises:
            ValueError: if it is anything else; the message says which method takes it.
        """
        if len(inputs) != 1 or not isinstance(inputs[0], tuple | list):
            raise self._not_a_pair("model((x, y))", *inputs)
        self._check_pair(inputs[0])
        return super().__call__(*inputs, **kwargs)

    def predict(
        self, x: Any = None, batch_size: int | None = None, **kwargs: Any
    ) -> tuple[np.ndarray, ...]:
        """Reconstructions of all pairs; as `keras.Model.predict`.

        Args:
            x: `Pairs`, a tf.data.Dataset of (x, y) batches, or a tuple (x, y) of arrays.
            batch_size: default 256.
            **kwargs: of `keras.Model.predict`.

        Returns:
            x and y, float32 arrays `(n, ...)`.

        Raises:
            ValueError: if it is anything else; the message says which method takes it.
        """
        if isinstance(x, Pairs):
            data = x.dataset(batch_size or 256, shuffle=False)
        elif isinstance(x, tf.data.Dataset):
            if not isinstance(x.element_spec, tuple) or len(x.element_spec) != 2:
                raise self._not_a_pair("predict(pairs)", x)
            data = x
        elif isinstance(x, tuple | list):
            self._check_pair(x)
            arrays = [
                side.modality.check(np.asarray(values), side.name)
                for side, values in zip(self.sides, x, strict=True)
            ]
            data = tf.data.Dataset.from_tensor_slices(tuple(arrays)).batch(batch_size or 256)
        else:
            raise self._not_a_pair("predict(pairs)", x)
        return super().predict(data.map(lambda *batch: (batch,)), **kwargs)

    def _check_pair(self, pair: Sequence[Any]) -> None:
        """A tuple of arrays, one a side, each of its side's shape."""
        shapes = [tuple(getattr(values, "shape", ()) or ()) for values in pair]
        wanted = [side.modality.shape for side in self.sides]
        if [shape[1:] for shape in shapes] != wanted or len({shape[:1] for shape in shapes}) != 1:
            raise self._not_a_pair("model((x, y))", *pair)

    def _not_a_pair(self, call: str, *given: Any) -> ValueError:
        wanted = " and ".join(f"{side.name} (n, *{side.modality.shape})" for side in self.sides)
        told = ", ".join(map(received, given)) or "no argument"
        return ValueError(
            f"A WynerModel reconstructs pairs, {wanted}: {call}. For y from x call "
            f"generate_y(x, seed=0), for x from y generate_x(y, seed=0). Received: {told}"
        )

    @classmethod
    def from_preset(cls, name: str | os.PathLike[str]) -> WynerModel:
        """The trained model of a preset.

        Args:
            name: of a preset of the installed wheel `wyner-keras-models`, or else a folder that
                holds one, or `hf://owner/name`, which needs `wyner-keras[hub]`.

        Raises:
            ValueError: if there is no such preset, or it is damaged; the message lists those that
                there are.
            OSError: if it cannot be downloaded.

        Example:
            >>> model = WynerModel.from_preset("digits_add_one")  # doctest: +SKIP
        """
        from wyner_keras.presets import load

        return load(name)

    def push(self, target: str, card: Card, **settings: Any) -> str:
        """Upload the model as a preset, with a card filled with its own held-out figures.

        Args:
            target: `hf://owner/name`.
            card: what is said of the model, see `wyner_keras.presets.Card`.
            **settings: of `wyner_keras.presets.write`; `held_out` is required.

        Returns:
            The repository's address.

        Raises:
            ValueError: if an argument is not as said.
            ModuleNotFoundError: if huggingface_hub is not installed: `wyner-keras[hub]`.
            OSError: if it cannot be uploaded.

        Example:
            >>> model.push("hf://me/mine", card, held_out=held_out)  # doctest: +SKIP
        """
        from wyner_keras.presets.handing_on import push_model

        return push_model(self, target, card, **settings)

    def compile(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages are compiled."""
        self._refuse("compile")

    def fit(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages train a model."""
        self._refuse("fit")

    def evaluate(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: stages have the losses, `wyner_keras.evaluate` judges what is generated."""
        self._refuse("evaluate")

    def _refuse(self, method: str) -> NoReturn:
        instead = "judge it by wyner_keras.evaluate(model, pairs)"
        if method != "evaluate":
            instead = "train it by wyner_keras.train(pairs), or compile and fit a Stage of it"
        raise ValueError(
            f"A WynerModel has losses in its stages alone: {instead}. Received: {method}"
        )

    def get_config(self) -> dict[str, Any]:
        """Everything but the weights; a codec that both sides share is there once."""
        serialize = keras.saving.serialize_keras_object
        codecs = list({id(side.codec): side.codec for side in self.sides}.values())
        return {
            **super().get_config(),
            "z": serialize(self.z),
            "codecs": [serialize(codec) for codec in codecs],
            "sides": [
                {
                    "name": side.name,
                    "modality": serialize(side.modality),
                    "codec": [each is side.codec for each in codecs].index(True),
                    "settings": serialize(side.settings),
                }
                for side in self.sides
            ],
            "learned_prior": self.learned_prior,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The model again, from `get_config`'s values; weights are loaded by Keras."""
        values, deserialize = dict(config), keras.saving.deserialize_keras_object
        codecs = [deserialize(codec) for codec in values.pop("codecs")]
        sides = {side["name"]: side for side in values.pop("sides")}
        return cls(
            deserialize(values.pop("z")),
            {name: deserialize(side["modality"]) for name, side in sides.items()},
            codecs={name: codecs[side["codec"]] for name, side in sides.items()},
            settings={name: deserialize(side["settings"]) for name, side in sides.items()},
            **values,
        )


def in_parts(
    made: Callable[[Tensor], Tensor],
    count: int,
    taken: Callable[[np.ndarray], np.ndarray],
    at_once: int = _AT_ONCE,
) -> np.ndarray:
    """What is made of rows, some at a time.

    Args:
        made: of a batch of rows.
        count: of the rows.
        taken: gives the rows at some places.
        at_once: rows of a batch.
    """
    places = np.split(np.arange(count), range(at_once, count, at_once))
    # To trace it for one call would take longer than the call.
    step = compiled(made) if len(places) > 1 else made
    return joined(count, (step(ops.convert_to_tensor(taken(part))) for part in places))


def joined(count: int, parts: Iterable[Any]) -> np.ndarray:
    """Parts that have so many rows in all, one after another, without a second copy of them."""
    start, whole = 0, None
    for part in map(np.asarray, parts):
        if whole is None:
            whole = np.empty((count, *part.shape[1:]), part.dtype)
        whole[start : start + len(part)] = part
        start += len(part)
    assert whole is not None  # no store and no pairs are empty
    return whole


# By store of rows, then by codec; an entry goes with either.
_FEATURES: Any = weakref.WeakKeyDictionary()
