"""Report pages of tiny models, for tests: `python tests/tools/tiny_report.py FOLDER`."""

import pathlib
import sys
from unittest import mock

import numpy as np
import tiny_bundle

import wyner_keras as wk
from wyner_keras.evaluation import Figure, Misfits, Report
from wyner_keras.reporting import page

NATS = {"i_xy_z": 1.0, "i_x_u_lower": 0.1, "i_x_u_upper": 2.0, "h_label": 0.69, "i_label_z": 0.6}


def models():
    """Images, series and columns; kinds and quantities; with and without private parts."""
    gaussian, categorical = wk.DiagonalGaussian(dim=3), wk.Categorical(n=2, k=3)
    return {
        "images": tiny_bundle.tiny_model((6, 6, 1), (5, 4, 3), flow_steps=0),
        "columns": tiny_bundle.tiny_model("vector", "series", z=gaussian, v=False, flow_steps=0),
        "mixed": tiny_bundle.tiny_model(
            "series", "vector", z=categorical, u=categorical, flow_steps=0
        ),
    }


def known(model, count=30):
    """Pairs of a tiny model, and a report and nats on them that need no judging."""
    rows = tiny_bundle.tiny_rows(model, count)
    labels = np.array(["<b>a</b>", "b"])[np.arange(count) % 2]
    kinds = {f"{side.name}_modality": side.modality for side in model.sides}
    pairs = wk.Pairs(rows["x"], rows["y"], x_labels=labels, y_labels=labels, **kinds)
    figures = {"partner_nats": Figure(1.5, 3.4), "recall_y": Figure(0.2, 0.9)}
    return pairs, Report(figures=figures, counts={}, seed=0, left_out={"frechet_x": "more"})


def fits(model, pairs, *, seed):
    """Whatever the pairs, their own partners are found but for one's."""
    count = len(pairs)
    scores = np.zeros(count)
    scores[7] = 9.0
    return Misfits(scores=scores, pmi=1.0 - scores, ranks=np.full(count, 0.01), others=count)


def write(folder):
    """A page of each model, and one that says that nothing is shared."""
    for name, model in models().items():
        pairs, figures = known(model)
        with mock.patch.object(page, "misfits", fits):
            made = wk.report(model, pairs, train=pairs, figures=figures, nats=NATS, verbose=False)
        made.write(folder / f"{name}.html")
        if name == "images":
            pairs, _ = known(model, 60)
            figures = Report(figures={"partner_nats": Figure(-0.01, 4.1)}, counts={}, seed=0)
            made = wk.report(model, pairs, figures=figures, nats=NATS, verbose=False)
            assert made.nothing
            made.write(folder / "nothing.html")


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
