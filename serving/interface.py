"""What goes into a graph and comes out: as the manifest says, as its file has it, as it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from wyner_serving.errors import BundleError
from wyner_serving.onnx_wire import declared

_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
_ENTRY = {"file", "meaning", "inputs", "outputs"}
_TENSOR = {"name", "dtype", "shape", "range", "latent", "meaning"}
_LARGEST, _MOST_AXES, _MOST_TENSORS = 2**31 - 1, 10, 100
_TYPES = ("float32", "int32")
_ORT_TYPES = {"tensor(float)": "float32", "tensor(int32)": "int32"}


def check_graph(
    name: str,
    entry: Any,
    sides: Mapping[str, Mapping[str, Any]],
    latents: Mapping[str, Mapping[str, Any] | None],
) -> None:
    """Refuse a graph's entry of the manifest that does not fit its sides and latents.

    Raises:
        BundleError: naming the tensor.
    """
    right = isinstance(entry, dict) and entry.keys() == _ENTRY and _NAME.fullmatch(name)
    if not right or not isinstance(entry["meaning"], str):
        raise BundleError(f"graphs should have names and {sorted(_ENTRY)}. Received: {name!r:.80}")
    of = dict(zip(("x", "y"), ("y", "x"), strict=True))
    made = name.split("_")[-1]
    roles = {**{side: side for side in sides}, "style": made, "concept": of.get(made)}
    for kind in ("inputs", "outputs"):
        tensors = entry[kind]
        if not isinstance(tensors, list) or not 0 < len(tensors) <= _MOST_TENSORS:
            raise BundleError(f"graphs/{name} should have {kind}. Received: {tensors!r:.80}")
        for tensor in tensors:
            _check_tensor(f"graphs/{name}/{kind}", tensor, roles, sides, latents)
        names = [tensor["name"] for tensor in tensors]
        if len(set(names)) != len(names):
            raise BundleError(f"graphs/{name} should name its {kind} once. Received: {names}")


def _check_tensor(
    where: str,
    tensor: Any,
    roles: Mapping[str, str | None],
    sides: Mapping[str, Mapping[str, Any]],
    latents: Mapping[str, Mapping[str, Any] | None],
) -> None:
    if not isinstance(tensor, dict) or tensor.keys() != _TENSOR:
        raise BundleError(f"{where} should have {sorted(_TENSOR)}. Received: {tensor!r:.80}")
    name, shape, latent = tensor["name"], tensor["shape"], tensor["latent"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BundleError(f"{where} should have names. Received: {name!r:.80}")
    if tensor["dtype"] not in _TYPES:
        raise BundleError(f"{where}/{name} should be float32. Received: {tensor['dtype']!r:.80}")
    free = isinstance(shape, list) and [*map(type, shape)].count(str)
    if not free or len(shape) > _MOST_AXES or not all(map(_is_axis, shape, range(len(shape)))):
        raise BundleError(f"{where}/{name} should have a shape. Received: {shape!r:.80}")
    last = name.split("_")[-1]
    of_latent = last if name in latents or name.startswith("noise_") else None
    if latent != of_latent or not (latent is None or latents.get(latent)):
        raise BundleError(
            f"{where}/{name} should be of latent {of_latent}. Received: {latent!r:.80}"
        )
    entry: Any = latents[latent] if latent else None
    side: Any = roles.get(name)
    expected = [entry["size"]] if entry else sides[side]["shape"] if side else shape[free:]
    if shape[free:] != expected:
        raise BundleError(f"{where}/{name} should have sizes {expected}. Received: {shape!r:.80}")


def _is_axis(size: Any, place: int) -> bool:
    """A name where a size is free, which the first two axes may be; else a size."""
    if isinstance(size, str):
        return place < 2 and _NAME.fullmatch(size) is not None
    return type(size) is int and place > 0 and 0 < size <= _LARGEST


def check_file(name: str, entry: Mapping[str, Any], content: bytes) -> None:
    """Refuse an ONNX file that declares other inputs or outputs than the manifest.

    Args:
        name: of the graph.
        entry: of the manifest.
        content: of the file.

    Raises:
        BundleError: naming both.
    """
    for kind, found in zip(("inputs", "outputs"), declared(name, content), strict=True):
        expected = [(each["name"], each["dtype"], each["shape"]) for each in entry[kind]]
        _compare(name, kind, expected, [tuple(each) for each in found])


def check_session(name: str, entry: Mapping[str, Any], session: Any) -> None:
    """Refuse a graph whose inputs or outputs, as onnxruntime sees them, are not the manifest's.

    Raises:
        BundleError: naming both.
    """
    for kind, found in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        told = [(each.name, _ORT_TYPES.get(each.type), _sizes(each.shape)) for each in found]
        expected = [(each["name"], each["dtype"], _sizes(each["shape"])) for each in entry[kind]]
        _compare(name, kind, expected, told)


def _compare(name: str, kind: str, expected: list[Any], found: list[Any]) -> None:
    if found != expected:
        raise BundleError(
            f"{name} should have the {kind} of the manifest, {expected}. Received: {found}"
        )


def _sizes(shape: Sequence[Any]) -> list[int | None]:
    """Sizes of a shape, None where they are free."""
    return [size if isinstance(size, int) else None for size in shape]


def check_feed(name: str, entry: Mapping[str, Any], given: Mapping[str, np.ndarray]) -> None:
    """Refuse inputs that a graph does not have, or that are not all that it has.

    Raises:
        BundleError: naming both: the runtime and the bundle see the graph differently.
    """
    expected = [each["name"] for each in entry["inputs"]]
    if sorted(expected) != sorted(given):
        raise BundleError(f"{name} should take {sorted(given)}. Received: a graph of {expected}")


def check_results(
    name: str,
    entry: Mapping[str, Any],
    given: Mapping[str, np.ndarray],
    results: Sequence[np.ndarray],
) -> None:
    """Refuse results of other shapes or types than the manifest says of such inputs.

    Raises:
        BundleError: naming the output. Another shape could fill an answer in silence.
    """
    free = dict(_free(entry, given))
    for tensor, result in zip(entry["outputs"], results, strict=True):
        expected = [free.get(size, size) for size in tensor["shape"]]
        if result.dtype != tensor["dtype"] or list(result.shape) != expected:
            raise BundleError(
                f"{name} should give {tensor['name']} as {tensor['dtype']} {expected}. "
                f"Received: {result.dtype} {list(result.shape)}"
            )


def _free(entry: Mapping[str, Any], given: Mapping[str, np.ndarray]) -> Iterator[tuple[str, int]]:
    """What the names of free sizes stand for."""
    for tensor in entry["inputs"]:
        values = given[tensor["name"]]
        for size, found in zip(tensor["shape"], values.shape, strict=False):
            if isinstance(size, str):
                yield size, found
