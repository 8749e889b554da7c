"""The card of a preset: what is said of it by who hands it on, and the page made of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wyner_keras.cards import figures_text, latent_text, nats_text, side_text
from wyner_keras.received import received

_PATHS = ("pairs", "x", "y", "extra_x", "extra_y", "data", "data_y")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is said of a preset.

    Args:
        about: in a sentence or two, what the pairs are and what the model is for.
        licence: of the model, as SPDX names it: "Apache-2.0".
        data: which data it was trained on, and whose they are.
        data_licence: theirs.
        commands: by which it was made.
        source: where the pairs come from, the fields of `runs.Source` by name; None where no
            command can read them, and a check has to be given them. Of paths the last part is kept.

    Raises:
        ValueError: if a text is empty, or commands are no texts.

    Example:
        >>> card = Card(
        ...     about="Digits, and the next digit.",
        ...     licence="Apache-2.0",
        ...     data="Optical Recognition of Handwritten Digits (Alpaydin, Kaynak 1998)",
        ...     data_licence="CC-BY-4.0",
        ... )
    """

    about: str
    licence: str
    data: str
    data_licence: str
    commands: Sequence[str] = ()
    source: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name in ("about", "licence", "data", "data_licence"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"`{name}` should be a text. Received: {name}={received(value)}")
        commands = self.commands
        if isinstance(commands, str) or not all(isinstance(each, str) for each in commands):
            raise ValueError(
                f"`commands` should be a list of texts. Received: commands={received(commands)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the folders of this machine."""
        source = None if self.source is None else {**self.source}
        for name in _PATHS:
            if source and isinstance(source.get(name), str):
                source[name] = without_folders(source[name])
        return {
            "about": self.about,
            "licence": self.licence,
            "data": {"what": self.data, "licence": self.data_licence, "source": source},
            "commands": list(self.commands),
        }


def without_folders(path: str) -> str:
    """The last part of an absolute path; all else as it is."""
    return os.path.basename(path.rstrip("/")) if os.path.isabs(path) else path


def page(facts: Mapping[str, Any], model: Any, of_bundle: bool) -> str:
    """The page of a preset, in Markdown, with the hub's own lines above.

    Args:
        facts: what `preset.json` holds.
        model: the W-model.
        of_bundle: whether a bundle lies beside.
    """
    data, judged = facts["data"], facts["judged"]
    name, seeds = facts["name"], judged["seeds"]
    above = {"license": facts["licence"].lower(), "library_name": "wyner-keras"}
    lines = [
        "---",
        *(f"{key}: {json.dumps(value)}" for key, value in above.items()),
        'tags: ["wyner-keras", "paired-data", "common-information"]',
        "---",
        "",
        f"# {name}",
        "",
        facts["about"],
        "",
        *(side_text(side, entry) for side, entry in model.side_entries.items()),
        *(latent_text(latent, entry) for latent, entry in model.latent_entries.items()),
        *nats_text(judged["nats"]),
        "",
        "## Data and licences",
        "",
        f"- data: {data['what']}",
        f"- licence of the data: {data['licence']}",
        f"- licence of the model: {facts['licence']}",
        "",
        "## How well it does",
        "",
        *figures_text(judged),
        "",
        "Intervals are of 95 %. Those of tests, and of what z tells of the partner, are their own, "
        "for other held-out pairs. Of all else they say where one more evaluation by another seed "
        f"falls, by Student's t of {len(seeds)} evaluations (seeds {', '.join(map(str, seeds))}), "
        "and no less than the last digit shown. Other held-out pairs, or a judge trained on "
        "another machine, may move a figure further.",
    ]
    if facts["steps"] is not None:
        lines += [
            "",
            f"Kernels are rounded to {facts['steps']} steps in their root mean square. Figures are "
            "those of the rounded model.",
        ]
    lines += ["", "## Use it", "", "```python", "import wyner_keras as wk", ""]
    lines += [f'model = wk.WynerModel.from_preset("{name}")', "```", ""]
    if of_bundle:
        lines += [
            "Or without TensorFlow:",
            "",
            "```python",
            "from wyner_serving import Bundle",
            "",
            f'bundle = Bundle.from_preset("{name}")',
            "```",
            "",
        ]
    lines += [
        f"`{name}` is known where the wheel `wyner-keras-models` has it; else give the folder of "
        "this card, or `hf://owner/name`.",
        "",
        "## Make it again, and check it",
        "",
    ]
    lines += [f"    {line}" for line in (*facts["commands"], f"wyner card --check {name}")]
    return "\n".join([*lines, ""])
