"""The `wyner` command: train, evaluate, report, generate, transfer, rank, export, card and so on.

Nothing here imports TensorFlow or Keras before a command needs them, so that `--help` is quick and
works where they are not installed. This is also the one place that configures logging.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence

from wyner_keras import runs
from wyner_keras.cli import (
    bulk,
    card,
    completion,
    doctor,
    evaluate,
    export,
    generate,
    rank,
    report,
    train,
    transfer,
)
from wyner_keras.cli.options import CommandFailed
from wyner_keras.cli.parser import Parser
from wyner_keras.files import to_json

__all__ = ["command_line", "execute", "main"]

# In the order of `wyner --help`.
_COMMANDS = (
    *(train, evaluate, report, generate, transfer, rank, export, card, bulk),
    *(doctor, completion),
)
_PACKAGES = ("wyner_keras", "wyner_export", "wyner_serving")
_PATIENCE = 5.0  # seconds until work that goes on after SIGTERM is told again

_DESCRIPTION = """\
Learn what pairs (x, y) share (z) and what is own to each (u, v), and use it.
"""

_EPILOG = """\
wyner train --pairs DIR --out runs/mine       DIR/x/NAME.png with DIR/y/NAME.png
wyner COMMAND --help                          what a command takes, and examples
"""


def command_line() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(prog="wyner", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action="version", version=f"wyner {runs.version()}")
    commands = parser.add_commands("commands")
    for module in _COMMANDS:
        module.add_parser(commands)
    return parser


@contextlib.contextmanager
def _logging(quiet: bool, packages: Sequence[str]) -> Iterator[None]:
    """Progress of packages on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    # An error reaches the user once, as the line that `main` writes.
    handler.addFilter(lambda record: record.levelno < logging.ERROR)
    before = []
    for name in packages:
        logger = logging.getLogger(name)
        before.append((logger, logger.level, logger.propagate))
        logger.setLevel(logging.WARNING if quiet else logging.INFO)
        logger.propagate = False
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


@contextlib.contextmanager
def _ended() -> Iterator[list[int]]:
    """Inside, SIGTERM ends the work as Ctrl-C does, and a second one ends the process.

    An exception can get lost where Python discards it, in a destructor, say, or in a callback from
    C. So it is raised again until the work has ended.

    Yields:
        The signal, once it has come.
    """
    came: list[int] = []
    own = threading.get_ident()
    over, again = threading.Event(), threading.Event()

    def end(number: int, frame: object) -> None:
        if not came:
            threading.Thread(target=tell_again, daemon=True).start()
        elif not again.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        came.append(number)
        again.clear()
        raise KeyboardInterrupt

    def tell_again() -> None:
        while not over.wait(_PATIENCE):
            again.set()
            signal.pthread_kill(own, signal.SIGTERM)  # wakes what sleeps, too

    # Signals are the main thread's, and whoever hears this one already goes on hearing it.
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield came
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield came
    finally:
        over.set()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def execute(options: argparse.Namespace, program: str, packages: Sequence[str] = ()) -> int:
    """Run a parsed command: its result goes to stdout, progress and errors to stderr.

    Args:
        options: with `run`, `quiet` and `json`; see `options.add_common`.
        program: name that begins the line of an error.
        packages: whose log messages are progress, besides this distribution's.

    Returns:
        The exit code: 0, 1 where the work failed or a check did, 2 for bad input, 130 when
        interrupted, 143 when ended by SIGTERM.
    """
    with _ended() as came:
        return _execute(options, program, packages, came)


def _execute(
    options: argparse.Namespace, program: str, packages: Sequence[str], came: Sequence[int]
) -> int:
    """What `execute` does; by then `came` holds a signal that ended it."""

    def fail(error: object, code: int) -> int:
        message = " ".join(str(error).split()) or type(error).__name__
        print(f"{program}: error: {message}", file=sys.stderr)
        return code

    try:
        # Keras writes its progress to stdout, which is the result's.
        with (
            _logging(options.quiet, (*_PACKAGES, *packages)),
            contextlib.redirect_stdout(sys.stderr),
        ):
            result = options.run(options)
    except ValueError as error:
        return fail(error, 2)
    except ModuleNotFoundError as error:
        if "pip install" in str(error):
            return fail(error, 1)
        return fail(f"{error}. Install what training needs: pip install 'wyner-keras[train]'", 1)
    except (CommandFailed, OSError) as error:
        return fail(error, 1)
    except MemoryError as error:
        return fail(f"the memory of this machine should suffice. {error}".rstrip(), 1)
    except KeyboardInterrupt as error:
        if came:
            return fail(f"ended by SIGTERM. {error}", 128 + came[0])
        return fail(f"interrupted. {error}", 130)
    if came:  # the exception got lost
        return fail("ended by SIGTERM, when the work was done.", 128 + came[0])
    try:
        _say(to_json(result.values) if options.json else f"{result.text}\n")
    except OSError as error:
        return fail(f"the work is done, but stdout should take its result. Received: {error}", 1)
    return result.code


def _say(text: str) -> None:
    """Write to stdout, if somebody reads it."""
    if sys.stdout is None:  # it was closed before the process began
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Args:
        arguments: words of the command line after `wyner`; default those of the process.

    Returns:
        The exit code, as `execute` returns it.

    Example:
        >>> main(["generate", "no-such-run", "--from", "prior", "--out", "pairs.png"])
        2
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal or pipe that has no é gets an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    return execute(command_line().parse_args(arguments), "wyner")
