"""What makes a training short enough for a test: nothing is traced, networks are narrow."""

import contextlib
import dataclasses
import inspect
import shutil


@contextlib.contextmanager
def eagerly():
    """Functions run without being traced, which takes longer than trainings of a few steps do."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@contextlib.contextmanager
def traced():
    """Functions are traced in here, within `eagerly` too."""
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(False)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def narrow(change=setattr):
    """The default's stages on narrow networks with flows of one step; codecs and judges in short.

    `change` sets an attribute: a MonkeyPatch's takes it back again.
    """
    from wyner_keras import recipes
    from wyner_keras.evaluation import Judge

    default, train = recipes.default, Judge.train

    def narrowed(facts, **settings):
        recipe = default(facts, **settings)
        sides = {
            name: dataclasses.replace(side, hidden=(16,), flow_steps=1)
            for name, side in recipe.sides.items()
        }
        codecs = {
            name: codec
            and dataclasses.replace(codec, code_size=4, filters=(4, 4), epochs=1, batch_size=500)
            for name, codec in recipe.codecs.items()
        }
        return dataclasses.replace(recipe, sides=sides, codecs=codecs)

    change(recipes, "default", narrowed)
    change(Judge, "train", lambda *given, **settings: train(*given, **settings | {"epochs": 1}))


def two_steps(change=setattr):
    """Of each stage one epoch of two steps, eagerly: with `eagerly`, no step is traced.

    Nor are flows' affine maps fitted, which takes longer than the steps do.
    """
    import keras

    from wyner_keras.losses import Matching
    from wyner_keras.stage import Stage

    compile_, fit = keras.Model.compile, Stage.fit

    def compile_eagerly(self, *given, **settings):
        settings |= {"jit_compile": False, "steps_per_execution": 1, "run_eagerly": True}
        compile_(self, *given, **settings)

    def fit_two_steps(self, *given, **settings):
        return fit(self, *given, **settings | {"epochs": 1, "steps_per_epoch": 2})

    change(keras.Model, "compile", compile_eagerly)
    change(Stage, "fit", fit_two_steps)
    for name in ("begin", "end"):
        change(Matching, name, lambda self, stage, pairs, validation=None: None)


def bundles_are_copies(folder, change=setattr):
    """`write_bundle` checks its arguments, and copies a bundle that there is."""
    import wyner_export
    from wyner_export.bundle import _checked_examples

    write = wyner_export.write_bundle

    def copy(*given, **settings):
        asked = inspect.signature(write).bind(*given, **settings).arguments
        _checked_examples(asked["model"], asked.get("examples"))
        return shutil.copytree(folder, asked["path"])

    change(wyner_export, "write_bundle", copy)
