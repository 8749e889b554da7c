"""What a W-model computes: parts, and tasks made of them; all that is random comes in as noise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from keras import ops

from wyner_keras.latents import can_rank
from wyner_keras.side import Side

if TYPE_CHECKING:
    from wyner_keras.model import WynerModel

Tensor = Any
Function = Callable[..., tuple[Tensor, ...]]
Parts = Mapping[str, Function]


def parts_of(model: WynerModel, shares: Any = None) -> dict[str, Function]:
    """Encoders, posteriors and decoders by name, and `score_pairs` where z has a `log_pmi`.

    Each is a function of tensors by name.

    Args:
        model: whose they are.
        shares: of `pmi_of`.
    """
    found: dict[str, Function] = {}
    for side in model.sides:
        found |= _parts_of(side)

    def score_pairs(**posteriors: Tensor) -> tuple[Tensor]:
        x, y = (
            [posteriors[f"{side.name}_{name}"] for name in model.z.output_names]
            for side in model.sides
        )
        return (model.pmi_of(x, y, shares),)

    return found | ({"score_pairs": score_pairs} if can_rank(model.z) else {})


def _parts_of(side: Side) -> dict[str, Function]:
    name, local, noise_local = side.name, side.local_name, f"noise_{side.local_name}"

    def encode_z(noise_z: Tensor, **data: Tensor) -> tuple[Tensor]:
        return (side.sample_z(data[name], noise_z),)

    def encode_local(z: Tensor, **given: Tensor) -> tuple[Tensor]:
        # u ~ q(u|x,z): the code before the flow, then the u that it stands for
        code = side.posterior(side.encode(given[name]), z).sample(given[noise_local])
        return (side.local_of(code, z),)

    def posterior_z(**data: Tensor) -> tuple[Tensor, ...]:
        return side.read(data[name]).outputs()

    def decode(z: Tensor, **given: Tensor) -> tuple[Tensor]:
        return (side.render(given.get(local), z),)

    found: dict[str, Function] = {f"encode_{name}_z": encode_z}
    if side.local is not None:
        found[f"encode_{name}_{local}"] = encode_local
    return found | {f"posterior_{name}_z": posterior_z, f"decode_{name}": decode}


def tasks_of(model: WynerModel) -> dict[str, Function]:
    """Conditional generation, style transfer and joint generation, by name.

    Each is a function of the parts that it calls, then of tensors by name.
    """
    found: dict[str, Function] = {}
    for side in model.sides:
        (other,) = (each for each in model.sides if each is not side)
        found[f"generate_{side.name}"] = functools.partial(_generate, side, other)
        found[f"transfer_{side.name}"] = functools.partial(_transfer_grid, side, other)

    def generate_pairs(parts: Parts, noise_z: Tensor, **noise: Tensor) -> tuple[Tensor, ...]:
        # z ~ p(z), u ~ p(u), v ~ p(v)
        z = model.sample_prior(noise_z)
        return tuple(made for side in model.sides for made in _drawn(side, parts, z, noise))

    return found | {"generate_pairs": generate_pairs}


def _drawn(side: Side, parts: Parts, z: Tensor, noise: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    """Examples of z in styles of the prior: x = x_θ(u, z), u ~ p(u)."""
    name = side.local_name
    local = {} if side.local is None else {name: side.local.prior_sample(noise[f"noise_{name}"])}
    return parts[f"decode_{side.name}"](z=z, **local)


def _generate(
    side: Side, given: Side, parts: Parts, noise_z: Tensor, **inputs: Tensor
) -> tuple[Tensor, ...]:
    """Examples of `side`: z ~ q(z|given), v ~ p(v), then y_θ(v, z)."""
    data = {given.name: inputs[given.name]}
    (z,) = parts[f"encode_{given.name}_z"](noise_z=noise_z, **data)
    return _drawn(side, parts, z, inputs)


def _style_and_concept(
    side: Side,
    other: Side,
    parts: Parts,
    style: Tensor,
    concept: Tensor,
    noise_concept_z: Tensor,
    noise_style_z: Tensor,
    **noise: Tensor,
) -> tuple[dict[str, Tensor], Tensor]:
    """The local u ~ q(u|x₀,z₀), z₀ ~ q(z|x₀), of a style, by its name if any, and z ~ q(z|y)."""
    (z,) = parts[f"encode_{other.name}_z"](noise_z=noise_concept_z, **{other.name: concept})
    if side.local is None:
        return {}, z
    data, name = {side.name: style}, side.local_name
    (own,) = parts[f"encode_{side.name}_z"](noise_z=noise_style_z, **data)
    (local,) = parts[f"encode_{side.name}_{name}"](z=own, **data, **noise)
    return {name: local}, z


def transfer(side: Side, other: Side, parts: Parts, **inputs: Tensor) -> tuple[Tensor, ...]:
    """Examples of `side`, row i in the style i with the concept i, which is of `other`."""
    local, z = _style_and_concept(side, other, parts, **inputs)
    return parts[f"decode_{side.name}"](z=z, **local)


def _transfer_grid(side: Side, other: Side, parts: Parts, **inputs: Tensor) -> tuple[Tensor]:
    """As `transfer`, every style with every concept, `(styles, concepts, *shape)`."""
    styles, concepts = ops.shape(inputs["style"])[0], ops.shape(inputs["concept"])[0]
    local, z = _style_and_concept(side, other, parts, **inputs)

    def spread(rows: Tensor, axis: int) -> Tensor:
        size = rows.shape[-1]
        rows = ops.broadcast_to(ops.expand_dims(rows, axis), (styles, concepts, size))
        return ops.reshape(rows, (-1, size))

    locals_ = {name: spread(rows, 1) for name, rows in local.items()}
    (made,) = parts[f"decode_{side.name}"](z=spread(z, 0), **locals_)
    return (ops.reshape(made, (styles, concepts, *made.shape[1:])),)
