"""Between the stages: the flows that make the local latents independent of z."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from wyner_keras.backend import compiled, pushed_forward
from wyner_keras.latents import DiagonalGaussian, Latent
from wyner_keras.losses.loss import Draw, Loss, rows_of
from wyner_keras.model import WynerModel, joined
from wyner_keras.networks.affine import Affine
from wyner_keras.received import received
from wyner_keras.side import Side

Tensor = Any
_FITTED_ON = 20_000  # codes that the affine maps are fitted to, at most
_CALIBRATED_ON = 50_000  # samples that they are calibrated by, at most
# As many a pair, but at least so many.
_CALIBRATED_BY, _CALIBRATED_LEAST = 50, 20_000
# Codes that the decoder's sensitivity is averaged over, at most, and numbers that it may take.
_MOVED_BY, _ROOM = 500, 2**25
_HELD = 2**28  # bytes of codes that are held, at most; of more pairs each step makes its own
_LEAST_VARIANCE = 1e-4


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Matching(Loss):
    """Fit flows between U, V and their decoders; everything else stays as it is.

    A flow takes u ~ N(0, I) to the local codes of one concept, whatever the concept: what
    independence of U and Z asks for, and what makes samples of p(u) decode like data. It is learnt
    by flow matching, a regression that takes no determinant and no integration:
    E Σ_i ‖M_i‖² [v(y, θ, z) − (cos θ · w − sin θ · u)]_i² on y = cos θ · u + sin θ · w, where M w
    is a sample of q(u|x,z) less its concept's mean, and z one of q(z|x,y), at the times θ that the
    flow's steps ask for. Least is not 0 but the variance that paths through one point have; the
    velocity that attains it, followed in many steps, has D(q̄(u|z) ‖ p(u)) = 0 for every z.

    `begin` standardises the codes of each concept with a triangular map in coordinates ordered by
    how much the decoder's output moves with them: the Knothe-Rosenblatt map of the codes' Gaussian.
    What a style shows most thus keeps its rank in another concept. `end` calibrates that map, so
    that samples have the codes' moments whatever the velocity lacks.

    Args:
        of_quantity: whether it is for a z that is a quantity, True, or for one that is not, False;
            None for any. A recipe may give the flows of a quantity's codes other epochs.

    Source: Lipman et al., Flow matching for generative modeling, 2023, for codes as in Dai and
    Wipf, Diagnosing and enhancing VAE models, 2019; Knothe, Contributions to the theory of convex
    bodies, 1957; Carlier et al., From Knothe's transport to Brenier's map, 2010.
    """

    takes_singles: ClassVar[bool] = True

    of_quantity: bool | None = None

    def adapted(self, model: WynerModel, pairs: Any) -> Matching | None:
        """None where z is not what it is for."""
        quantity = isinstance(model.z, DiagonalGaussian)
        return self if self.of_quantity in (None, quantity) else None

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The flows.

        Raises:
            ValueError: if the model has none.
        """
        flows = [side.flow for side in model.sides if side.flow is not None]
        if not flows:
            steps = [side.settings.flow_steps for side in model.sides]
            raise ValueError(
                "Matching needs a model with flows, `flow_steps` of at least 1. "
                f"Received: flow_steps={received(steps)}"
            )
        return flows

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1 for each."""
        return {f"matching_{side.local_name}": 1.0 for side in model.sides if side.flow}

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """Squared units of the codes, `(batch,)`."""
        rows, terms = rows_of(batch), {}
        if f"{model.sides[0].name}_codes" not in batch:
            batch = codes(model, batch, draw)
        for side in model.sides:
            if side.flow is None:
                continue
            parameters, z = ops.split(
                batch[f"{side.name}_codes"], [side.local.parameter_size], axis=-1
            )
            code = draw(side.local, side.local(parameters), exact=True)  # of q(u|x,z)
            start = draw.prior(side.local, rows)  # u ~ p(u)
            time = side.flow.times_of(rows)
            terms[f"matching_{side.local_name}"] = side.flow.matching_error(start, code, z, time)
        return terms

    def begin(self, stage: Any, pairs: Any) -> None:
        """Set the flows' affine maps to what standardises the codes of each concept."""
        model = stage.model
        for side, (parameters, z) in _sampled(stage, pairs):
            distribution = side.local(parameters)
            means, deviations = (np.asarray(part) for part in distribution.outputs())
            moved = means.shape[1] * math.prod(side.modality.shape)  # numbers of one code
            few = slice(max(1, min(_MOVED_BY, _ROOM // moved)))
            axes = _axes(side, means[few], z[few])
            side.flow.assign_affine(_to_standard(means, z, model.z, np.exp(0.5 * deviations), axes))

    def arrays(self, stage: Any, pairs: Any) -> dict[str, Any] | None:
        """`codes` of all pairs, z drawn once for each; None where they would take much memory."""
        held = len(pairs) * sum(_widths(stage.model)) * np.dtype(np.float32).itemsize
        return _all_codes(stage, pairs) if held <= _HELD else None

    def end(self, stage: Any, pairs: Any, validation: Any = None) -> None:
        """Give samples the mean and covariance that codes have, concept by concept.

        A velocity learnt by regression falls short of the codes' variance, by the more the less it
        explains. The affine maps, which had the codes' own moments, make up for it.
        """
        generator, common = np.random.default_rng(stage.model.seed), stage.model.z
        for side, (_, z) in _sampled(stage, pairs):
            z = np.resize(z, (calibrated_on(len(pairs)), common.size))
            step = compiled(side.flow.ends)
            ends = [
                step(side.local.draw_noise(generator, len(part)), part)
                for part in np.array_split(z, -(-len(z) // 1000))
            ]
            reached = _to_standard(np.concatenate(ends), z, common)
            side.flow.assign_affine(side.flow.affine.after_inverse_of(reached))


def calibrated_on(pairs: int) -> int:
    """Samples that flows learnt from so many pairs are calibrated by."""
    return min(_CALIBRATED_ON, max(_CALIBRATED_LEAST, _CALIBRATED_BY * pairs))


def codes(model: WynerModel, batch: Mapping[str, Tensor], draw: Draw) -> dict[str, Tensor]:
    """What the flows are learnt from, of a batch: by side parameters of q(u|x,z), then z."""
    h = model.features_of(batch)
    drawn = model.known_z(batch, lambda q_z: draw(model.z, q_z, exact=True))  # of q(z|x,y)
    return {
        f"{side.name}_codes": ops.concatenate(
            [ops.concatenate(side.posterior(h[side.name], z).outputs(), -1), z], -1
        )
        for side, z in zip(model.sides, drawn, strict=True)
        if side.flow is not None
    }


def _all_codes(stage: Any, pairs: Any) -> dict[str, np.ndarray]:
    """`codes` of all pairs, by name."""
    model = stage.model

    def made(**part: Tensor) -> Tensor:
        return ops.concatenate([*codes(model, part, stage.draw(True)).values()], axis=-1)

    whole = joined(len(pairs), model.by_batch(pairs, made, stage))
    parts = np.split(whole, np.cumsum(_widths(model))[:-1], axis=1)
    sides = (side for side in model.sides if side.flow is not None)
    return {f"{side.name}_codes": part for side, part in zip(sides, parts, strict=True)}


def _widths(model: WynerModel) -> list[int]:
    """Of the sides' `codes`."""
    return [
        side.local.parameter_size + model.z.size for side in model.sides if side.flow is not None
    ]


def _sampled(stage: Any, pairs: Any) -> list[tuple[Side, list[np.ndarray]]]:
    """Of each side with a flow, parameters and z of as many pairs as affine maps are fitted to."""
    few = pairs.take(min(len(pairs), _FITTED_ON), seed=stage.model.seed)
    found = _all_codes(stage, few)
    return [
        (side, np.split(found[f"{side.name}_codes"], [side.local.parameter_size], axis=1))
        for side in stage.model.sides
        if side.flow is not None
    ]


def _axes(side: Side, means: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Orthonormal axes of the codes, as columns: those first that move the decoder most."""

    def decoded(points: Tensor) -> Tensor:
        return side.codec.decode(side.decode(points, z))

    movement = compiled(lambda points, tangents: pushed_forward(decoded, points, tangents))
    axes = np.eye(means.shape[1], dtype="f")
    moved = np.stack(
        [
            np.reshape(movement(means, np.tile(axis, (len(means), 1))), (len(means), -1))
            for axis in axes
        ]
    )
    _, axes = np.linalg.eigh(np.einsum("inf,jnf->ij", moved, moved))
    return axes[:, ::-1]


def _to_standard(
    codes: np.ndarray,
    z: np.ndarray,
    family: Latent,
    deviations: np.ndarray | None = None,
    axes: np.ndarray | None = None,
) -> Affine:
    """The affine map from what has mean 0 and covariance 1, for every z, to the codes.

    Args:
        codes: `(n, size)`.
        z: `(n, width)`.
        family: of z. Where each of its values is a coordinate, each has a map of its own; otherwise
            the mean alone varies with z, linearly.
        deviations: of Gaussian noise on the codes, `(n, size)`; None for none.
        axes: orthonormal columns, in whose coordinates the matrices are triangular; None for the
            codes' own.
    """
    size, width = codes.shape[1], z.shape[1]
    axes = np.eye(size) if axes is None else axes
    deviations = np.zeros_like(codes) if deviations is None else deviations
    means = codes @ axes

    def root(chosen: np.ndarray, rest: np.ndarray) -> np.ndarray:
        noise = axes.T @ np.diag(np.square(deviations[chosen]).mean(axis=0)) @ axes
        covariance = rest[chosen].T @ rest[chosen] / max(1, chosen.sum()) + noise
        return axes @ np.linalg.cholesky(covariance + _LEAST_VARIANCE * np.eye(size))

    every, values = np.ones(len(z), bool), family.values()
    if values is not None and len(values) == width:
        shifts, matrices = np.zeros((width, size)), np.zeros((width, size, size))
        for value in range(width):
            chosen = z[:, value] > 0.5
            # A value that few pairs have takes what all have.
            chosen = chosen if chosen.sum() > size else every
            shifts[value] = means[chosen].mean(axis=0)
            matrices[value] = root(chosen, means - shifts[value])
        return Affine(shifts @ axes.T, matrices, np.zeros(size), np.zeros((size, size)))
    common, z = means.mean(axis=0), z.astype(np.float64)
    # Centred one-hot coordinates are dependent. Rounding must not hide it: least squares would give
    # them one offset, hundreds of times the codes, that the common shift takes away again.
    shifts = np.linalg.lstsq(z - z.mean(axis=0), means - common, rcond=1e-6)[0]
    common = common - z.mean(axis=0) @ shifts
    matrix = root(every, means - common - z @ shifts)
    return Affine(shifts @ axes.T, np.zeros((width, size, size)), axes @ common, matrix)
