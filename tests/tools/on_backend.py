"""What Keras' backend makes of a model: `KERAS_BACKEND=jax python on_backend.py OUT MODEL LOSS …`.

OUT.npz then holds a step of each loss named and, where all are, answers of the model. Without MODEL
a recipe is carried out, twice in one folder; OUT.keras then holds what it trained.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from still_draw import StillDraw

import wyner_keras as wk
from wyner_keras.losses import Alignment, Joint, Marginal, Matching, Refinement

LOSSES = {
    type(loss).__name__: loss
    for loss in (Joint(), Alignment(dimensions=4), Matching(), Marginal(), Refinement())
}


def pairs():
    """24 pairs of 4x4 images and of vectors, of three kinds that both show."""
    rng, kind = np.random.default_rng(1), np.arange(24) % 3
    x = 0.3 * rng.random((24, 4, 4, 1)) + 0.2 * kind[:, None, None, None]
    return wk.Pairs(x, rng.normal(size=(24, 3)) + 3 * kind[:, None])


def steps(path, names):
    """Of losses the terms of all pairs, and what one step of descent makes of the weights."""
    found = {}
    for name in names:
        stage = wk.Stage(keras.models.load_model(path), LOSSES[name])
        rng = np.random.default_rng(2)
        for head in stage.heads:
            head.set_weights([0.5 + 0.2 * rng.random(w.shape) for w in head.get_weights()])
        still = StillDraw()
        stage.draw = lambda training, still=still: still
        still.heads = stage.heads
        # To trace one step takes TensorFlow longer than the step does; JAX compiles each operation.
        eagerly = keras.backend.backend() == "tensorflow"
        stage.compile(keras.optimizers.SGD(1e-3), run_eagerly=eagerly)
        history = stage.fit(pairs(), batch_size=24, verbose=0).history
        found |= {f"{name}/{term}": values[0] for term, values in history.items()}
        for place, variable in enumerate(stage.trainable_variables):
            found[f"{name}/weight {place}"] = np.asarray(variable)
    return found


def answers(model):
    """What is generated, transferred and told of pairs."""
    x, y = pairs().arrays()
    joint = model.generate_pairs(5, seed=0)
    return {
        "y": model.generate_y(x, seed=0),
        "x": model.generate_x(y, seed=0),
        "transferred": model.transfer_x(style=x[:3], concept=y[:4], seed=0),
        "joint x": joint[0],
        "joint y": joint[1],
        "pmi": model.log_pmi(x, y),
    }


def trained(folder):
    """A model trained by a recipe of one epoch a stage, in a folder that a second call reads."""
    many = pairs().select(np.tile(np.arange(24), 4))
    recipe = wk.recipes.default(many.facts()).scaled(1e-3)
    return wk.train(many, recipe, folder=folder, verbose=0).model


def asked(path, names):
    """Steps of losses; of all of them, answers of the model too."""
    found = steps(path, names)
    whole = set(names) == set(LOSSES)
    return found | (answers(keras.models.load_model(path)) if whole else {})


if __name__ == "__main__":
    out, *model = sys.argv[1:]
    out = Path(out)
    if model:
        found = asked(model[0], model[1:])
    else:
        first, again = (trained(out.with_suffix("")) for _ in range(2))
        found, same = answers(first), answers(again)
        for name, value in found.items():
            np.testing.assert_allclose(same[name], value, rtol=1e-5, err_msg=name)
        first.save(out.with_suffix(".keras"))
    np.savez(out.with_suffix(".npz"), **found)
