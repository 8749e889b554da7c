"""Links of the pages: to other pages, and to lines of the code by the names that stand there."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Pages that lie beside what they are about, by their place in the site.
ELSEWHERE = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/reporting.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "serving/tf_serving/README.md": "servers/tf_serving.md",
    "serving/kserve/README.md": "servers/kserve.md",
    "serving/web/README.md": "servers/web.md",
    "experiments/peers/README.md": "project/peers.md",
}
# What the build makes.
MADE = ("docs/reference/manifest.schema.json",)
_FENCE = re.compile(r"^( *)(`{3,}|~{3,})")
_LINK = re.compile(r"(?<!`)(!?\[(?:[^\[\]`]|`[^`]*`|!?\[[^\]]*\]\([^)]*\))*\])\(([^()\s]+)\)")


def prose(markdown: str) -> Iterator[tuple[str, bool]]:
    """The lines of a page, and whether each is text, not code in a fence."""
    fence = ""
    for line in markdown.split("\n"):
        found = _FENCE.match(line)
        if fence:
            yield line, False
            if found and found[2].startswith(fence) and not line.strip(" `~"):
                fence = ""
        else:
            fence = found[2] if found else ""
            yield line, not fence


def each_link(markdown: str, change: Callable[[str], str]) -> str:
    """A page with the targets of its links changed."""

    def changed(found: re.Match[str]) -> str:
        text = _LINK.sub(changed, found[1][1:]) if found[1].startswith("[![") else found[1][1:]
        return f"{found[1][0]}{text}({change(found[2])})"

    return "\n".join(_LINK.sub(changed, line) if text else line for line, text in prose(markdown))


def targets(page: str) -> list[tuple[str, str]]:
    """What a page links to inside the repository: paths from its root, and fragments."""
    found: list[tuple[str, str]] = []

    def note(target: str) -> str:
        path = resolved(page, target)
        if path is not None:
            found.append((path, target.partition("#")[2]))
        return target

    each_link((ROOT / page).read_text(encoding="utf-8"), note)
    return found


def resolved(page: str, target: str) -> str | None:
    """The path from the root of what a link of a page names; None for an address of the web."""
    path = target.partition("#")[0]
    if re.match(r"[a-z][a-z+.-]*:", target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page


def line_of(path: str, name: str) -> int:
    """The line of a file where a name is defined, "Joint.__call__" say.

    Raises:
        ValueError: if there is no such name.
    """
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    for part in name.split("."):
        found = [each for each in body if part in _names(each)]
        if not found:
            raise ValueError(f"{path} should define {name}. Received: no {part}")
        body = getattr(found[0], "body", [])
    return found[0].lineno


def _names(statement: ast.stmt) -> list[str]:
    """Names that a statement defines."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        aims = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [aim.id for aim in aims if isinstance(aim, ast.Name)]
    return []


def is_page(path: str) -> bool:
    """Whether a file of the repository is a page, or a picture of one, as it stands."""
    return path.startswith("docs/") and not path.startswith("docs/site")


def place(path: str) -> str:
    """Where a file of the repository is in the site."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    if is_page(path):
        return path.removeprefix("docs/")
    return f"source/{path}/index.md" if (ROOT / path).is_dir() else f"source/{path}.md"


def in_site(page: str, target: str) -> str:
    """A link of a page of the repository, as it has to be in the site.

    Raises:
        ValueError: if it names a file, or a name in a file, that is not there.
    """
    path = resolved(page, target)
    if path is None or target.startswith("#"):
        return target
    fragment = target.partition("#")[2]
    if not (ROOT / path).exists() and path not in MADE:
        raise ValueError(f"{page} should link to what is there. Received: {target}")
    if fragment and path.endswith(".py"):
        fragment = f"L-{line_of(path, fragment)}"
    found = posixpath.relpath(place(path), posixpath.dirname(place(page)) or ".")
    return f"{found}#{fragment}" if fragment else found


def listed(folder: str) -> list[str]:
    """Names of the Python files of a folder."""
    return sorted(each.name for each in (ROOT / folder).glob("*.py"))


def sources(pages: list[str]) -> set[str]:
    """Files and folders that pages link to and that are no pages themselves."""
    found: set[str] = set()
    for page in pages:
        for path, _ in targets(page):
            if is_page(path) or path in ELSEWHERE or not (ROOT / path).exists():
                continue
            found.add(path)
            if (ROOT / path).is_dir():
                found.update(f"{path}/{name}" for name in listed(path))
    return found


def pages() -> list[str]:
    """Every page of the site that somebody wrote, by its path from the root."""
    own = [
        each for each in (ROOT / "docs").rglob("*.md") if is_page(each.relative_to(ROOT).as_posix())
    ]
    return sorted([*(each.relative_to(ROOT).as_posix() for each in own), *ELSEWHERE])
