"""Numbers as people and spreadsheets write them, which are texts to a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

_LEAST_OF_UNIT = 3  # texts that differ, of fewer the numbers tell categories apart: 2wd, 4wd
_NUMBER = re.compile(
    r"""(?P<sign>[+\-−]?)(?P<before>[$€£¥₹₩₽]?)\s?
    (?P<number>
        (?:\d+(?:[.,]\d+)? | [.,]\d+) (?:e[+-]?\d+)?
        | \d{1,3}(?P<between>[.,'’\s])\d{3} (?:(?P=between)\d{3})* (?:[.,]\d+)?
    )
    (?:\s?(?P<after>(?:[^\W\d_]|[%‰°′″$€£¥₹₩₽])[^;:,]{0,15}))?""",  # noqa: RUF001
    re.VERBOSE | re.IGNORECASE,
)


class Written(NamedTuple):
    """A number in a form that a table should not have it in."""

    row: int
    text: str
    todo: str
    """What makes a number of it that a table may hold."""


def written_number(texts: Mapping[int, str]) -> Written | None:
    """The first of a column's texts that are numbers but for how they are written.

    These have a decimal comma, something between thousands, a minus sign that is no hyphen, or
    the unit that most have.

    Args:
        texts: by row, of a column.

    Returns:
        None where they are half of the texts or fewer, those aside that are numbers as they are.

    Example:
        >>> written_number({0: "174,4", 1: "168,0", 2: "unknown"}).todo
        'replace the comma by a point'
        >>> written_number({0: "2 mg", 1: "5 mg", 2: "10 mg"}).todo
        "take the unit 'mg' off"
    """
    counts = Counter(text for text in texts.values() if not _is_number(text))
    parts = {text: apart for text in counts if (apart := _apart(text))}
    of_unit: Counter[str] = Counter()
    for _, unit in parts.values():
        of_unit[unit] += bool(unit)
    usual, differ = of_unit.most_common(1)[0] if of_unit else ("", 0)
    known = {"", usual} if differ >= _LEAST_OF_UNIT else {""}
    told = {text for text, (_, unit) in parts.items() if unit in known}
    if 2 * sum(counts[text] for text in told) <= counts.total():
        return None
    row, text = next((row, text) for row, text in texts.items() if text in told)
    todo, unit = parts[text]
    off = [f"take the unit {unit!r} off"] if unit else []
    return Written(row, text, " and ".join([*todo, *off]))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _apart(text: str) -> tuple[list[str], str] | None:
    """What to do about a text's number, and its unit; None where it is no number."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    number, unit = match["number"], match["before"] + (match["after"] or "")
    todo = []
    if match["sign"] == "−":
        todo.append("replace the minus sign by a hyphen")
    if match["between"]:
        todo.append("take out what is between thousands")
    elif re.fullmatch(r"\d{1,3},\d{3}", number):
        todo.append("take the comma out, or replace it by a point where it is decimal")
    if (
        match["between"] != ","
        and re.search(r",\d+(e|$)", number, re.I)
        and "comma" not in "".join(todo)
    ):
        todo.append("replace the comma by a point")
    return (todo, unit) if todo or unit else None
