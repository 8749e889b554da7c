"""`wyner completion`: completion of commands and options, made of the parser that reads them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wyner_keras.cli import options as shared
from wyner_keras.cli.options import Result

_DESCRIPTION = """\
Print a script by which a shell completes commands, options and their values.

  bash    wyner completion bash > ~/.local/share/bash-completion/completions/wyner
  zsh     wyner completion zsh > DIR/_wyner, where DIR is in fpath before compinit
  fish    wyner completion fish > ~/.config/fish/completions/wyner.fish

For one session of bash: source <(wyner completion bash). The script is of this version: print it
anew after an update.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "completion",
        help="print a script that completes words in a shell",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner completion bash > wyner.bash"),
    )
    parser.add_argument("shell", choices=tuple(_SCRIPTS), help="which shell")
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Make the script."""
    # Here, because it imports this module.
    from wyner_keras.cli import command_line

    text = _SCRIPTS[options.shell](told(command_line())).rstrip()
    return Result(text, {"shell": options.shell, "script": text})


@dataclass(frozen=True)
class Word:
    """An option, or a word that has a place of its own.

    Args:
        names: of an option, `--out`; none of a word.
        about: in a few words.
        takes_value: whether a value follows.
        values: all that may follow, or stand there; none where they are not listed.
    """

    names: tuple[str, ...]
    about: str
    takes_value: bool
    values: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """A command and its words."""

    name: str
    about: str
    words: tuple[Word, ...]

    @property
    def options(self) -> tuple[Word, ...]:
        """The words that are options."""
        return tuple(word for word in self.words if word.names)

    @property
    def places(self) -> tuple[str, ...]:
        """All that may stand where no option does, as far as that is listed."""
        return tuple(value for word in self.words if not word.names for value in word.values)


def told(parser: argparse.ArgumentParser) -> list[Command]:
    """The commands of a parser, in their order."""
    (commands,) = (
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    )
    about = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    return [
        Command(name, about[name], tuple(_word(action) for action in of._actions))
        for name, of in commands.choices.items()
    ]


def _word(action: argparse.Action) -> Word:
    # Up to what is in brackets or behind the first mark.
    about = re.split(r"[(;:.]", action.help or "")[0].strip()
    values = tuple(map(str, action.choices or ()))
    return Word(tuple(action.option_strings), about, action.nargs != 0, values)


def _bash(commands: list[Command]) -> str:
    lines = [
        "# wyner completion bash",
        "_wyner() {",
        '    local word="${COMP_WORDS[COMP_CWORD]}" words=""',
        "    COMPREPLY=()",
        '    if [ "$COMP_CWORD" -eq 1 ]; then',
        f'        words="{" ".join(command.name for command in commands)} --help --version"',
        "    else",
        '        case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in',
    ]
    for command in commands:
        for option in command.options:
            if option.values:
                keys = " | ".join(f'"{command.name} {name}"' for name in option.names)
                lines.append(f'            {keys}) words="{" ".join(option.values)}" ;;')
    lines += [
        "        esac",
        '        if [ -z "$words" ]; then',
        '            case "${COMP_WORDS[1]} $word" in',
    ]
    for command in commands:
        names = " ".join(name for option in command.options for name in option.names)
        lines.append(f'                "{command.name} -"*) words="{names}" ;;')
        if command.places:
            lines.append(
                f'                "{command.name} "*) words="{" ".join(command.places)}" ;;'
            )
    lines += [
        "            esac",
        "        fi",
        "    fi",
        # What is not listed is a file: of no words, bash completes files.
        '    if [ -n "$words" ]; then',
        '        COMPREPLY=($(compgen -W "$words" -- "$word"))',
        "    fi",
        "}",
        "complete -o default -F _wyner wyner",
    ]
    return "\n".join(lines)


def _zsh(commands: list[Command]) -> str:
    lines = [
        "#compdef wyner",
        "_wyner() {",
        "    local -a commands",
        "    commands=(",
        *(f"        {_quoted(f'{command.name}:{command.about}')}" for command in commands),
        "    )",
        "    if (( CURRENT == 2 )); then",
        "        _describe command commands",
        "        return",
        "    fi",
        "    local command=$words[2]",
        "    shift words",
        "    (( CURRENT-- ))",
        "    case $command in",
    ]
    for command in commands:
        lines += [f"        {command.name})", "            _arguments \\"]
        lines += [f"                {_quoted(spec)} \\" for spec in _zsh_specs(command)]
        lines += ["            ;;"]
    return "\n".join([*lines, "    esac", "}", "compdef _wyner wyner"])


def _zsh_specs(command: Command) -> Iterator[str]:
    for option in command.options:
        about = re.sub(r"[][]", "", option.about)
        action = f"({' '.join(option.values)})" if option.values else "_files"
        for name in option.names:
            yield f"{name}[{about}]" + (f":value:{action}" if option.takes_value else "")
    yield f"*:word:({' '.join(command.places)})" if command.places else "*:file:_files"


def _fish(commands: list[Command]) -> str:
    lines = ["# wyner completion fish"]
    first = "-n __fish_use_subcommand"
    lines += [
        f"complete -c wyner -f {first} -a {command.name} -d {_quoted(command.about)}"
        for command in commands
    ]
    for command in commands:
        within = f"-n '__fish_seen_subcommand_from {command.name}'"
        if command.places:
            lines.append(f"complete -c wyner -f {within} -a {_quoted(' '.join(command.places))}")
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = f" -x -a {_quoted(' '.join(option.values))}" if option.values else " -r"
            value = value if option.takes_value else ""
            lines.append(f"complete -c wyner {within} {names}{value} -d {_quoted(option.about)}")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    """A text as one word of any of these shells, without its own quotes."""
    return f"'{text.translate(_NO_QUOTES)}'"


# Of none of these shells a word between quotes can hold them all.
_NO_QUOTES = {ord("'"): None, ord("\\"): None}
_SCRIPTS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
