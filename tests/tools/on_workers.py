"""`wyner` by a recipe of seconds, two stages and codecs of counts: `on_workers.py train …`."""

import sys

import wyner_keras as wk
from wyner_keras.cli import main


def recipe(facts, *, seed=0):
    """Alignment, which chooses by pairs apart, and joint stage, three epochs each."""
    side = wk.SideSettings(
        local=wk.DiagonalGaussian(dim=2), hidden=(16,), reader="features", flow_steps=0
    )
    losses = {"alignment": wk.losses.Alignment(dimensions=4, find=True), "joint": wk.losses.Joint()}
    stages = [
        wk.StageSettings(name=name, loss=loss, epochs=3, batch_size=32)
        for name, loss in losses.items()
    ]
    return wk.Recipe(
        z=wk.Categorical(n=1, k=4),
        sides={"x": side, "y": side},
        codecs={
            name: wk.CodecSettings(code_size=3, epochs=2, batch_size=32)
            if "count" in modality.kinds
            else None
            for name, modality in zip("xy", facts.modalities, strict=True)
        },
        stages=tuple(stages),
        seed=seed,
    )


if __name__ == "__main__":
    wk.recipes.default = recipe
    sys.exit(main(sys.argv[1:]))
