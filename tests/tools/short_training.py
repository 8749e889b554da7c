"""A short training, exported: `python short_training.py RECIPE DATA_Y SEED LENGTH BUNDLE`.

The bundle's ONNX files are then run at each of onnxruntime's levels of optimisation, too.
"""

import dataclasses
import sys

import numpy as np


def shortened(recipe, length):
    """A recipe with few pairs and so many epochs of the flow; a quarter of that of the rest."""
    changed = {"pairs_per_class": 60}
    for name in ("wrapper", "wrapper_y", "alignment", "joint", "flow", "marginal", "refinement"):
        stage = getattr(recipe, name)
        epochs = length if name == "flow" else max(1, length // 4)
        fields = {"epochs": epochs, "batch_size": min(stage.batch_size, 100)} if stage else {}
        if "jit_compile" in {field.name for field in dataclasses.fields(stage or recipe)}:
            # It compiles for longer than it trains.
            fields["jit_compile"] = False
        changed[name] = stage and dataclasses.replace(stage, **fields)
    return dataclasses.replace(recipe, **changed)


def main(name, data_y, seed, length, path):
    """Train and write the bundle."""
    from wyner_export import write_bundle
    from wyner_keras.data import load
    from wyner_keras.training import recipe, train

    source, target = load("digits"), None if data_y == "same" else load(data_y)
    chosen = shortened(recipe(name, "digits", seed=seed), length)
    model = train(source, chosen, target=target, verbose=0).model
    images = (source.test.images[:32], (target or source).test.images[-32:])
    write_bundle(model, path, images=images)
    check_levels(path)


def check_levels(path):
    """Check the ONNX files at every level of optimisation, on one thread and on two."""
    import onnxruntime
    import tensorflow as tf

    from wyner_export import read_manifest
    from wyner_export.examples import examples
    from wyner_export.functions import Interface
    from wyner_export.parity import Parity
    from wyner_export.rounding import conditioning
    from wyner_export.saved_model import run_saved_model

    manifest = read_manifest(path)
    graphs = [Interface.from_dict(*entry) for entry in manifest["graphs"].items()]
    loaded = tf.saved_model.load(str(path / manifest["saved_model"]["path"]))
    rng = np.random.default_rng(0)
    shapes = manifest["images"]
    answers = examples(
        graphs,
        {side: rng.random((16, *shapes[side]), dtype=np.float32) for side in "xy"},
        manifest["latents"],
        lambda name, inputs: run_saved_model(loaded, name, inputs),
    )
    parity = Parity("SavedModel", answers, conditioning(loaded, graphs, answers))
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

    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
