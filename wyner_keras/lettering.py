"""Words in pictures: of whichever scripts the machine's fonts have, and never read as formulas."""

from __future__ import annotations

import contextlib
import functools
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

# Beside matplotlib's own, those that systems bring for scripts that it lacks.
_FONTS = (
    *("DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans CJK KR", "Noto Sans JP"),
    *("Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "Arial Unicode MS", "Yu Gothic"),
    *("Microsoft YaHei", "Malgun Gothic", "IPAexGothic", "WenQuanYi Micro Hei", "Droid Sans"),
    *("Noto Sans", "Noto Sans Devanagari", "Noto Sans Thai", "Segoe UI", "Nirmala UI"),
)


def display_width(text: str) -> int:
    """How many places a terminal, or about so many letters that a picture, gives a text.

    Args:
        text: of any script.

    Example:
        >>> display_width("size"), display_width("日本")
        (4, 4)
    """
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def padded(text: str, most: int) -> str:
    """A text with spaces behind it up to a width.

    Args:
        text: of any script.
        most: the width.

    Example:
        >>> padded("size", 6) + "|", padded("日本", 6) + "|"
        ('size  |', '日本  |')
    """
    return text + " " * (most - display_width(text))


def lettered(text: Any, otherwise: str, longest: int = 26) -> str:
    r"""A text as matplotlib draws it in one line: cut where it is long, without formulas.

    Args:
        text: to be drawn.
        otherwise: what is drawn where no font has one of its letters.
        longest: width of the text, at most.

    Example:
        >>> lettered("price in $, with tax", "column 3", longest=12)
        'price in \\$,…'
    """
    line = " ".join(str(text).split())
    if any(ord(each) not in _letters() for each in line):
        return otherwise
    cut = line
    while display_width(cut) > longest:
        cut = cut[: -1 if cut is line else -2].rstrip() + "…"
    return cut.replace("$", r"\$")


@contextlib.contextmanager
def lettering() -> Iterator[None]:
    """Inside, matplotlib looks for letters in all fonts that `lettered` knows of."""
    import matplotlib as mpl

    with mpl.rc_context({"font.family": list(_installed())}):
        yield


@functools.cache
def _installed() -> Mapping[str, str]:
    """Files of the fonts that are there, by name."""
    from matplotlib import font_manager

    files = {font.name: font.fname for font in font_manager.fontManager.ttflist[::-1]}
    return {name: files[name] for name in _FONTS if name in files}


@functools.cache
def _letters() -> frozenset[int]:
    """Letters that the fonts have."""
    from matplotlib.ft2font import FT2Font

    return frozenset().union(*(FT2Font(file).get_charmap() for file in _installed().values()))
