"""The page of the commands, made of the parsers that read them."""

from __future__ import annotations

import argparse
import html
import os
from collections.abc import Iterator


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by "wyner train" and so on."""
    from wyner_keras.cli import command_line

    whole = command_line()
    (commands,) = (
        action for action in whole._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {f"wyner {name}": parser for name, parser in commands.choices.items()}


def page() -> str:
    """Usage, what is said, options and examples of every command, as Markdown."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "80"
    try:
        return "\n".join(line for name, parser in parsers().items() for line in _of(name, parser))
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _of(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    yield f"## {name}\n"
    for part in (parser.description or "").split("\n\n"):
        yield f"```text\n{part}\n```\n" if part.startswith("  ") else f"{_plain(part)}\n"
    yield f"```text\n{parser.format_usage().strip()}\n```\n"
    for group in parser._action_groups:
        actions = [each for each in group._group_actions if each.help != argparse.SUPPRESS]
        actions = [each for each in actions if "--help" not in each.option_strings]
        if not actions:
            continue
        yield f"| {group.title or 'options'} | |\n|---|---|"
        for action in actions:
            yield f"| {_called(action)} | {_plain(action.help or '')} |"
        yield ""
    for line in (parser.epilog or "").splitlines():
        yield f"{line.capitalize()}\n" if not line.startswith(" ") else f"    {line.strip()}"
    yield ""


def _called(action: argparse.Action) -> str:
    shown = action.metavar or ("|".join(action.choices) if action.choices else action.dest)
    shown = "" if action.nargs == 0 else f" {shown if isinstance(shown, str) else shown[0]}"
    names = action.option_strings or [""]
    more = " …" if action.nargs in ("+", "*") else ""
    text = ", ".join(f"{name}{shown}{more}".strip() for name in names)
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def _plain(text: str) -> str:
    """Text in which Markdown finds nothing to change but code between backticks."""
    parts = " ".join(text.split()).replace("%%", "%").split("`")
    for place in range(0, len(parts), 2):
        for character in "\\*_<>|[]":
            parts[place] = parts[place].replace(character, f"\\{character}")
    return "`".join(parts)
