"""What a bundle's server offers: its tasks and parts, as its manifest describes them."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from kserve.errors import InvalidInput

from wyner_serving import Bundle, Gallery
from wyner_serving.sides import OTHER

_DEFAULTS = {"count": 1, "k": 10, "seed": 0}
# The graphs that a method of `Bundle` runs, and the settings that it takes.
_TASKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "generate_y": (("generate_y",), ("seed",)),
    "generate_x": (("generate_x",), ("seed",)),
    "generate_pairs": (("generate_pairs",), ("count", "seed")),
    "transfer_x": (("transfer_x",), ("seed",)),
    "transfer_y": (("transfer_y",), ("seed",)),
    "encode_x": (("encode_x_z", "encode_x_u"), ("seed",)),
    "encode_y": (("encode_y_z", "encode_y_v"), ("seed",)),
    "decode_x": (("decode_x",), ()),
    "decode_y": (("decode_y",), ()),
}


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output.

    Args:
        name: as in the manifest and in `Bundle`.
        shape: sizes; a name where a size is free.
        image: whether its rows are images.
        missing: whether a value may be missing, null in JSON.
        datatype: of the protocol.
    """

    name: str
    shape: tuple[int | str, ...]
    image: bool = False
    missing: bool = False
    datatype: str = "FP32"

    def describe(self) -> dict[str, Any]:
        """The entry of the protocol's model metadata; a free size is -1."""
        shape = [-1 if isinstance(size, str) else size for size in self.shape]
        return {"name": self.name, "datatype": self.datatype, "shape": shape}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A method of `Bundle`, for clients that know it by its tensors' names.

    Args:
        name: of the method.
        inputs: its data or latents; noise is drawn from the seed.
        outputs: in the order of its results.
        settings: "seed", "count" and "k", where it takes them.
        max_results: that a request may ask for (of each output).
        kept: arguments that the server holds, a gallery say.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    settings: tuple[str, ...]
    max_results: int
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def max_values(self) -> int:
        """Values of the inputs of the largest request that is allowed."""
        row = sum(
            math.prod(size for size in tensor.shape if isinstance(size, int))
            for tensor in self.inputs
        )
        return self.max_results * row

    def check_names(self, given: Iterable[str]) -> None:
        """Every input once, and nothing else.

        Raises:
            InvalidInput: otherwise.
        """
        expected, found = [tensor.name for tensor in self.inputs], list(given)
        if sorted(expected) != sorted(found):
            raise InvalidInput(
                f"The inputs should be {expected}. Received: {reprlib.repr(sorted(found))}"
            )

    def check_settings(self, given: Any) -> dict[str, int]:
        """Settings as integers, defaults filled in: seed 0, count 1, k 10.

        Raises:
            InvalidInput: for unknown ones, or values that are no integers.
        """
        if not isinstance(given, Mapping) or not set(given) <= set(self.settings):
            expected = " and ".join(f"`{name}`" for name in self.settings) or "empty"
            raise InvalidInput(f"`parameters` should be {expected}. Received: {_short(given)}")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidInput(f"`{name}` should be an integer. Received: {_short(value)}")
        return {name: given.get(name, _DEFAULTS[name]) for name in self.settings}

    def check_size(self, rows: Mapping[str, int], settings: Mapping[str, int]) -> None:
        """What a request asks for, by the rows of its inputs, within the limit.

        Raises:
            InvalidInput: if it asks for more.
        """
        sizes = {str(tensor.shape[0]): rows[tensor.name] for tensor in self.inputs}
        sizes |= {name: settings[name] for name in ("count", "k") if name in settings}
        asked = math.prod(sizes.values())
        if asked > self.max_results:
            raise InvalidInput(
                f"A request should ask for at most {self.max_results} results "
                f"({' × '.join(sizes)}). Received: {_count(asked)}"
            )

    def run(
        self, bundle: Bundle, tensors: Mapping[str, np.ndarray], settings: Mapping[str, int]
    ) -> dict[str, np.ndarray]:
        """The outputs by name, float32; positions int64.

        Args:
            bundle: that computes.
            tensors: the inputs by name.
            settings: as `check_settings` returns them.

        Raises:
            InvalidInput: if they ask for too much.
            wyner_serving.InputError: if a tensor or a setting is not as it should be.
        """
        rows = {name: len(array) if array.ndim else 0 for name, array in tensors.items()}
        self.check_size(rows, settings)
        result = getattr(bundle, self.name)(**tensors, **settings, **self.kept)
        values = result if isinstance(result, tuple) else (result,)
        present = [value for value in values if value is not None]
        return dict(zip((tensor.name for tensor in self.outputs), present, strict=True))

    def warm_up(self, bundle: Bundle) -> None:
        """One call of one row: its sessions are made, and its graphs known to run."""
        tensors = {
            tensor.name: np.zeros(
                [1 if isinstance(size, str) else size for size in tensor.shape], np.float32
            )
            for tensor in self.inputs
        }
        self.run(bundle, tensors, self.check_settings({}))


def ranking_of(sides: Mapping[str, Any], gallery: Gallery, max_results: int) -> Task:
    """The task of finding a query's partners in a gallery that the server holds."""
    side = gallery.side
    query = sides[OTHER[side]]
    given = Tensor(
        name=OTHER[side],
        shape=("n", *query["shape"]),
        image=query["kind"] == "image",
        missing=bool(query.get("missing")),
    )
    return Task(
        name=f"rank_{side}",
        inputs=(given,),
        outputs=(
            Tensor(name="rows", shape=("n", "k"), datatype="INT64"),
            Tensor(name="nats", shape=("n", "k")),
        ),
        settings=("k",),
        max_results=max_results,
        kept={"gallery": gallery},
    )


def tasks_of(manifest: dict[str, Any], max_results: int) -> tuple[Task, ...]:
    """The tasks and parts that a bundle holds, as its manifest describes them."""
    graphs, sides = manifest["graphs"], manifest["sides"]

    def tensor(entry: dict[str, Any], task: str) -> Tensor:
        side, name = task.split("_")[1], entry["name"]
        other = next(each for each in sides if each != side)
        data = sides.get({"style": side, "concept": other}.get(name, name), {})
        return Tensor(
            name=name,
            shape=tuple(entry["shape"]),
            image=data.get("kind") == "image",
            missing=bool(data.get("missing")),
        )

    def tensors(used: tuple[str, ...], key: str, task: str) -> tuple[Tensor, ...]:
        return tuple(
            tensor(entry, task)
            for graph in used
            if graph in graphs
            for entry in graphs[graph][key]
            if not entry["name"].startswith("noise_")
        )

    return tuple(
        Task(
            name=name,
            inputs=tensors(used[:1], "inputs", name),
            outputs=tensors(used, "outputs", name),
            settings=settings,
            max_results=max_results,
        )
        for name, (used, settings) in _TASKS.items()
        if used[0] in graphs
    )


def _count(value: int) -> str:
    """A number; of one of thousands of digits Python makes no text."""
    return str(value) if value < 10**99 else "more than 10^99"


def _short(value: Any) -> str:
    return reprlib.repr(dict(value) if isinstance(value, Mapping) else value)
