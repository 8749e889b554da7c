"""A process that answers requests, a line of JSON each, and how to ask it. Standard library only.

A peer stays alive between rounds: what it compiled is compiled once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Peer:
    """A process of another interpreter or library.

    Args:
        python: the interpreter.
        module: run as `python -m`, which calls `answer`.
        *arguments: of the module.
    """

    def __init__(self, python: str, module: str, *arguments: str) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Another interpreter has packages of its own.
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'build' / 'types'}"},
        )

    def ask(self, task: str, **given: Any) -> Any:
        """What it answers.

        Raises:
            RuntimeError: if it cannot; the message says why.
        """
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps({"task": task, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with {self._process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["value"]

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def answer(tasks: Mapping[str, Callable[..., Any]]) -> None:
    """Carry out what is asked for until nothing more is."""
    # Libraries print: what they say must not be taken for an answer.
    replies, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"value": tasks[request.pop("task")](**request)}
        # A peer that cannot do one thing may do the next.
        except Exception as error:
            first = str(error).strip().partition("\n")[0]
            reply = {"error": f"{type(error).__name__}: {first:.160}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def seconds_of(call: Callable[[], Any], count: int) -> float:
    """Seconds of one of `count` calls; the last one's result is waited for by the call."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count


def threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))
