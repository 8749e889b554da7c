"""Does a bundle that is used for long take more and more memory, and are its answers still right?

Threads ask one `Bundle` for tasks of mixed sizes; every answer is compared with that of one thread.
Every second the memory is read: what the process has resident of its own (as the system counts),
and what of it is in use: taken and not freed, of glibc (`malloc_info`) and of Python's blocks. A
leak shows in one of the latter; where both are flat and the former grows, free memory lies
scattered among what is used, in pages that were touched by now. Slopes are of least squares, with
95% intervals that allow for what follows upon what (the residuals' autocorrelation).

Run: python -m benchmarks.long_use BUNDLE [--seconds S] [--threads N] [--arenas N]
`--arenas 1` gives all threads one arena (MALLOC_ARENA_MAX). Of Linux with glibc.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import sys
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.resident import own_mb
from wyner_serving import Bundle

_READ = (("resident", "MB"), ("malloc in use", "MB"), ("Python's blocks", "thousand"))
_ROWS = (1, 2, 3, 5, 8, 13, 21, 32, 33, 47, 64, 100)
_libc = ctypes.CDLL(None)
_libc.open_memstream.restype = ctypes.c_void_p
_libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
_libc.fclose.argtypes = (ctypes.c_void_p,)
_libc.free.argtypes = (ctypes.c_void_p,)


def in_use() -> float:
    """MB that were taken from malloc and not given back."""
    text, size = ctypes.c_void_p(), ctypes.c_size_t()
    stream = _libc.open_memstream(ctypes.byref(text), ctypes.byref(size))
    _libc.malloc_info(0, stream)
    _libc.fclose(stream)
    root = ET.fromstring(ctypes.string_at(text.value or 0, size.value))
    _libc.free(text)
    free = {each.get("type"): int(each.get("size", 0)) for each in root.findall("total")}
    system = root.find("system[@type='current']")
    held = 0 if system is None else int(system.get("size", 0))
    return (held - free["fast"] - free["rest"] + free["mmap"]) / 1e6


def slope(minutes: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """MB a minute, and half the width of its 95% interval."""
    centred = minutes - minutes.mean()
    rate = centred @ values / (centred @ centred)
    rest = values - values.mean() - rate * centred
    error = np.sqrt(rest @ rest / (len(rest) - 2) / (centred @ centred))
    following = rest[:-1] @ rest[1:] / max(rest @ rest, 1e-12)
    following = min(max(following, 0.0), 0.99)
    return float(rate), float(1.96 * error * np.sqrt((1 + following) / (1 - following)))


def requests(bundle: Bundle) -> list[Callable[[], tuple[np.ndarray, ...]]]:
    """Calls of every kind and size."""
    rng, found = np.random.default_rng(0), []
    for rows in _ROWS:
        x, y = (rng.random((rows, *bundle.example_shape(side)), np.float32) for side in "xy")
        found += [
            lambda x=x: (bundle.generate_y(x, seed=1),),
            lambda y=y: (bundle.generate_x(y, seed=2),),
            lambda rows=rows: bundle.generate_pairs(rows, seed=3),
            lambda x=x, y=y: (bundle.transfer_x(style=x[:5], concept=y[:7], seed=4),),
            lambda x=x: (bundle.encode_x(x, seed=5).z,),
        ]
    return found


def use(folder: Path, seconds: float, threads: int) -> None:
    """Ask for so long, and print the table."""
    bundle = Bundle.load(folder, threads=1)
    calls = requests(bundle)
    expected = [call() for call in calls]
    right, wrong = [0] * threads, [0] * threads
    until = time.monotonic() + seconds

    def work(thread: int) -> None:
        order = random.Random(thread)
        while time.monotonic() < until:
            place = order.randrange(len(calls))
            found = calls[place]()
            same = all(map(np.array_equal, found, expected[place]))
            right[thread] += same
            wrong[thread] += not same

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    # Made before, so that the table itself takes nothing while it is written.
    begun, table, count = time.monotonic(), np.zeros((int(seconds) + 10, 4)), 0
    for worker in workers:
        worker.start()
    while time.monotonic() < until:
        minutes = (time.monotonic() - begun) / 60
        table[count] = minutes, own_mb(), in_use(), sys.getallocatedblocks() / 1e3
        count += 1
        time.sleep(1)
    for worker in workers:
        worker.join()
    print(f"{threads} threads, {seconds:g} s: {sum(right)} right answers, {sum(wrong)} wrong")
    table = table[:count]
    for name, share in (("second half", 0.5), ("last three quarters", 0.25)):
        part = table[table[:, 0] >= share * seconds / 60]
        for column, (kind, unit) in enumerate(_READ, 1):
            rate, half = slope(part[:, 0], part[:, column])
            ends = f"{part[0, column]:.2f} to {part[-1, column]:.2f} {unit}"
            print(f"  {name}, {kind}: {rate:+.3f} ± {half:.3f} {unit} a minute, {ends}")
    before = own_mb()
    _libc.malloc_trim(0)
    print(f"  resident {before:.1f} MB, {own_mb():.1f} MB when free memory is given back")


def main() -> None:
    """Parse; begin anew with the arenas that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--arenas", type=int, help="of glibc, for all threads together")
    options = parser.parse_args()
    if options.arenas and os.environ.get("MALLOC_ARENA_MAX") != str(options.arenas):
        os.environ["MALLOC_ARENA_MAX"] = str(options.arenas)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    use(options.bundle, options.seconds, options.threads)


if __name__ == "__main__":
    main()
