"""The six stages' losses by hand: each a scalar of weights, a batch, noise and settings.

Noise is drawn in the order of `wyner_keras.losses`, so that the same noise gives the same loss.
"""

from __future__ import annotations

import math
from typing import Any

from benchmarks.by_hand import model

Tensor = Any
Arrays = dict[str, Any]
Settings = dict[str, Any]


def codec(o: Any, p: Arrays, b: Arrays, n: Any, s: Settings) -> Tensor:
    """Cross-entropy of a pixel. Moving averages of the code's moments are left to who wants them.

    Ours sums the code's 3,136 terms in float64 for engines to agree; by hand it stays float32.
    """
    images = b["x"][..., 0]
    angle = model.slant(o, images)
    code = model.codec_code(o, p, model.shear(o, images, angle))
    mean, variance = p["codec.mean"], p["codec.variance"]
    if s["training"]:
        mean, variance = code.mean(0), o.variance(code)
    code = (code - mean) / o.sqrt(variance + 1e-3)
    if s["training"]:
        code = code + s["codec_noise"] * n.normal(code.shape)
    found = model.shear(o, model.codec_upright(o, p, code), -angle)
    found = o.clip(found, 1e-7, 1 - 1e-7)
    return -(images * o.log(found) + (1 - images) * o.log(1 - found)).mean()


def alignment(o: Any, p: Arrays, b: Arrays, n: Any, s: Settings) -> Tensor:
    """−InfoNCE of a Gaussian critic, and λ of what z holds."""
    e = []
    for side in "xy":
        rates = s["rates"] if s["training"] else None
        hidden = model.trunk(o, p, f"{side}.expert", b[f"{side}_features"], n, rates)
        raw = model.dense(o, p, f"{side}.head", hidden)
        mean, variance = p[f"{side}.head.mean"], p[f"{side}.head.variance"]
        if s["training"]:
            mean, variance = raw.mean(0), o.variance(raw)
        raw = (raw - mean) / o.sqrt(variance + 1e-3)
        e.append(raw * p[f"{side}.head.gamma"] + p[f"{side}.head.beta"])
    a, c = (1.0 + o.exp(p[f"critic.{side}"]) for side in "xy")
    both = a + c - 1.0
    logs = 0.5 * (o.log(a) + o.log(c) - o.log(both)).sum()
    own_x = 0.5 * (e[0] ** 2 * (1.0 / a - 1.0 / both)).sum(1)
    own_y = 0.5 * (e[1] ** 2 * (1.0 / c - 1.0 / both)).sum(1)
    scores = logs - own_x[:, None] - own_y[None] + (e[0] / both) @ e[1].T
    strangers = o.logsumexp(scores, 0).mean() + o.logsumexp(scores, 1).mean()
    nats = o.diagonal(scores).mean() - 0.5 * strangers + math.log(scores.shape[0])
    mean = (e[0] + e[1]) / both
    held = 0.5 * (1.0 / both + mean**2 - 1.0 + o.log(both)).sum(1)
    return -nats + s["price"] * held.mean()


def _known_z(o: Any, p: Arrays, b: Arrays) -> Tensor:
    """Logits of q(z|x,y)."""
    x, y = (model.mlp(o, p, f"{side}.expert", [b[f"{side}_features"]]) for side in "xy")
    return x + y


def _kl(o: Any, told: tuple[Tensor, Tensor]) -> Tensor:
    mean, log_variance = told
    return 0.5 * (o.exp(log_variance) + mean**2 - 1.0 - log_variance).sum(1)


def _told(o: Any, logits: Tensor, z: Tensor) -> Tensor:
    return (o.log_softmax(logits) * z).sum(1)


def joint(o: Any, p: Arrays, b: Arrays, n: Any, s: Settings) -> Tensor:
    """Divergence of u, reconstruction, and concepts of what does not belong together."""
    rows, kinds = b["x_features"].shape[0], p["x.expert.output.bias"].shape[0]
    z = model.relaxed(o, _known_z(o, p, b), n.uniform((rows, kinds)), s["temperature"])
    total, half = 0.0, (rows + 1) // 2
    for side in "xy":
        features = b[f"{side}_features"]
        told = model.posterior(o, p, side, features, z)
        code = model.gaussian(o, told, n.normal(told[0].shape))
        drawn = n.normal((half, code.shape[1]))[: half // 2]
        other = o.one_hot(model.gumbel(o, n.uniform((half, kinds))))
        mixed = model.decode(o, p, side, o.stack([drawn, code[half // 2 : half]]), other)
        if s["training"]:
            mixed = mixed + s["concept_noise"] * n.normal(mixed.shape)
        rates = s["rates"] if s["training"] else None
        read = model.mlp(o, p, f"{side}.expert", [mixed], n, rates)
        error = ((features - model.decode(o, p, side, code, z)) ** 2).sum(1)
        total = total + _kl(o, told).mean() + error.mean() / s["two_epsilon_squared"]
        total = total - s["concept_weight"] * _told(o, read, other).mean()
    return total


def flow(o: Any, p: Arrays, b: Arrays, n: Any, s: Settings) -> Tensor:
    """The velocities' squared errors, by how far each coordinate moves codes."""
    total = 0.0
    for side in "xy":
        size, first = s["local"], p[f"{side}.flow.0.output.bias"].shape[0]
        codes = b[f"{side}_codes"]
        rows, z = codes.shape[0], codes[:, 2 * size :]
        told = codes[:, :size], codes[:, size : 2 * size]
        code = model.gaussian(o, told, n.normal(told[0].shape))
        start = n.normal(code.shape)
        time = ((o.floor(o.arange(rows) / rows * s["steps"]) + 0.5) / s["steps"])[:, None]
        ends = model.standardised(o, p, side, code, z)
        cosine, sine = o.cos(0.5 * math.pi * time), o.sin(0.5 * math.pi * time)
        points, context = cosine * start + sine * ends, o.concat([z, ends[:, :first]])
        found = [
            model.velocity(o, p, f"{side}.flow.0", points[:, :first], time, z),
            model.velocity(o, p, f"{side}.flow.1", points[:, first:], time, context),
        ]
        error = o.concat(found) - (cosine * ends - sine * start)
        weights = (model.matrix(o, p, side, "scale", z) ** 2).sum(1)
        total = total + (weights * error**2).sum(1).mean()
    return total


def marginal(o: Any, p: Arrays, b: Arrays, n: Any, s: Settings) -> Tensor:
    """Readers: divergence, reconstruction, and distillation of what both sides tell."""
    experts, total = o.log_softmax(_known_z(o, p, b)), 0.0
    for side in "xy":
        features = b[f"{side}_features"]
        rates = s["reader_rates"] if s["training"] else None
        logits = model.reader(o, p, side, b[side][..., 0], n, rates)
        z = model.relaxed(o, logits, n.uniform(logits.shape), s["temperature"])
        log_q = o.log_softmax(logits)
        held = (o.exp(log_q) * (log_q + math.log(logits.shape[1]))).sum(1)
        distilled = (o.exp(experts) * (experts - log_q)).sum(1)
        told = model.posterior(o, p, side, features, z)
        code = model.gaussian(o, told, n.normal(told[0].shape))
        error = ((features - model.decode(o, p, side, code, z)) ** 2).sum(1)
        total = total + held.mean() + s["distillation_weight"] * distilled.mean()
        total = total + _kl(o, told).mean() + error.mean() / s["two_epsilon_squared"]
    return total


def refinement(o: Any, p: Arrays, b: Arrays, n: Any, s: Settings) -> Tensor:
    """Decoders: reconstruction, and concepts that readers of the images tell."""
    rows, kinds = b["x_features"].shape[0], p["x.expert.output.bias"].shape[0]
    z = model.relaxed(o, _known_z(o, p, b), n.uniform((rows, kinds)), s["temperature"])
    total, half = 0.0, (rows + 1) // 2
    some = slice(half // 2, half)
    for side in "xy":
        features = b[f"{side}_features"]
        told = model.posterior(o, p, side, features, z)
        code = model.gaussian(o, told, n.normal(told[0].shape))
        kept = model.local_of(o, p, side, code[some], z[some], s["steps"])
        drawn = n.normal((half, code.shape[1]))[: half // 2]
        other = o.one_hot(model.gumbel(o, n.uniform((half, kinds))))
        local = model.code_of(o, p, side, o.stack([drawn, kept]), other, s["steps"])
        mixed = model.decode(o, p, side, local, other)
        read = model.reader(o, p, side, model.codec_decode(o, p, mixed))
        error = ((features - model.decode(o, p, side, code, z)) ** 2).sum(1)
        total = total + error.mean() / s["two_epsilon_squared"]
        total = total - s["concept_weight"] * _told(o, read, other).mean()
    return total


LOSSES = {loss.__name__: loss for loss in (codec, alignment, joint, flow, marginal, refinement)}
