"""A notebook as a page: its words, its code, and what it gave."""

from __future__ import annotations

import json
from typing import Any


def page(text: str) -> str:
    """Markdown of a notebook's cells and outputs, pictures inside.

    Args:
        text: of the `.ipynb` file.
    """
    return "\n\n".join(part for cell in json.loads(text)["cells"] for part in _parts(cell))


def _parts(cell: dict[str, Any]) -> list[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    return [f"```python\n{source}\n```", *filter(None, map(_output, cell["outputs"]))]


def _output(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    if "image/png" in data:
        return (
            f"![what this cell draws](data:image/png;base64,{''.join(data['image/png'].split())})"
        )
    said = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{said.rstrip()}\n```" if said else ""
