"""Which room of the project imports which, read off the files, and drawn."""

from __future__ import annotations

import ast
import functools
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDERS = {
    "wyner_keras": "wyner_keras",
    "wyner_export": "export",
    "wyner_serving": "serving",
    "experiments": "experiments",
}
# Modules that lie beside the rooms of wyner_keras, by the room that they belong to.
ROOMS = {
    "training": (
        *("training", "stage", "recipe", "recipes", "schedules", "budget", "checkpoints"),
        *("divergence", "estimator"),
    ),
    "model": ("model", "side", "graphs"),
    "latents": ("latents", "product", "families", "sweeps"),
    "terms": ("objectives", "gumbel"),
    "networks": ("modality",),
    "backend": ("execution",),
    "reporting": ("pictures", "plots", "panels", "lettering", "page", "cards", "callbacks"),
    "tools": ("files", "received", "intervals", "means", "repeated"),
}
# What stands in a room, in its box.
_LINES = {
    "cli": "the command wyner",
    "runs": "run folders",
    "presets": "models handed on",
    "reporting": "wk.report, pictures",
    "evaluation": "wk.evaluate, tests",
    "information": "nats, closed forms",
    "training": "train, Stage, Recipe",
    "losses": "one a stage",
    "model": "WynerModel, Side",
    "latents": "z, u, v",
    "networks": "codecs, Modality",
    "terms": "KL, errors, InfoNCE",
    "backend": "TensorFlow, JAX",
    "data": "Pairs",
    "tools": "files, messages",
    "wyner_export": "bundles written",
    "wyner_serving": "bundles used",
    "experiments": "paper, peers, theory",
}
_OF_MODULE = {module: room for room, modules in ROOMS.items() for module in modules}


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the project by its name."""
    found = {}
    for package, folder in _FOLDERS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path == ROOT / "wyner_keras" / "__init__.py":
                continue  # it names everything, and imports nothing before it is asked
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            if package == "wyner_serving" and parts[0] in ("kserve", "web"):
                continue  # distributions and pages of their own
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            found[".".join((package, *parts))] = path
    return found


def room_of(module: str) -> str:
    """The room that a module is in."""
    package, *parts = module.split(".")
    if package != "wyner_keras":
        return package
    return _OF_MODULE.get(parts[0], parts[0])


@functools.cache
def _imports(path: Path, later: bool) -> frozenset[str]:
    """Modules of the project that a file imports: when it is imported itself, or later too."""
    known, found = modules(), set[str]()
    pending: list[ast.AST] = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                named = (f"{node.module}.{alias.name}", str(node.module))
                found.update([each for each in named if each in known][:1])
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif later or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # Expressions hold no imports.
            pending.extend(
                each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr)
            )
    return frozenset(found)


def arrows(later: bool = False) -> dict[str, set[str]]:
    """By room the rooms that it imports, with those that it imports later, inside a function."""
    found: dict[str, set[str]] = {room_of(module): set() for module in modules()}
    for module, path in modules().items():
        room = room_of(module)
        found[room] |= {room_of(each) for each in _imports(path, later)} - {room}
    return found


def down() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The arrows of the drawing that run downwards, and those that would close a circle.

    Raises:
        ValueError: if rooms import each other in a circle when they are imported.
    """
    kept, up = arrows(), {room: set[str]() for room in arrows()}
    levels(kept)
    for room, aims in sorted(arrows(later=True).items()):
        for aim in sorted(aims - kept[room]):
            (up if room in below(kept, aim) else kept)[room].add(aim)
    return kept, up


def below(found: dict[str, set[str]], room: str) -> set[str]:
    """The rooms that arrows lead to from a room, at once or by others."""
    return found[room].union(*(below(found, each) for each in found[room]))


def levels(found: dict[str, set[str]]) -> dict[str, int]:
    """By room how many rooms lie below it, in a row.

    Raises:
        ValueError: if rooms import each other in a circle.
    """
    known: dict[str, int] = {}
    while len(known) < len(found):
        ready = [room for room in found if room not in known and found[room] <= {*known}]
        if not ready:
            left = sorted({*found} - {*known})
            raise ValueError(f"Arrows should run downwards. Received: a circle of {left}")
        for room in ready:
            known[room] = max((known[each] + 1 for each in found[room]), default=0)
    return known


def told(found: dict[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others."""
    return {
        room: {each for each in aims if not any(each in below(found, other) for other in aims)}
        for room, aims in found.items()
    }


_WIDE, _HIGH, _APART, _ABOVE = 158, 44, 22, 30


def drawing() -> str:
    """The rooms as SVG: a row a level, and an arrow from each room to what it imports."""
    found, up = down()
    at, first = levels(found), arrows()
    shown = {room: aims | up[room] for room, aims in told(found).items()}
    rows: list[list[str]] = [[] for _ in range(max(at.values()) + 1)]
    for room in sorted(found):
        rows[at[room]].append(room)
    rows.reverse()
    width = max(map(len, rows)) * (_WIDE + _APART) + _APART + 200
    corner = {}
    for number, row in enumerate(rows):
        left = (width - len(row) * (_WIDE + _APART) + _APART) / 2
        # Rooms alone in their rows stand by turns to the left and right: arrows then miss them.
        shift = 0 if len(row) > 1 else (95 if number % 2 else -95)
        for place, room in enumerate(row):
            corner[room] = (left + shift + place * (_WIDE + _APART), 10 + number * (_HIGH + _ABOVE))
    lane = min(left for left, _ in corner.values()) - 110
    height = 20 + len(rows) * (_HIGH + _ABOVE) - _ABOVE
    parts = [
        f'<svg class="rooms" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        'aria-label="Rooms of the project; an arrow runs from each to what it imports">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    for room, aims in sorted(shown.items()):
        for aim in sorted(aims):
            (left, top), (other, under) = corner[room], corner[aim]
            start, end = left + _WIDE / 2, other + _WIDE / 2
            # Ends spread along the edge, by where the arrow comes from.
            start += max(-55, min(55, (end - start) / 5))
            end += max(-55, min(55, (start - end) / 5))
            later = "" if aim in first[room] else ' class="later"'
            if abs(at[room] - at[aim]) > 1:  # round the rooms between them
                y, y_aim = top + _HIGH / 2, under + _HIGH / 2
                parts.append(
                    f'<path{later} marker-end="url(#tip)" d="M{left:.0f} {y:.0f} C{lane:.0f} '
                    f'{y:.0f} {lane:.0f} {y_aim:.0f} {other:.0f} {y_aim:.0f}"/>'
                )
                continue
            low, high = (top + _HIGH, under) if under > top else (top, under + _HIGH)
            bend = (high - low) / 2
            parts.append(
                f'<path{later} marker-end="url(#tip)" d="M{start:.0f} {low:.0f} C{start:.0f} '
                f'{low + bend:.0f} {end:.0f} {high - bend:.0f} {end:.0f} {high:.0f}"/>'
            )
    for room, (left, top) in corner.items():
        middle = left + _WIDE / 2
        parts += [
            f'<rect x="{left:.0f}" y="{top:.0f}" width="{_WIDE}" height="{_HIGH}" rx="6"/>',
            f'<text x="{middle:.0f}" y="{top + 19:.0f}">{escape(room)}</text>',
            f'<text class="small" x="{middle:.0f}" y="{top + 36:.0f}">'
            f"{escape(_LINES[room])}</text>",
        ]
    return "".join([*parts, "</svg>"])


def table() -> str:
    """Every arrow, as Markdown."""
    found, first, at = arrows(later=True), arrows(), levels(down()[0])
    lines = ["| room | imports | imports when a function is called |", "|---|---|---|"]
    for room in sorted(found, key=lambda each: (-at[each], each)):
        later = found[room] - first[room]
        lines.append(f"| {room} | {', '.join(sorted(first[room]))} | {', '.join(sorted(later))} |")
    return "\n".join(lines)
