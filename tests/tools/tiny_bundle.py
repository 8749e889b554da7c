"""Tiny models, bundles and runs, for tests: `python tests/tools/tiny_bundle.py FOLDER [MODEL]`.

MODEL is one of `SHARED`; "run" writes a run folder.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def tiny_side(kind):
    """The modality of a side, and the settings of a codec, by a word."""
    from wyner_keras.modality import CodecSettings, Image, Series, Vector

    if isinstance(kind, Vector):
        return kind, CodecSettings(code_size=3)
    if kind == "vector":
        modality = Vector(
            kinds=("real", "binary", "categorical", "count", "real"),
            names=("height", "left", "colour", "visits", "income"),
            categories=(0, 0, 4, 0, 0),
            texts=((), (), ("blue", "green", "red", "teal"), (), ()),
            missing=True,
        )
        return modality, CodecSettings(code_size=3)
    if kind == "series":
        return Series(shape=(12, 2)), CodecSettings(code_size=3, filters=(2, 3))
    # The ink of the square ones leans.
    return Image(shape=kind, slant=kind[0] == kind[1]), CodecSettings(code_size=3, filters=(2, 3))


def tiny_model(x=(8, 8, 1), y=None, *, z=None, u=None, v=None, seed=0, **settings):
    """A W-model with weights that show, untrained.

    Args:
        x: an image's shape, "vector", "series", or a Vector.
        y: likewise; None for x's modality and codec.
        z: the common latent.
        u: the local latent of x; False for none.
        v: of y, likewise.
        seed: of the weights.
        settings: of the sides, beside the tiny ones; a dict has a value for each.
    """
    import numpy as np

    from wyner_keras.latents import Categorical, DiagonalGaussian
    from wyner_keras.model import WynerModel
    from wyner_keras.side import SideSettings

    modality, codec_settings = tiny_side(x)
    modalities = {"x": modality, "y": modality}
    codecs = dict.fromkeys("xy", modality.codec(codec_settings, 0))
    if y is not None:
        modalities["y"], codec_settings = tiny_side(y)
        codecs["y"] = modalities["y"].codec(codec_settings, 1)
    locals_ = {
        "x": DiagonalGaussian(dim=2) if u is None else u or None,
        "y": DiagonalGaussian(dim=4) if v is None else v or None,
    }
    values = {"hidden": (8,), "reader": "features", "flow_steps": 1} | settings

    def settings_of(side):
        own = {
            key: value[side] if isinstance(value, dict) else value for key, value in values.items()
        }
        return SideSettings(local=locals_[side], **own)

    model = WynerModel(
        Categorical(n=1, k=3) if z is None else z,
        modalities,
        codecs=codecs,
        settings={side: settings_of(side) for side in "xy"},
    )
    rng = np.random.default_rng(seed)
    for side in model.sides:
        side.codec.trainable = True
    for variable in model.trainable_variables:
        scale = 0.7 / np.sqrt(variable.shape[0])
        variable.assign(scale * rng.normal(size=variable.shape))
    for side in model.sides:
        side.codec.trainable = False
        for name, low, high in (("mean", -1.0, 3.0), ("scale", 0.5, 3.0)):
            moment = getattr(side.codec, name, None)
            if moment is not None:
                moment.assign(rng.uniform(low, high, moment.shape))
    return model


def tiny_rows(model, count=7, seed=1):
    """By side so many rows of its data."""
    import numpy as np

    rng, found = np.random.default_rng(seed), {}
    for name, entry in model.side_entries.items():
        if entry["kind"] == "image":
            found[name] = rng.random((count, *entry["shape"]), dtype=np.float32)
        else:
            found[name] = rng.normal(size=(count, *entry["shape"])).astype(np.float32)
        for place, column in enumerate(entry.get("columns", ())):
            values = {
                "real": lambda: 170 + 10 * rng.normal(size=count),
                "binary": lambda: rng.integers(2, size=count),
                "categorical": lambda column=column: rng.integers(column["categories"], size=count),
                "count": lambda: rng.poisson(5.0, size=count),
            }[column["kind"]]()
            found[name][:, place] = values
        if entry.get("missing"):
            found[name][1, :] = np.nan
            found[name][2, ::2] = np.nan
    return found


# Models whose bundles tests share. Only one side has a flow, each step of which is a hundred nodes
# to trace and to convert.
SHARED = {
    "images": lambda: _with_shares(tiny_model(flow_steps={"x": 1, "y": 0}), (0.5, 0.3, 0.2)),
    "whole": lambda: tiny_model(
        (8, 8, 1), (9, 7, 3), z=_gaussian(3), flow_steps=0, expert="data", reader="expert"
    ),
    "columns": lambda: tiny_model(
        "vector",
        "series",
        z=_gaussian(3),
        v=False,
        flow_steps=0,
        reader_flow_steps={"x": 2, "y": 0},
    ),
    "mixed": lambda: tiny_model(
        (6, 5, 3),
        "vector",
        z=_categorical(2, 3),
        u=_categorical(3, 2),
        flow_steps=0,
        reader={"x": "data", "y": "features"},
        residual=False,
    ),
    "product": lambda: _with_prior(tiny_model("vector", z=_product(3, 2), u=False, flow_steps=0)),
}


def _categorical(n, k):
    from wyner_keras.latents import Categorical

    return Categorical(n=n, k=k)


def _gaussian(dim):
    from wyner_keras.latents import DiagonalGaussian

    return DiagonalGaussian(dim=dim)


def _product(k, dim):
    from wyner_keras.product import Product

    return Product(_categorical(1, k), _gaussian(dim))


def _with_shares(model, shares):
    """The model, its p(z) fitted to kinds that are not equally common."""
    import numpy as np

    model.prior.fit_joint(np.diag(shares)[None, None])
    return model


def _with_prior(model):
    """The model, its p(z) fitted to kinds of which each has quantities of its own."""
    import numpy as np

    rng, (k, dim) = np.random.default_rng(3), (model.prior.k, model.prior.size)
    kinds = np.eye(k)[np.minimum(rng.integers(k + 1, size=300), k - 1)]
    means = rng.normal(size=(300, dim)) + kinds @ rng.normal(0, 3, (k, dim))
    model.prior.fit([(kinds, means, np.full((300, dim), -2.0))])
    return model


def write_tiny_bundle(model, path, **said):
    """The bundle of a tiny model."""
    from wyner_export import write_bundle

    values = {
        "name": "tiny",
        "label_map": {"0": 1, "1": 2, "2": 0},
        "metrics": {"figures": {"joint_coherence": {"model": 0.5, "beside": 1.0}}},
        "nats": {"i_xy_z": 1.0, "i_x_z": 0.75, "i_y_z": 0.5},
    }
    return write_bundle(model, path, examples=tiny_rows(model), **values | said)


def write_tiny_run(model, path):
    """A run folder of a tiny model of images, judged; where its pairs were, there is nothing."""
    import numpy as np

    from wyner_keras import Pairs, recipes, runs
    from wyner_keras.evaluation.report import NAMED
    from wyner_keras.files import write_json

    rows, labels = tiny_rows(model), np.arange(7) % 3
    pairs = Pairs(rows["x"], rows["y"], x_labels=labels, y_labels=labels)
    source = runs.Source(pairs=str(path / "pairs"))
    settings = runs.settings_of(recipes.default(pairs.facts()), source, asked={"pairs": "pairs"})
    path.mkdir()
    write_json(path / runs.SETTINGS, settings)
    runs.save_trained(path, model, {"history": {"joint": {"loss": [1.0]}}, "seconds": {"joint": 1}})
    runs.save_examples(path, pairs)
    figures = {name: {"model": 0.5, "beside": 1.0, "low": 0.4, "high": 0.6} for name in NAMED}
    judged = {"figures": figures, "counts": {"pairs": 7}, "seed": 0, "left_out": {}}
    nats = {"i_xy_z": 1.0, "i_x_z": 0.75, "i_y_z": 0.5}
    write_json(path / runs.METRICS, {**judged, "data": settings["data"], "nats": nats})
    return path


def as_format_1(folder):
    """Gives a bundle of the images the manifest that was written before there was anything else."""
    path = folder / "manifest.json"
    values = json.loads((pathlib.Path(__file__).parent / "format_1.json").read_text())
    files = json.loads(path.read_text())["files"]
    path.write_text(json.dumps({**values, "files": files}))
    (folder / "manifest.sha256").unlink()


if __name__ == "__main__":
    folder, *names = sys.argv[1:]
    if names == ["run"]:
        write_tiny_run(SHARED["images"](), pathlib.Path(folder))
    else:
        write_tiny_bundle(SHARED[names[0] if names else "images"](), folder)
