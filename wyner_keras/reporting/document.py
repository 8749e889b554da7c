"""The page as a whole: text for a terminal, or one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wyner_keras.reporting.blocks import Section, escaped, printable, wrapped
from wyner_serving.whole import whole_file

# Nothing is loaded and nothing runs, whatever the page holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --words: #1c1f24; --faint: #5c636e;
  --line: #dde1e7; --panel: #f5f7fa; --accent: #184ea0; --less: #a8481c; }
@media (prefers-color-scheme: dark) { :root { --ground: #15171b; --words: #e4e7ec;
  --faint: #9aa2ae; --line: #343942; --panel: #1e2127; --accent: #7aa7ee; --less: #e59a6f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--words);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif; }
main { max-width: 66rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
.card > :first-child { font-size: .95rem; margin: 0; }
p, ul { max-width: 46rem; margin: .5rem 0 1rem; }
li { margin: .4rem 0; }
.about { color: var(--faint); margin: 0 0 1.25rem; }
.verdict { background: var(--panel); border-left: 4px solid var(--accent);
  border-radius: 0 6px 6px 0; padding: 1rem 1.25rem; }
.verdict.nothing { border-color: var(--less); }
.verdict p { margin: .25rem 0; }
.verdict .headline { font-size: 1.2rem; font-weight: 650; }
.wide { overflow-x: auto; }
.wide:focus-visible { outline: 2px solid var(--accent); outline-offset: 4px; }
table { border-collapse: collapse; font-size: .92rem; }
.wide table { min-width: min(100%, 32rem); }
caption { text-align: left; color: var(--faint); padding-bottom: .4rem; caption-side: top; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1.25rem .4rem 0;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 500; }
th[scope=row] { font-weight: 550; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th:not(:first-child) { text-align: right; }
.figures { width: 100%; }
.figures .value { font-weight: 650; }
.figures tbody tr:not(:last-child) > * { border-bottom: 0; padding-bottom: 0; }
.means { color: var(--faint); padding-top: .1rem; }
.parts { display: flex; flex-wrap: wrap; gap: .1rem 1rem; }
.parts > .bars { flex: 1 0 100%; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr));
  gap: .9rem; margin: 1rem 0; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: .8rem .9rem;
  background: var(--panel); min-width: 0; }
.note { color: var(--faint); font-size: .88rem; margin: .1rem 0 .5rem; }
figure { margin: .5rem 0 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff;
  padding: 6px; border-radius: 5px; }
figcaption, .bars caption { color: var(--faint); font-size: .82rem; padding: .2rem 0 0; }
.bars { width: 100%; table-layout: fixed; margin-top: .25rem; font-size: .82rem; }
.bars th, .bars td { padding: .1rem .3rem .1rem 0; border: 0; }
.bars th { width: 46%; font-weight: 400; overflow-wrap: anywhere; line-height: 1.25; }
.bars .number { width: 16%; padding-right: 0; }
.bar { position: relative; }
.bar span { position: absolute; top: .35em; height: .8em; border-radius: 2px; }
.more { background: var(--accent); }
.less { background: var(--less); }
a { color: var(--accent); }
@media print { .card { break-inside: avoid; } main { padding: 0; } }
"""


@dataclass(frozen=True)
class ReportPage:
    """A page on a model: a verdict, then sections.

    Args:
        title: of the page.
        about: what was judged, one line.
        headline: the verdict in one sentence.
        verdict: sentences that explain it.
        nothing: whether the verdict is that nothing is shared, as far as can be seen.
        sections: in their order.
        values: the figures on the page, JSON-able.

    Example:
        >>> page = wk.report(model, held_out)  # doctest: +SKIP
        >>> print(page)  # doctest: +SKIP
        >>> page.write("report.html")  # doctest: +SKIP
    """

    title: str
    about: str
    headline: str
    verdict: Sequence[str]
    nothing: bool
    sections: Sequence[Section]
    values: Mapping[str, Any]

    def __str__(self) -> str:
        """The text."""
        return self.text()

    def text(self) -> str:
        """The page for a terminal: the same words, and bars of signs."""
        head = [printable(self.title), wrapped(self.about), "", wrapped(self.headline.upper())]
        head += map(wrapped, self.verdict)
        return "\n\n".join(["\n".join(head), *(section.text() for section in self.sections)])

    def html(self) -> str:
        """The page as one file: pictures inside, no scripts, nothing to load."""
        kind = "verdict nothing" if self.nothing else "verdict"
        verdict = "".join(f"<p>{escaped(each)}</p>" for each in self.verdict)
        sections = "\n".join(section.html() for section in self.sections)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escaped(self.title)}</title>\n<style>{_STYLE}</style>\n</head>\n"
            f"<body>\n<main>\n<h1>{escaped(self.title)}</h1>\n"
            f'<p class="about">{escaped(self.about)}</p>\n'
            f'<div class="{kind}"><p class="headline">{escaped(self.headline)}</p>{verdict}</div>\n'
            f"{sections}\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the HTML, whole or not at all; its folder is made where absent.

        Returns:
            The path.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as temporary:
            temporary.write_text(self.html(), encoding="utf-8")
        return target
