"""A bundle opened: the names and results of `wyner_keras.WynerModel`, through onnxruntime."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wyner_serving.checks import check_count, check_images, check_latent, check_memory, check_seed
from wyner_serving.errors import InputError
from wyner_serving.manifest import read_file, read_sealed
from wyner_serving.noise import NoiseStreams
from wyner_serving.sessions import Sessions

_OTHER = {"x": "y", "y": "x"}
_LOCAL = {"x": "u", "y": "v"}


class Encoded(NamedTuple):
    """Samples of the posterior of one side.

    Args:
        z: common latent `(n, size)`.
        local: u of x, v of y, `(n, size)`; None where the model has none.
    """

    z: np.ndarray
    local: np.ndarray | None


class Bundle:
    """A W-model ready for use; made by `Bundle.load`.

    All methods are safe in threads and in forked processes. Pickled, it travels as its absolute
    path and the SHA-256 of its manifest, and opens again where it is unpickled; so does a copy.

    Args:
        folder: of the bundle.
        threads: of one call.
        batch_size: rows in one pass of a graph; it bounds memory and changes no result.
        seal: SHA-256 that the manifest should have; None takes any.

    Raises:
        BundleError: if the folder is no whole bundle of this format and seal.
    """

    def __init__(
        self, folder: Path, threads: int, batch_size: int, seal: str | None = None
    ) -> None:
        self._manifest, self._seal = read_sealed(folder, seal)
        for graph in self._manifest["graphs"].values():
            read_file(folder, self._manifest, graph["file"])
        # Of use after the process changed its folder, too.
        self._folder = folder.absolute()
        self._threads = threads
        self._batch_size = batch_size
        self._sessions = Sessions(self._folder, self._manifest, threads)

    def __reduce__(self) -> tuple[Callable[..., Bundle], tuple[str, int, int, str]]:
        settings = (self._threads, self._batch_size, self._seal)
        return type(self)._reopened, (str(self._folder), *settings)

    @classmethod
    def _reopened(cls, folder: str, threads: int, batch_size: int, seal: str) -> Bundle:
        """The bundle that was pickled."""
        return cls(Path(folder), threads, batch_size, seal)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, threads: int | None = None, batch_size: int = 32
    ) -> Bundle:
        """Open a bundle; every ONNX file is checked against its digest.

        Args:
            path: of the bundle's folder.
            threads: of one call; default the processors, at most 4.
            batch_size: rows in one pass of a graph.

        Returns:
            The bundle.

        Raises:
            BundleError: if the folder is no whole bundle of this format.
            InputError: if threads or batch_size is not a positive integer.
        """
        threads = (
            min(4, os.cpu_count() or 1) if threads is None else check_count(threads, "threads")
        )
        return cls(Path(path), threads, check_count(batch_size, "batch_size"))

    @property
    def manifest(self) -> dict[str, Any]:
        """What the bundle says of itself."""
        return self._manifest

    def image_shape(self, side: str) -> tuple[int, ...]:
        """`(h, w, c)` of side "x" or "y"."""
        return tuple(self._manifest["images"][side])

    def _run(self, name: str, **inputs: np.ndarray | None) -> list[np.ndarray]:
        given = {key: value for key, value in inputs.items() if value is not None}
        return self._sessions.run(name, given)

    def _chunks(self, count: int) -> Iterator[slice]:
        for start in range(0, count, self._batch_size):
            yield slice(start, min(count, start + self._batch_size))

    def _noise(self, seed: int) -> NoiseStreams:
        return NoiseStreams(check_seed(seed), self._manifest["latents"])

    def _conditional(
        self, given: np.ndarray, side: str, seed: int, samples: int | None
    ) -> np.ndarray:
        noise, other = self._noise(seed), _OTHER[side]
        repeats = 1 if samples is None else check_count(samples, "samples")
        given = check_images(given, side, self.image_shape(side))
        shape, local = self.image_shape(other), _LOCAL[other]
        check_memory("samples", {"inputs": len(given), "samples": repeats}, shape)
        images = np.empty((len(given) * repeats, *shape), np.float32)
        for part in self._chunks(len(images)):
            count = part.stop - part.start
            (images[part],) = self._run(
                f"generate_{other}",
                **{side: given[np.arange(part.start, part.stop) // repeats]},
                noise_z=noise.draw("z", count),
                **{f"noise_{local}": noise.draw(local, count)},
            )
        if samples is None:
            return images
        return images.reshape(len(given), repeats, *shape)

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Conditional generation x → y.

        Args:
            x: images `(n, h, w, c)`, floating-point in [0, 1] or uint8 in 0–255.
            seed: of the noise; the same seed gives the same images, here and in Keras.
            samples: how many for each x; None gives one, without the samples axis.

        Returns:
            Images in [0, 1], float32, `(n, h, w, c)` or `(n, samples, h, w, c)`.

        Raises:
            InputError: if an argument is not as said, or the result cannot fit in memory.
        """
        return self._conditional(x, "x", seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Conditional generation y → x; see `generate_y`."""
        return self._conditional(y, "y", seed, samples)

    def generate_pairs(self, count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Joint generation.

        Args:
            count: number of pairs.
            seed: of the noise.

        Returns:
            x and y, images in [0, 1], float32, `(count, h, w, c)` each.

        Raises:
            InputError: if count or seed is not as said, or the result cannot fit in memory.
        """
        count, noise = check_count(count, "count"), self._noise(seed)
        shapes = [self.image_shape(side) for side in "xy"]
        check_memory("count", {"pairs": count}, *shapes)
        x, y = (np.empty((count, *shape), np.float32) for shape in shapes)
        for part in self._chunks(count):
            rows = part.stop - part.start
            draws = {f"noise_{latent}": noise.draw(latent, rows) for latent in "zuv"}
            x[part], y[part] = self._run("generate_pairs", **draws)
        return x, y

    def _transfer(self, style: np.ndarray, concept: np.ndarray, side: str, seed: int) -> np.ndarray:
        noise, other = self._noise(seed), _OTHER[side]
        style = check_images(style, "style", self.image_shape(side))
        concept = check_images(concept, "concept", self.image_shape(other))
        counts = {"styles": len(style), "concepts": len(concept)}
        check_memory("style", counts, self.image_shape(side))
        noise_concept = noise.draw("z", len(concept))
        assert noise_concept is not None
        images = np.empty((*counts.values(), *self.image_shape(side)), np.float32)
        local = _LOCAL[side]
        columns = list(self._chunks(len(concept)))
        step = max(1, self._batch_size // len(concept))
        for start in range(0, len(style), step):
            rows = slice(start, min(len(style), start + step))
            count = rows.stop - rows.start
            noise_style, noise_local = noise.draw("z", count), noise.draw(local, count)
            for part in columns:
                (images[rows, part],) = self._run(
                    f"transfer_{side}",
                    style=style[rows],
                    concept=concept[part],
                    noise_concept_z=noise_concept[part],
                    noise_style_z=noise_style,
                    **{f"noise_{local}": noise_local},
                )
        return images

    def transfer_x(self, *, style: np.ndarray, concept: np.ndarray, seed: int) -> np.ndarray:
        """Style transfer: x images in the styles of x images with the concepts of y images.

        Args:
            style: x images `(styles, h, w, c)`, floating-point in [0, 1] or uint8.
            concept: y images `(concepts, h, w, c)`, likewise.
            seed: of the noise.

        Returns:
            x images in [0, 1], float32, `(styles, concepts, h, w, c)`.

        Raises:
            InputError: if an argument is not as said, or the result cannot fit in memory.
        """
        return self._transfer(style, concept, "x", seed)

    def transfer_y(self, *, style: np.ndarray, concept: np.ndarray, seed: int) -> np.ndarray:
        """Style transfer to y: styles from y images, concepts from x images; see `transfer_x`."""
        return self._transfer(style, concept, "y", seed)

    def _encode(self, images: np.ndarray, side: str, seed: int) -> Encoded:
        noise, local = self._noise(seed), _LOCAL[side]
        images = check_images(images, side, self.image_shape(side))
        found: list[tuple[np.ndarray, np.ndarray | None]] = []
        for part in self._chunks(len(images)):
            batch, count = images[part], part.stop - part.start
            (z,) = self._run(f"encode_{side}_z", **{side: batch}, noise_z=noise.draw("z", count))
            draw, value = noise.draw(local, count), None
            if draw is not None:
                given = {side: batch, "z": z, f"noise_{local}": draw}
                (value,) = self._run(f"encode_{side}_{local}", **given)
            found.append((z, value))
        z = np.concatenate([pair[0] for pair in found])
        locals_ = [pair[1] for pair in found if pair[1] is not None]
        return Encoded(z, np.concatenate(locals_) if locals_ else None)

    def encode_x(self, x: np.ndarray, *, seed: int = 0) -> Encoded:
        """Samples z ~ q(z|x) and u ~ q(u|x,z) of images x; see `generate_y` for arguments."""
        return self._encode(x, "x", seed)

    def encode_y(self, y: np.ndarray, *, seed: int = 0) -> Encoded:
        """Samples z ~ q(z|y) and v ~ q(v|y,z) of images y; see `generate_y` for arguments."""
        return self._encode(y, "y", seed)

    def _decode(self, z: np.ndarray, local: np.ndarray | None, side: str) -> np.ndarray:
        latents, name = self._manifest["latents"], _LOCAL[side]
        z = check_latent(z, "z", latents["z"]["size"])
        if latents[name] is None:
            if local is not None:
                raise InputError(f"`{name}` should be None: the model has none. Received: an array")
        else:
            local = check_latent(local, name, latents[name]["size"], len(z))
        check_memory("z", {"rows": len(z)}, self.image_shape(side))
        images = np.empty((len(z), *self.image_shape(side)), np.float32)
        for part in self._chunks(len(z)):
            given = {"z": z[part], name: None if local is None else local[part]}
            (images[part],) = self._run(f"decode_{side}", **given)
        return images

    def decode_x(self, z: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
        """Images x_θ(u, z) `(n, h, w, c)` of z `(n, size)` and u `(n, size)`.

        Raises:
            InputError: if a latent has another shape or is not finite.
        """
        return self._decode(z, u, "x")

    def decode_y(self, z: np.ndarray, v: np.ndarray | None = None) -> np.ndarray:
        """Images y_θ(v, z); see `decode_x`."""
        return self._decode(z, v, "y")
