"""What a page is made of; each block says itself as text for a terminal and as HTML.

Whatever comes from the user's data is escaped here, and nowhere else.
"""

from __future__ import annotations

import base64
import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from wyner_keras.lettering import display_width, padded

_WIDTH = 88  # characters of a line of text
_BAR = 24  # characters of the longest bar in text


def escaped(words: str) -> str:
    """Words as HTML."""
    # A number stays on one line with its sign.
    return html.escape(printable(words), quote=True).replace(" %", "&nbsp;%")


def printable(words: str) -> str:
    """Words without what moves a terminal's cursor or changes its colours."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in words)


def wrapped(words: str, indent: str = "", hanging: str | None = None) -> str:
    """Words in lines of 88 characters."""
    hanging = indent if hanging is None else hanging
    return textwrap.fill(printable(words), _WIDTH, initial_indent=indent, subsequent_indent=hanging)


def percent(share: float, digits: int = 1) -> str:
    """A share in per cent: "2.5 %"."""
    return f"{100 * share:.{digits}f} %"


class Block(Protocol):
    """A part of a section."""

    def text(self) -> str:
        """For a terminal."""

    def html(self) -> str:
        """For a browser."""


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    words: str

    def text(self) -> str:
        """In lines of 88 characters."""
        return wrapped(self.words)

    def html(self) -> str:
        """A paragraph."""
        return f"<p>{escaped(self.words)}</p>"


@dataclass(frozen=True)
class Listing:
    """Items, each a short heading and what is said of it."""

    items: Sequence[tuple[str, str]]

    def text(self) -> str:
        """Items behind dashes."""
        return "\n".join(wrapped(" ".join(filter(None, each)), "- ", "  ") for each in self.items)

    def html(self) -> str:
        """A list."""
        items = (
            f"<li><strong>{escaped(head)}</strong> {escaped(words)}</li>"
            for head, words in self.items
        )
        return f"<ul>{''.join(items)}</ul>"


def scrolling(table: str, label: str) -> str:
    """A table that scrolls sideways where the page is narrow, by keyboard too, with a name."""
    return (
        f'<div class="wide" role="group" aria-label="{escaped(label)}" tabindex="0">{table}</div>'
    )


@dataclass(frozen=True)
class Table:
    """Rows of cells; numbers, all but the first column, to the right."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str

    def text(self) -> str:
        """Aligned columns under their heads."""
        rows = [[printable(cell) for cell in row] for row in (self.head, *self.rows)]
        wide = [max(map(display_width, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                f"{' ' * (most - display_width(cell))}{cell}" if place else padded(cell, most)
                for place, (cell, most) in enumerate(zip(row, wide, strict=True))
            ).rstrip()
            for row in rows
        ]
        lines.insert(1, "-" * (sum(wide) + 2 * len(wide) - 2))
        return f"{wrapped(self.caption)}\n\n" + "\n".join(lines)

    def html(self) -> str:
        """A table with a caption."""
        head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in self.head)
        rows = "".join(
            f'<tr><th scope="row">{escaped(row[0])}</th>'
            + "".join(f'<td class="number">{escaped(cell)}</td>' for cell in row[1:])
            + "</tr>"
            for row in self.rows
        )
        table = (
            f"<table><caption>{escaped(self.caption)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )
        return scrolling(table, self.caption)


@dataclass(frozen=True)
class Heading:
    """What the blocks after it are about."""

    words: str

    def text(self) -> str:
        """The words, dotted below."""
        return f"{printable(self.words)}\n{'.' * len(self.words)}"

    def html(self) -> str:
        """A heading of the third rank."""
        return f"<h3>{escaped(self.words)}</h3>"


@dataclass(frozen=True)
class Measured:
    """Figures of one kind, with what they mean.

    Args:
        rows: title, value of the model and what stands beside it, of each.
        means: one sentence.
        good: what a good value is.
    """

    rows: Sequence[tuple[str, str, str]]
    means: str
    good: str


@dataclass(frozen=True)
class Figures:
    """Figures of one group."""

    name: str
    kinds: Sequence[Measured]

    def text(self) -> str:
        """A figure a line; after those of one kind what they mean."""
        rows = [row for kind in self.kinds for row in kind.rows]
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [Heading(self.name).text()]
        for kind in self.kinds:
            for title, model, beside in kind.rows:
                lines.append(printable(f"{title:<{wide[0]}}  {model:>{wide[1]}}  ({beside})"))
            lines.append(wrapped(f"{kind.means} {kind.good}".strip(), "    "))
        return "\n".join(line for line in lines if line.strip())

    def html(self) -> str:
        """A table: the figure, its value, what stands beside it; below, what it means."""
        bodies = []
        for kind in self.kinds:
            rows = "".join(
                f'<tr><th scope="row">{escaped(title)}</th>'
                f'<td class="number value">{escaped(model)}</td>'
                f'<td class="number">{escaped(beside)}</td></tr>'
                for title, model, beside in kind.rows
            )
            said = escaped(f"{kind.means} {kind.good}".strip())
            means = f'<tr><td class="means" colspan="3">{said}</td></tr>' if said else ""
            bodies.append(f"<tbody>{rows}{means}</tbody>")
        table = (
            '<table class="figures"><thead><tr><th scope="col">figure</th>'
            '<th scope="col">model</th><th scope="col">beside</th></tr></thead>'
            f"{''.join(bodies)}</table>"
        )
        return Heading(self.name).html() + scrolling(table, self.name)


@dataclass(frozen=True)
class Picture:
    """A PNG with words for those who do not see it.

    Args:
        png: the file's bytes.
        size: width and height on the page, CSS pixels.
        alt: what it shows.
        caption: said below it.
    """

    png: bytes
    size: tuple[int, int]
    alt: str
    caption: str

    def text(self) -> str:
        """Nothing: what a picture shows is said by the card that it is in."""
        return ""

    def html(self) -> str:
        """The picture itself, inside the page."""
        source = base64.b64encode(self.png).decode()
        width, height = self.size
        return (
            f'<figure><img src="data:image/png;base64,{source}" width="{width}" '
            f'height="{height}" alt="{escaped(self.alt)}">'
            f"<figcaption>{escaped(self.caption)}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Bars:
    """Amounts by name, to the right where above 0, else to the left.

    Args:
        bars: name and amount.
        unit: of the amounts.
        caption: said below them.
    """

    bars: Sequence[tuple[str, float]]
    unit: str
    caption: str

    def _longest(self) -> float:
        return max([abs(value) for _, value in self.bars] + [1e-9])

    def text(self) -> str:
        """A bar of signs a line."""
        names = [printable(name) for name, _ in self.bars]
        wide, longest = max(map(display_width, names), default=0), self._longest()
        lines = [
            f"    {padded(name, wide)}  {value:+7.2f} {self.unit}  "
            f"{('+' if value > 0 else '-') * round(_BAR * abs(value) / longest)}".rstrip()
            for name, (_, value) in zip(names, self.bars, strict=True)
        ]
        return "\n".join([wrapped(f"{self.caption}:", "    "), *lines])

    def html(self) -> str:
        """A table whose cells hold the bars."""
        longest = self._longest()
        rows = []
        for name, value in self.bars:
            width = 50 * abs(value) / longest
            left = 50 if value > 0 else 50 - width
            side = "more" if value > 0 else "less"
            rows.append(
                f'<tr><th scope="row">{escaped(name)}</th>'
                f'<td class="bar"><span class="{side}" '
                f'style="left:{left:.1f}%;width:{width:.1f}%"></span></td>'
                f'<td class="number">{value:+.2f}</td></tr>'
            )
        caption = f"{self.caption}, {self.unit}"
        return (
            f'<table class="bars"><caption>{escaped(caption)}</caption>'
            f"<tbody>{''.join(rows)}</tbody></table>"
        )


@dataclass(frozen=True)
class Card:
    """One thing that is pictured: a value, a direction, a pair.

    Args:
        title: what it is.
        note: figures of it.
        parts: pictures and bars.
    """

    title: str
    note: str
    parts: Sequence[Block]


@dataclass(frozen=True)
class Cards:
    """Cards beside each other, where the page is wide enough.

    Args:
        cards: in their order.
        rank: of their headings: 4 below a `Heading`.
    """

    cards: Sequence[Card]
    rank: int = 3

    def text(self) -> str:
        """Title, note and bars of each."""
        lines = []
        for card in self.cards:
            lines.append(wrapped(": ".join(filter(None, (card.title, card.note))), "- ", "  "))
            lines += filter(None, (part.text() for part in card.parts))
        return "\n".join(lines)

    def html(self) -> str:
        """A grid."""
        cards = (
            f'<article class="card"><h{self.rank}>{escaped(card.title)}</h{self.rank}>'
            f'<p class="note">{escaped(card.note)}</p>'
            f'<div class="parts">{"".join(part.html() for part in card.parts)}</div></article>'
            for card in self.cards
        )
        return f'<div class="cards">{"".join(cards)}</div>'


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]

    def text(self) -> str:
        """The heading underlined."""
        parts = [f"{printable(self.title)}\n{'=' * len(self.title)}"]
        return "\n\n".join([*parts, *(block.text() for block in self.blocks)])

    def html(self) -> str:
        """A section."""
        blocks = "\n".join(block.html() for block in self.blocks)
        return f"<section><h2>{escaped(self.title)}</h2>\n{blocks}\n</section>"
