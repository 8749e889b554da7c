"""The tasks of a W-model behind TensorFlow Serving, under the names that `Bundle` has."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from wyner_serving.checks import (
    check_array,
    check_count,
    check_memory,
    check_results,
    check_seed,
)
from wyner_serving.errors import InputError, ServingError
from wyner_serving.forks import begins_anew
from wyner_serving.generation import Generation
from wyner_serving.manifest import check_latent_entry, check_side_entry
from wyner_serving.plain_json import parse_json
from wyner_serving.sides import LOCALS, OTHER
from wyner_serving.tf_serving.png import from_png, to_png
from wyner_serving.tf_serving.rest import MALFORMED, Rest


class Transport(Protocol):
    """A way to reach a model on a server."""

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of a signature by name; bytes are arrays of objects."""

    def outputs(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Shapes of all outputs, -1 where a size is free, by signature and name."""

    def states(self) -> dict[int, str]:
        """State of every version that the server knows, such as "AVAILABLE"."""


def row_seeds(seed: int, count: int) -> np.ndarray:
    """A seed for each row, int32 `(count,)`, none twice; more rows leave the first ones alone.

    Drawn at random, two of 60,000 rows would be alike more often than not: 31 bits are few. So row
    numbers are mixed, by steps that can be undone.
    """
    keys = np.random.SeedSequence(check_seed(seed)).generate_state(4)
    mixed = np.arange(count, dtype=np.uint64)
    for add, shift in zip(keys, (16, 11, 16, 13), strict=True):
        # Modulo 2^31, by an odd number.
        mixed = (mixed + add) * np.uint64(0x2C1B3C6D) & np.uint64(2**31 - 1)
        mixed ^= mixed >> np.uint64(shift)
    return mixed.astype(np.int32)


def _about_of(told: Any) -> dict[str, Any]:
    """What a server says of its model, if it is what a client may go by."""
    for name, entry in told.get("latents", {}).items():
        if name == "z" or entry is not None:
            check_latent_entry(name, entry)
    texts = [told.get("identity", ""), *told.get("posterior_names", [])]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("identity or posterior_names that are no texts")
    return dict(told)


class Client(Generation):
    """A model on a server; safe in threads, and in forked processes by REST.

    Pickled or copied, it travels as its arguments: every process has connections of its own.

    One seed gives one answer, whatever the number of rows in a request and whoever else asks. It
    is not the answer that `Bundle` gives: the server draws its own noise. Ranking draws none: the
    server encodes, galleries stay here, and ranks are those of `Bundle`.

    What is wrong in arguments is an InputError, and nothing was sent. Where the server cannot be
    reached, refuses or answers something else, it is a ServingError.

    Args:
        url: `http://host:8501` or `https://…` for REST, `grpc://host:8500` for gRPC, which needs
            `pip install 'wyner-keras[export]'`.
        model: its name on the server.
        label: of the version, such as "stable" or "canary"; None with no version takes the newest.
        version: its number, in place of a label.
        timeout: seconds for one request.
        png: images travel as PNG: smaller requests, and answers in 256 grey levels. For models
            of images alone.
        rows: of one request; at most `max_batch_size` in `config/batching.config`.

    Raises:
        InputError: if an argument is not as said.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "wyner",
        label: str | None = "stable",
        version: int | None = None,
        timeout: float = 10.0,
        png: bool = False,
        rows: int = 32,
    ) -> None:
        scheme, _, address = url.partition("://")
        if not address or scheme not in ("http", "https", "grpc"):
            raise InputError(
                f"`url` should start with http://, https:// or grpc://. Received: {url!r}"
            )
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise InputError(f"`timeout` should be positive. Received: timeout={timeout!r}")
        if version is not None:
            label, version = None, check_count(version, "version")
        self._again = functools.partial(
            type(self),
            url,
            model=model,
            label=label,
            version=version,
            timeout=timeout,
            png=png,
            rows=rows,
        )
        self._rows = check_count(rows, "rows")
        self._png = png
        self._transport: Transport
        if scheme == "grpc":
            from wyner_serving.tf_serving.rpc import Rpc

            self._transport = Rpc(address, model, label, version, float(timeout))
        else:
            self._transport = Rest(url, model, label, version, float(timeout))
        self._sides: Mapping[str, Mapping[str, Any]] | None = None
        self._about: Mapping[str, Any] | None = None
        self._lock = threading.Lock()
        begins_anew(self)

    def __reduce__(self) -> tuple[Callable[[], Client], tuple[()]]:
        return self._again, ()

    def begin_anew(self) -> None:
        """In a forked process: a new lock, because a thread that did not come may hold the old."""
        self._lock = threading.Lock()

    def states(self) -> dict[int, str]:
        """State of every version that the server knows, such as "AVAILABLE".

        Raises:
            ServingError: if the server cannot be reached or does not know the model.
        """
        return self._transport.states()

    def predict(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Any signature, with its own inputs: the encoders and decoders, or noise of one's own.

        Args:
            signature: its name.
            inputs: arrays by name; `…_bytes` are arrays of `bytes` objects.

        Returns:
            Arrays by name.

        Raises:
            InputError: for a masked array or complex numbers; nothing was sent.
            ServingError: if the server cannot be reached or refuses.
        """
        for name, value in inputs.items():
            check_array(np.asanyarray(value), name, "an array")
        return self._transport.predict(signature, inputs)

    def _asked_sides(self) -> Mapping[str, Mapping[str, Any]]:
        outputs = self._transport.outputs()
        try:
            if "sides" in outputs:
                answer = self._transport.predict("sides", {"row": np.zeros(1, np.int32)})
                told = parse_json(answer["json"].tolist()[0])
                sides = {side: dict(told[side]) for side in OTHER}
                for side, entry in sides.items():
                    check_side_entry(side, entry, LOCALS.values())
                return sides
            # A model that was exported when there were images alone.
            shapes = outputs["generate_pairs_seeded"]
            return {side: {"kind": "image", "shape": shapes[side][1:]} for side in OTHER}
        except MALFORMED as error:
            raise ServingError(
                "The model should have the signature sides, or generate_pairs_seeded with outputs "
                f"x and y. Received: {sorted(outputs)}, {type(error).__name__}: {error!s:.300}"
            ) from error

    @property
    def side_entries(self) -> Mapping[str, Mapping[str, Any]]:
        """By side what its modality says of itself, as the server has it; asked once."""
        with self._lock:
            # No cached_property: before Python 3.12 it has a lock that a fork copies locked.
            if self._sides is None:
                self._sides = self._asked_sides()
            return self._sides

    def _about_model(self, name: str) -> Any:
        """What the server says of the model and its latents; asked once."""
        with self._lock:
            if self._about is None:
                try:
                    answer = self._transport.predict("about", {"row": np.zeros(1, np.int32)})
                    self._about = _about_of(parse_json(answer["json"].tolist()[0]))
                except MALFORMED as error:
                    raise ServingError(
                        "The signature about should tell of the model as JSON. "
                        f"Received: {type(error).__name__}: {error!s:.300}"
                    ) from error
            about = self._about
        if name not in about:
            raise ServingError(f"The signature about should tell {name}. Received: {list(about)}")
        return about[name]

    @property
    def latent_entries(self) -> Mapping[str, Mapping[str, Any] | None]:
        """By latent, "z" first, what it says of itself; None for one that the model lacks."""
        return self._about_model("latents")

    @property
    def identity(self) -> str:
        """Which model it is; that of the model that was exported."""
        return self._about_model("identity")

    @property
    def posterior_names(self) -> Sequence[str]:
        """Names of what `posteriors` gives, in its order."""
        return self._about_model("posterior_names")

    def posteriors(self, values: np.ndarray, side: str) -> list[np.ndarray]:
        """What tells q(z|x) of examples of a side, in the latent's order, each `(n, ...)`."""
        values, names = self._check(values, side, side), self.posterior_names
        width = self.latent_entries["z"]
        check_memory(side, {"rows": len(values)}, (len(names), width["size"] if width else 1))
        parts = []
        for start in range(0, len(values), self._rows):
            part = values[start : start + self._rows]
            answer = self.predict(f"posterior_{side}_z", **{side: part})
            found = {name: answer[name].shape[:1] for name in names if name in answer}
            if set(found) != set(names) or set(found.values()) != {(len(part),)}:
                raise ServingError(
                    f"posterior_{side}_z should answer with {len(part)} rows of {names}. "
                    f"Received: {found}"
                )
            parts.append([answer[name] for name in names])
            check_results(parts[-1], f"posterior_{side}_z")
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    def run_graph(self, name: str, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a signature, in any order: only `score_pairs`, of one output, is asked."""
        return list(self.predict(name, **inputs).values())

    def _send(self, task: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not self._png:
            return self.predict(f"{task}_seeded", **given)
        kinds = {side: entry["kind"] for side, entry in self.side_entries.items()}
        if set(kinds.values()) != {"image"}:
            raise InputError(f"`png` should be for images alone. Received: a model of {kinds}")
        encoded = {}
        for name, value in given.items():
            if value.ndim > 1:
                encoded[f"{name}_bytes"] = to_png(value)
            else:
                encoded[name] = value
        answers = self.predict(f"{task}_png", **encoded)
        return {name.removesuffix("_bytes"): from_png(png) for name, png in answers.items()}

    def _ask(
        self,
        task: str,
        sides: str,
        count: int,
        inputs: Callable[[slice], dict[str, np.ndarray]],
    ) -> list[np.ndarray]:
        """Examples of the sides, `(count, ...)` each, in requests of a few rows."""
        shapes = [self.example_shape(side) for side in sides]
        results = [np.empty((count, *shape), np.float32) for shape in shapes]
        for start in range(0, count, self._rows):
            part = slice(start, min(count, start + self._rows))
            answers = self._send(task, inputs(part))
            for side, shape, found in zip(sides, shapes, results, strict=True):
                answer, expected = answers.get(side), (part.stop - part.start, *shape)
                if answer is None or answer.shape != expected:
                    received = sorted(answers) if answer is None else answer.shape
                    raise ServingError(
                        f"{task} should answer with {side} of shape {expected}. "
                        f"Received: {received}"
                    )
                check_results([answer], task)
                found[part] = answer
        return results

    def _generate(self, given: np.ndarray, side: str, seed: int, samples: int | None) -> np.ndarray:
        repeats = 1 if samples is None else check_count(samples, "samples")
        given = self._check(given, side, side)
        other = OTHER[side]
        counts = {"inputs": len(given), "samples": repeats}
        check_memory("samples", counts, self.example_shape(other))
        count = len(given) * repeats
        seeds = row_seeds(seed, count)
        (results,) = self._ask(
            f"generate_{other}",
            other,
            count,
            lambda part: {
                side: given[np.arange(part.start, part.stop) // repeats],
                "seed": seeds[part],
            },
        )
        if samples is None:
            return results
        return results.reshape(len(given), repeats, *results.shape[1:])

    def generate_pairs(self, count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Joint generation: x and y `(count, ...)`; see `generate_y`."""
        count, seed = check_count(count, "count"), check_seed(seed)
        check_memory("count", {"pairs": count}, *(self.example_shape(side) for side in "xy"))
        seeds = row_seeds(seed, count)
        x, y = self._ask("generate_pairs", "xy", count, lambda part: {"seed": seeds[part]})
        return x, y

    def _transfer(self, style: np.ndarray, concept: np.ndarray, side: str, seed: int) -> np.ndarray:
        style = self._check(style, "style", side)
        concept = self._check(concept, "concept", OTHER[side])
        styles, concepts = len(style), len(concept)
        check_memory("style", {"styles": styles, "concepts": concepts}, self.example_shape(side))
        style_seeds, concept_seeds = row_seeds(seed, styles), row_seeds(seed, concepts)

        def inputs(part: slice) -> dict[str, np.ndarray]:
            row, column = np.divmod(np.arange(part.start, part.stop), concepts)
            return {
                "style": style[row],
                "concept": concept[column],
                "style_seed": style_seeds[row],
                "concept_seed": concept_seeds[column],
            }

        (results,) = self._ask(f"transfer_{side}", side, styles * concepts, inputs)
        return results.reshape(styles, concepts, *results.shape[1:])
