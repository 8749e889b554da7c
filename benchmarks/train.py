"""How long does a training step of each stage take, beside the same one by hand?

    python -m benchmarks.train [--rounds 5] [--steps 40] [--stages joint flow]
        [--peers-python PYTHON] [--without compiled] [--float32] [--json FILE]

Stages are those of the default recipe for 50,000 pairs of 28×28, and train through `fit` as
`wk.train` has it, without what is traced and compiled. The same network, loss, batch, data and Adam
are written by hand in PyTorch (PYTHON has it: eager with fused Adam, by `torch.compile`, and with
products in bfloat16), in JAX (jit), and as a bare step of TensorFlow, with and without XLA. First
each peer has to train as many parameters, and to find the same loss from the same weights and
noise. Then rounds alternate: an epoch of ours, and as many steps of each peer. Figures are medians;
a ratio is that of two times of one round.

The limit is the time of the products and convolutions alone in float32, each by whichever of
TensorFlow (oneDNN), XLA and PyTorch is fastest at it. Where ours multiply in bfloat16, PyTorch in
bfloat16 counts as a peer, and the share of the limit may be above 1. Every process has the cores
that this one has.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.by_hand import tf_products
from benchmarks.by_hand.products import products_of
from benchmarks.by_hand.talk import Peer
from benchmarks.stages import Case, built, default_recipe, drawn_pairs

STAGES = ("codec", "alignment", "joint", "flow", "marginal", "refinement")
PEERS = {
    "eager": "PyTorch",
    "compiled": "torch.compile",
    "bfloat16": "PyTorch bfloat16",
    "jit": "JAX",
    "tensorflow": "TensorFlow",
    "xla": "TensorFlow, XLA",
}
_EXACT = 1e-3  # of the loss, at most, that frameworks may differ by
_PRODUCTS = 5  # of each kind in a round


class Runner:
    """The peers of one stage, each asked for a round of steps.

    Args:
        case: the stage.
        processes: PyTorch's and JAX's, by name; without those that are not there.
        without: peers that are left out.
        folder: for files.
    """

    def __init__(
        self, case: Case, processes: dict[str, Peer], without: list[str], folder: Path
    ) -> None:
        self.case = case
        self.refused: dict[str, str] = {}
        told, (loss, _) = case.told(folder), case.loss()
        for name, process in processes.items():
            parameters = process.ask("build", **told)
            if parameters != case.parameters:
                raise RuntimeError(f"{name} trains {parameters} weights, not {case.parameters}")
            found = process.ask("check")
            if not math.isclose(found, loss, rel_tol=_EXACT):
                raise RuntimeError(f"{case.name}: the loss is {found} by {name}, not {loss}")
        self.calls: dict[str, Callable[[], float]] = {}
        kinds = {"eager": "torch", "compiled": "torch", "bfloat16": "torch", "jit": "jax"}
        for kind, library in kinds.items():
            if library in processes:
                ask = functools.partial(processes[library].ask, "steps", kind=kind)
                self.calls[kind] = functools.partial(ask, count=case.steps)
        for kind in ("tensorflow", "xla"):
            self.calls[kind] = functools.partial(next, case.bare(kind == "xla"))
        self.calls = {kind: call for kind, call in self.calls.items() if kind not in without}
        steps = case.recipe.sides["x"].flow_steps
        self.products = products_of(case.name, case.weights, case.batch_size, steps)
        self._processes = processes

    def round(self) -> dict[str, float]:
        """Seconds of a step by each peer, and of its products; peers that cannot leave."""
        found = {}
        for kind, call in list(self.calls.items()):
            try:
                found[kind] = call()
            # TensorFlow's and the peers' errors have no type in common.
            except Exception as error:
                self.refused[kind] = str(error).partition("\n")[0]
                del self.calls[kind]
        return {**found, "limit": self.limit()}

    def limit(self) -> float:
        """Seconds of the products, each by the fastest."""
        kinds = list(dict.fromkeys(self.products))
        asked = [[each.kind, each.part, list(each.sizes)] for each in kinds]
        times = [tf_products.products(kinds, _PRODUCTS)]
        times += [
            process.ask("products", wanted=asked, count=_PRODUCTS)
            for process in self._processes.values()
        ]
        least = dict(zip(kinds, map(min, zip(*times, strict=True)), strict=True))
        return sum(least[each] for each in self.products)


def measured(runner: Runner, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step, a value a round, by peer, "limit" and "fit", which is ours."""
    found: dict[str, list[float]] = {}

    def turn(epoch: int, seconds: float) -> None:
        times = {"fit": seconds, **runner.round()}
        for name, value in times.items() if epoch else ():  # in the first all is compiled
            found.setdefault(name, []).append(value)

    runner.case.fit(1 + rounds, turn)
    return found


def summary(runner: Runner, found: dict[str, list[float]]) -> dict[str, Any]:
    """Medians, ratios, and what the step computes."""
    fit = found["fit"]
    flops = sum(each.flops for each in runner.products)
    peers = {
        kind: {
            "ms": 1e3 * statistics.median(found[kind]),
            "times_ours": statistics.median(a / b for a, b in zip(found[kind], fit, strict=True)),
        }
        for kind in runner.calls
        if len(found.get(kind, ())) == len(fit)
    }
    # Where ours are float32, what multiplies in bfloat16 is no peer.
    alike = [kind for kind in peers if kind != "bfloat16" or runner.case.products == kind]
    fastest = min(alike, key=lambda kind: peers[kind]["times_ours"], default=None)
    limit = statistics.median(found["limit"])
    return {
        "stage": runner.case.name,
        "batch_size": runner.case.batch_size,
        "products": runner.case.products,
        "parameters": runner.case.parameters,
        "gflop": flops / 1e9,
        "fit_ms": 1e3 * statistics.median(fit),
        "peers": peers,
        "cannot": runner.refused,
        "fastest": fastest,
        "limit_ms": 1e3 * limit,
        "limit_gflop_a_second": flops / 1e9 / limit,
        "share_of_limit": statistics.median(
            a / b for a, b in zip(found["limit"], fit, strict=True)
        ),
    }


def markdown(rows: list[dict[str, Any]], kinds: list[str]) -> Iterator[str]:
    """The table; of a peer its milliseconds, and how many times ours these are."""
    heads = ["stage", "batch", "products", "fit, ms", *(PEERS[kind] for kind in kinds)]
    heads += ["fastest ÷ ours", "GFLOP", "limit, ms (GFLOP/s)", "share of limit"]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        cells = [row["stage"], str(row["batch_size"]), row["products"], f"{row['fit_ms']:.1f}"]
        for kind in kinds:
            told = row["peers"].get(kind)
            cells.append(f"{told['ms']:.1f} ({told['times_ours']:.2f})" if told else "cannot")
        best = row["fastest"]
        cells.append(f"{row['peers'][best]['times_ours']:.2f} ({PEERS[best]})" if best else "–")
        cells.append(f"{row['gflop']:.2f}")
        cells.append(f"{row['limit_ms']:.1f} ({row['limit_gflop_a_second']:.0f})")
        cells.append(f"{row['share_of_limit']:.2f}")
        yield f"| {' | '.join(cells)} |"
    for row in rows:
        for kind, reason in row["cannot"].items():
            yield f"\n{row['stage']}, {PEERS[kind]}: cannot: {reason}"


def main() -> None:
    """Time the stages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="of a round, about")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--peers-python", help="an interpreter that has PyTorch; none goes without")
    parser.add_argument("--without", nargs="+", choices=PEERS, default=[], help="peers left out")
    parser.add_argument("--float32", action="store_true", help="ours multiply in float32 alone")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    processes = {"jax": Peer(sys.executable, "benchmarks.by_hand.jax_steps")}
    without = list(options.without)
    if options.peers_python:
        processes["torch"] = Peer(options.peers_python, "benchmarks.by_hand.torch_steps")
    else:
        without += ["eager", "compiled", "bfloat16"]
    pairs = drawn_pairs(2000)
    recipe = default_recipe(pairs)
    model, rows = built(pairs, recipe), []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.stages:
            runner = Runner(
                Case(name, model, recipe, options.steps, not options.float32),
                processes,
                without,
                Path(folder),
            )
            rows.append(summary(runner, measured(runner, options.rounds)))
            # What is known is told at once: all stages take a while.
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
            if options.json:
                options.json.write_text(json.dumps(rows, indent=1))
    for process in processes.values():
        process.close()
    print("\n".join(markdown(rows, [kind for kind in PEERS if kind not in without])))


if __name__ == "__main__":
    main()
