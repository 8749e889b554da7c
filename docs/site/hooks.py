"""What mkdocs is told beyond its settings: pages from elsewhere, what is made, formulas."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from docs.site import commands, links, names, notebook, rooms, schema

_SCHEMA = "reference/manifest.schema.json"
_MARK = re.compile(r"^<!-- site: (\w+)(?: ([\w.]+))? -->$", re.MULTILINE)
_BLOCK = re.compile(r"^```math\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"\$`([^`]+)`\$")
_repository: dict[str, str] = {}  # by place in the site the path in the repository


def on_files(files: Files, config: Any) -> Files:
    """Add pages that lie beside their subject, the source that pages link to, and the schema."""
    pages = links.pages()
    _repository.clear()
    _repository.update({links.place(page): page for page in pages})
    for path, uri in links.ELSEWHERE.items():
        text = (links.ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    for path in sorted(links.sources(pages)):
        made = File.generated(config, links.place(path), content=_source(path))
        if not path.endswith(".ipynb"):  # notebooks are pages like any other
            made.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(made)
    files.append(File.generated(config, _SCHEMA, content=schema.text()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in what is made, point links at the site, and set formulas."""
    path = _repository.get(page.file.src_uri)
    if path is None:
        return markdown
    try:
        markdown = _MARK.sub(_made, markdown)
        markdown = links.each_link(markdown, lambda target: links.in_site(path, target))
    except ValueError as error:
        raise PluginError(f"{path}: {error}") from error
    markdown = _BLOCK.sub(lambda found: _formula(found[1], "block"), markdown)
    return _INLINE.sub(lambda found: _formula(found[1], "inline"), markdown)


def _made(found: re.Match[str]) -> str:
    what, of = found.groups()
    if what == "api":
        return names.reference(of)
    if what == "commands":
        return commands.page()
    if what == "rooms":
        return f'<div class="drawing">{rooms.drawing()}</div>\n\n{rooms.table()}'
    if what == "schema":
        return f"```json\n{schema.text()}```"
    raise ValueError(f"A mark should be api, commands, rooms or schema. Received: {what}")


def _formula(text: str, display: str) -> str:
    """MathML, which needs no script; the text stands beside it for who reads the source."""
    made = convert(" ".join(text.split()), display=display)
    return f'<div class="formula">{made}</div>' if display == "block" else made


def _source(path: str) -> str:
    """A page that shows a notebook, or a file, its lines numbered, or lists a folder."""
    if path.endswith(".ipynb"):
        cells = notebook.page((links.ROOT / path).read_text(encoding="utf-8"))
        return links.each_link(cells, lambda target: links.in_site(path, target))
    head = (
        f"---\ntitle: {posixpath.basename(path)}\nsearch:\n  exclude: true\n"
        f"hide: [navigation, toc]\n---\n\n# {path}\n\n"
    )
    if (links.ROOT / path).is_dir():
        return head + "".join(f"- [{name}]({name}.md)\n" for name in links.listed(path))
    try:
        lexer = get_lexer_for_filename(path)
    except ClassNotFound:
        lexer = TextLexer()
    shown = HtmlFormatter(
        cssclass="highlight source", linenos="inline", lineanchors="L", anchorlinenos=True
    )
    return head + highlight((links.ROOT / path).read_text(encoding="utf-8"), lexer, shown)
