"""Stage 0: what x and y share, found by telling pairs from strangers and handed to the experts."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from wyner_keras import objectives
from wyner_keras.data.apart import pairs_apart
from wyner_keras.data.checks import check_not_negative, check_whole
from wyner_keras.latents import DiagonalGaussian
from wyner_keras.losses.choices import tells_more
from wyner_keras.losses.directions import Directions
from wyner_keras.losses.finding import Seen, find, words
from wyner_keras.losses.loss import Draw, Loss, rows_of
from wyner_keras.losses.quantities import canonical
from wyner_keras.modality import AUGMENTATION_NOISE, Whole
from wyner_keras.model import WynerModel, in_parts
from wyner_keras.networks.critic import GaussianCritic, NaturalHead
from wyner_keras.networks.pair_encoder import PairEncoder
from wyner_keras.received import received

Tensor = Any
logger = logging.getLogger(__name__)
_LOOKED_AT = 20_000  # pairs, at most, that clusters are found in
_RIDGE = 0.1  # of canonical correlations that experts start from
_LEAST_CORRELATION = 0.3  # of those; the rest is left to hidden layers
_APART = 2000  # pairs, at most, that z is chosen by
_VALIDATION, _MOST_VALIDATION = 0.15, 0.5  # their share of the pairs, where there are few at most
_LEAST_VALIDATION = 20  # or groups, that the share is raised for
_LINKED, _LINKED_VALIDATION = 100, 0.25  # pairs that share rows, for which it is raised at most


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Alignment(Loss):
    """Stage 0: experts e(z;x), e(z;y) that tell partners from strangers by little z.

    Minimises −I + λ E D(q(z|x,y) ‖ p(z)), where I is the InfoNCE bound whose critic is the model's
    own pointwise mutual information log ∫ q(z|x) q(z|y) / p(z) dz, of a Gaussian z whose experts
    have one precision for all examples. A critic that fits says that X − Z − Y holds; the price
    makes z succinct: Wyner's problem without a decoder.

    `end` tells kinds from quantities, on validation pairs. Pairs are clustered by their posterior
    means, into more clusters than needed; those that tell nothing apart are merged, the others are
    joined one by one. Where kinds alone tell partners from strangers as well as the Gaussian does,
    and far fewer dimensions do not, z is a Categorical of them; where kinds do with quantities
    inside them, of fewer dimensions than without kinds, z is their Product; where pairs in another
    order are told apart as well, nothing is shared; otherwise z is the Gaussian, less the
    dimensions that hold nothing. Experts that read few images whole may have linear directions of
    the pixels beside, see `directions`.

    Experts with skip connections are trained twice, with a critic each: without what skips hidden
    layers, whose noise and dropout make kinds distinct and hide what a linear map sees in few
    pairs; and with it, from canonical correlations on. The second are taken where their z tells
    more than chance makes it.

    Args:
        dimensions: of the Gaussian, plenty.
        price: λ, nats of information a nat that z holds.
        find: whether the family and size of z are found; else z stays of its family and size.
        experts_read: whether the experts are q(z|x) and q(z|y) too where z is found to be a
            quantity; readers of their own are for kinds.
        widened: whether `Widening` follows: a quantity of which InfoNCE may not have asked for all
            then keeps every dimension that holds anything.
        augmented: whether experts that read data see both sides of a pair changed alike, as their
            modalities do: a pair turned on both sides is a pair.

    Source: van den Oord et al., Representation learning with contrastive predictive coding, 2018;
    Poole et al., On variational bounds of mutual information, 2019; Wyner, The common information
    of two dependent random variables, 1975.
    """

    dimensions: int = 16
    price: float = 0.1
    find: bool = False
    experts_read: bool = False
    widened: bool = False
    augmented: bool = True

    def __post_init__(self) -> None:
        check_whole(self.dimensions, "`dimensions`", minimum=1)
        check_not_negative(self.price, "`price`")

    def heads(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The output layers of e_x and e_y, then the critic.

        Where experts have skip connections, then the experts of the second training likewise.

        Raises:
            ValueError: if z, where it is told, is of another family, or of more dimensions.
        """
        z: Any = model.z
        parts = [] if self.find else z.describe().get("pmi") or [{"form": None}]
        if not {part["form"] for part in parts} <= {"categorical", "gaussian"}:
            raise ValueError(
                "Alignment needs a Categorical or DiagonalGaussian z, their Product, or to find z. "
                f"Received: z={received(z)}"
            )
        most = max((part.get("dim", 0) for part in parts), default=0)
        if most > self.dimensions:
            raise ValueError(
                f"`dimensions` should be at least {most}, which z has. Received: {self.dimensions}"
            )
        layers = self._heads(model, "", [side.skipped for side in model.sides])
        if self._skips(model):
            for side in model.sides:
                config = side.expert_network.get_config() | {"name": f"skip_expert_{side.name}"}
                network = type(side.expert_network).from_config(config)
                network.build((None, side.skipped))
                network.output_layer.trainable = False  # heads are in its place
                layers.append(network)
            layers += self._heads(model, "skip_", [0] * len(model.sides))
        return layers

    def _heads(
        self, model: WynerModel, prefix: str, unread: Sequence[int]
    ) -> list[keras.layers.Layer]:
        layers: list[keras.layers.Layer] = []
        for position, (side, less) in enumerate(zip(model.sides, unread, strict=True)):
            seed = 1000 * model.seed + 500 + position
            layer = NaturalHead(self.dimensions, seed=seed, name=f"{prefix}head_{side.name}")
            layer.build((None, side.expert_network.output_layer.kernel.shape[0] - less))
            layers.append(layer)
        critic = GaussianCritic(self.dimensions, name=f"{prefix}critic")
        critic.build(None)
        return [*layers, critic]

    def _skips(self, model: WynerModel) -> bool:
        return self.find and all(side.skipped for side in model.sides)

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The experts' hidden layers."""
        return [layer for side in model.sides for layer in side.expert_network.hidden_layers]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """−1 for the information, which is maximised, and λ for what z holds."""
        weights = {"information": -1.0, "kl_z": self.price}
        if self._skips(model):
            weights |= {"skip_information": -1.0, "skip_kl_z": self.price}
        return weights

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """InfoNCE on the batch, nats, at most the log of its size; D(q(z|x,y) ‖ p(z))."""
        if training and self.augmented:
            batch = {**batch, **_augmented(model, batch, draw)}
        h = model.features_of(batch)
        read = [side.read_by_expert(batch.get(side.name), h[side.name]) for side in model.sides]
        terms = {}
        for prefix, experts in zip(("", "skip_"), _trainings(model, draw.heads), strict=False):
            e = experts.naturals(read, training)
            terms[f"{prefix}information"] = objectives.info_nce(experts.critic.pmi(*e))
            terms[f"{prefix}kl_z"] = experts.critic.kl(*e)
        return terms

    def reads(self, model: WynerModel) -> bool:
        """Where an expert does."""
        return any(side.settings.expert == "data" for side in model.sides)

    def begin(self, stage: Any, pairs: Any) -> None:
        """Start experts with skip connections from canonical correlations of features."""
        model = stage.model
        if not self._skips(model):
            return
        _, heads, critic = _trainings(model, stage.heads)[-1]
        few = pairs.take(min(len(pairs), _LOOKED_AT), seed=model.seed)
        sides = zip(model.sides, few.stores, few.index.T, strict=True)
        features = tuple(model.features(side, store)[rows] for side, store, rows in sides)
        if not all(np.ptp(side, axis=0).any() for side in features):
            return  # one row, or rows all alike
        lines = canonical(features, np.zeros(len(few), int), _RIDGE).some(slice(self.dimensions))
        lines = lines.some(lines.correlations > _LEAST_CORRELATION)
        rho = lines.correlations
        precisions = rho / (1.0 - rho)  # of z's experts, see `Quantities.affine`
        for head, log, kernel in zip(heads, critic.logs, lines.maps, strict=True):
            head.start(kernel, precisions / np.sqrt(rho))
            log.assign(np.pad(np.log(precisions), (0, self.dimensions - len(rho))))

    def split(self, pairs: Any, seed: int) -> tuple[Any, Any]:
        """Where z is found it is found on pairs apart, unless rows link all pairs."""
        if not self.find:
            return pairs, None
        groups = 0 if pairs.groups is None else len(np.unique(pairs.groups))
        # Fewer groups than that are tested inside each.
        count = groups if groups >= _LEAST_VALIDATION else len(pairs)
        share = min(_MOST_VALIDATION, max(_VALIDATION, _LEAST_VALIDATION / count))
        try:
            trained, apart = pairs.validation(share, seed)
        except ValueError:
            return pairs, None
        if len(trained) + len(apart) < len(pairs) and len(apart) < _LINKED:
            # Pairs are apart if both of their rows are: a share of the rows squared.
            raised = min(_LINKED_VALIDATION, share * math.sqrt(_LINKED / len(apart)))
            with contextlib.suppress(ValueError):  # a larger share may leave none to train on
                trained, apart = pairs.validation(max(share, raised), seed)
        return trained, apart

    def end(self, stage: Any, pairs: Any, validation: Any = None) -> None:
        """Find z where it is to be found; hand the experts, and each side's affine map of z, over.

        Args:
            stage: what was trained.
            pairs: that it was trained on.
            validation: pairs that z is chosen by; None chooses by those trained on.
        """
        model, trainings = stage.model, _trainings(stage.model, stage.heads)
        # Judged by the pairs that they were made of, directions would tell all.
        linear = self.find and validation is not None
        looked_at = pairs.take(min(len(pairs), _LOOKED_AT), seed=model.seed)
        sights = [_seen(model, experts, looked_at, linear) for experts in trainings]
        taken, z, directions = 0, model.z, None
        if self.find:
            held = pairs if validation is None else validation
            held = held.take(min(len(held), _LOOKED_AT), seed=model.seed)
            distinct = _distinct(held.index)
            tested, groups = (None, None) if validation is None else _exchanged(held)
            found = [
                find(
                    seen,
                    _seen(model, experts, held, linear),
                    distinct,
                    tested,
                    experts.critic,
                    self.price,
                    model.seed,
                    ceiling=math.log(stage.batch_size) if self.widened else math.inf,
                    groups=groups,
                    tests=len(trainings),
                )
                for seen, experts in zip(sights, trainings, strict=True)
            ]
            # Of pairs that experts were trained on, those that learnt more by heart tell more.
            taken = int(validation is not None and tells_more(found[-1].nats, found[0].nats))
            for side, network in zip(model.sides, trainings[taken].networks, strict=True):
                side.expert_network.set_weights(network.get_weights())  # `with_z` carries them over
            z, outputs, stage.found, directions, _ = found[taken]
            if validation is None:  # told by pairs that experts were trained on
                stage.found["nats"] = 0.0
            logger.info("x and y share %s", words(stage.found))
            by_experts = self.experts_read and isinstance(z, DiagonalGaussian)
            model = stage.model = model.with_z(z, "expert" if by_experts else None)
        else:
            outputs = sights[0].outputs(z, model.seed)
        seen, heads = sights[taken], trainings[taken].heads
        experts, more = [], () if directions is None else directions.means(tuple(seen.values))
        for place, (side, head, (kernel, bias)) in enumerate(
            zip(model.sides, heads, outputs, strict=True)
        ):
            to_e, e_bias = head.affine()  # of what the trunk gives
            e = seen.naturals[place]
            if directions is not None:
                to_e, e_bias = _beside(side.expert_network, to_e, e_bias, directions, place)
                e = np.concatenate([e, more[place]], axis=1)
            output_layer = side.expert_network.output_layer
            unread = output_layer.kernel.shape[0] - len(to_e)  # of what skips hidden layers
            output_layer.kernel.assign(np.pad(to_e @ kernel, ((0, unread), (0, 0))))
            output_layer.bias.assign(bias + e_bias @ kernel)
            experts.append(ops.convert_to_tensor(e @ kernel + bias, "float32"))
        if not self.find:
            stage.found = {"nats": float(z.shared_information(*experts))}
        stage.shared_nats = stage.found["nats"]
        joint = z.product(*experts)
        for side, h in zip(model.sides, seen.features, strict=True):
            if side.concept is not None:
                mean = h.mean(axis=0)
                side.concept.kernel.assign(_fitted(z, joint, h - mean))
                side.concept.bias.assign(mean)


def _fitted(z: Any, joint: Any, features: np.ndarray) -> np.ndarray:
    """The kernel from z ~ q(z|x,y), kinds at their modes, to features, by least squares.

    What samples of a quantity vary by counts too: modes may hardly vary along some dimensions.
    """
    modes = np.asarray(joint.mode)
    if "log_variance" in z.output_names:
        variance = np.exp(np.asarray(joint.outputs()[-1], np.float64)).mean(axis=0)
        noise = np.eye(modes.shape[1])[-len(variance) :]
        noise *= np.sqrt(len(modes) * variance)[:, None]
        modes = np.concatenate([modes, noise])
        features = np.concatenate([features, np.zeros((len(noise), features.shape[1]))])
    kernel: np.ndarray = np.linalg.lstsq(modes, features, rcond=None)[0]
    return kernel


def _beside(
    network: PairEncoder, to_e: np.ndarray, e_bias: np.ndarray, directions: Directions, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Set a network's directions; kernel and bias from its trunk to e and to means along them.

    Args:
        network: the expert's.
        to_e: kernel from what its trunk gives to e, `(hidden + directions, dimensions)`.
        e_bias: the bias.
        directions: of what it reads.
        side: which of them.
    """
    kernel, bias = directions.line(side)
    unused = network.directions - len(bias)
    network.linear_layer.kernel.assign(np.pad(kernel, ((0, 0), (0, unused))))
    network.linear_layer.bias.assign(np.pad(bias, (0, unused)))
    network.linear_layer.power.assign(directions.power)
    means, offset = directions.affine(side)
    whole = np.zeros((len(to_e), to_e.shape[1] + len(offset)))
    # While e was trained they were 0.
    whole[: network.hidden, : to_e.shape[1]] = to_e[: network.hidden]
    whole[network.hidden :, to_e.shape[1] :] = np.pad(means, ((0, unused), (0, 0)))
    return whole, np.concatenate([e_bias, offset])


class _Experts(NamedTuple):
    """Experts of one training, by side, and their critic."""

    networks: list[Any]
    heads: list[Any]
    critic: Any

    def naturals(self, read: Sequence[Tensor], training: bool = False) -> list[Tensor]:
        """Natural parameters by side, `(batch, dimensions)`, of what each reads."""
        return [self.natural(place, each, training) for place, each in enumerate(read)]

    def natural(self, place: int, read: Tensor, training: bool = False) -> Tensor:
        """Natural parameters e, mean times precision, of one side."""
        trunk = self.networks[place].trunk(read, training=training)
        head = self.heads[place]
        return head(trunk[:, : head.dense.kernel.shape[0]], training=training)


def _trainings(model: WynerModel, heads: list[Any]) -> list[_Experts]:
    """The experts of each training, of `Alignment.heads`."""
    count = len(model.sides)
    *first, critic = heads[: count + 1]
    found = [_Experts([side.expert_network for side in model.sides], first, critic)]
    if more := heads[count + 1 :]:
        found.append(_Experts(more[:count], more[count:-1], more[-1]))
    return found


def _augmented(model: WynerModel, batch: Mapping[str, Tensor], draw: Draw) -> dict[str, Tensor]:
    """The examples that experts read, changed: much alike on all sides, a little by themselves."""
    rows = rows_of(batch)
    shared = draw.uniform((rows, AUGMENTATION_NOISE))
    return {
        side.name: side.modality.augmented(
            batch[side.name], shared, draw.uniform((rows, AUGMENTATION_NOISE))
        )
        for side in model.sides
        if side.settings.expert == "data" and isinstance(side.modality, Whole)
    }


def _seen(model: WynerModel, experts: _Experts, pairs: Any, linear: bool) -> Seen:
    """What the experts make of pairs, in their order; and what they read, for linear directions."""
    features, naturals, values = [], [], []
    room = [
        side.expert_network.directions
        for side in model.sides
        if linear and isinstance(side.expert_network, PairEncoder)
    ]
    count = min(room) if len(room) == len(model.sides) else 0
    for column, (side, store) in enumerate(zip(model.sides, pairs.stores, strict=True)):
        h = model.features(side, store)

        def made(read: Tensor, place: int = column) -> Tensor:
            return experts.natural(place, read)

        if side.settings.expert == "data":
            e = model.by_rows(side, store, made)
        else:
            e = in_parts(made, len(h), h.__getitem__)
        features.append(h[pairs.index[:, column]])
        naturals.append(e[pairs.index[:, column]])
        if count:
            read = model.by_rows(side, store, side.expert_network.values)
            values.append(read[pairs.index[:, column]])
    return Seen(features, naturals, experts.critic.precisions, values, count)


def _exchanged(pairs: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Places of pairs whose partners may be exchanged; of too few groups, inside which they may."""
    try:
        return pairs_apart(pairs, rows=_APART), None
    except ValueError:
        distinct = _distinct(pairs.index)
        return distinct, None if pairs.groups is None else pairs.groups[distinct]


def _distinct(index: np.ndarray) -> np.ndarray:
    """Places of pairs of which no two share a row."""
    kept = np.arange(len(index))
    for column in range(index.shape[1]):
        kept = kept[np.sort(np.unique(index[kept, column], return_index=True)[1])]
    return kept[:_APART]
