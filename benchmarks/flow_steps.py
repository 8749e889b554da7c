"""How far from itself does a code come back from its u, by the number of the flow's steps?

Run: python -m benchmarks.flow_steps RUN [--steps 1 2 3 4 6] [--pairs 2000]

Codes are samples of q(u|x,z) for held-out pairs of a run folder, z the mode of q(z|x).
`Side.local_of` takes them to u, `Side.code` back. Printed are the mean distance in deviations of
q(u|x,z), and the variance of u, which should be p(u)'s: 1. At steps other than the recipe's the
velocity was not learnt.
"""

from __future__ import annotations

import argparse
from typing import Any, cast

import numpy as np

from wyner_keras import runs
from wyner_keras.side import Side


def there_and_back(side: Side, data: np.ndarray, steps: int) -> tuple[float, float]:
    """Mean distance of codes from themselves, in posterior deviations, and the variance of u."""
    flow, latent = cast(Any, side.flow), cast(Any, side.local)
    before, flow.steps = flow.steps, steps
    features = side.encode(data)
    z = side.read(data, features).mode
    q_u = side.posterior(features, z)
    code = np.asarray(q_u.sample(latent.draw_noise(np.random.default_rng(0), len(data))))
    local = np.asarray(side.local_of(code, z))
    _, log_variance = map(np.asarray, q_u.outputs())
    distance = np.abs(np.asarray(side.code(local, z)) - code) / np.exp(0.5 * log_variance)
    flow.steps = before
    return float(distance.mean()), float(local.var(axis=0).mean())


def main() -> None:
    """Measure each side by each number of steps, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", metavar="RUN")
    parser.add_argument("--steps", type=int, nargs="+", default=[1, 2, 3, 4, 6])
    parser.add_argument("--pairs", type=int, default=2000)
    arguments = parser.parse_args()
    run = runs.Run.open(arguments.run)
    model, (_, held_out) = run.load_model(), run.pairs()
    held_out = held_out.take(min(len(held_out), arguments.pairs), seed=0)
    print("side  steps  distance  variance of u")
    for side, data in zip(model.sides, held_out.arrays(), strict=True):
        if side.flow is None:
            continue
        for steps in arguments.steps:
            distance, variance = there_and_back(side, data, steps)
            print(f"{side.name:<4}  {steps:>5}  {distance:>8.3f}  {variance:>13.3f}")


if __name__ == "__main__":
    main()
