"""The tasks of a W-model behind TensorFlow Serving, under the names that `Bundle` has."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from wyner_serving.checks import (
    check_array,
    check_count,
    check_images,
    check_memory,
    check_seed,
)
from wyner_serving.errors import InputError, ServingError
from wyner_serving.forks import begins_anew
from wyner_serving.tf_serving.png import from_png, to_png
from wyner_serving.tf_serving.rest import Rest

_OTHER = {"x": "y", "y": "x"}


class Transport(Protocol):
    """A way to reach a model on a server."""

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of a signature by name; bytes are arrays of objects."""

    def outputs(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Shapes of all outputs, -1 where a size is free, by signature and name."""

    def states(self) -> dict[int, str]:
        """State of every version that the server knows, such as "AVAILABLE"."""


def row_seeds(seed: int, count: int) -> np.ndarray:
    """A seed for each row, int32 `(count,)`; more rows leave the first ones as they are."""
    drawn = np.random.SeedSequence(check_seed(seed)).generate_state(count)
    return (drawn >> 1).astype(np.int32)


class Client:
    """A model on a server; safe in threads, and in forked processes by REST.

    Pickled or copied, it travels as its arguments: every process has connections of its own.

    One seed gives one answer, whatever the number of rows in a request and whoever else asks. It
    is not the answer that `Bundle` gives: the server draws its own noise.

    Args:
        url: `http://host:8501` or `https://…` for REST, `grpc://host:8500` for gRPC, which needs
            `pip install 'wyner-keras[export]'`.
        model: its name on the server.
        label: of the version, such as "stable" or "canary"; None with no version takes the newest.
        version: its number, in place of a label.
        timeout: seconds for one request.
        png: images travel as PNG: smaller requests, and answers in 256 grey levels.
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
        self._shapes: dict[str, tuple[int, ...]] | None = None
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

    def _asked_shapes(self) -> dict[str, tuple[int, ...]]:
        outputs = self._transport.outputs()
        try:
            return {side: outputs["generate_pairs_seeded"][side][1:] for side in "xy"}
        except KeyError as error:
            raise ServingError(
                "The model should have the signature generate_pairs_seeded with outputs x and y. "
                f"Received: {sorted(outputs)}"
            ) from error

    def image_shape(self, side: str) -> tuple[int, ...]:
        """`(h, w, c)` of side "x" or "y", as the server says."""
        with self._lock:
            # No cached_property: before Python 3.12 it has a lock that a fork copies locked.
            if self._shapes is None:
                self._shapes = self._asked_shapes()
            return self._shapes[side]

    def _send(self, task: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not self._png:
            return self.predict(f"{task}_seeded", **given)
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
        """Images of the sides, `(count, h, w, c)` each, in requests of a few rows."""
        shapes = [self.image_shape(side) for side in sides]
        images = [np.empty((count, *shape), np.float32) for shape in shapes]
        for start in range(0, count, self._rows):
            part = slice(start, min(count, start + self._rows))
            answers = self._send(task, inputs(part))
            for side, shape, found in zip(sides, shapes, images, strict=True):
                answer, expected = answers.get(side), (part.stop - part.start, *shape)
                if answer is None or answer.shape != expected:
                    received = sorted(answers) if answer is None else answer.shape
                    raise ServingError(
                        f"{task} should answer with {side} of shape {expected}. "
                        f"Received: {received}"
                    )
                found[part] = answer
        return images

    def _conditional(
        self, given: np.ndarray, side: str, seed: int, samples: int | None
    ) -> np.ndarray:
        repeats = 1 if samples is None else check_count(samples, "samples")
        given = check_images(given, side, self.image_shape(side))
        other = _OTHER[side]
        counts = {"inputs": len(given), "samples": repeats}
        check_memory("samples", counts, self.image_shape(other))
        count = len(given) * repeats
        seeds = row_seeds(seed, count)
        (images,) = self._ask(
            f"generate_{other}",
            other,
            count,
            lambda part: {
                side: given[np.arange(part.start, part.stop) // repeats],
                "seed": seeds[part],
            },
        )
        if samples is None:
            return images
        return images.reshape(len(given), repeats, *images.shape[1:])

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Conditional generation x → y.

        Args:
            x: images `(n, h, w, c)`, floating-point in [0, 1] or uint8 in 0–255.
            seed: of the noise.
            samples: how many for each x; None gives one, without the samples axis.

        Returns:
            Images in [0, 1], float32, `(n, h, w, c)` or `(n, samples, h, w, c)`.

        Raises:
            InputError: if an argument is not as said; nothing was sent.
            ServingError: if the server cannot be reached, refuses or answers something else.
        """
        return self._conditional(x, "x", seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Conditional generation y → x; see `generate_y`."""
        return self._conditional(y, "y", seed, samples)

    def generate_pairs(self, count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Joint generation: x and y `(count, h, w, c)`; see `generate_y`."""
        count, seed = check_count(count, "count"), check_seed(seed)
        check_memory("count", {"pairs": count}, *(self.image_shape(side) for side in "xy"))
        seeds = row_seeds(seed, count)
        x, y = self._ask("generate_pairs", "xy", count, lambda part: {"seed": seeds[part]})
        return x, y

    def _transfer(self, style: np.ndarray, concept: np.ndarray, side: str, seed: int) -> np.ndarray:
        style = check_images(style, "style", self.image_shape(side))
        concept = check_images(concept, "concept", self.image_shape(_OTHER[side]))
        styles, concepts = len(style), len(concept)
        check_memory("style", {"styles": styles, "concepts": concepts}, self.image_shape(side))
        style_seeds, concept_seeds = row_seeds(seed, styles), row_seeds(seed, concepts)

        def inputs(part: slice) -> dict[str, np.ndarray]:
            row, column = np.divmod(np.arange(part.start, part.stop), concepts)
            return {
                "style": style[row],
                "concept": concept[column],
                "style_seed": style_seeds[row],
                "concept_seed": concept_seeds[column],
            }

        (images,) = self._ask(f"transfer_{side}", side, styles * concepts, inputs)
        return images.reshape(styles, concepts, *images.shape[1:])

    def transfer_x(self, *, style: np.ndarray, concept: np.ndarray, seed: int) -> np.ndarray:
        """Style transfer: x images in the styles of x images with the concepts of y images.

        Args:
            style: x images `(styles, h, w, c)`, floating-point in [0, 1] or uint8.
            concept: y images `(concepts, h, w, c)`, likewise.
            seed: of the noise: one draw a style, and one a concept.

        Returns:
            x images in [0, 1], float32, `(styles, concepts, h, w, c)`.

        Raises:
            InputError: if an argument is not as said; nothing was sent.
            ServingError: if the server cannot be reached, refuses or answers something else.
        """
        return self._transfer(style, concept, "x", seed)

    def transfer_y(self, *, style: np.ndarray, concept: np.ndarray, seed: int) -> np.ndarray:
        """Style transfer to y: styles from y images, concepts from x images; see `transfer_x`."""
        return self._transfer(style, concept, "y", seed)
