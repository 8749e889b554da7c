"""What share of the matrix-product limit does the joint stage reach through `fit`?

The limit is the time of the step's dense layers as bare matrix products of the same shapes,
compiled by XLA: one forward, and of what is trained two backward, without a gradient for data. Both
are timed in turn in one run, and the ratio's median is printed.

Run: python benchmarks/joint_stage.py [--rounds 7] [--batch-size 256]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from wyner_keras import Categorical, Image, Pairs, SideSettings, Stage, WynerModel
from wyner_keras.losses import Joint

STEPS = 40


def step_products(stage: Stage, batch_size: int) -> Callable[[], tf.Tensor]:
    """The step's matrix products alone."""
    trained = stage.objective.trained(stage.model)
    operands = []
    for part in [*trained, *(side.expert_network for side in stage.model.sides)]:
        for position, layer in enumerate([*part.hidden_layers, part.output_layer]):
            inputs, outputs = layer.kernel.shape
            is_trained = part in trained
            # Decoders pass a gradient to their inputs (the latents); encoders' inputs are data.
            to_input = is_trained and (position > 0 or part.name == "decoder")
            operands.append(
                (
                    tf.Variable(tf.random.normal((batch_size, inputs))),
                    tf.Variable(tf.random.normal((inputs, outputs))),
                    tf.Variable(tf.random.normal((batch_size, outputs))),
                    is_trained,
                    to_input,
                )
            )

    @tf.function(jit_compile=True)
    def products() -> tf.Tensor:
        total = tf.constant(0.0)
        for inputs, kernel, outputs, is_trained, to_input in operands:
            total += tf.reduce_max(tf.matmul(inputs, kernel))
            if is_trained:
                total += tf.reduce_max(tf.matmul(inputs, outputs, transpose_a=True))
            if to_input:
                total += tf.reduce_max(tf.matmul(outputs, kernel, transpose_b=True))
        return total

    return products


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-size", type=int, default=256)
    arguments = parser.parse_args()
    batch_size = arguments.batch_size

    # 64 features, Z (1,10), U and V (20,10), 3×512, no concept terms: dense layers and little else.
    image = Image(shape=(8, 8, 1))
    settings = SideSettings(
        local=Categorical(n=20, k=10), reader="features", residual=False, flow_steps=0
    )
    model = WynerModel(
        Categorical(n=1, k=10),
        dict.fromkeys("xy", image),
        codecs=dict.fromkeys("xy", image.codec(None, 0)),
        settings=dict.fromkeys("xy", settings),
    )
    images = np.random.default_rng(0).random((batch_size * STEPS, 8, 8, 1), dtype=np.float32)
    pairs = Pairs(images, images)
    stage = Stage(model, Joint(concept_weight=0.0))
    stage.compile(
        optimizer=keras.optimizers.Adam(1e-3), jit_compile=True, steps_per_execution=STEPS
    )
    stage.fit(pairs, batch_size=batch_size, epochs=1, verbose=0)
    products = step_products(stage, batch_size)
    products()

    limits, steps = [], []
    for _ in range(arguments.rounds):
        begin = time.perf_counter()
        for _ in range(STEPS):
            products().numpy()
        limits.append((time.perf_counter() - begin) / STEPS)
        begin = time.perf_counter()
        stage.fit(pairs, batch_size=batch_size, epochs=3, verbose=0)
        steps.append((time.perf_counter() - begin) / (3 * STEPS))
    shares = [limit / step for limit, step in zip(limits, steps, strict=True)]
    print(
        json.dumps(
            {
                "batch_size": batch_size,
                "parameters": int(sum(np.prod(v.shape) for v in stage.trainable_variables)),
                "limit_ms": round(1e3 * statistics.median(limits), 1),
                "fit_ms": round(1e3 * statistics.median(steps), 1),
                "share": round(statistics.median(shares), 3),
                "share_min": round(min(shares), 3),
                "share_max": round(max(shares), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
