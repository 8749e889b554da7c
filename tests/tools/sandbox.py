"""Runs a function in a forked process, and tells how it ended, how long it took, and its memory."""

import dataclasses
import json
import os
import resource
import select
import signal
import time
import traceback

_MOST_BYTES = 4 * 2**30  # of address space


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Args:
        kind: what the function returned, "crash" for an error that is not its own to raise,
            "memory" for one of memory, "killed" by a signal, or "hang".
        told: of an error, its type and text.
        seconds: by the clock.
        processor: seconds, those of the system with it.
        megabytes: resident at most, with all that was imported before.
    """

    kind: str
    told: str
    seconds: float
    processor: float
    megabytes: float


def outcome(function, seconds=10.0):
    """What became of `function()`, which returns a kind and what is told of it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _answer(function, writing)
    os.close(writing)
    began = time.monotonic()
    ready, _, _ = select.select([reading], [], [], seconds)
    taken = time.monotonic() - began
    text = b""
    if ready:
        while part := os.read(reading, 2**16):
            text += part
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status, use = os.wait4(child, 0)
    spent = taken, use.ru_utime + use.ru_stime, use.ru_maxrss / 1024
    if not ready:
        return Outcome("hang", f"after {seconds} s", *spent)
    if not text:
        return Outcome("killed", f"status {status}", *spent)
    return Outcome(*json.loads(text), *spent)


def _answer(function, writing):
    """In the child: the answer into the pipe, and an end without any clean-up."""
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            found = function()
        except MemoryError as error:
            found = "memory", f"{type(error).__name__}: {error}"
        except BaseException as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{os.path.basename(line.filename)}:{line.lineno}"
            found = "crash", f"{type(error).__name__} at {where}: {error}"
        kind, told = found
        os.write(writing, json.dumps([kind, told[:300]]).encode())
    finally:
        os._exit(0)
