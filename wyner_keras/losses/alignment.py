"""Stage 0: what x and y share, found by telling pairs from strangers and handed to the experts."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

from wyner_keras import objectives
from wyner_keras.data.checks import check_number, check_whole
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses.kinds import Clusters, clustered, merged
from wyner_keras.losses.loss import Draw, Loss, rows_of
from wyner_keras.modality import AUGMENTATION_NOISE, Whole
from wyner_keras.model import Side, WynerModel, in_parts
from wyner_keras.networks.critic import GaussianCritic, NaturalHead
from wyner_keras.received import received

Tensor = Any
logger = logging.getLogger(__name__)
_LOOKED_AT = 20_000  # pairs, at most, that clusters are found in
_SHUFFLES = 200  # of pairs that share nothing
_OFFERED = 128  # kinds, at most; one for each 8 pairs at most
_LEAST_NATS = 0.05  # that a dimension of a quantity is kept for
_APART = 2000  # pairs, at most, that z is chosen by
_VALIDATION, _LEAST_VALIDATION = 0.15, 20  # their share of the pairs, and the least number of them
_CONFIDENCES = 0.5 ** np.arange(10)  # factors of the logits of kinds
_SIGNIFICANT = 0.05  # p of a permutation test, above which nothing is shared
_SLACK = 0.05  # share of the nats that kinds may lack, for what is shared to be kinds alone


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Alignment(Loss):
    """Stage 0: experts e(z;x), e(z;y) that tell partners from strangers by little z.

    Minimises −I + λ E D(q(z|x,y) ‖ p(z)), where I is the InfoNCE bound whose critic is the model's
    own pointwise mutual information log ∫ q(z|x) q(z|y) / p(z) dz, of a Gaussian z whose experts
    have one precision for all examples. A critic that fits says that X − Z − Y holds; the price
    makes z succinct: Wyner's problem without a decoder.

    `end` tells kinds from quantities, on validation pairs. Pairs are clustered by their posterior
    means, into more clusters than needed, and clusters that tell nothing apart are merged. Where
    kinds alone tell partners from strangers as well as the Gaussian does, z is a Categorical of
    them; where pairs in another order are told apart as well, nothing is shared; otherwise z is the
    Gaussian, less the dimensions that hold nothing.

    Args:
        dimensions: of the Gaussian, plenty.
        price: λ, nats of information a nat that z holds.
        find: whether the family and size of z are found; else z stays of its family and size.
        augmented: whether experts that read data see both sides of a pair changed alike, as their
            modalities do: a pair turned on both sides is a pair.

    Source: van den Oord et al., Representation learning with contrastive predictive coding, 2018;
    Poole et al., On variational bounds of mutual information, 2019; Wyner, The common information
    of two dependent random variables, 1975.
    """

    dimensions: int = 16
    price: float = 0.1
    find: bool = False
    augmented: bool = True

    def __post_init__(self) -> None:
        check_whole(self.dimensions, "`dimensions`", minimum=1)
        check_number(self.price, "`price`", "a finite number of at least 0")
        if not 0 <= self.price < math.inf:
            raise ValueError(
                f"`price` should be a finite number of at least 0. Received: {self.price}"
            )

    def heads(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The output layers of e_x and e_y, then the critic.

        Raises:
            ValueError: if z, where it is told, is of another family, or of more dimensions.
        """
        z: Any = model.z
        if not self.find and not isinstance(z, Categorical | DiagonalGaussian):
            raise ValueError(
                "Alignment needs a Categorical or DiagonalGaussian z, or to find it. "
                f"Received: z={received(z)}"
            )
        if not self.find and isinstance(z, DiagonalGaussian) and z.dim > self.dimensions:
            raise ValueError(
                f"`dimensions` should be at least {z.dim}, which z has. Received: {self.dimensions}"
            )
        layers: list[keras.layers.Layer] = []
        for position, side in enumerate(model.sides):
            seed = 1000 * model.seed + 500 + position
            layer = NaturalHead(self.dimensions, seed=seed, name=f"head_{side.name}")
            layer.build((None, side.expert_network.output_layer.kernel.shape[0]))
            layers.append(layer)
        critic = GaussianCritic(self.dimensions)
        critic.build(None)
        return [*layers, critic]

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The experts' hidden layers."""
        return [layer for side in model.sides for layer in side.expert_network.hidden_layers]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """−1 for the information, which is maximised, and λ for what z holds."""
        return {"information": -1.0, "kl_z": self.price}

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """InfoNCE on the batch, nats, at most the log of its size; D(q(z|x,y) ‖ p(z))."""
        *heads, critic = draw.heads
        if training and self.augmented:
            batch = {**batch, **_augmented(model, batch, draw)}
        h = model.features_of(batch)
        e = [
            _natural(side, head, side.read_by_expert(batch.get(side.name), h[side.name]), training)
            for side, head in zip(model.sides, heads, strict=True)
        ]
        return {"information": objectives.info_nce(critic.pmi(*e)), "kl_z": critic.kl(*e)}

    def reads(self, model: WynerModel) -> bool:
        """Where an expert does."""
        return any(side.settings.expert == "data" for side in model.sides)

    def parts(self, pairs: Any, seed: int) -> tuple[Any, Any]:
        """Where z is found it is found on pairs apart, unless there are too few."""
        if not self.find or len(pairs) < _LEAST_VALIDATION / _VALIDATION:
            return pairs, None
        return pairs.validation(_VALIDATION, seed)

    def end(self, stage: Any, pairs: Any, validation: Any = None) -> None:
        """Find z where it is to be found; hand the experts, and each side's affine map of z, over.

        Args:
            stage: what was trained.
            pairs: that it was trained on.
            validation: pairs that z is chosen by; None chooses by those trained on.
        """
        model, (*heads, critic) = stage.model, stage.heads
        seen = _Seen.of(stage, pairs.take(min(len(pairs), _LOOKED_AT), seed=model.seed))
        z, labels = model.z, None
        if self.find:
            held = pairs if validation is None else validation
            held = held.take(min(len(held), _LOOKED_AT), seed=model.seed)
            apart = _Seen.of(stage, held)
            z, labels, stage.found = _find(
                seen, apart, _distinct(held.index), critic, self.price, model.seed
            )
            logger.info("x and y share %s", _words(stage.found))
            model = stage.model = model.with_z(z)
        outputs = seen.outputs(z, labels, model.seed)
        for side, head, (kernel, bias) in zip(model.sides, heads, outputs, strict=True):
            output, (head_kernel, head_bias) = side.expert_network.output_layer, head.affine()
            output.kernel.assign(head_kernel @ kernel)
            output.bias.assign(bias + head_bias @ kernel)
        experts = [
            ops.convert_to_tensor(e @ kernel + bias, "float32")
            for e, (kernel, bias) in zip(seen.naturals, outputs, strict=True)
        ]
        if not self.find:
            stage.found = {"nats": float(z.shared_information(*experts))}
        stage.shared_nats = stage.found["nats"]
        modes = np.asarray(z.product(*experts).mode)
        for side, h in zip(model.sides, seen.features, strict=True):
            if side.concept is not None:
                # The affine map of z that fits the features by least squares.
                mean = h.mean(axis=0)
                side.concept.kernel.assign(np.linalg.lstsq(modes, h - mean, rcond=None)[0])
                side.concept.bias.assign(mean)


def _words(found: Mapping[str, Any]) -> str:
    if found["shared"] == "nothing":
        return f"nothing that was found (p = {found['p']:.2f} by shuffled partners)"
    of = {"kinds": "{kinds} kinds", "a quantity": "a quantity, in {dimensions} dimensions"}
    return f"{of[found['shared']].format(**found)}: {found['nats']:.2f} nats or more"


def _natural(side: Side, head: Any, read: Tensor, training: bool = False) -> Tensor:
    """e, mean times precision of the expert, `(batch, dimensions)`, of what it reads."""
    return head(side.expert_network.trunk(read, training=training), training=training)


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


@dataclass(frozen=True)
class _Seen:
    """What the experts make of pairs; a row a pair, by side.

    Args:
        features: `(pairs, width)`.
        naturals: e_x and e_y, `(pairs, dimensions)`.
        precisions: of the experts, `(dimensions,)`, without the prior's 1.
    """

    features: list[np.ndarray]
    naturals: list[np.ndarray]
    precisions: list[np.ndarray]

    @classmethod
    def of(cls, stage: Any, pairs: Any) -> _Seen:
        """Of pairs, in their order."""
        model, (*heads, critic) = stage.model, stage.heads
        features, naturals = [], []
        for column, (side, store) in enumerate(zip(model.sides, pairs.stores, strict=True)):
            h = model.features(side, store)

            def made(read: Tensor, side: Side = side, head: Any = heads[column]) -> Tensor:
                return _natural(side, head, read)

            if side.settings.expert == "data":
                e = model.by_rows(side, store, made)
            else:
                e = in_parts(made, len(h), h.__getitem__)
            features.append(h[pairs.index[:, column]])
            naturals.append(e[pairs.index[:, column]])
        return cls(features, naturals, critic.precisions)

    @property
    def means(self) -> tuple[np.ndarray, ...]:
        """Of q(z|x) and q(z|y), `(pairs, dimensions)`."""
        both = zip(self.naturals, self.precisions, strict=True)
        return tuple(e / (1.0 + precision) for e, precision in both)

    def nats(self) -> np.ndarray:
        """D(q(z|x,y) ‖ p(z)) that each dimension holds, `(dimensions,)`."""
        precision = 1.0 + sum(self.precisions)
        mean = sum(self.naturals) / precision
        second = np.square(mean).mean(axis=0) + 1.0 / precision
        return 0.5 * (second - 1.0 + np.log(precision))

    def outputs(
        self, z: Any, labels: np.ndarray | None, seed: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """By side kernel and bias from e to the parameters of z's expert.

        Args:
            z: the family.
            labels: the value of each pair, None to cluster them; −1 where nothing is shared.
            seed: of the clustering.
        """
        if isinstance(z, DiagonalGaussian):
            kept = np.sort(np.argsort(-self.nats(), kind="stable")[: z.dim])
            return [_gaussian(precision, kept) for precision in self.precisions]
        if labels is not None and (labels < 0).all():
            size = len(self.precisions[0])
            return [(np.zeros((size, z.size)), np.zeros(z.size)) for _ in self.precisions]
        found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in self.precisions]
        centre = [side.mean(axis=0) for side in self.means]
        rest = tuple(side - mean for side, mean in zip(self.means, centre, strict=True))
        for _ in range(z.n):
            own = clustered(rest, z.k, seed) if labels is None else labels
            clusters = Clusters.of(rest, own)
            for side, precision in enumerate(self.precisions):
                kernel, bias = clusters.affine(side)
                # Fewer different pairs than values of z: some values share a centre.
                places = np.resize(np.arange(len(bias)), z.k)
                bias = bias - centre[side] @ kernel
                found[side].append((kernel[:, places] / (1.0 + precision)[:, None], bias[places]))
            rest = tuple(
                side - centres[own] for side, centres in zip(rest, clusters.centres, strict=True)
            )
        return [
            (np.concatenate([k for k, _ in side], axis=1), np.concatenate([b for _, b in side]))
            for side in found
        ]


def _gaussian(precision: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias from e to mean and log variance of an expert's factor."""
    size = len(precision)
    means = np.diag(1.0 / precision)[:, kept]
    kernel = np.concatenate([means, np.zeros((size, len(kept)))], axis=1)
    return kernel, np.concatenate([np.zeros(len(kept)), -np.log(precision[kept])])


def _distinct(index: np.ndarray) -> np.ndarray:
    """Places of pairs of which no two share a row."""
    kept = np.arange(len(index))
    for column in range(index.shape[1]):
        kept = kept[np.sort(np.unique(index[kept, column], return_index=True)[1])]
    return kept[:_APART]


def _nats_told(scores: np.ndarray) -> np.ndarray:
    """What each pair's score says beyond those of strangers, nats, `(pairs,)`; InfoNCE is the mean.

    Args:
        scores: of every x with every y, `(pairs, pairs)`; partners on the diagonal.
    """
    strangers = sum(logsumexp(scores, axis=axis) for axis in (0, 1)) / 2 - np.log(len(scores))
    return np.diag(scores) - strangers


def _table(clusters: Clusters, read: _Seen) -> tuple[list[np.ndarray], np.ndarray]:
    """By side the clusters that pairs are read to be in, `(pairs,)`, and how often each two are."""
    values = [
        np.argmax(means @ kernel + bias, axis=1)
        for means, (kernel, bias) in zip(read.means, map(clusters.affine, (0, 1)), strict=True)
    ]
    table = np.zeros((len(clusters.centres[0]),) * 2)
    np.add.at(table, tuple(values), 1.0)
    return values, table


def _merged(clusters: Clusters, read: _Seen, price: float, rows: int) -> np.ndarray:
    """The kind of each cluster, `(clusters,)`, by what the sides of pairs are read to be."""
    kinds = merged(_table(clusters, read)[1], price, rows)
    centres = np.concatenate(clusters.centres, axis=1)
    # Clusters that nothing fell into are of the kind of the nearest into which something did.
    used = np.flatnonzero(kinds >= 0)
    return kinds[used[cdist(centres, centres[used]).argmin(axis=1)]]


def _nats_of(clusters: Clusters, apart: _Seen, distinct: np.ndarray) -> np.ndarray:
    """What kinds tell of each distinct pair apart, as `_nats_told`, at the best of confidences."""
    logits = []
    for means, (kernel, bias) in zip(apart.means, map(clusters.affine, (0, 1)), strict=True):
        logits.append(means[distinct] @ kernel + bias)
    found = []
    for confidence in _CONFIDENCES:
        # q(k|x) and q(k|y); their pmi is log Σ_k q(k|x) q(k|y) / p(k).
        x, y = (softmax(confidence * side, axis=1) for side in logits)
        p = (x.mean(axis=0) + y.mean(axis=0)) / 2
        found.append(_nats_told(np.log((x / p) @ y.T + 1e-12)))
    return max(found, key=np.mean)


def _find(
    seen: _Seen, apart: _Seen, distinct: np.ndarray, critic: Any, price: float, seed: int
) -> tuple[Any, np.ndarray | None, dict[str, Any]]:
    """Kinds, a quantity or nothing.

    Args:
        seen: pairs that z is made of.
        apart: pairs that it is chosen by.
        distinct: places of those of which no two share a row.
        critic: of the Gaussian.
        price: λ.
        seed: of clusters and shuffles.

    Returns:
        The family of z, the kind of each pair or None, and what was found.
    """
    count = len(distinct)
    scores = np.asarray(critic.pmi(*(e[distinct] for e in apart.naturals)), float)
    told = _nats_told(scores)
    # A permutation test of I(X; Y) = 0: strangers' scores are the same in every order.
    rng, every = np.random.default_rng(seed), np.arange(count)
    shuffled = [scores[every, rng.permutation(count)].mean() for _ in range(_SHUFFLES)]
    p = (1 + np.sum(np.array(shuffled) >= np.diag(scores).mean())) / (1 + _SHUFFLES)
    if p > _SIGNIFICANT:
        nothing = np.full(len(seen.naturals[0]), -1)
        return Categorical(n=1, k=2), nothing, {"shared": "nothing", "nats": 0.0, "p": float(p)}
    found: dict[str, Any] = {"nats": max(0.0, float(told.mean())), "p": float(p)}

    labels = clustered(seen.means, max(2, min(_OFFERED, len(seen.means[0]) // 8)), seed)
    # On pairs trained on, of which there are more, then on those apart, which nothing has fitted.
    for read, rows in ((seen, len(np.unique(seen.means[0], axis=0))), (apart, count)):
        labels = _merged(Clusters.of(seen.means, labels), read, price, rows)[labels]
    kinds = int(labels.max()) + 1
    if kinds > 1:
        of_kinds = _nats_of(Clusters.of(seen.means, labels), apart, distinct)
        lacking = told - of_kinds
        error = float(lacking.std()) / math.sqrt(count)
        found |= {"kinds": kinds, "nats_of_kinds": float(of_kinds.mean())}
        if lacking.mean() <= max(2.0 * error, _SLACK * told.mean()):
            found["nats"] = max(found["nats"], found["nats_of_kinds"])
            return Categorical(n=1, k=kinds), labels, {"shared": "kinds", **found}
    found["dimensions"] = max(1, int(np.sum(seen.nats() > _LEAST_NATS)))
    quantity = DiagonalGaussian(dim=found["dimensions"])
    return quantity, None, {"shared": "a quantity", **found}
