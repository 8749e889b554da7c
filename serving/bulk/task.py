"""One task of a bundle on batches of rows: what `map_batches` of Ray Data takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wyner_serving.bundle import Bundle
from wyner_serving.checks import check_array, check_count, check_seed
from wyner_serving.errors import InputError
from wyner_serving.gallery import Gallery
from wyner_serving.noise import RowNoise
from wyner_serving.rows import check_rows
from wyner_serving.sides import OTHER
from wyner_serving.tasks import run_checked

TASKS = (
    *("generate_y", "generate_x", "generate_pairs", "transfer_x", "transfer_y"),
    *("encode_x", "encode_y", "rank_y", "rank_x"),
)
ROW = "row"
"""The name of the column of row numbers."""

# Rows of every pass of a graph. Engines round the last rows of a batch otherwise where their
# vectors are not full; with 32 rows they always are, and a row has the place that its number says.
_PASS = 32
Arrays = dict[str, np.ndarray]


class BulkTask:
    """A task on batches of numbered rows; the results of a row depend on its number, not on others.

    Which rows come together, in which order, and in which process changes no bit. One thread
    computes, so that processes can share a machine. Consecutive rows go fastest: 32 that begin at a
    multiple of 32 are one pass.

    Args:
        bundle: its folder.
        task: one of `TASKS`: `generate_y` and `generate_x`, from the other side; `generate_pairs`,
            from the priors; `transfer_x` and `transfer_y`, each row's style with its concept;
            `encode_x` and `encode_y`; `rank_y` (queries are x) and `rank_x`, in a gallery.
        seed: of the noise, of which each row has its own.
        gallery: file of `Gallery.save`, for ranking alone.
        top: how many rows of the gallery for each query.

    Raises:
        InputError: if an argument is not as said.
        BundleError: if the folder is no whole bundle.

    Example:
        >>> work = BulkTask("bundle", "generate_y", seed=0)  # doctest: +SKIP
        >>> work({"row": np.arange(len(x)), "x": x})["y"]  # doctest: +SKIP
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        task: str,
        *,
        seed: int = 0,
        gallery: str | os.PathLike[str] | None = None,
        top: int = 10,
    ) -> None:
        if task not in TASKS:
            raise InputError(f"`task` should be one of {', '.join(TASKS)}. Received: {task!r}")
        self._verb, self._of = task.split("_")
        self.bundle = Bundle.load(bundle, threads=1, batch_size=_PASS)
        self._noise = RowNoise(check_seed(seed), self.bundle.latent_entries)
        self.inputs = self._inputs()
        self._top = check_count(top, "top")
        if (gallery is not None) != (self._verb == "rank"):
            given = "none" if gallery is None else f"one for {task}"
            raise InputError(f"`gallery` should be given for rank_y and rank_x. Received: {given}")
        self._gallery: Any = None
        self._threads: Any = None
        if gallery is not None:
            self._gallery = Gallery.load(gallery)
            self.bundle.check_gallery(self._gallery, self._of)
            self._threads = _blas()
        passes: dict[str, Callable[[Arrays, np.ndarray], Arrays]] = {
            "generate": self._pairs if self._of == "pairs" else self._generate,
            "transfer": self._transfer,
            "encode": self._encode,
            "rank": self._rank,
        }
        self._pass = passes[self._verb]

    def _inputs(self) -> dict[str, str]:
        """By column that is read, the side that it is of."""
        if self._of == "pairs":
            return {}
        if self._verb == "transfer":
            return {"style": self._of, "concept": OTHER[self._of]}
        given = self._of if self._verb == "encode" else OTHER[self._of]
        return {given: given}

    @property
    def made(self) -> tuple[str, ...]:
        """The sides that it makes examples of; none where latents or rows are found."""
        if self._of == "pairs":
            return tuple(self.bundle.side_entries)
        return (self._of,) if self._verb in ("generate", "transfer") else ()

    def __call__(self, batch: Mapping[str, np.ndarray]) -> Arrays:
        """The results of some rows.

        Args:
            batch: `row`, integers `(n,)`, none twice; and the examples `(n, ...)` of each of
                `inputs`, see `Bundle.generate_y`.

        Returns:
            `row` as it came, and of each row: the examples made, by side; or `z`, the local latent
            and what tells q(z|x), as `z_` and its name; or `rows` and `nats`, the best first.

        Raises:
            InputError: if a column is absent or not as said, or a result is not finite.
        """
        missing = [name for name in (ROW, *self.inputs) if name not in batch]
        if missing:
            raise InputError(
                f"A batch should have {', '.join((ROW, *self.inputs))}. Received: {list(batch)}"
            )
        rows = _numbers(batch[ROW])
        given = {
            name: check_rows(batch[name], name, self.bundle.side_entries[side])
            for name, side in self.inputs.items()
        }
        for name, values in given.items():
            if len(values) != len(rows):
                raise InputError(f"`{name}` should have {len(rows)} rows. Received: {len(values)}")
        order = np.argsort(rows)
        starts = np.flatnonzero(np.diff(rows[order] // _PASS)) + 1
        parts = [
            self._part(rows[some], {name: values[some] for name, values in given.items()})
            for some in np.split(order, starts)
        ]
        back = np.argsort(order)
        found = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
        return {ROW: batch[ROW], **found}

    def _part(self, rows: np.ndarray, given: Arrays) -> Arrays:
        """The results of rows of one pass; the places of others are filled with the first."""
        first, places = rows[0] // _PASS * _PASS, rows % _PASS
        full = {}
        for name, values in given.items():
            full[name] = np.repeat(values[:1], _PASS, axis=0)
            full[name][places] = values
        made = self._pass(full, first + np.arange(_PASS))
        return {name: values[places] for name, values in made.items()}

    def _run(self, graph: str, inputs: Mapping[str, np.ndarray | None]) -> list[np.ndarray]:
        return run_checked(self.bundle, graph, inputs)

    def _local(self, side: str) -> str:
        return self.bundle.side_entries[side]["local"]

    def _draws(self, rows: np.ndarray, *latents: str) -> dict[str, np.ndarray | None]:
        return {f"noise_{name}": self._noise.draw(name, rows) for name in latents}

    def _generate(self, given: Arrays, rows: np.ndarray) -> Arrays:
        noise = self._draws(rows, "z", self._local(self._of))
        (made,) = self._run(f"generate_{self._of}", {**given, **noise})
        return {self._of: made}

    def _pairs(self, _: Arrays, rows: np.ndarray) -> Arrays:
        made = self._run("generate_pairs", self._draws(rows, *self.bundle.latent_entries))
        return dict(zip(self.bundle.side_entries, made, strict=True))

    def _transfer(self, given: Arrays, rows: np.ndarray) -> Arrays:
        """By the parts of the graph, which gives every style with every concept."""
        side, other, local = self._of, OTHER[self._of], self._local(self._of)
        noise = self._draws(rows, "z", local)
        (z,) = self._run(
            f"encode_{other}_z", {other: given["concept"], "noise_z": noise.pop("noise_z")}
        )
        locals_: Arrays = {}
        if self.bundle.latent_entries[local] is not None:
            style = {side: given["style"]}
            # Another draw than the concept's.
            noise_z = self._noise.draw("z", rows, draw=1)
            (own,) = self._run(f"encode_{side}_z", {**style, "noise_z": noise_z})
            (locals_[local],) = self._run(f"encode_{side}_{local}", {**style, "z": own, **noise})
        (made,) = self._run(f"decode_{side}", {"z": z, **locals_})
        return {side: made}

    def _encode(self, given: Arrays, rows: np.ndarray) -> Arrays:
        side, local = self._of, self._local(self._of)
        noise = self._draws(rows, "z", local)
        (z,) = self._run(f"encode_{side}_z", {**given, "noise_z": noise.pop("noise_z")})
        found = {"z": z}
        if self.bundle.latent_entries[local] is not None:
            (found[local],) = self._run(f"encode_{side}_{local}", {**given, "z": z, **noise})
        told = self._run(f"posterior_{side}_z", given)
        names = [f"z_{name}" for name in self.bundle.posterior_names]
        return found | dict(zip(names, told, strict=True))

    def _rank(self, given: Arrays, _: np.ndarray) -> Arrays:
        ((side, values),) = given.items()
        told = self.bundle.posteriors(values, side)
        with self._threads.limit(limits=1):
            # Queries at once would round by one another.
            ranked = [
                self.bundle.rank_posteriors(
                    [each[place : place + 1] for each in told], self._gallery, self._top
                )
                for place in range(_PASS)
            ]
        return {
            "rows": np.concatenate([each.rows for each in ranked]),
            "nats": np.concatenate([each.nats for each in ranked]),
        }


def _numbers(values: Any) -> np.ndarray:
    """Row numbers as int64."""
    rows = check_array(values, ROW, "integers (n,)")
    right = rows.ndim == 1 and rows.dtype.kind in "iu" and len(rows) > 0
    if not right or rows.min() < 0 or rows.max() >= 2**62:
        raise InputError(
            f"`{ROW}` should be integers (n,), n > 0, of 0 or more. "
            f"Received: shape {rows.shape}, dtype {rows.dtype}"
        )
    rows = rows.astype(np.int64, copy=False)
    if len(np.unique(rows)) < len(rows):
        raise InputError(f"`{ROW}` should have each number once. Received: some twice")
    return rows


def _blas() -> Any:
    """What holds NumPy's matrix products to one thread: several may add in another order."""
    try:
        import threadpoolctl
    except ImportError as error:
        raise InputError(
            "Ranking in bulk should have threadpoolctl: pip install 'wyner-keras[bulk]'. "
            "Received: no threadpoolctl"
        ) from error
    return threadpoolctl.ThreadpoolController().select(user_api="blas")
