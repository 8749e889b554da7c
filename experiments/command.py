"""The command line of an experiment."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from wyner_keras.cli import execute
from wyner_keras.cli.options import Result


class Command(argparse.ArgumentParser):
    """`python -m experiments.NAME`; its help keeps the lines of the description.

    Args:
        name: of the module.
        description: for the help.
        run: carries it out.
    """

    def __init__(
        self, name: str, description: str, run: Callable[[argparse.Namespace], Result]
    ) -> None:
        super().__init__(
            prog=f"python -m experiments.{name}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.set_defaults(run=run)
        self._module = f"experiments.{name}"

    def main(self, arguments: Sequence[str] | None) -> int:
        """Parse and carry out; return the exit code, as `wyner_keras.cli.main` does."""
        return execute(self.parse_args(arguments), self._module, ("experiments",))
