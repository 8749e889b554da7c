"""Do wrong pairs float to the top? Plant some, train on all, and rank by `evaluation.misfits`.

Run: python -m experiments.mispairs --letters FILE --out FILE.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.command import Command
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, write_json
from wyner_keras.received import received

if TYPE_CHECKING:
    from wyner_keras.data import LabelledImages, Pairs

_DESCRIPTION = """\
Letters across faces: x an upper-case letter, y a lower-case one of another face, paired by letter.
Some of the pairs get the partner of another letter. A model is trained on all of them, told
neither which are wrong nor the letters; then they are ranked by how ill they fit.

The area under the curve is the probability that a wrong pair comes before a right one.
"""
_FACES, _LETTERS, _HELD_OUT = 290, 26, 58


def plant(pairs: Pairs, share: float, seed: int = 0) -> tuple[Pairs, np.ndarray]:
    """Give some pairs the partner of another one; where labels are known, one of another label.

    Args:
        pairs: right ones.
        share: of them that become wrong.
        seed: of the draw.

    Returns:
        Pairs of the same stores without labels, and which are wrong, `(pairs,)`.

    Raises:
        ValueError: if no such exchange can be found, as where all labels are the same.
    """
    from wyner_keras.data import Pairs

    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(pairs))[: round(share * len(pairs))]
    rows = pairs.index[:, 1] if pairs.y_labels is None else pairs.y_labels
    partner = rng.permutation(chosen)
    for _ in range(1000):
        same = np.flatnonzero(rows[partner] == rows[chosen])
        if not len(same):
            break
        # Each that still fits changes places with any other.
        for place, other in zip(same, rng.integers(len(chosen), size=len(same)), strict=True):
            partner[[place, other]] = partner[[other, place]]
    else:
        raise ValueError(
            f"`pairs` should hold partners of other labels to exchange. Received: {received(pairs)}"
        )
    index, wrong = pairs.index.copy(), np.zeros(len(pairs), bool)
    index[chosen, 1], wrong[chosen] = pairs.index[partner, 1], True
    x, y = pairs.stores
    kinds = dict(zip(("x_modality", "y_modality"), pairs.modalities, strict=True))
    return Pairs(x, y, index, **kinds), wrong


def letters(path: str | Path) -> tuple[LabelledImages, LabelledImages]:
    """Upper-case and lower-case letters of the faces to train on.

    Args:
        path: `.npz` of `u` and `l`, `(7540, 28, 28)` bytes, face by face, and `y`, the letters.
    """
    from wyner_keras.data import LabelledImages

    face = np.repeat(np.arange(_FACES), _LETTERS)
    held_out = np.isin(face, np.random.default_rng(0).permutation(_FACES)[:_HELD_OUT])
    with np.load(path, allow_pickle=False) as arrays:
        upper, lower = (
            LabelledImages(arrays[name][~held_out, :, :, None], arrays["y"][~held_out])
            for name in ("u", "l")
        )
    return upper, lower


def ranked(model: Any, pairs: Pairs, wrong: np.ndarray, seed: int = 0) -> dict[str, float]:
    """How well scores rank wrong pairs first.

    Returns:
        Area under the curve of `misfits`, and of the negative pmi alone; the share of wrong pairs
        among as many first ones as there are; the share of pairs with a pmi below 0.
    """
    from sklearn.metrics import roc_auc_score

    from wyner_keras.evaluation import misfits

    found = misfits(model, pairs, seed=seed)
    return {
        "pairs": float(len(pairs)),
        "wrong": float(wrong.sum()),
        "area": float(roc_auc_score(wrong, found.scores)),
        "area_of_pmi": float(roc_auc_score(wrong, -found.pmi)),
        "wrong_among_first": float(wrong[found.order[: wrong.sum()]].mean()),
        "against": found.against,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; return the exit code, as `wyner_keras.cli.main` does."""
    command = Command("mispairs", _DESCRIPTION, _run)
    command.add_argument("--letters", required=True, metavar="FILE", help="letters.npz")
    command.add_argument("--out", required=True, metavar="FILE", help="JSON to write; must be new")
    command.add_argument(
        "--pairs", type=shared.positive, default=10_000, metavar="N", help="(default: 10000)"
    )
    command.add_argument(
        "--share", type=shared.share, default=0.05, help="of the pairs that is wrong (default: .05)"
    )
    command.add_argument("--budget", metavar="TIME", help="of the training, 4min say")
    shared.add_common(command, "of pairs, weights and noise (default: 0)")
    return command.main(arguments)


def _run(options: argparse.Namespace) -> Result:
    """Pair letters, plant wrong pairs, train and rank."""
    out, seed = refuse_existing(options.out), options.seed or 0
    import_tensorflow()
    import wyner_keras as wk

    upper, lower = letters(options.letters)
    right = wk.data.same_label(upper, lower, -(-options.pairs // _LETTERS), seed=seed)
    pairs, wrong = plant(right.take(options.pairs, seed=seed), options.share, seed)
    trained = wk.train(
        pairs, seed=seed, budget=options.budget, verbose=shared.verbosity(options.quiet)
    )
    found = ranked(trained.model, pairs, wrong, seed)
    found |= {"seed": float(seed), "seconds": sum(trained.seconds.values())}
    write_json(out, found)
    return Result(shared.lines({name: f"{value:.4g}" for name, value in found.items()}), found)


if __name__ == "__main__":
    sys.exit(main())
