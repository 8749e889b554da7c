"""What must begin anew in a forked process: locks, and whatever has threads of its own."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something that a fork copies without its threads."""

    def begin_anew(self) -> None:
        """Drop what the fork broke; called in the child, before anything else runs there."""


_ALL: weakref.WeakSet[Forked] = weakref.WeakSet()


def begins_anew(each: Forked) -> None:
    """Have `begin_anew` called in every process that is forked from this one."""
    _ALL.add(each)


def _in_child() -> None:
    for each in list(_ALL):
        each.begin_anew()


# Windows does not fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
