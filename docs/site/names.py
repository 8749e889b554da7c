"""The public names of the packages, read off their files: what the reference has to have."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Modules of the reference, in the order in which a name that several have is shown.
MODULES = (
    "wyner_keras",
    *(
        f"wyner_keras.{name}"
        for name in (
            *("callbacks", "data", "evaluation", "information", "latents", "losses"),
            *("networks", "objectives", "pictures", "presets", "recipes", "reporting"),
            "backend.workers",
        )
    ),
    *(
        "wyner_serving",
        "wyner_serving.presets",
        "wyner_serving.bulk",
        "wyner_serving.ray",
        "wyner_serving.tf_serving",
    ),
    "wyner_export",
)
FOLDERS = {"wyner_keras": "wyner_keras", "wyner_export": "export", "wyner_serving": "serving"}


def file_of(module: str) -> Path:
    """The file of a module, its stub where it has one."""
    package, *parts = module.split(".")
    path = ROOT.joinpath(FOLDERS[package], *parts)
    if not path.is_dir():
        return path.with_suffix(".py")
    stub = path / "__init__.pyi"
    return stub if stub.exists() else path / "__init__.py"


@functools.cache
def _statements(path: Path) -> list[ast.stmt]:
    return ast.parse(path.read_text(encoding="utf-8")).body


@functools.cache
def public(module: str) -> dict[str, str]:
    """By public name of a module where it is defined, "wyner_keras.side.Side" say; no modules."""
    origins, own, listed = {}, [], None
    for node in _statements(file_of(module)):
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(filter(None, (module, node.module)))
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{base}.{alias.name}"
        elif isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            own.append(node.name)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = ast.literal_eval(node.value)
    names = own if listed is None else listed
    found = {name: origins.get(name, f"{module}.{name}") for name in names}
    return {name: _origin(where) for name, where in found.items() if not _is_module(where)}


def _origin(where: str) -> str:
    """Where a name is defined that packages may hand on."""
    module, _, name = where.rpartition(".")
    for node in _statements(file_of(module)):
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _origin(f"{node.module}.{name}")
    return where


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(FOLDERS[name.split(".")[0]], *name.split(".")[1:])
    return path.is_dir() or path.with_suffix(".py").exists()


def documented(where: str) -> bool:
    """Whether a class or a function has a docstring; a constant is told by its value."""
    module, _, name = where.rpartition(".")
    for node in _statements(file_of(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return bool(ast.get_docstring(node))
    return True


def owners() -> dict[str, str]:
    """By where a name is defined the module under which it is shown."""
    found: dict[str, str] = {}
    for module in MODULES:
        for where in public(module).values():
            found.setdefault(where, module)
    return found


def reference(module: str) -> str:
    """Directives of mkdocstrings for the public names of a module.

    Raises:
        ValueError: if the module is not of `MODULES`, or a name has no docstring.
    """
    if module not in MODULES:
        raise ValueError(f"A module should be of MODULES. Received: {module}")
    owned, lines = owners(), list[str]()
    for name, where in sorted(public(module).items(), key=lambda each: each[0].lower()):
        if owned[where] != module:
            lines += [f"[`{name}`][{where}] is among the names of `{owned[where]}`.", ""]
            continue
        if not documented(where):
            raise ValueError(f"{where} should have a docstring. Received: none")
        lines += [f"::: {where}", "    options:", f'      heading: "{name}"', ""]
    return "\n".join(lines)
