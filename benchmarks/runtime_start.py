"""From process start to the first image of a bundle, beside the start of its two libraries.

    python -m benchmarks.runtime_start BUNDLE [--rounds 10] [--pairs 2000]

Each round starts three Python processes, one after the other: one that imports NumPy and
onnxruntime, one that opens the bundle and generates one pair, one that generates many. Time is from
before the process starts until its images are there; memory is the process's largest resident size.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

IMPORTS = "import numpy, onnxruntime"
FIRST = """
from wyner_serving import Bundle
bundle = Bundle.load({bundle!r})
x, y = bundle.generate_pairs(1, seed=0)
"""
MANY = """
from wyner_serving import Bundle
Bundle.load({bundle!r}).generate_pairs({pairs}, seed=0)
"""
REPORT = """
import time
end = time.time()
from benchmarks.resident import most_mb
print(end, most_mb())
"""


def measure(code: str) -> tuple[float, float]:
    """Seconds until the code is through, and the largest resident size in MB."""
    begin = time.time()
    command = [sys.executable, "-c", code + REPORT]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    end, memory = map(float, output.split())
    return end - begin, memory


def main() -> None:
    """Measure and print minimum, median and maximum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=2000)
    options = parser.parse_args()
    codes = {
        "import numpy, onnxruntime": IMPORTS,
        "first pair": FIRST.format(bundle=options.bundle),
        f"{options.pairs} pairs": MANY.format(bundle=options.bundle, pairs=options.pairs),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in codes}
    for _ in range(options.rounds):
        for name, code in codes.items():
            found[name].append(measure(code))
    print(f"{'':28}{'seconds':>24}{'MB':>24}")
    for name, values in found.items():
        cells = [
            f"{statistics.median(column):.2f} ({min(column):.2f}-{max(column):.2f})"
            for column in zip(*values, strict=True)
        ]
        print(f"{name:28}{cells[0]:>24}{cells[1]:>24}")


if __name__ == "__main__":
    main()
