"""Where the pairs of a run come from, as it was said and as it is kept in `settings.json`."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras.received import received

if TYPE_CHECKING:
    from wyner_keras.data import LabelledImages, Pairs

# Pairs for each class of labelled images: as many as it has, within these.
_LEAST, _MOST = 1000, 5000
# Of a run that only tries the path out: pairs of a class, pairs in all.
_FEW_OF_CLASS, _FEW = 64, 640
_AFFINE = re.compile(r"(?P<factor>-?\d{0,18})\s*\*?\s*n\s*(?P<offset>[+-]\s*\d{1,18})?")
_NAMED_MAPS = {"add-one": "n+1"}
_TEXTS = ("pairs", "x", "y", "extra_x", "extra_y", "data", "data_y", "map")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where pairs come from: a folder or table, two files, or labelled images and a label map.

    Args:
        pairs: folder or table, see `wyner_keras.data.load_pairs`.
        x: file that x is drawn from, beside `y`.
        y: file that y is drawn from.
        extra_x: file of rows of x without partner, beside `x` and `y`.
        extra_y: likewise of y.
        data: labelled images, see `wyner_keras.data.load`.
        data_y: those that y is drawn from; None draws y from `data`.
        map: which label of y goes with a label of x, see `label_map`.
        held_out: share that is held out, where the source does not say what is; the same for every
            seed.
        kinds: of columns, by name.
        missing: whether values may be absent.
        quick: whether few pairs are enough.
        seed: of the pairs that a label map makes.

    Raises:
        ValueError: if a value is not as said, or it is not said which of the three it is.
    """

    pairs: str | None = None
    x: str | None = None
    y: str | None = None
    extra_x: str | None = None
    extra_y: str | None = None
    data: str | None = None
    data_y: str | None = None
    map: str | None = None
    held_out: float = 0.2
    kinds: Mapping[str, str] | None = None
    missing: bool = False
    quick: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name in _TEXTS:
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(
                    f"`{name}` should be a text. Received: {received(getattr(self, name))}"
                )
        if not isinstance(self.kinds, Mapping | None):
            raise ValueError(f"`kinds` should be by column. Received: {received(self.kinds)}")
        ways = [self.pairs is not None, self.x is not None, self.data is not None]
        alone = self.data is None and (self.data_y is not None or self.map is not None)
        alone |= self.x is None and (self.extra_x is not None or self.extra_y is not None)
        if sum(ways) != 1 or (self.x is None) != (self.y is None) or alone:
            raise ValueError(
                "pairs should come from --pairs alone, from --x and --y with --extra-x and "
                "--extra-y, or from --data with --data-y and --map. "
                f"Received: {self.told() or 'none of these'}"
            )
        if self.data is not None and (self.kinds or self.missing):
            raise ValueError(
                f"--kinds and --missing should be of columns. Received: --data {self.data}"
            )

    def told(self) -> str:
        """How it is said on a command line."""
        said = {name: getattr(self, name) for name in _TEXTS}
        options = {name.replace("_", "-"): value for name, value in said.items()}
        return " ".join(f"--{name} {value}" for name, value in options.items() if value is not None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: what differs from the defaults, paths made whole."""
        from wyner_keras.data import whole_name

        values = dataclasses.asdict(self)
        for name in ("pairs", "x", "y", "extra_x", "extra_y", "data", "data_y"):
            whole = whole_name if name.startswith("data") else os.path.abspath
            values[name] = values[name] and whole(values[name])
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value != defaults[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Source:
        """The source again, from `to_dict`'s values.

        Raises:
            ValueError: if they are not such values.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(
                f"`data` should say where the pairs come from. Received: {received(dict(values))}"
            ) from error

    def load(self) -> tuple[Pairs, Pairs]:
        """Pairs to train on and pairs held out.

        Raises:
            ValueError: if the data are malformed, or gone.
        """
        from wyner_keras.data import load_pairs

        if self.data is not None:
            return self._labelled(self.data)
        settings = {"held_out": self.held_out, "kinds": self.kinds, "missing": self.missing}
        first = self.pairs if self.x is None else self.x
        extra = {"extra_x": self.extra_x, "extra_y": self.extra_y}
        train, held_out = load_pairs(first, self.y, **extra, **settings)  # type: ignore[arg-type]
        if self.quick and len(train) > _FEW:
            train = train.take(_FEW, self.seed)
        return train, held_out

    def _labelled(self, name: str) -> tuple[Pairs, Pairs]:
        from wyner_keras import data

        other = self.data_y is not None and data.whole_name(self.data_y) != data.whole_name(name)
        source = data.load(name, test_fraction=self.held_out)
        target = data.load(self.data_y, test_fraction=self.held_out) if other else source
        text = self.map or "add-one"
        mapping = label_map(text, source.train.classes, target.train.classes)
        images, targets = source.test, target.test
        paired = np.isin(images.labels, [x for x, y in mapping.items() if y in targets.classes])
        if not paired.any():
            raise ValueError(
                "held-out images should have partners by the label map. "
                f"Received: {text!r} and labels {received(list(images.classes))}"
            )
        if not paired.all():
            images = images.select(np.flatnonzero(paired))
        train = self._of_classes(source.train, target.train, mapping)
        return train, data.label_map(images, mapping, seed=self.seed, targets=targets)

    def _of_classes(
        self, images: LabelledImages, targets: LabelledImages, mapping: Mapping[Any, Any]
    ) -> Pairs:
        """For each class of x as many pairs as it should have."""
        from wyner_keras.data import label_map

        counts = {
            label: min(_MOST, max(_LEAST, len(images.of_class(label)))) for label in images.classes
        }
        if self.quick:
            counts = {label: min(count, _FEW_OF_CLASS) for label, count in counts.items()}
        most = max(counts.values())
        pairs = label_map(images, mapping, most, seed=self.seed, targets=targets)
        labels: Any = pairs.x_labels
        kept = [np.flatnonzero(labels == label)[:count] for label, count in counts.items()]
        positions = np.sort(np.concatenate(kept))
        return pairs if len(positions) == len(pairs) else pairs.select(positions)


def label_map(
    text: str, classes: Sequence[Any], of_y: Sequence[Any] | None = None
) -> dict[Any, Any]:
    """The label of y that each label of x goes with.

    Args:
        text: "add-one", "same", "3n+2" (all modulo the largest class and one), "0:1,1:2" or a JSON
            object.
        classes: the labels of x; a map given pair by pair is taken as it is.
        of_y: the labels of y, where they are others.

    Returns:
        Label of x to label of y.

    Raises:
        ValueError: if the text is none of these, or an expression and labels are no numbers.

    Example:
        >>> label_map("3n+2", range(10))[9]
        9
    """
    if text == "same":
        return {label: label for label in classes}
    texts = [any(isinstance(label, str) for label in of or classes) for of in (classes, of_y)]
    affine = _AFFINE.fullmatch(_NAMED_MAPS.get(text, text.strip()))
    if affine and any(texts):
        raise ValueError(
            "a label map should be same, or pairs such as cat:dog,ant:bee, where labels are texts. "
            f"Received: {received(text)}"
        )
    if affine:
        factor = {"": 1, "-": -1}.get(affine["factor"]) or int(affine["factor"] or 1)
        offset = int((affine["offset"] or "0").replace(" ", ""))
        modulus = max(classes) + 1
        return {int(label): int((factor * label + offset) % modulus) for label in classes}
    try:
        if text.lstrip().startswith("{"):
            pairs = json.loads(text, object_pairs_hook=list)
        else:
            pairs = [tuple(pair.split(":")) for pair in text.split(",")]
        mapping = {_label(x, texts[0]): _label(y, texts[1]) for x, y in pairs}
        if len(mapping) != len(pairs) or not mapping:
            raise ValueError
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            "a label map should be add-one, same, an expression such as 3n+2, or pairs such as "
            "0:1,1:2,2:0, each label of x once, whole numbers where labels are. "
            f"Received: {received(text)}"
        ) from error
    return mapping


def _label(value: Any, is_text: bool) -> Any:
    """A label: a text where labels are, else a number; `int` alone would cut 1.5 to 1."""
    if is_text and isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value, re.ASCII):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("no label")
