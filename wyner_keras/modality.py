"""What one side's data are: images, vectors or series. The only file that knows their shapes."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import keras
import numpy as np
from keras import ops

from wyner_keras.data.checks import check_not_negative, check_sizes, check_whole
from wyner_keras.networks.augmentation import warp
from wyner_keras.networks.codec import Codec
from wyner_keras.networks.conv_codec import ConvCodec
from wyner_keras.networks.conv_encoder import ConvEncoder
from wyner_keras.networks.flat_codec import FlatCodec
from wyner_keras.networks.likelihoods import LIKELIHOODS, is_kind
from wyner_keras.networks.pair_encoder import PairEncoder
from wyner_keras.networks.vector_codec import VectorCodec
from wyner_keras.received import received
from wyner_serving.rows import check_rows

Tensor = Any
_LOOKED_AT = 2000  # rows, at most, that a modality is told from
AUGMENTATION_NOISE = 6  # numbers that a change of one example takes
_LEAST_IMAGE = 8  # rows and columns of an image
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CodecSettings:
    """Settings of a codec and of its training.

    Args:
        code_size: number of features; a modality may add some of its own.
        filters: of the stride-2 convolutions; None follows the size of the data.
        noise: standard deviation of the noise on the features while training, in their units.
        epochs: passes over the rows of the side.
        batch_size: rows a step.

    Raises:
        ValueError: for a value that is not as said.
    """

    code_size: int = 64
    filters: tuple[int, ...] | None = None
    noise: float = 0.06
    epochs: int = 14
    batch_size: int = 128

    def __post_init__(self) -> None:
        for name in ("code_size", "epochs", "batch_size"):
            check_whole(getattr(self, name), f"`{name}`", minimum=1)
        if self.filters is not None:
            filters = check_sizes(self.filters, "filters", "positive integers")
            object.__setattr__(self, "filters", filters)
        check_not_negative(self.noise, "`noise`")


@runtime_checkable
class Modality(Protocol):
    """What a kind of data offers; a user's own kind is one more class with these members."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    def describe(self) -> dict[str, Any]:
        """What a bundle's manifest says of the side, JSON-able: `kind`, `shape` and the like."""

    def check(self, values: Any, name: str) -> np.ndarray:
        """Rows `(n, *shape)` as float32, or a ValueError that names what is wrong."""

    def prepare(self, batch: Tensor) -> Tensor:
        """Stored rows `(batch, *shape)` as models read them, float32."""

    def codec(self, settings: CodecSettings | None, seed: int) -> Codec:
        """The codec between examples and features; None for one that learns nothing."""

    def reader(self, outputs: int, seed: int) -> keras.layers.Layer:
        """A network from examples `(batch, *shape)` to `outputs` parameters of q(z|x)."""

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, JSON-able, by which a saved model makes it again."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The modality again, from `get_config`'s values."""


@runtime_checkable
class Whole(Modality, Protocol):
    """A modality whose examples experts can read whole, `SideSettings(expert="data")`."""

    def expert(self, outputs: int, seed: int) -> keras.layers.Layer:
        """A network from examples to e(z;x), where `SideSettings.expert` is "data".

        It has `trunk`, `hidden_layers` and `output_layer` as `MLP` has.
        """

    def augmented(self, batch: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        """Examples changed at random, by uniform noise `(batch, AUGMENTATION_NOISE)` on [0, 1).

        Args:
            batch: examples, as `prepare` gives them.
            shared: of changes that the other side of the pair undergoes too.
            own: of small ones that it does not.
        """


class _Described:
    """`check` by what the manifest says, `get_config` by the fields."""

    def describe(self) -> dict[str, Any]:
        raise NotImplementedError

    def check(self, values: Any, name: str) -> np.ndarray:
        """Rows `(n, *shape)` as float32, or a ValueError that names what is wrong."""
        return check_rows(values, name, self.describe())

    def get_config(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return {
            field.name: keras.saving.serialize_keras_object(getattr(self, field.name))
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The modality again, from `get_config`'s values."""
        return cls(
            **{name: keras.saving.deserialize_keras_object(value) for name, value in config.items()}
        )


def _sizes(shape: Any, names: str) -> tuple[int, ...]:
    return check_sizes(shape, "shape", f"({names})", names.count(",") + 1)


def _filters(*lengths: int) -> tuple[int, ...]:
    """As many stride-2 convolutions, two at least, as leave 8 places or fewer along each axis."""
    levels = max(2, math.ceil(math.log2(max(lengths) / 8)))
    return (32, 64, *(96,) * (levels - 2))


def _copied(layer: keras.layers.Layer | None) -> keras.layers.Layer | None:
    """A layer like it and with its weights: each codec trains one of its own."""
    if layer is None:
        return None
    made = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    if layer.built:
        made.set_weights(layer.get_weights())
    return made


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Image(_Described):
    """Grey or colour images of one size, uint8 or floating-point in [0, 1].

    Args:
        shape: `(height, width, channels)`.
        slant: whether the slant of the ink, by its moments, is a feature of its own: for ink that
            is bright on an empty ground.
        encoder: a layer from images `(batch, h, w, c)` in [0, 1] to anything, in place of the
            codec's convolutions; None for those. Its weights are where it starts from, which
            `trainable=False` keeps.
        decoder: a layer from features `(batch, features)` to images in [0, 1]; None likewise.

    Raises:
        ValueError: if the shape is no such shape.

    Example:
        >>> Image(shape=(28, 28, 1)).describe()
        {'kind': 'image', 'shape': [28, 28, 1]}
    """

    shape: tuple[int, ...]
    slant: bool = False
    encoder: Any = None
    decoder: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _sizes(self.shape, "height, width, channels"))

    @classmethod
    def of(cls, rows: np.ndarray) -> Self:
        """The modality of rows `(n, h, w, c)`: grey ink on an empty border has a slant."""
        shape = rows.shape[1:]
        edge = np.concatenate([rows[:, [0, -1]].ravel(), rows[:, :, [0, -1]].ravel()])
        bright = 255 if rows.dtype == np.uint8 else 1
        ink = shape[2] == 1 and min(shape[:2]) > 1 and float(edge.mean()) < 0.25 * bright
        return cls(shape=shape, slant=bool(ink))

    def describe(self) -> dict[str, Any]:
        """`kind` and `shape`."""
        return {"kind": "image", "shape": list(self.shape)}

    def prepare(self, batch: Tensor) -> Tensor:
        """Images `(batch, h, w, c)` in [0, 1], float32, of stored bytes or of the same."""
        stored = keras.backend.standardize_dtype(batch.dtype)
        images = ops.cast(batch, "float32")
        return images / 255.0 if stored == "uint8" else images

    def codec(self, settings: CodecSettings | None, seed: int) -> Codec:
        """A convolutional autoencoder, or the pixels themselves."""
        if settings is None:
            return FlatCodec(self.shape, lowest=0.0, highest=1.0)
        return ConvCodec(
            self.shape,
            code_size=settings.code_size,
            filters=settings.filters or _filters(*self.shape[:2]),
            noise=settings.noise,
            slant=self.slant,
            encoder=_copied(self.encoder),
            decoder=_copied(self.decoder),
            seed=seed,
        )

    def reader(self, outputs: int, seed: int) -> keras.layers.Layer:
        """Convolutions with pooling, on images shifted and sheared while training."""
        return ConvEncoder(outputs, filters=_filters(*self.shape[:2]), seed=seed)

    def expert(self, outputs: int, seed: int) -> keras.layers.Layer:
        """Convolutions with group norm."""
        return PairEncoder(outputs, seed=seed)

    def augmented(self, batch: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        """Images shifted, scaled, turned and mirrored; what comes in is like the nearest edge."""
        return warp(batch, shared, own)


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Series(_Described):
    """Series of one length: sensor windows, log-mel frames; real numbers, in their own units.

    Args:
        shape: `(time, channels)`.

    Raises:
        ValueError: if the shape is no such shape.

    Example:
        >>> Series(shape=(128, 3)).describe()
        {'kind': 'series', 'shape': [128, 3]}
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _sizes(self.shape, "time, channels"))

    @classmethod
    def of(cls, rows: np.ndarray) -> Self:
        """The modality of rows `(n, time, channels)`."""
        return cls(shape=rows.shape[1:])

    def describe(self) -> dict[str, Any]:
        """`kind` and `shape`."""
        return {"kind": "series", "shape": list(self.shape)}

    def prepare(self, batch: Tensor) -> Tensor:
        """The series `(batch, time, channels)` as float32."""
        return ops.cast(batch, "float32")

    def codec(self, settings: CodecSettings | None, seed: int) -> Codec:
        """An autoencoder of convolutions over time, or the values themselves, standardised."""
        if settings is None:
            return FlatCodec(self.shape)
        return ConvCodec(
            self.shape,
            code_size=settings.code_size,
            filters=settings.filters or _filters(self.shape[0]),
            noise=settings.noise,
            seed=seed,
        )

    def reader(self, outputs: int, seed: int) -> keras.layers.Layer:
        """Convolutions over time, with pooling."""
        return ConvEncoder(outputs, filters=_filters(self.shape[0]), shift=0.0, seed=seed)

    def expert(self, outputs: int, seed: int) -> keras.layers.Layer:
        """Convolutions over time with group norm."""
        return PairEncoder(outputs, seed=seed)

    def augmented(self, batch: Tensor, shared: Tensor, own: Tensor) -> Tensor:
        """The series as they are."""
        return batch


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Vector(_Described):
    """Vectors of named columns, each of one kind, in the user's units.

    Args:
        kinds: of `LIKELIHOODS`, one for each column: real numbers; 0 or 1; whole numbers below the
            column's number of categories; counts.
        names: of the columns; None numbers them.
        categories: of categorical columns their number, of others 0; None where there are none.
        texts: of categorical columns what each category is called, of others and of columns whose
            categories are numbers alone `()`; None where there are none.
        missing: whether NaN stands for a value that is not known, which no likelihood counts.

    Raises:
        ValueError: if a kind is unknown or the lengths differ.

    Example:
        >>> Vector(kinds=("real", "count")).shape
        (2,)
    """

    kinds: tuple[str, ...]
    names: tuple[str, ...] | None = None
    categories: tuple[int, ...] | None = None
    texts: tuple[tuple[str, ...], ...] | None = None
    missing: bool = False

    def __post_init__(self) -> None:
        kinds = tuple(self.kinds) if isinstance(self.kinds, list | tuple) else ()
        names = self.names or tuple(map(str, range(len(kinds))))
        categories = self.categories or (0,) * len(kinds)
        texts = tuple(map(tuple, self.texts or ((),) * len(kinds)))
        wrong = next((at for at, kind in enumerate(kinds) if not is_kind(kind)), None)
        if wrong is not None or not kinds:
            said = received(self.kinds)
            if wrong is not None and isinstance(kinds[wrong], str) and wrong < len(names):
                said = f"{received(kinds[wrong])} for column {names[wrong]!r}"
            raise ValueError(
                f"`kinds` should be one of {tuple(LIKELIHOODS)} for each column. Received: {said}"
            )
        if not len(kinds) == len(names) == len(categories) == len(texts):
            raise ValueError(
                "`kinds`, `names`, `categories` and `texts` should be of one length. "
                f"Received: {len(kinds)}, {len(names)}, {len(categories)} and {len(texts)}"
            )
        for kind, name, count, called in zip(kinds, names, categories, texts, strict=True):
            if called and len(set(called)) != count:
                raise ValueError(
                    f"`texts` should be {count} different ones for column {name!r}. "
                    f"Received: {received(called)}"
                )
            if (kind == "categorical") != (count > 0):
                raise ValueError(
                    f"`categories` should be positive for categorical columns and 0 for others. "
                    f"Received: {count} for column {name!r}, {kind}"
                )
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "names", tuple(map(str, names)))
        object.__setattr__(self, "categories", tuple(int(count) for count in categories))
        object.__setattr__(self, "texts", texts)

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        *,
        kinds: Mapping[str, str] | Sequence[str] | None = None,
        names: Sequence[str] | None = None,
        missing: bool = False,
    ) -> Self:
        """The modality of rows `(n, columns)`.

        Args:
            rows: all rows: the number of categories is counted on them.
            kinds: of the columns, in order or by name; what is not named is told from the dtype:
                bool is binary, whole numbers of 0 or more are counts, all else is real.
            names: of the columns.
            missing: whether NaN stands for what is not known.
        """
        names = tuple(map(str, range(rows.shape[1]))) if names is None else tuple(names)
        usual = {"b": "binary", "u": "count"}.get(rows.dtype.kind, "real")
        if rows.dtype.kind == "i" and rows.size and int(rows.min()) >= 0:
            usual = "count"
        if isinstance(kinds, Mapping):
            unknown = sorted(set(kinds) - set(names))
            if unknown:
                raise ValueError(
                    f"`kinds` should name columns of {received(list(names))}. "
                    f"Received: {received(unknown)}"
                )
            chosen = tuple(kinds.get(name, usual) for name in names)
        else:
            chosen = (usual,) * len(names) if kinds is None else tuple(kinds)
        if len(chosen) != rows.shape[1]:
            raise ValueError(
                f"`kinds` should be of {rows.shape[1]} columns. Received: {len(chosen)} kinds"
            )
        counts = tuple(
            int(np.nanmax(rows[:, place])) + 1 if kind == "categorical" else 0
            for place, kind in enumerate(chosen)
        )
        return cls(kinds=chosen, names=names, categories=counts, missing=missing)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(columns,)`."""
        return (len(self.kinds),)

    def describe(self) -> dict[str, Any]:
        """`kind`, `shape`, `columns` and `missing`."""
        columns = [
            {
                "name": name,
                "kind": kind,
                **({"categories": count} if count else {}),
                **({"texts": list(texts)} if texts else {}),
            }
            for name, kind, count, texts in zip(
                *(self.names or (), self.kinds, self.categories or (), self.texts or ()),
                strict=True,
            )
        ]
        return {
            "kind": "vector",
            "shape": list(self.shape),
            "columns": columns,
            "missing": self.missing,
        }

    def prepare(self, batch: Tensor) -> Tensor:
        """The vectors `(batch, columns)` as float32."""
        return ops.cast(batch, "float32")

    def codec(self, settings: CodecSettings | None, seed: int) -> Codec:
        """An autoencoder by each column's likelihood; real columns alone are standardised."""
        if settings is None or (set(self.kinds) == {"real"} and not self.missing):
            return FlatCodec(self.shape)
        return VectorCodec(
            self.kinds,
            self.categories or (),
            code_size=settings.code_size,
            noise=settings.noise,
            seed=seed,
        )

    def reader(self, outputs: int, seed: int) -> keras.layers.Layer:
        """Refuse: q(z|x) of columns reads the features of their codec."""
        raise ValueError(
            "A vector's q(z|x) should read features: `reader` 'features'. Received: 'data'"
        )


def modality_of(rows: np.ndarray, name: str) -> Modality:
    """What an array's rows are, told from its shape and dtype.

    Args:
        rows: `(n, h, w, c)` are images, `(n, time, channels)` floats series, `(n, columns)`
            vectors.
        name: of the side, for the message.

    Raises:
        ValueError: for an array of another shape, or one that may be images as well as series.
    """
    if rows.ndim not in (2, 3, 4):
        raise ValueError(
            f"{name} should be images (n, h, w, c), series (n, time, channels) or vectors "
            f"(n, columns). Received: {received(rows)}"
        )
    if rows.ndim == 4:
        return Image.of(rows[:_LOOKED_AT])
    if rows.ndim == 2:
        return Vector.of(rows)
    if rows.dtype.kind != "f":
        # Stacks of images are whole numbers more often than series are; uint16 wraps as bytes.
        bytes_fit = rows.dtype.kind != "b" and 0 <= rows.min() <= rows.max() <= 255
        images = (
            f"{name}.astype('uint8')" if bytes_fit else f"{name}[..., None], as floats in [0, 1]"
        )
        raise ValueError(
            f"{name} should be floating-point where it is series (n, time, channels), "
            f"{name}.astype('float32'), and bytes or (n, h, w, 1) where it is grey images, "
            f"{images}. Received: {received(rows)}"
        )
    looked_at = rows[:_LOOKED_AT]
    if min(rows.shape[1:]) >= _LEAST_IMAGE and _are_intensities(looked_at):
        logger.warning(
            "%s of shape %s is taken for series (n, time, channels). If it is images, "
            "give them as bytes, or in [0, 1] with a channel axis: %s[..., None]",
            *(name, rows.shape, name),
        )
    return Series.of(rows[:1])


def _are_intensities(rows: np.ndarray) -> bool:
    """Whether floats are in [0, 1], or the whole numbers of bytes."""
    low, high = rows.min(), rows.max()
    return bool(low >= 0 and (high <= 1 or (high <= 255 and (rows == rows.round()).all())))
