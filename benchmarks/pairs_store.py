"""How fast are pairs that do not fit into memory gathered, and how much of them stays resident?

Batches of 64×64 colour images in bytes, gathered and scaled to [0, 1] as for training, from an
array in memory and from a file mapped into memory, in turn; then once through the mapped file of
500,000 pairs. That file is sparse but for its first rows, so that it takes little of the disk.

Run: python -m benchmarks.pairs_store [--pairs 500000] [--batch-size 256] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.resident import resident_mb
from wyner_keras.data import Pairs

SHAPE = (64, 64, 3)
IN_MEMORY = 20_000  # rows that are timed from memory and from a file


def rate(pairs: Pairs, batch_size: int, seed: int = 0) -> tuple[float, float, float]:
    """Pairs a second of one epoch, by the clock and by the processors; GB resident at most."""
    most, start, worked = 0.0, time.perf_counter(), time.process_time()
    for step, _ in enumerate(pairs.dataset(batch_size, seed=seed)):
        if step % 50 == 0:
            most = max(most, resident_mb() / 1e3)
    seconds, work = time.perf_counter() - start, time.process_time() - worked
    return len(pairs) / seconds, len(pairs) / work, most


def mapped(path: Path, count: int, noise: np.ndarray) -> np.memmap:
    """A sparse file of rows, the first of which are noise."""
    rows = np.memmap(path, np.uint8, "w+", shape=(count, *SHAPE))
    rows[: len(noise)] = noise
    rows.flush()
    return np.memmap(path, np.uint8, "r", shape=(count, *SHAPE))


def main() -> None:
    """Time both, go once through the large file, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=500_000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.pairs < IN_MEMORY:
        parser.error(f"--pairs should be {IN_MEMORY} or more. Received: {arguments.pairs}")
    noise = np.random.default_rng(0).integers(0, 256, (IN_MEMORY, *SHAPE), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = [mapped(Path(folder, f"{name}.bin"), arguments.pairs, noise) for name in "xy"]
        large = Pairs(*files)
        memory, file = Pairs(noise, noise[::-1]), Pairs(*(part[:IN_MEMORY] for part in files))
        for pairs in (memory, file):
            rate(pairs, arguments.batch_size)  # the first epoch builds what later ones use
        rates = [
            [rate(pairs, arguments.batch_size, seed)[:2] for pairs in (memory, file)]
            for seed in range(arguments.rounds)
        ]
        del memory, noise
        per_second, _, most = rate(large, arguments.batch_size)
    (in_memory, _), (from_file, _) = np.median(rates, axis=0)
    ratios, by_work = np.divide(*np.transpose(rates, (1, 2, 0))[::-1])
    print(
        json.dumps(
            {
                "batch_size": arguments.batch_size,
                "pairs_per_second_in_memory": round(in_memory),
                "pairs_per_second_mapped": round(from_file),
                "ratio": round(statistics.median(ratios), 2),
                "ratio_min": round(min(ratios), 2),
                "ratio_max": round(max(ratios), 2),
                # The machine's other work is in the clock, not in this.
                "ratio_by_processor_time": round(statistics.median(by_work), 2),
                "large_pairs": arguments.pairs,
                "large_pairs_per_second": round(per_second),
                "large_most_resident_gb": round(most, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
