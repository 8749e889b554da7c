"""A short training, exported: `python short_training.py DATA SEED LENGTH BUNDLE`.

The bundle's ONNX files are then run at each of onnxruntime's levels of optimisation, too.
"""

import dataclasses
import sys

import numpy as np


def digits():
    """The 8x8 digits, each with another digit one higher."""
    import wyner_keras as wk

    return wk.data.add_one(wk.data.load("digits").train)


def turned():
    """Digits and the same, lying and cut to another shape."""
    import wyner_keras as wk

    images = wk.data.load("digits").train.images
    return wk.Pairs(images, np.rot90(images, axes=(1, 2))[:, :, 1:7].copy())


def columns():
    """The breast cancer set's means with columns of every kind, some of them missing."""
    from sklearn.datasets import load_breast_cancer

    import wyner_keras as wk

    rows, target = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(0)
    quartile = np.searchsorted(np.quantile(rows[:, 0], [0.25, 0.5, 0.75]), rows[:, 0])
    many = rng.poisson(np.exp(rows[:, 5] * 10))
    y = np.stack([rows[:, 20], target, quartile, many], axis=1)
    y[rng.random(y.shape) < 0.05] = np.nan
    modality = wk.Vector(
        kinds=("real", "binary", "categorical", "count"),
        categories=(0, 0, 4, 0),
        missing=True,
    )
    return wk.Pairs(rows[:, :10], y, y_modality=modality)


def series():
    """The upper rows of digits as series, with the lower rows as columns."""
    import wyner_keras as wk

    images = wk.data.load("digits").train.images[..., 0]
    return wk.Pairs(images[:, :4].copy(), images[:, 4:].reshape(len(images), -1))


DATA = {"digits": digits, "turned": turned, "columns": columns, "series": series}


def shortened(recipe, length):
    """So many epochs of the flow, a quarter of that of the rest, in steps of few pairs."""

    def short(part):
        if part is None:
            return None
        epochs = length if getattr(part, "name", "") == "flow" else max(1, length // 4)
        fields = {"epochs": epochs, "batch_size": min(part.batch_size, 100)}
        if hasattr(part, "jit_compile"):
            # It compiles for longer than it trains.
            fields["jit_compile"] = False
        return dataclasses.replace(part, **fields)

    return dataclasses.replace(
        recipe,
        codecs={name: short(codec) for name, codec in recipe.codecs.items()},
        stages=tuple(map(short, recipe.stages)),
    )


def main(name, seed, length, path):
    """Train and write the bundle."""
    import wyner_keras as wk
    from wyner_export import write_bundle

    pairs, held_out = DATA[name]().split(0.1)
    pairs = pairs.take(min(600, len(pairs)))
    recipe = shortened(wk.recipes.default(pairs.facts(), seed=seed), length)
    model = wk.train(pairs, recipe, verbose=0).model
    write_bundle(model, path, examples=dict(zip("xy", held_out.arrays(), strict=True)))
    check_levels(path)


def check_levels(path):
    """Check the ONNX files at every level of optimisation, on one thread and on two."""
    import onnxruntime

    from wyner_export import read_manifest
    from wyner_export.examples import run_examples
    from wyner_export.functions import Interface
    from wyner_export.parity import Parity
    from wyner_export.rounding import conditioning
    from wyner_export.saved_model import load_saved_model, run_saved_model
    from wyner_serving.samples import read_samples

    manifest = read_manifest(path)
    graphs = [Interface.from_dict(*entry) for entry in manifest["graphs"].items()]
    loaded, sides = load_saved_model(path / manifest["saved_model"]["path"]), manifest["sides"]
    answers = run_examples(
        graphs,
        {side: read_samples(path, manifest, side)[::-1] for side in sides},
        manifest,
        lambda name, inputs: run_saved_model(loaded, name, inputs),
        seed=1,
    )
    parity = Parity("SavedModel", answers, conditioning(loaded, graphs, answers, sides))
    levels = onnxruntime.GraphOptimizationLevel
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_BASIC, levels.ORT_ENABLE_ALL):
        for threads in (1, 2):
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level, options.intra_op_num_threads = level, threads
            for graph in graphs:
                session = onnxruntime.InferenceSession(
                    path / manifest["graphs"][graph.name]["file"], options
                )
                names = [info.name for info in graph.outputs]
                results = session.run(names, answers[graph.name].inputs)
                named = dict(zip(names, results, strict=True))
                parity.check(graph, f"ONNX at {level}, {threads} threads", named)


if __name__ == "__main__":
    from pathlib import Path

    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
