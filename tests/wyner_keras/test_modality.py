"""Images, vectors and series of every size and kind, and a user's own."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.losses import Joint, Marginal
from wyner_keras.modality import CodecSettings, Image, Modality, Series, Vector, modality_of
from wyner_keras.networks import ConvCodec, FlatCodec, VectorCodec

SIZES = [
    (8, 8, 1), (8, 8, 3), (27, 31, 1), (28, 14, 3), (28, 28, 1), (1, 64, 1), (64, 1, 3),
    (128, 128, 1), (128, 128, 3),
]  # fmt: skip


def again(thing):
    data = keras.saving.serialize_keras_object(thing)
    return keras.saving.deserialize_keras_object(data, safe_mode=True)


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_images_of_any_size_get_networks_that_follow_it(shape):
    rows = np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8)
    image = modality_of(rows, "x")
    assert image.shape == shape
    assert again(image) == image
    codec = image.codec(CodecSettings(code_size=4), 0)
    assert isinstance(codec, ConvCodec)
    # What convolutions leave is small, so that the dense layers are.
    assert max(codec.encoder.layers[-3].output.shape[1:3]) <= 8
    images = image.prepare(rows)
    decoded = np.asarray(codec.decode(codec.encode(images)))
    assert decoded.shape == rows.shape
    assert 0 <= decoded.min() < decoded.max() <= 1
    reader = image.reader(5, 0)
    assert reader(images).shape == (3, 5)
    assert sum(np.prod(weight.shape) for weight in reader.get_weights()) < 1.5e6


@given(
    rows=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 3), st.just(4), st.just(5), st.sampled_from([1, 3]))
    )
)
def test_bytes_and_numbers_are_the_same_images(rows):
    image = Image(shape=rows.shape[1:])
    checked = image.check(rows, "x")
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, rows / np.float32(255))
    # Stored as bytes or as numbers, models read the same.
    np.testing.assert_array_equal(image.prepare(rows), checked)
    np.testing.assert_array_equal(image.prepare(checked), checked)
    np.testing.assert_array_equal(image.check(rows.astype(float) / 255, "x"), checked)


BAD_IMAGES = {
    "shape": np.zeros((2, 5, 4, 1), np.float32),
    "rank": np.zeros((2, 4, 4, 1, 1), np.float32),
    "dtype": np.zeros((2, 4, 4, 1), np.int64),
    "range": np.full((2, 4, 4, 1), 255.0, np.float32),
    "negative": np.full((2, 4, 4, 1), -0.5, np.float32),
    "nan": np.full((2, 4, 4, 1), np.nan, np.float32),
    "empty": np.zeros((0, 4, 4, 1), np.float32),
    "masked": np.ma.masked_array(np.zeros((2, 4, 4, 1)), np.ones((2, 4, 4, 1))),
    "none": None,
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_malformed_images_are_refused(kind):
    with pytest.raises(ValueError, match=r"left.* should .*Received"):
        Image(shape=(4, 4, 1)).check(BAD_IMAGES[kind], "left")


@pytest.mark.parametrize(
    "shape", [(8, 8), (8, 0, 1), (8, 8, 1.5), (8, 8, True), "881", None, (8, 8, 1, 1)]
)
def test_an_image_has_height_width_and_channels(shape):
    with pytest.raises(ValueError, match=r"\(height, width, channels\). Received: shape="):
        Image(shape=shape)


@pytest.mark.parametrize(
    ("paint", "leans"),
    [
        (lambda rows: rows, True),
        (lambda rows: rows.repeat(3, axis=-1), False),
        (lambda rows: 255 - rows, False),
        (lambda rows: rows[:, 4:5], False),
    ],
    ids=["ink on an empty ground", "colour", "dark on bright", "one row"],
)
@pytest.mark.parametrize("stored", ["bytes", "numbers"])
def test_ink_alone_has_a_slant(paint, leans, stored):
    rows = np.zeros((5, 9, 9, 1), np.uint8)
    rows[:, 2:7, 4] = 200
    rows = paint(rows)
    rows = rows if stored == "bytes" else rows / 255
    image = Image.of(rows)
    assert image.slant == leans
    assert image.codec(CodecSettings(code_size=4), 0).feature_size == 4 + leans


# Vectors.


def test_kinds_are_told_from_the_dtype_unless_they_are_said():
    whole = np.arange(6).reshape(3, 2)
    for rows, kinds in (
        (whole.astype(float), ("real", "real")),
        (whole, ("count", "count")),
        (whole.astype(np.uint8), ("count", "count")),
        (whole - 1, ("real", "real")),
        (whole > 2, ("binary", "binary")),
    ):
        assert modality_of(rows, "x").kinds == kinds
    said = Vector.of(whole, kinds={"b": "categorical"}, names=["a", "b"])
    assert (said.kinds, said.categories, said.names) == (
        ("count", "categorical"),
        (0, 6),
        ("a", "b"),
    )
    rows = whole.astype(float)
    rows[1, 1] = np.nan
    assert Vector.of(rows, kinds=["real", "categorical"], missing=True).categories == (0, 6)
    assert again(said) == said


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kinds": ()}, "`kinds`"),
        ({"kinds": ("real", "text")}, "`kinds`.*'text' for column '1'"),
        ({"kinds": ("text", "real"), "names": ("a", "b")}, "`kinds`.*'text' for column 'a'"),
        ({"kinds": ("real",), "names": ("a", "b")}, "one length.*1, 2, 1 and 1"),
        ({"kinds": ("categorical",)}, "positive for categorical.*0 for column '0'"),
        ({"kinds": ("real",), "categories": (3,)}, "0 for others.*3 for column '0'"),
        (
            {"kinds": ("categorical",), "categories": (3,), "texts": (("ant", "cat"),)},
            "3 different ones for column '0'.*'ant', 'cat'",
        ),
    ],
)
def test_columns_that_cannot_be_are_refused(settings, match):
    with pytest.raises(ValueError, match=rf"{match}"):
        Vector(**settings)


def test_kinds_of_columns_that_are_not_there_are_refused():
    rows = np.zeros((3, 2))
    with pytest.raises(ValueError, match=r"should name columns.*Received: \['c'\]"):
        Vector.of(rows, kinds={"c": "count"}, names=["a", "b"])
    with pytest.raises(ValueError, match=r"of 2 columns. Received: 1 kinds"):
        Vector.of(rows, kinds=["real"])


COLUMNS = {"age": "real", "left": "binary", "pet": "categorical", "visits": "count"}


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("left", 2, "0 or 1"),
        ("left", 0.5, "0 or 1"),
        ("pet", 3, "categories, whole numbers below 3"),
        ("pet", -1, "categories"),
        ("visits", 1.5, "counts"),
        ("visits", -2, "counts"),
        ("age", np.inf, "finite"),
        ("age", np.nan, "missing=True allows NaN"),
    ],
)
def test_a_value_that_its_column_cannot_have_is_named(column, value, said):
    vector = Vector(kinds=tuple(COLUMNS.values()), names=tuple(COLUMNS), categories=(0, 0, 3, 0))
    rows = np.array([[30.0, 1.0, 2.0, 5.0], [np.pi, 0.0, 0.0, 0.0]])
    checked = vector.check(rows, "x")
    np.testing.assert_array_equal(checked, rows.astype(np.float32))
    rows[1, list(COLUMNS).index(column)] = value
    with pytest.raises(ValueError, match=rf"`x` should .*{said}.*'{column}'|{said}.*'{column}'"):
        vector.check(rows, "x")
    if np.isnan(value):
        allows = dataclasses.replace(vector, missing=True)
        np.testing.assert_array_equal(allows.check(rows, "x"), rows.astype(np.float32))


def test_what_learns_a_codec_and_what_does_not():
    settings = CodecSettings(code_size=4)
    real = Vector(kinds=("real",) * 3)
    assert isinstance(real.codec(settings, 0), FlatCodec)
    assert isinstance(real.codec(None, 0), FlatCodec)
    for other in (dataclasses.replace(real, missing=True), Vector(kinds=("real", "count"))):
        assert isinstance(other.codec(settings, 0), VectorCodec)
    with pytest.raises(ValueError, match=r"should read features.*Received: 'data'"):
        real.reader(3, 0)


# Series.


@pytest.mark.parametrize("shape", [(8, 1), (37, 3), (1, 5), (500, 2)])
def test_series_of_any_length_get_networks_that_follow_it(shape):
    rows = 1e3 * np.random.default_rng(0).normal(size=(3, *shape))
    series = modality_of(rows, "x")
    assert series == Series(shape=shape) == again(series)
    np.testing.assert_array_equal(series.check(rows, "x"), rows.astype(np.float32))
    codec = series.codec(CodecSettings(code_size=4), 0)
    assert codec.decode(codec.encode(rows)).shape == rows.shape
    assert series.reader(5, 0)(series.prepare(rows)).shape == (3, 5)
    with pytest.raises(ValueError, match=r"finite.*Received: 1 values"):
        series.check(np.where(np.arange(rows.size).reshape(rows.shape) == 4, np.nan, rows), "x")


@pytest.mark.parametrize("shape", [(8,), (8, 0), (8, 8, 1), 8])
def test_a_series_has_time_and_channels(shape):
    with pytest.raises(ValueError, match=r"\(time, channels\). Received: shape="):
        Series(shape=shape)


@pytest.mark.parametrize("rows", [np.zeros(5), np.zeros((2, 3, 3, 3, 3))])
def test_an_array_of_another_rank_is_nothing_that_is_known(rows):
    with pytest.raises(ValueError, match=r"left should be images .*Received: an array \("):
        modality_of(rows, "left")


STACKS = {
    "what np.array makes of images": (np.arange(640).reshape(10, 8, 8) % 256, "astype.'uint8'."),
    "16 bits": (np.arange(640, dtype=np.uint16).reshape(10, 8, 8), r"\[..., None\], as floats"),
    "masks": (np.arange(640).reshape(10, 8, 8) % 3 > 0, r"\[..., None\], as floats"),
    "with a sign": (np.arange(640).reshape(10, 8, 8) - 9, r"\[..., None\], as floats"),
}


@pytest.mark.parametrize(("rows", "hint"), STACKS.values(), ids=STACKS)
def test_whole_numbers_by_two_axes_are_series_or_images_only_where_that_is_said(rows, hint):
    with pytest.raises(ValueError, match=rf"right should be floating-point.*{hint}.*\(10, 8, 8\)"):
        modality_of(rows, "right")
    series = Series(shape=(8, 8))
    assert Pairs(rows, rows, x_modality=series, y_modality=series).modalities[0] == series


@pytest.mark.parametrize(
    ("unit", "shape", "warned"),
    [
        (1 / 255, (8, 8), True),
        (1.0, (8, 8), True),
        (1.0, (40, 3), False),
        (0.5, (8, 8), False),
        (3.0, (8, 8), False),
    ],
)
def test_series_that_look_like_images_are_told_of(unit, shape, warned, caplog):
    rows = unit * (np.arange(5.0 * np.prod(shape)).reshape(5, *shape) % 256)
    assert modality_of(rows, "left") == Series(shape=shape)
    assert ["left of shape" in record.getMessage() for record in caplog.records] == [True] * warned


# A user's own.


def own_encoder():
    return keras.Sequential([keras.layers.AveragePooling2D(2), keras.layers.Flatten()])


def own_decoder():
    return keras.Sequential(
        [keras.layers.Dense(64, activation="sigmoid"), keras.layers.Reshape((8, 8, 1))]
    )


def trained_on(modalities, x, y, *, epochs=1, **settings):
    """A model of two sides whose codecs were trained, and a step of two of the stages."""
    pairs = Pairs(x, y, x_modality=modalities[0], y_modality=modalities[1])
    codecs, settings = {}, {"local": wk.DiagonalGaussian(dim=2), "hidden": (8,), **settings}
    for name, modality, store in zip("xy", modalities, pairs.stores, strict=True):
        codecs[name] = modality.codec(CodecSettings(code_size=3, filters=(2, 3)), 0)
        rows = Pairs(store, store, x_modality=modality, y_modality=modality)
        codecs[name].train_on(rows, epochs=epochs, batch_size=16, verbose=0)
    model = wk.WynerModel(
        wk.Categorical(n=1, k=3),
        dict(zip("xy", modalities, strict=True)),
        codecs=codecs,
        settings=dict.fromkeys("xy", wk.SideSettings(flow_steps=0, **settings)),
    )
    for loss in (Joint(), Marginal()):
        stage = wk.Stage(model, loss)
        stage.compile(optimizer="adam", run_eagerly=True)
        history = stage.fit(pairs, batch_size=16, verbose=0).history
        assert np.isfinite(list(history.values())).all()
    return model


def test_a_users_own_encoder_and_decoder_take_the_place_of_convolutions(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 32, 8, 8, 1))
    encoder, decoder = own_encoder(), own_decoder()
    image = Image(shape=(8, 8, 1), encoder=encoder, decoder=decoder)
    model = trained_on((image, image), x, y, reader="features")
    used = {type(layer) for side in model.sides for layer in side.codec.encoder.layers}
    assert keras.layers.Conv2D not in used
    # Each side has learnt its own.
    kernels = [side.codec.decoder.layers[0].layers[0].kernel.numpy() for side in model.sides]
    assert not np.array_equal(*kernels)
    found = model.generate_y(x[:5], seed=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.generate_y(x[:5], seed=0), found)
    assert found.shape == (5, 8, 8, 1)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_users_own_encoder_starts_from_its_weights_and_keeps_them_where_it_is_frozen(frozen):
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3, 2)])
    encoder.trainable = not frozen
    kernel = encoder.layers[0].kernel.numpy()
    codec = Image(shape=(8, 8, 1), encoder=encoder).codec(CodecSettings(code_size=3), 0)

    def found():
        (of_codec,) = [w for w in codec.encoder.get_weights() if w.shape == kernel.shape]
        return of_codec

    np.testing.assert_array_equal(found(), kernel)
    rows = np.random.default_rng(0).random((32, 8, 8, 1))
    codec.train_on(Pairs(rows, rows), epochs=1, batch_size=32, verbose=0)
    assert np.array_equal(found(), kernel) == frozen
    np.testing.assert_array_equal(encoder.layers[0].kernel.numpy(), kernel)


@keras.saving.register_keras_serializable(package="test_modality")
@dataclasses.dataclass(frozen=True)
class Directions:
    """Angles in degrees, `(n, count)`; models read their cosine and sine."""

    count: int

    @property
    def shape(self):
        return (self.count,)

    def describe(self):
        return {"kind": "directions", "shape": [self.count]}

    def check(self, values: Any, name: str):
        values = np.asarray(values, np.float32)
        if values.shape[1:] != self.shape or np.abs(values).max() > 360:
            raise ValueError(f"`{name}` should be degrees. Received: {values.shape}")
        return values

    def prepare(self, batch):
        return keras.ops.cast(batch, "float32")

    def codec(self, settings, seed):
        return Compass(self.count)

    def reader(self, outputs, seed):
        return keras.Sequential(
            [keras.layers.Rescaling(1 / 360), keras.layers.Dense(outputs)], name="reader"
        )

    def get_config(self):
        return {"count": self.count}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="test_modality")
class Compass(wk.networks.Codec):
    """Cosine and sine of angles."""

    def __init__(self, count, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.built = True

    @property
    def feature_size(self):
        return 2 * self.count

    def encode(self, data, training=False):
        angle = data * (np.pi / 180)
        return keras.ops.concatenate([keras.ops.cos(angle), keras.ops.sin(angle)], axis=-1)

    def decode(self, features):
        cosine, sine = keras.ops.split(features, 2, axis=-1)
        return keras.ops.arctan2(sine, cosine) * (180 / np.pi)

    def train_on(self, pairs, *, epochs, batch_size, verbose="auto"):
        self.trainable = False
        return {}

    def get_config(self):
        return {**super().get_config(), "count": self.count}


def test_a_users_own_modality_is_one_class(tmp_path):
    assert isinstance(Directions(2), Modality)
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-170, 170, (32, 2)), rng.random((32, 8, 8, 1))
    modalities = Directions(2), Image(shape=(8, 8, 1))
    model = trained_on(modalities, x, y, reader="data")
    found = model.generate_x(y[:5], seed=0)
    assert found.shape == (5, 2)
    assert np.abs(found).max() <= 180
    np.testing.assert_allclose(
        model.side("x").codec.decode(model.side("x").encode(x)), x, rtol=1e-3
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded.generate_x(y[:5], seed=0), found)
