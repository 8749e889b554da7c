"""The parser of `wyner`: argparse's, whose errors name the word that was probably meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves room for the longest command's name, which argparse takes for shorter."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment


class Parser(argparse.ArgumentParser):
    """Parses a command's words, and refuses those that it does not know itself.

    A refusal ends with the option or command that is spelt nearly so, where there is one.
    Descriptions and examples keep their lines.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", _Formatter)
        super().__init__(**settings)
        self._commands: Any = None
        self._words: list[str] = []

    def add_commands(self, title: str) -> Any:
        """The place where commands are added, each by `add_parser`; one of them is required."""
        self._commands = self.add_subparsers(title=title, metavar="COMMAND", required=True)
        return self._commands

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does, but an unknown word is an error of this parser.

        argparse hands the words that a command does not know to the parser above it, which cannot
        tell what was meant.
        """
        self._words = list(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(self._words, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Write the usage and the error to stderr, and exit by 2."""
        near = sorted(set(self._near()))
        hint = f". Did you mean {' or '.join(near)}?" if near else ""
        super().error(f"{message}{hint}")

    def _near(self) -> Iterator[str]:
        """Known words near those that are not known."""
        if self._commands is not None:
            first = next((word for word in self._words if not word.startswith("-")), None)
            yield from _nearest(first, self._commands.choices)
        options = set(re.findall(r"--[a-z][a-z-]*", self.format_usage())) | {"--help"}
        for word in self._words:
            option = word.partition("=")[0]
            if re.match(r"--\w", option) and not any(each.startswith(option) for each in options):
                yield from _nearest(option, options)


def _nearest(word: str | None, known: Iterable[str]) -> Sequence[str]:
    known = list(known)
    if word is None or word in known:
        return []
    return difflib.get_close_matches(word, known, n=1)
