"""Importance weights of a model's latents, for bounds of its log-likelihood.

Given z the sides are independent, so each side's u has a weight of its own. Everything is exact for
the model as it samples: a weight is p(u) p(x|u,z) / q(u), x|u,z rendered from that u.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import logsumexp

from wyner_keras.backend import compiled
from wyner_keras.latents import Latent, prior_log_prob
from wyner_keras.model import WynerModel
from wyner_keras.repeated import can_be_repeated, repeated
from wyner_keras.side import Side

Tensor = Any
Array = np.ndarray
_AT_ONCE = 100  # pairs, each with all its samples
_APART = 0.02  # of the differences that Jacobians are made of, in deviations of p(u)
_ROWS = 4096  # examples rendered at once, and
_ROOM = 2**26  # bytes that they may take


class SideNoise(NamedTuple):
    """What a side's renderings and proposals need.

    Args:
        spread: of the codec's noise, see `Codec.log_prob`.
        metric: variance of each feature around that of u and z, `(feature_size,)`.
        width: factor of the deviation of proposals.
    """

    spread: Array
    metric: Array
    width: float


class Drawn(NamedTuple):
    """Samples of u, `samples` for each of `n` examples, each given its own z.

    Args:
        log_weights: log [p(u) p(x|u,z) / q(u)], `(n, samples)`; of no local log p(x|z).
        features: what x|u,z is decoded from, `(n, samples, width)`.
        noise: that a normal q(u) was drawn by, `(n, samples, size)`; None of another.
    """

    log_weights: Array
    features: Array
    noise: Array | None


def is_normal(side: Side) -> bool:
    """Whether the side has a local whose noise is normal: of a density that can be followed."""
    return side.local is not None and side.local.noise == "normal"


def rows_at_once(side: Side) -> int:
    """How many examples may be rendered at once."""
    return max(1, min(_ROWS, _ROOM // (4 * math.prod(side.modality.shape))))


class Locals:
    """Draws u of one side from a proposal q(u), and weighs it.

    A local of normal noise starts at the mode of q(u|x,z), takes one Gauss-Newton step from there
    towards the mode of p(u) N(features of x | features of u and z, metric), and is drawn from the
    Gaussian of that mode and its curvature. Of any other local q(u) is q(u|x,z). Where z has values
    without end, the curvature of all samples of an example is that at the mean of their z: one
    Jacobian for them all.

    As q(u) is a Gaussian of u itself, no flow's determinant is in its density, and whether the
    flow's steps can be undone does not matter: only `Side.code` is asked what u stands for.

    Args:
        side: of the model.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self._step, self._begin = compiled(self._weigh), compiled(self._mode)
        self._make = compiled(self._made)
        self._finite = side.z.values() is not None
        # What `_curved` gave, by features and z: those of finite z come again and again.
        self._known: dict[bytes, tuple[Array, ...]] = {}
        self._room = _ROOM if self._finite else 0

    def __call__(
        self, data: Array, features: Array, z: Array, noise: SideNoise, rng: np.random.Generator
    ) -> Drawn:
        """One u for each z.

        Args:
            data: examples `(n, *shape)`.
            features: of theirs, `(n, feature_size)`.
            z: `(n, samples, size)`.
            noise: of the side.
            rng: of the draws.
        """
        side, (n, samples) = self.side, z.shape[:2]
        example, z = np.repeat(np.arange(n), samples), z.reshape(n * samples, -1)
        given: list[Array] = []
        drawn: Any = None if side.local is None else side.local.draw_noise(rng, len(z))
        log_q: Any = 0.0
        if is_normal(side):
            mean, lower, which = self._proposal(features, example, z, noise.metric)
            # Precision L Lᵀ: u = mean + L⁻ᵀ ε.
            spread = np.linalg.solve(
                np.swapaxes(lower, 1, 2)[which], (noise.width * drawn)[:, :, None]
            )
            given = [(mean + spread[:, :, 0]).astype(np.float32)]
            logs = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)[which]
            log_q = logs - 0.5 * np.square(drawn).sum(axis=1, dtype=np.float64)
            log_q -= drawn.shape[1] * (np.log(noise.width) + 0.5 * math.log(2 * math.pi))
        elif drawn is not None:
            given = [drawn]
        rows, parts = rows_at_once(side), []
        for start in range(0, len(z), rows):
            part = slice(start, start + rows)
            chosen = example[part]
            inputs = [data[chosen], features[chosen], z[part], *(each[part] for each in given)]
            found = self._step(noise.spread, *inputs)
            parts.append([np.asarray(value) for value in found])
        weights, made = (np.concatenate(whole) for whole in zip(*parts, strict=True))
        return Drawn(
            (weights.astype(np.float64) - log_q).reshape(n, samples),
            made.reshape(n, samples, -1),
            (noise.width * drawn).reshape(n, samples, -1) if is_normal(side) else None,
        )

    def _weigh(
        self, spread: Tensor, data: Tensor, features: Tensor, z: Tensor, drawn: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log weights `(rows,)`, of a normal u without q(u), and features of what is rendered."""
        side = self.side
        if side.local is None:
            made = side.decode(None, z)
            return side.codec.log_prob(data, made, spread), made
        local, log_q = drawn, 0.0  # u, or of another local its noise
        if not is_normal(side):
            q = side.posterior(features, z)
            local = q.sample(drawn)
            log_q = q.log_prob(local)
        made = self._made(local, z)
        log_p = prior_log_prob(side.local, local) + side.codec.log_prob(data, made, spread)
        return log_p - log_q, made

    def _proposal(
        self, features: Array, example: Array, z: Array, metric: Array
    ) -> tuple[Array, Array, Array]:
        """Means of rows, Cholesky factors of precisions, and which of these is each row's."""
        if self._finite:
            keys = np.concatenate([example[:, None].astype(z.dtype), z], axis=1)
            _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
            which = which.ravel()
            start, made, jacobian = self._curved(features[example[first]], z[first])
            start, made = start[which], made[which]
        else:
            which = example
            centre = z.reshape(len(features), -1, z.shape[1]).mean(axis=1)
            *_, jacobian = self._curved(features, centre)
            start, made = self._started(features[example], z)
        weighed = jacobian / metric  # (rows, size, width), d features / d u over variances
        precision = weighed @ np.swapaxes(jacobian, 1, 2) + np.eye(start.shape[1])
        slope = np.einsum("rsf,rf->rs", weighed[which], features[example] - made) - start
        mean = start + np.linalg.solve(precision[which], slope[:, :, None])[:, :, 0]
        return mean, np.linalg.cholesky(precision), which

    def _started(self, features: Array, z: Array) -> tuple[Array, Array]:
        """The modes of q(u|x,z), float64, and features made of them."""
        start = _in_rows(self._begin, features, z)
        return start, _in_rows(self._make, start.astype("f"), z)

    def _curved(self, features: Array, z: Array) -> tuple[Array, ...]:
        """`_started` of rows, and the Jacobian of those features; what is known is not made anew.

        The Jacobian is of central differences: it shapes a proposal, whose weights are exact.
        """
        keys = [x.tobytes() + of_z.tobytes() for x, of_z in zip(features, z, strict=True)]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        fresh: dict[bytes, tuple[Array, ...]] = {}
        if new:
            start, made = self._started(features[new], z[new])
            size = start.shape[1]
            moves = _APART * np.concatenate([np.eye(size), -np.eye(size)])
            ends = (start[:, None] + moves).reshape(-1, size).astype("f")
            there = _in_rows(self._make, ends, np.repeat(z[new], 2 * size, axis=0))
            there = there.reshape(len(new), 2, size, -1)
            jacobian = (there[:, 0] - there[:, 1]) / (2 * _APART)  # (rows, size, width)
            rows = zip(start, made, jacobian, strict=True)
            fresh = dict(zip((keys[place] for place in new), rows, strict=True))
        whole = [fresh[key] if key in fresh else self._known[key] for key in keys]
        for key, row in fresh.items():
            room = sum(value.nbytes for value in row)
            if room <= self._room:
                self._known[key], self._room = row, self._room - room
        return tuple(np.stack(each) for each in zip(*whole, strict=True))

    def _mode(self, features: Tensor, z: Tensor) -> Tensor:
        return self.side.local_of(self.side.posterior(features, z).mode, z)

    def _made(self, local: Tensor, z: Tensor) -> Tensor:
        return self.side.decode(self.side.code(local, z), z)


def _in_rows(step: Callable[..., Tensor], *rows: Array) -> Array:
    """What a graph makes of rows, so many at a time, float64."""
    parts = [
        step(*(each[start : start + _ROWS] for each in rows))
        for start in range(0, len(rows[0]), _ROWS)
    ]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def locals_of(model: WynerModel) -> dict[str, Locals]:
    """By side what draws its u; graphs are traced once for all that draw by it."""
    return {side.name: Locals(side) for side in model.sides}


class Commons:
    """Distributions of z for a batch of pairs, and samples of them.

    Args:
        model: of the pairs.
        data: examples `(n, *shape)` by side.
        features: of theirs by side.
        samples: K.
        rng: of the draws.

    Attributes:
        of: q(z|x,y) as "joint", q(z|x) and q(z|y) by side.
        z: samples of these, `(n, K, size)` each.
    """

    def __init__(
        self,
        model: WynerModel,
        data: Mapping[str, Array],
        features: Mapping[str, Array],
        samples: int,
        rng: np.random.Generator,
    ) -> None:
        self.model, self.features = model, features
        named = {f"{name}_features": values for name, values in features.items()}
        self.of: dict[str, Any] = {"joint": model.joint_z({**data, **named})}
        for side in model.sides:
            self.of[side.name] = side.read(data[side.name], features[side.name])
        self.z = {name: _sampled(model.z, q, samples, rng) for name, q in self.of.items()}

    def log_prob(self, name: str, z: Array) -> Array:
        """The log of q(z) of z `(n, samples, size)`, `(n, samples)`; p(z) by the name "prior"."""
        found = []
        for part, count in _at_once(self.of["joint"], z):
            rows = _rows_of(z[:, part])
            q = self.model if name == "prior" else repeated(self.of[name], count)
            logs = q.log_prior(rows) if name == "prior" else q.log_prob(rows)
            found.append(np.asarray(logs, np.float64).reshape(count, -1))
        return np.concatenate(found).T


def _at_once(q: Any, z: Array) -> Iterator[tuple[slice, int]]:
    """Which samples of z are asked about together, and how many: calls cost more than rows do.

    Of a family that cannot be repeated it is each for itself.
    """
    n, samples = z.shape[:2]
    most = max(1, _ROWS // n) if can_be_repeated(q, n) else 1
    for start in range(0, samples, most):
        part = slice(start, min(start + most, samples))
        yield part, part.stop - start


def _rows_of(z: Array) -> Array:
    """Of samples `(n, samples, size)` the rows, sample by sample."""
    return np.swapaxes(z, 0, 1).reshape(-1, z.shape[-1])


def _sampled(latent: Latent, q: Any, samples: int, rng: np.random.Generator) -> Array:
    n = len(q.outputs()[0])
    noise = np.stack([latent.draw_noise(rng, n) for _ in range(samples)], axis=1)
    drawn = [
        np.asarray(repeated(q, count).sample(_rows_of(noise[:, part]))).reshape(count, n, -1)
        for part, count in _at_once(q, noise)
    ]
    return np.swapaxes(np.concatenate(drawn), 0, 1)


class Weighed:
    """Samples of q(z|x,y) and of what follows, for a batch of pairs, weighed.

    Args:
        model: of the pairs.
        data: examples by side.
        locals_: by side.
        noise: by side.
        samples: K.
        rng: of the draws.
    """

    def __init__(
        self,
        model: WynerModel,
        data: Mapping[str, Array],
        locals_: Mapping[str, Locals],
        noise: Mapping[str, SideNoise],
        samples: int,
        rng: np.random.Generator,
    ) -> None:
        self.data, self.locals, self.noise, self.rng = data, locals_, noise, rng
        self.features = {
            side.name: np.asarray(side.encode(data[side.name])) for side in model.sides
        }
        self.commons = Commons(model, data, self.features, samples, rng)
        z = self.commons.z["joint"]
        self.drawn = {side.name: self.draw(side.name, z) for side in model.sides}
        self.ratio = self.commons.log_prob("prior", z) - self.commons.log_prob("joint", z)
        self.means = {name: over_equal(drawn.log_weights, z) for name, drawn in self.drawn.items()}

    def draw(self, name: str, z: Array) -> Drawn:
        """Samples of the side's u given z."""
        return self.locals[name](
            self.data[name], self.features[name], z, self.noise[name], self.rng
        )

    def bounds(self) -> dict[str, Array]:
        """Log mean weights `(n,)`, by the names of `log_likelihood`."""
        commons, found = self.commons, {}
        found["joint"] = log_mean(self.ratio + sum(self.means.values()))
        for name in self.drawn:
            z = commons.z[name]
            ratio = commons.log_prob("prior", z) - commons.log_prob(name, z)
            found[name] = log_mean(ratio + self.draw(name, z).log_weights)
        for name, given in (tuple(self.drawn), tuple(reversed(self.drawn))):
            halves = self._noises if commons.model.side(given).reader_flow else self._posteriors
            logs, weights = halves(name, given)
            found[f"{name}_given_{given}"] = log_mean(logs + weights)
        return found

    def _posteriors(self, name: str, given: str) -> tuple[Array, Array]:
        """Of z of q(z|x,y) and of q(z|x), half and half, log q(z|x) / proposal, and weights of u.

        Args:
            name: of the side that is told, here y.
            given: of the other.

        Returns:
            Each `(n, samples)`.
        """
        commons, joint = self.commons, self.commons.z["joint"]
        half = joint.shape[1] // 2
        z = commons.z[given][:, half:]
        weights = [self.drawn[name].log_weights[:, :half], self.draw(name, z).log_weights]
        z = np.concatenate([joint[:, :half], z], axis=1)
        own = commons.log_prob(given, z)
        logs = own - _of_halves(commons.log_prob("joint", z), own, half)
        return logs, np.concatenate(weights, axis=1)

    def _noises(self, name: str, given: str) -> tuple[Array, Array]:
        """As `_posteriors`, of the normal noise of which a reader's flow makes z, not of z.

        What z's density is need not be known, nor whether the flow's steps can be undone. Half of
        the noise is normal, half of a Gaussian around what leads to the mean of q(z|x,y), as wide
        as q(z|x,y) is there.
        """
        commons, side = self.commons, self.commons.model.side(given)
        n, samples, size = commons.z["joint"].shape
        half, features = samples // 2, self.features[given]
        (mean, log_variance), (_, own_log_variance) = (
            [np.asarray(part, np.float64) for part in commons.of[which].outputs()]
            for which in ("joint", given)
        )
        q = commons.of[given]
        centre = side.reader_flow.sought(q.noise_of(mean.astype("f")), features)
        jacobian = side.reader_flow.jacobian(centre, features)
        weighed = np.exp(own_log_variance - log_variance)[:, :, None] * jacobian
        lower = np.linalg.cholesky(np.swapaxes(jacobian, 1, 2) @ weighed + np.eye(size))
        noise = self.rng.normal(size=(n, samples, size))
        # Precision L Lᵀ: ε = centre + L⁻ᵀ times noise.
        moved = np.linalg.solve(np.swapaxes(lower, 1, 2), np.swapaxes(noise[:, :half], 1, 2))
        noise[:, :half] = centre[:, None] + np.swapaxes(moved, 1, 2)
        rest = np.einsum("nij,nsi->nsj", lower, noise - centre[:, None])
        logs = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)[:, None]
        logs = logs - 0.5 * np.square(rest).sum(axis=2)
        normal = -0.5 * np.square(noise).sum(axis=2)
        z = np.empty(noise.shape, np.float32)
        for part, count in _at_once(q, z):
            ends = side.reader_flow(_rows_of(noise[:, part]), np.tile(features, (count, 1)))
            drawn = np.asarray(repeated(q, count).sample(ends)).reshape(count, n, size)
            z[:, part] = np.swapaxes(drawn, 0, 1)
        return normal - _of_halves(logs, normal, half), self.draw(name, z).log_weights

    def responsibilities(self, name: str) -> Array:
        """Of each sample of the side its share of the posterior, `(n, K)`."""
        (other,) = (mean for side, mean in self.means.items() if side != name)
        logs = self.ratio + self.drawn[name].log_weights + other
        return np.exp(logs - logsumexp(logs, axis=1, keepdims=True))


def _of_halves(first: Array, second: Array, half: int) -> Array:
    """The log density of the mixture of two that samples are one draw of, so many of the first.

    Args:
        first: of all samples, `(n, samples)`.
        second: likewise.
        half: how many are of the first.
    """
    share = half / first.shape[1]
    found: Array = logsumexp([first, second], axis=0, b=np.reshape([share, 1 - share], (2, 1, 1)))
    return found


def log_mean(log_weights: Array) -> Array:
    """The log of the mean of weights `(n, samples)`, `(n,)`."""
    return logsumexp(log_weights, axis=1) - np.log(log_weights.shape[1])


def over_equal(log_weights: Array, z: Array) -> Array:
    """Of each sample the log mean of the weights of all samples with its z, `(n, samples)`.

    Given z the weights of one side are independent of the other's, so that of equal z the mean of
    a product is the product of means, which varies less.
    """
    same = (z[:, :, None] == z[:, None]).all(axis=-1)
    sums = logsumexp(np.where(same, log_weights[:, None], -np.inf), axis=2)
    return sums - np.log(same.sum(axis=2))


def parts_of(data: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Examples by side, so many pairs at once as are weighed together."""
    count = len(next(iter(data.values())))
    for start in range(0, count, _AT_ONCE):
        yield {name: rows[start : start + _AT_ONCE] for name, rows in data.items()}
