"""One point of `benchmarks.growth`, in a process of its own: seconds and memory as JSON.

    python -m benchmarks.growth_case QUANTITY SIZE

Memory is the most that was resident beyond what the imports took.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import wyner_keras as wk
from benchmarks.by_hand.talk import seconds_of
from benchmarks.resident import most_mb, resident_mb
from benchmarks.stages import Turns, drawn_images, drawn_pairs
from wyner_keras.losses import Joint, Matching
from wyner_keras.stage import Stage
from wyner_serving import Gallery

BATCH, STEPS, EPOCHS = 256, 8, 4
Found = dict[str, float]


def model_of(
    *, kinds: int = 16, local: int = 16, width: int = 128, modality: Any = None
) -> wk.WynerModel:
    """An untrained model of 28×28 images; speed does not depend on what weights were trained to."""
    modality = modality or wk.Image(shape=(28, 28, 1))
    codec = modality.codec(wk.CodecSettings(), 0)
    settings = wk.SideSettings(
        local=wk.DiagonalGaussian(dim=local), hidden=(width,) * 3, reader="features"
    )
    return wk.WynerModel(
        wk.Categorical(n=1, k=kinds),
        dict.fromkeys("xy", modality),
        codecs=dict.fromkeys("xy", codec),
        settings=dict.fromkeys("xy", settings),
    )


def fitted(model: wk.WynerModel, loss: Any, pairs: wk.Pairs) -> tuple[float, float]:
    """Seconds of an epoch and of all else that `fit` does: begin, codes, tracing, end."""
    times: list[float] = []
    stage, steps = Stage(model, loss), len(pairs) // BATCH
    stage.compile(optimizer=keras.optimizers.Adam(1e-4), jit_compile=False)
    turns = Turns(steps, EPOCHS, lambda _, seconds: times.append(seconds * steps))
    begin = time.perf_counter()
    stage.fit(pairs, batch_size=BATCH, epochs=EPOCHS, callbacks=[turns], verbose=0)
    return statistics.median(times[1:]), time.perf_counter() - begin - sum(times)


def of_model(count: int = BATCH * STEPS, **sizes: int) -> Found:
    """Both stages that read codes, of a model of some sizes."""
    model, pairs = model_of(**sizes), drawn_pairs(count)
    (joint, _), (flow, around) = fitted(model, Joint(), pairs), fitted(model, Matching(), pairs)
    parameters = sum(int(np.prod(weight.shape)) for weight in model.weights)
    steps = len(pairs) // BATCH
    found = {"joint step": joint / steps, "flow step": flow / steps, "flow set-up": around}
    return {**found, "parameters": parameters}


def of_pairs(size: int) -> Found:
    """The same, epochs in place of steps."""
    found, steps = of_model(size), size // BATCH
    epochs = {f"{name} epoch": steps * found[f"{name} step"] for name in ("joint", "flow")}
    return {**epochs, "flow set-up": found["flow set-up"]}


def of_side(size: int) -> Found:
    """A step of the codec, and an image's encoding and decoding, of images of some side."""
    modality = wk.Image(shape=(size, size, 1), slant=True)
    codec: Any = modality.codec(wk.CodecSettings(), 0)
    batch, times = 64, list[float]()
    images = drawn_images(batch * STEPS, size)
    codec.backup = Turns(STEPS, EPOCHS, lambda _, seconds: times.append(seconds))
    codec.train_on(wk.Pairs(images, images), epochs=EPOCHS, batch_size=batch, verbose=0)
    return {"codec step": statistics.median(times[1:])}


def of_gallery(size: int) -> Found:
    """A query's ranking."""
    model, rng = model_of(kinds=64), np.random.default_rng(0)
    rows = rng.dirichlet(np.full(64, 0.1), size).astype(np.float32)
    gallery = Gallery("y", [rows], model.z.describe(), model.identity)
    query = [rows[:1]]
    model.rank_posteriors(query, gallery, 10)
    return {"rank": seconds_of(lambda: model.rank_posteriors(query, gallery, 10), 20)}


def of_classes(size: int) -> Found:
    """An evaluation of 200 held-out pairs, with its judges' training, of some classes."""
    rng, count = np.random.default_rng(0), 600
    images = drawn_images(count, 8)
    labels = np.arange(count) % size
    index = np.stack([np.arange(count), rng.permutation(count)], axis=1)
    both = wk.data.LabelledImages(images, labels)
    pairs = wk.data.from_indices(both, both, index)
    held, rest = pairs.select(np.arange(200)), pairs.select(np.arange(200, 600))
    model = model_of(kinds=size, modality=pairs.modalities[0])
    few = {"inputs": 50, "samples": 4, "styles": 20, "concepts": 20}
    begin = time.perf_counter()
    wk.evaluate(model, held, train=rest, verbose=False, **few)  # type: ignore[arg-type]
    return {"evaluation": time.perf_counter() - begin}


POINTS: dict[str, Callable[[int], Found]] = {
    "pairs": of_pairs,
    "|Z|": lambda size: of_model(kinds=size),
    "|U|": lambda size: of_model(local=size),
    "width": lambda size: of_model(width=size),
    "image side": of_side,
    "gallery": of_gallery,
    "classes": of_classes,
}


def main() -> None:
    """Measure, and print the last line as JSON."""
    _, quantity, size = sys.argv
    before = resident_mb()
    found = POINTS[quantity](int(size))
    print(json.dumps({**found, "memory": most_mb() - before}))


if __name__ == "__main__":
    main()
