"""The JSON Schema of a bundle's manifest, as `wyner_export` has it, without its imports."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from wyner_serving.manifest import FORMAT
from wyner_serving.seal import MANIFEST

_FILE = Path(__file__).parents[2] / "export" / "manifest.py"


def schema() -> dict[str, Any]:
    """What `wyner_export.manifest.SCHEMA` is: its file's literals, without Keras."""
    scope: dict[str, Any] = {"FORMAT": FORMAT, "MANIFEST": MANIFEST, "Any": Any}
    for node in ast.parse(_FILE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            exec(compile(ast.Module([node], []), str(_FILE), "exec"), scope)
    return scope["SCHEMA"]


def text() -> str:
    """It as JSON, with the dialect that it is written in."""
    told = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema()}
    return json.dumps(told, indent=2) + "\n"
