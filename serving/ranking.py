"""Finding partners: rows of one side in the order of what they and a row of the other share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from wyner_serving.checks import check_count, check_memory
from wyner_serving.errors import InputError
from wyner_serving.gallery import Gallery
from wyner_serving.pmi import best

_ROWS = 1000  # rows of a gallery that a graph scores at once


class Ranked(NamedTuple):
    """The rows of a gallery for each query, the best first.

    Args:
        rows: positions in the gallery, int64 `(queries, k)`.
        nats: pointwise mutual information of query and row, float32 `(queries, k)`; above 0 where
            the two are likelier together than apart.
    """

    rows: np.ndarray
    nats: np.ndarray


class Ranking:
    """Ranking, over what an engine says of each row's posterior.

    An engine offers the properties and methods that raise NotImplementedError here.
    """

    @property
    def side_entries(self) -> Mapping[str, Mapping[str, Any]]:
        """By side what its modality says of itself, and `local`, its local latent's name."""
        raise NotImplementedError

    @property
    def latent_entries(self) -> Mapping[str, Mapping[str, Any] | None]:
        """By latent, "z" first, what it says of itself; None for one that the model lacks."""
        raise NotImplementedError

    @property
    def identity(self) -> str:
        """Which model it is: the same text where q(z|x) and q(z|y) are the same."""
        raise NotImplementedError

    def posteriors(self, values: np.ndarray, side: str) -> list[np.ndarray]:
        """What tells q(z|x) of examples of a side, in the latent's order, each `(n, ...)`.

        Raises:
            InputError: if the examples are not as the model's of that side, or what tells q(z|x)
                of them is not finite.
        """
        raise NotImplementedError

    @property
    def posterior_names(self) -> Sequence[str]:
        """Names of what `posteriors` gives, in its order."""
        raise NotImplementedError

    def run_graph(self, name: str, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph, in their order."""
        raise NotImplementedError

    def _told(self, values: np.ndarray, side: str) -> list[np.ndarray]:
        return [np.asarray(each, np.float32) for each in self.posteriors(values, side)]

    def _gallery(self, values: np.ndarray, side: str) -> Gallery:
        latent: Any = self.latent_entries["z"]
        return Gallery(side, self._told(values, side), latent, self.identity)

    def gallery_y(self, y: np.ndarray) -> Gallery:
        """Examples of y encoded once, to be ranked for any number of x.

        Args:
            y: examples `(n, ...)`; see `generate_y`.

        Returns:
            The gallery; it can be saved, and serves this model, in Keras and in a bundle.

        Raises:
            InputError: if the examples are not as said.
        """
        return self._gallery(y, "y")

    def gallery_x(self, x: np.ndarray) -> Gallery:
        """Examples of x encoded once, to be ranked for any number of y; see `gallery_y`."""
        return self._gallery(x, "x")

    def rank(self, x: np.ndarray, gallery: Gallery | np.ndarray, *, k: int | None = 10) -> Ranked:
        """The rows of y that go best with each x: those of the highest pmi, exactly.

        The pmi is log ∫ q(z|x) q(z|y) / p(z) dz, which is log p(x,y) / p(x) p(y) where x and y
        share nothing but z.

        Args:
            x: examples of x, `(queries, ...)`; see `generate_y`. Of y, if the gallery is of x.
            gallery: of `gallery_y`, or of `gallery_x`; or examples of y, encoded in each call.
            k: how many rows at most; None for all.

        Returns:
            Rows and nats, the best row first; of equal ones the first in the gallery.

        Raises:
            InputError: if an argument is not as said, or the gallery is of another model.
            BundleError: if a bundle lacks a graph that ranking needs.

        Example:
            >>> rows, nats = bundle.rank(x, bundle.gallery_y(y), k=5)  # doctest: +SKIP
        """
        side = gallery.side if isinstance(gallery, Gallery) else "y"
        return self._rank(x, gallery, side, k)

    def rank_y(self, x: np.ndarray, gallery: Gallery | np.ndarray, *, k: int | None = 10) -> Ranked:
        """As `rank`; a gallery of x is refused."""
        return self._rank(x, gallery, "y", k)

    def rank_x(self, y: np.ndarray, gallery: Gallery | np.ndarray, *, k: int | None = 10) -> Ranked:
        """The rows of x that go best with each y; see `rank`."""
        return self._rank(y, gallery, "x", k)

    def log_pmi(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Pointwise mutual information of every x with every y, nats, float32 `(n, m)`.

        Args:
            x: examples `(n, ...)`; see `generate_y`.
            y: examples `(m, ...)`.

        Raises:
            InputError: if an argument is not as said, or the result cannot fit in memory.
            BundleError: if a bundle lacks a graph that this needs.
        """
        check_memory("x", {"rows of x": _count(x), "rows of y": _count(y)}, (2,))
        gallery, queries = self.gallery_y(y), self._told(x, "x")
        return np.concatenate(list(self._nats(queries, gallery)))

    def _rank(
        self, given: np.ndarray, gallery: Gallery | np.ndarray, side: str, k: int | None
    ) -> Ranked:
        k = None if k is None else check_count(k, "k")
        most = _count(gallery) if k is None else min(k, _count(gallery))
        # Of three numbers' size: positions are twice as wide as nats.
        check_memory("k", {"queries": _count(given), "rows": most}, (3,))
        if not isinstance(gallery, Gallery):
            gallery = self._gallery(gallery, side)
        self.check_gallery(gallery, side)
        (query,) = (name for name in self.side_entries if name != side)
        return self.rank_posteriors(
            self._told(given, query), gallery, len(gallery) if k is None else k
        )

    def rank_posteriors(self, queries: Sequence[np.ndarray], gallery: Gallery, k: int) -> Ranked:
        """The k rows of a gallery of this model that go best with queries encoded before.

        Args:
            queries: what `posteriors` gives of them.
            gallery: of the other side.
            k: how many rows at most.
        """
        k = min(k, len(gallery))
        rows = np.empty((len(queries[0]), k), np.int64)
        nats = np.empty((len(queries[0]), k), np.float32)
        place = 0
        for some in self._nats(queries, gallery):
            for scores in some:
                rows[place] = best(scores, k)
                nats[place] = scores[rows[place]]
                place += 1
        return Ranked(rows, nats)

    def check_gallery(self, gallery: Gallery, side: str) -> None:
        """Refuse a gallery of another side or model.

        Raises:
            InputError: if it is one.
        """
        if gallery.side != side:
            raise InputError(
                f"`gallery` should be of {side}. Received: a gallery of {gallery.side}"
            )
        if gallery.model != self.identity:
            raise InputError(
                f"`gallery` should be of this model, {self.identity[:12]}: encode its rows again "
                f"by gallery_{side}. Received: a gallery of model {gallery.model[:12]}"
            )

    def _nats(self, queries: Sequence[np.ndarray], gallery: Gallery) -> Iterator[np.ndarray]:
        """Nats `(some queries, rows)` of queries with every row, in order."""
        blocks = gallery.blocks
        for nats in self._by_graph(queries, gallery) if blocks is None else blocks.nats(queries):
            if np.isnan(nats).any():
                raise InputError(
                    "The pmi should be a number. Received: NaN, of posteriors wider than p(z)"
                )
            yield nats

    def _by_graph(self, queries: Sequence[np.ndarray], gallery: Gallery) -> Iterator[np.ndarray]:
        """By the model's own graph: of a latent whose pmi has no form that is known here."""
        names = list(self.side_entries)
        for place in range(len(queries[0])):
            query = [each[place : place + 1] for each in queries]
            found = []
            for start in range(0, len(gallery), _ROWS):
                rows = [each[start : start + _ROWS] for each in gallery.outputs]
                told = {name: rows if name == gallery.side else query for name in names}
                inputs = {
                    f"{name}_{output}": values
                    for name in names
                    for output, values in zip(self.posterior_names, told[name], strict=True)
                }
                (nats,) = self.run_graph("score_pairs", inputs)
                found.append(nats.reshape(1, -1))
            yield np.concatenate(found, axis=1)


def _count(values: Any) -> int:
    """Rows, as far as can be told before they are checked."""
    if isinstance(values, Gallery):
        return len(values)
    return len(values) if isinstance(values, np.ndarray) and values.ndim else 0
