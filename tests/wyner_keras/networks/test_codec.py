import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.special import log_softmax

from wyner_keras.data import Pairs, load
from wyner_keras.modality import Image, Series, Vector
from wyner_keras.networks import ConvCodec, FlatCodec, VectorCodec
from wyner_keras.networks.likelihoods import LIKELIHOODS
from wyner_keras.networks.shear import slant


def of_rows(rows, modality=None):
    """What a codec is trained on: pairs of each row with itself."""
    return Pairs(rows, rows, x_modality=modality, y_modality=modality)


def again(codec, folder):
    codec.save(folder / "codec.keras")
    return keras.models.load_model(folder / "codec.keras", safe_mode=True)


@pytest.fixture(scope="module")
def digits():
    return load("digits").train.images[:256]


@pytest.fixture(scope="module")
def trained(digits):
    codec = ConvCodec((8, 8, 1), code_size=12, filters=(8, 16), noise=0.1, slant=True)
    history = codec.train_on(of_rows(digits), epochs=30, batch_size=32, verbose=0)
    return codec, history


def test_training_lowers_the_error(trained, digits):
    codec, history = trained
    assert history["mse"][-1] < history["mse"][0]
    error = np.square(np.asarray(codec(digits)) - digits).mean()
    assert error < 0.8 * digits.var(axis=0).mean()


def test_features_of_the_training_rows_are_standardised(trained, digits):
    codec, _ = trained
    features = np.asarray(codec.encode(digits))
    assert features.shape == (256, codec.feature_size) == (256, 13)
    np.testing.assert_allclose(features[:, :12].mean(axis=0), 0, atol=0.3)
    np.testing.assert_allclose(features[:, :12].std(axis=0), 1, atol=0.3)
    assert features[:, 12].std() == pytest.approx(2, abs=1e-3)


def test_the_last_feature_is_the_slant_and_decoding_puts_it_back(trained, digits):
    codec, _ = trained
    features = np.array(codec.encode(digits))
    scale = float(codec.slant_scale)
    np.testing.assert_allclose(features[:, -1] * scale, slant(digits), rtol=1e-4, atol=1e-5)
    decoded = np.asarray(slant(codec.decode(features)))
    assert np.corrcoef(decoded, slant(digits))[0, 1] > 0.8
    features[:, -1] = 0
    assert np.abs(slant(codec.decode(features))).mean() < np.abs(decoded).mean()


def test_training_freezes_and_saving_keeps_everything(trained, digits, tmp_path):
    codec, _ = trained
    assert codec.trainable_variables == []
    other = again(codec, tmp_path)
    np.testing.assert_array_equal(other.encode(digits), codec.encode(digits))
    np.testing.assert_array_equal(other(digits), codec(digits))
    image = np.asarray(codec(digits))
    assert image.min() >= 0
    assert image.max() <= 1


SIZES = [(8, 8, 1), (27, 31, 1), (28, 14, 3), (1, 64, 1), (64, 1, 3), (9, 128, 1), (37, 3), (5, 1)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_data_of_any_size_are_encoded_and_decoded(shape, tmp_path):
    codec = ConvCodec(shape, code_size=5, filters=(2, 3, 2), slant=shape == (8, 8, 1))
    rows = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    features = codec.encode(rows)
    assert features.shape == (3, codec.feature_size)
    decoded = np.asarray(codec.decode(features))
    assert decoded.shape == rows.shape
    # Every place is reached by the code.
    moved = np.asarray(codec.decode(features + 1.0))
    assert (np.abs(moved - decoded) > 0).any(axis=0).mean() > 0.9
    if shape == (27, 31, 1):
        np.testing.assert_array_equal(again(codec, tmp_path).decode(features), decoded)


def test_channels_of_series_count_alike_whatever_their_units():
    """A channel in millionths is learnt as well as one in thousands."""
    rng = np.random.default_rng(0)
    phase, time = rng.uniform(0, 2 * np.pi, (96, 1)), np.arange(12)
    wave = np.sin(phase + time)
    rows = np.stack([5e3 + 1e3 * wave, 1e-6 * wave], axis=-1)
    codec = ConvCodec((12, 2), code_size=4, filters=(8, 8))
    history = codec.train_on(of_rows(rows), epochs=20, batch_size=8, verbose=0)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    error = np.square(np.asarray(codec(rows)) - rows).mean(axis=(0, 1))
    assert (error < 0.7 * rows.var(axis=(0, 1))).all()


def test_values_themselves_are_standardised_in_their_units_and_come_back(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal([1e6, 0.0, -3.0, 2.0], [10.0, 1e-5, 1.0, 0.0], (200, 4))
    codec = FlatCodec((4,))
    np.testing.assert_allclose(codec.encode(rows[:2]), rows[:2], rtol=1e-6)
    assert codec.train_on(of_rows(rows)) == {}
    features = np.asarray(codec.encode(rows))
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-2)
    # The last never varies.
    np.testing.assert_allclose(features.std(axis=0), [1, 1, 1, 0], atol=1e-2)
    np.testing.assert_allclose(codec.decode(features), rows, rtol=1e-5, atol=1e-8)
    np.testing.assert_array_equal(again(codec, tmp_path).encode(rows), features)


def test_pixels_keep_their_proportions_and_stay_within_their_range():
    rng = np.random.default_rng(0)
    rows = rng.random((100, 4, 4, 1))
    rows[:, 0] = 0.5 + 1e-3 * rows[:, 0]
    codec = Image(shape=(4, 4, 1)).codec(None, 0)
    codec.train_on(of_rows(rows, Image(shape=(4, 4, 1))))
    features = np.asarray(codec.encode(rows)).reshape(rows.shape)
    ratio = features.std(axis=0) / rows.std(axis=0)
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)
    assert np.square(features).mean() == pytest.approx(1, rel=1e-3)
    far = np.asarray(codec.decode(100 * features.reshape(100, -1)))
    assert (far.min(), far.max()) == (0, 1)


# Columns of every kind.

KINDS = ("real", "binary", "categorical", "count", "real")
CATEGORIES = (0, 0, 3, 0, 0)
# A decoder's outputs are grouped by kind: the reals', then the others' in their order.
REAL, BINARY, CATEGORY, COUNT = slice(0, 2), 2, slice(3, 6), 6


@pytest.fixture
def columns():
    """A codec whose decoder puts out the same whatever the features are, and what that is."""
    codec = VectorCodec(KINDS, CATEGORIES, code_size=2, hidden=(4,))
    codec.mean.assign([10.0, 0.0, 0.0, 1.5, -1.0])
    codec.scale.assign([2.0, 1.0, 1.0, 0.5, 3.0])
    codec.spread.assign([-0.7, 0.0, 0.0, 0.4, 1.1])
    outputs = np.array([0.3, -0.4, -0.8, 0.2, -1.0, 1.3, 0.9], np.float32)
    codec.decoder.output_layer.kernel.assign(np.zeros((4, 7)))
    codec.decoder.output_layer.bias.assign(outputs)
    return codec, outputs


ROWS = np.array(
    [[11.0, 1.0, 2.0, 4.0, -2.5], [8.5, 0.0, 0.0, 0.0, 7.0], [0.0, 0.0, 1.0, 900.0, -1.0]], "f"
)


def by_scipy(outputs):
    """log p of each value of `ROWS`."""
    mean, dispersion = np.exp(outputs[COUNT] * 0.5 + 1.5), np.exp(0.4)
    first, last = outputs[REAL]
    return np.stack(
        [
            stats.norm.logpdf((ROWS[:, 0] - 10) / 2, first, np.exp(-0.35)),
            stats.bernoulli.logpmf(ROWS[:, 1].astype(int), 1 / (1 + np.exp(-outputs[BINARY]))),
            log_softmax(outputs[CATEGORY].astype(float))[ROWS[:, 2].astype(int)],
            stats.nbinom.logpmf(ROWS[:, 3], dispersion, dispersion / (dispersion + mean)),
            stats.norm.logpdf((ROWS[:, 4] + 1) / 3, last, np.exp(0.55)),
        ],
        axis=1,
    )


def test_likelihoods_are_scipys(columns):
    codec, outputs = columns
    found = codec.log_likelihood(ROWS, np.zeros((3, 2), "f"))
    np.testing.assert_allclose(found, by_scipy(outputs).sum(axis=1), rtol=1e-4)


def test_densities_are_in_the_users_units(columns):
    codec, outputs = columns
    np.testing.assert_array_equal(codec.noise_units, [2, np.nan, np.nan, np.nan, 3])
    expected = by_scipy(outputs) - np.log([2, 1, 1, 1, 3])
    rows, features, spread = ROWS.copy(), np.zeros((3, 2), "f"), codec.spread
    found = codec.log_prob(rows, features, spread)
    np.testing.assert_allclose(found, expected.sum(axis=1), rtol=1e-4)
    rows[0, 0] = rows[1, 4] = np.nan
    expected[0, 0] = expected[1, 4] = 0
    np.testing.assert_allclose(
        codec.log_prob(rows, features, spread), expected.sum(axis=1), rtol=1e-4
    )
    # The spread given counts, not the one learnt.
    wider = codec.log_prob(ROWS[:1], features[:1], np.add(spread, np.eye(5, dtype="f")[0]))
    moved = stats.norm(10.6, 2 * np.exp(0.15)).logpdf(11) - stats.norm(
        10.6, 2 * np.exp(-0.35)
    ).logpdf(11)
    assert float(wider[0] - found[0]) == pytest.approx(moved, rel=1e-3)


@pytest.mark.parametrize(
    ("codec", "noises"),
    [
        (FlatCodec((2, 3, 1), lowest=0.0, highest=1.0), 1),
        (FlatCodec((6,)), 6),
        (FlatCodec((3, 2)), 2),
        (ConvCodec((4, 4, 3), code_size=3, filters=(2, 2)), 1),
        (ConvCodec((8, 2), code_size=3, filters=(2, 2)), 2),
    ],
)
def test_densities_are_gaussian_around_what_is_decoded(codec, noises):
    rng = np.random.default_rng(0)
    if not (isinstance(codec, ConvCodec) and codec.is_image):
        codec.scale.assign(0.5 + rng.random(codec.scale.shape))
    units = codec.noise_units
    assert units.shape == (noises,)
    data = rng.random((5, *codec.shape)).astype("f")
    features = rng.normal(size=(5, codec.feature_size)).astype("f")
    spread = rng.normal(size=noises).astype("f")
    mean = np.asarray(codec.decode(features), float)
    expected = stats.norm(mean, units * np.exp(spread / 2)).logpdf(data)
    np.testing.assert_allclose(
        codec.log_prob(data, features, spread), expected.reshape(5, -1).sum(1), rtol=1e-4
    )


def test_what_is_not_known_counts_for_nothing(columns):
    codec, outputs = columns
    rows, features = ROWS.copy(), tf.Variable(np.ones((3, 2), "f"))
    missing = np.zeros(rows.shape, bool)
    missing[0, [0, 3]] = missing[1, [1, 2]] = missing[2] = True
    rows[missing] = np.nan
    found = codec.log_likelihood(rows, features)
    np.testing.assert_allclose(found, np.where(missing, 0, by_scipy(outputs)).sum(1), rtol=1e-4)
    assert found[2] == 0
    # Not even in the gradient.
    codec.decoder.output_layer.kernel.assign(np.ones((4, 7)))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(codec.log_likelihood(rows, codec.encode(rows, training=True)))
    gradients = tape.gradient(loss, codec.trainable_variables)
    assert all(np.isfinite(np.asarray(gradient)).all() for gradient in gradients)
    # The encoder is told which values are known.
    known = np.where(missing, codec.mean.numpy(), rows)
    assert np.abs(codec.encode(rows) - codec.encode(known)).max() > 1e-3


def test_the_most_probable_values_are_decoded_in_the_users_units(columns):
    codec, outputs = columns
    decoded = np.asarray(codec.decode(np.zeros((1, 2), "f")))[0]
    mean = np.exp(0.9 * 0.5 + 1.5)
    np.testing.assert_allclose(decoded, [10 + 2 * 0.3, 0, 2, round(mean), -1 + 3 * -0.4], rtol=1e-5)
    outputs[BINARY], outputs[CATEGORY] = 0.1, [1.0, 5.0, 5.0]
    codec.decoder.output_layer.bias.assign(outputs)
    # Of two that are as probable, the first.
    np.testing.assert_array_equal(np.asarray(codec.decode(np.zeros((1, 2), "f")))[0, 1:3], [1, 1])


@settings(max_examples=100)
@given(
    value=st.integers(0, 10**7) | st.integers(0, 20),
    log_mean=st.floats(-9, 16, width=32),
    log_dispersion=st.floats(-8, 8, width=32),
)
@example(value=10**6, log_mean=np.float32(np.log(1e6)), log_dispersion=0.0)
@example(value=999_000, log_mean=np.float32(np.log(1e6)), log_dispersion=8.0)
@example(value=10**7, log_mean=-9.0, log_dispersion=-8.0)
@example(value=0, log_mean=16.0, log_dispersion=8.0)
def test_counts_are_negative_binomial_from_rare_to_many(value, log_mean, log_dispersion):
    codec = ONE_COUNT
    codec.decoder.output_layer.bias.assign([log_mean])
    codec.spread.assign([log_dispersion])
    found = float(codec.log_likelihood(np.array([[value]], "f"), np.zeros((1, 1), "f"))[0])
    mean, dispersion = np.exp(log_mean), np.exp(log_dispersion)
    expected = stats.nbinom.logpmf(value, dispersion, dispersion / (dispersion + mean))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-3)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6])
def test_gradients_of_counts_are_those_of_the_closed_form(size):
    log_mean, spread = (tf.Variable(each, dtype="float32") for each in (np.log(size), 1.5))
    for value in (0.0, 0.7 * size, 1.3 * size):
        with tf.GradientTape() as tape:
            nats = LIKELIHOODS["count"].log_prob(
                tf.constant(value), log_mean, tf.zeros(()), tf.ones(()), spread
            )
        found = [float(each) for each in tape.gradient(nats, (log_mean, spread))]
        m, r = np.exp(float(log_mean)), np.exp(1.5)
        of_spread = special.digamma(value + r) - special.digamma(r)
        of_spread += np.log(r / (r + m)) + (m - value) / (r + m)
        assert found == pytest.approx([r * (value - m) / (r + m), r * of_spread], rel=1e-4)


ONE_COUNT = VectorCodec(("count",), (0,), code_size=1, hidden=(1,))
ONE_COUNT.decoder.output_layer.kernel.assign(np.zeros((1, 1)))


@pytest.fixture(scope="module")
def table():
    """Rows of every kind that hang together, some of them not known."""
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=300)
    rows = np.stack(
        [
            rng.normal([-50.0, 0.0, 50.0], 5.0, (300, 3))[np.arange(300), label],
            label == 1,
            label,
            rng.poisson(np.array([1, 20, 200])[label]),
            1e-4 * rng.normal(label, 0.1),
        ],
        axis=1,
    )
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


def test_training_on_columns_of_every_kind(table, tmp_path):
    modality = Vector(kinds=KINDS, categories=CATEGORIES, missing=True)
    codec = VectorCodec(KINDS, CATEGORIES, code_size=3, hidden=(32,))
    history = codec.train_on(of_rows(table, modality), epochs=24, batch_size=32, verbose=0)
    assert history["loss"][-1] < history["loss"][0] - 2
    np.testing.assert_allclose(codec.mean.numpy()[[0, 4]], np.nanmean(table, 0)[[0, 4]], rtol=1e-4)
    assert float(codec.mean[3]) == pytest.approx(np.nanmean(np.log1p(table[:, 3])), rel=1e-5)
    features = codec.encode(table)
    decoded = np.asarray(codec.decode(features))
    modality.check(decoded, "decoded")
    known = ~np.isnan(table)
    for column in (0, 4):
        rest = (decoded - table)[known[:, column], column]
        assert rest.var() < 0.3 * np.nanvar(table[:, column])
    for column in (1, 2):
        right = (decoded == table)[known[:, column], column]
        assert right.mean() > 0.9
    other = again(codec, tmp_path)
    np.testing.assert_array_equal(other.encode(table), features)
    np.testing.assert_array_equal(other.decode(features), decoded)
    # What is not known is told from the rest.
    hidden = table.copy()
    hidden[:, 2] = np.nan
    guessed = np.asarray(codec.decode(codec.encode(hidden)))[:, 2]
    assert (guessed == table[:, 2])[known[:, 2]].mean() > 0.8


@settings(max_examples=20)
@given(features=st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3))
def test_whatever_is_decoded_is_legal(features):
    decoded = LEGAL.decode(np.array([features], "f"))
    Vector(kinds=KINDS, categories=CATEGORIES).check(np.asarray(decoded), "decoded")


LEGAL = VectorCodec(KINDS, CATEGORIES, code_size=3, hidden=(4,))


def test_a_series_that_learns_nothing_is_itself():
    rows = np.random.default_rng(0).normal(size=(30, 6, 2))
    codec = Series(shape=(6, 2)).codec(None, 0)
    codec.train_on(of_rows(rows))
    np.testing.assert_allclose(codec(rows), rows, atol=1e-5)
    np.testing.assert_allclose(np.std(codec.encode(rows), axis=0), 1, atol=1e-4)
