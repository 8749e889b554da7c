import os
import subprocess
import sys

import numpy as np
import pytest

from wyner_keras.latents import Categorical
from wyner_keras.models import WynerConfig, WynerModel

RELOAD = """
import sys
import keras, numpy as np
import wyner_keras
for folder in sys.argv[1:]:
    model = keras.models.load_model(folder + "/model.keras", safe_mode=True)
    given = np.load(folder + "/given.npz")
    np.savez(folder + "/again.npz", **{
        "y": model.generate_y(given["x"], seed=3), "x": model.generate_x(given["y"], seed=3),
        **dict(zip(("pair_x", "pair_y"), model.generate_pairs(5, seed=3))),
        "transfer_x": model.transfer_x(style=given["x"], concept=given["y"], seed=3),
        "transfer_y": model.transfer_y(style=given["y"], concept=given["x"], seed=3)})
"""


@pytest.fixture(scope="module")
def model(make_model) -> WynerModel:
    # Large weights, so that samples differ by far more than rounding.
    model = make_model()
    for variable in model.trainable_variables:
        variable.assign(3 * np.asarray(variable))
    return model


@pytest.fixture(scope="module")
def images(pairs) -> tuple[np.ndarray, np.ndarray]:
    x, y = pairs.arrays()
    return x[:7], y[:5]


def streams(seed):
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)]


def one_hot(scores):
    return np.eye(scores.shape[-1], dtype=np.float32)[scores.argmax(axis=-1)]


def gumbel(noise):
    return -np.log(-np.log(np.maximum(noise, np.finfo(np.float32).tiny)))


def sample_z(encoder, images, noise):
    return one_hot(np.asarray(encoder(images.reshape(len(images), -1))) + gumbel(noise))


def test_conditional_generation_is_the_papers(model, images):
    z_stream, _, v_stream = streams(4)
    x = images[0]
    z = sample_z(model.marginal_encoder_z_x, x, z_stream.random((7, 3), np.float32))
    # v from its prior, not from an encoder.
    v = one_hot(gumbel(v_stream.random((7, 4), np.float32)).reshape(7, 2, 2)).reshape(7, 4)
    expected = np.asarray(model.decoder_y([v, z])).reshape(7, 4, 2, 1)
    y = model.generate_y(x, seed=4)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)


def test_conditional_generation_of_x_is_the_papers(model, images):
    z_stream, u_stream, _ = streams(4)
    y = images[1]
    z = sample_z(model.marginal_encoder_z_y, y, z_stream.random((5, 3), np.float32))
    u = u_stream.standard_normal((5, 2), np.float32)
    expected = np.asarray(model.decoder_x([u, z])).reshape(5, 4, 4, 1)
    np.testing.assert_allclose(model.generate_x(y, seed=4), expected, rtol=1e-4, atol=1e-6)


def test_joint_generation_draws_all_from_the_priors(model):
    z_stream, u_stream, v_stream = streams(9)
    z = one_hot(z_stream.random((6, 3), np.float32))
    u = u_stream.standard_normal((6, 2), np.float32)
    v = one_hot(v_stream.random((6, 4), np.float32).reshape(6, 2, 2)).reshape(6, 4)
    x, y = model.generate_pairs(6, seed=9)
    np.testing.assert_allclose(
        x, np.asarray(model.decoder_x([u, z])).reshape(6, 4, 4, 1), rtol=1e-4, atol=1e-6
    )
    np.testing.assert_allclose(
        y, np.asarray(model.decoder_y([v, z])).reshape(6, 4, 2, 1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("side", ["x", "y"])
def test_style_transfer_is_the_papers(model, images, side):
    style, concept = images if side == "x" else images[::-1]
    z_stream, *local_streams = streams(2)
    encoders = [model.marginal_encoder_z_x, model.marginal_encoder_z_y]
    own, other = encoders if side == "x" else encoders[::-1]
    concept_z = sample_z(other, concept, z_stream.random((len(concept), 3), np.float32))
    style_z = sample_z(own, style, z_stream.random((len(style), 3), np.float32))
    features = style.reshape(len(style), -1)
    if side == "x":
        mean, log_variance = np.split(
            np.asarray(model.marginal_encoder_u([features, style_z])), 2, 1
        )
        noise = local_streams[0].standard_normal((7, 2), np.float32)
        local = mean + np.exp(log_variance / 2) * noise
        decoder, transfer = model.decoder_x, model.transfer_x
    else:
        scores = np.asarray(model.marginal_encoder_v([features, style_z]))
        scores = scores + gumbel(local_streams[1].random((5, 4), np.float32))
        local = one_hot(scores.reshape(5, 2, 2)).reshape(5, 4)
        decoder, transfer = model.decoder_y, model.transfer_y
    results = transfer(style=style, concept=concept, seed=2)
    assert results.shape == (len(style), len(concept), *style.shape[1:])
    for s in range(len(style)):
        for c in range(len(concept)):
            expected = np.asarray(decoder([local[[s]], concept_z[[c]]])).reshape(style.shape[1:])
            np.testing.assert_allclose(results[s, c], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 6])
def test_chunks_do_not_change_the_result(model, images, batch_size):
    x, y = images
    for call in (
        lambda **k: model.generate_y(x, seed=1, samples=3, **k),
        lambda **k: model.generate_x(y, seed=1, **k),
        lambda **k: np.concatenate([s.ravel() for s in model.generate_pairs(7, seed=1, **k)]),
        lambda **k: model.transfer_x(style=x, concept=y[:2], seed=1, **k),
        lambda **k: model.transfer_y(style=y, concept=x[:2], seed=1, **k),
    ):
        np.testing.assert_allclose(call(batch_size=batch_size), call(), rtol=1e-5, atol=1e-6)


def test_the_seed_decides_the_result(model, images):
    x, y = images
    for call in (
        lambda seed: model.generate_y(x, seed=seed),
        lambda seed: model.generate_x(y, seed=seed),
        lambda seed: model.generate_pairs(7, seed=seed)[0],
        lambda seed: model.transfer_x(style=x, concept=y, seed=seed),
    ):
        np.testing.assert_array_equal(call(0), call(0))
        assert not np.allclose(call(0), call(1), atol=1e-3)


def test_samples_of_an_input_are_different_draws(model, images):
    samples = model.generate_y(images[0], seed=0, samples=40)
    assert samples.shape == (7, 40, 4, 2, 1)
    assert samples.min() >= 0
    assert samples.max() <= 1
    # v has 4 values, z 3: at most 12 images, more than 2 of them in 40 draws.
    assert all(2 < len(np.unique(row.round(5), axis=0)) <= 12 for row in samples)
    assert model.generate_y(images[0], seed=0, samples=1).shape == (7, 1, 4, 2, 1)


def test_without_local_latents_the_concept_is_all(make_model, images):
    bare = make_model(u=None, v=None)
    x, y = images
    samples = bare.generate_y(x, seed=0, samples=30)
    assert len(np.unique(samples.reshape(-1, 8).round(5), axis=0)) == 3
    results = bare.transfer_x(style=x, concept=y, seed=0)
    np.testing.assert_allclose(results, np.repeat(results[:1], len(x), axis=0), atol=1e-6)


def test_a_gaussian_decoder_gives_its_mean_within_the_range_of_images(make_model, images):
    base = make_model(u=None, v=None, decoder="gaussian")
    base.decoder_y.output_layer.bias.assign(np.repeat([0.5, 1.0], 8))
    y = base.generate_y(images[0], seed=0)
    mean = np.asarray(base.decoder_y(np.eye(3, dtype=np.float32)))[:, :8].clip(0, 1)
    distance = np.abs(y.reshape(7, 1, 8) - mean[None]).max(axis=-1).min(axis=1)
    assert distance.max() < 1e-5


def test_a_fresh_process_loads_and_generates_the_same(
    make_model, make_wrapper, wrappers, pairs, wrapped_pairs, tmp_path
):
    same = make_wrapper((8, 8, 1), slant=False)
    same.train(wrapped_pairs.x.images, epochs=1, batch_size=12, verbose=0)
    models = {
        "bare": (make_model(encoder_dropout=0.1, encoder_noise=0.1), pairs.arrays()),
        "residual": (make_model(residual=True, z=Categorical(n=2, k=2)), pairs.arrays()),
        "pair": (make_model(wrapper=wrappers), wrapped_pairs.arrays()),
        "one": (make_model(wrapper=same, u=None, v=None), [wrapped_pairs.arrays()[0]] * 2),
    }
    expected = {}
    for name, (model, (x, y)) in models.items():
        rng = np.random.default_rng(3)
        for variable in model.trainable_variables:
            variable.assign(np.asarray(variable) + 0.1 * rng.normal(size=variable.shape))
        x, y = x[:6], y[:4]
        folder = tmp_path / name
        folder.mkdir()
        model.save(folder / "model.keras")
        np.savez(folder / "given.npz", x=x, y=y)
        expected[name] = {
            "y": model.generate_y(x, seed=3),
            "x": model.generate_x(y, seed=3),
            **dict(zip(("pair_x", "pair_y"), model.generate_pairs(5, seed=3), strict=True)),
            "transfer_x": model.transfer_x(style=x, concept=y, seed=3),
            "transfer_y": model.transfer_y(style=y, concept=x, seed=3),
        }
    folders = [str(tmp_path / name) for name in models]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:keras", "-c", RELOAD, *folders],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name, arrays in expected.items():
        again = np.load(tmp_path / name / "again.npz")
        assert set(again) == set(arrays)
        for key, value in arrays.items():
            np.testing.assert_array_equal(again[key], value, err_msg=f"{name} {key}")


BAD_IMAGES = {
    "shape": np.zeros((2, 5, 4, 1), np.float32),
    "rank": np.zeros((2, 4, 4), np.float32),
    "dtype": np.zeros((2, 4, 4, 1), np.uint8),
    "range": np.full((2, 4, 4, 1), 255.0, np.float32),
    "negative": np.full((2, 4, 4, 1), -0.5, np.float32),
    "nan": np.full((2, 4, 4, 1), np.nan, np.float32),
    "empty": np.zeros((0, 4, 4, 1), np.float32),
    "none": None,
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_malformed_images_are_refused(model, images, kind):
    bad, (x, y) = BAD_IMAGES[kind], images
    for call in (
        lambda: model.generate_y(bad, seed=0),
        lambda: model.generate_x(bad, seed=0),
        lambda: model.transfer_x(style=bad, concept=y, seed=0),
        lambda: model.transfer_x(style=x, concept=bad, seed=0),
        lambda: model.transfer_y(style=y, concept=bad, seed=0),
    ):
        with pytest.raises(ValueError, match="Received"):
            call()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": None}, "seed"),
        ({"seed": True}, "seed"),
        ({"seed": 0, "samples": 0}, "samples"),
        ({"seed": 0, "samples": 2.0}, "samples"),
        ({"seed": 0, "batch_size": 0}, "batch_size"),
    ],
)
def test_malformed_seeds_and_counts_are_refused(model, images, settings, match):
    x, y = images
    with pytest.raises(ValueError, match=rf"{match}.*Received"):
        model.generate_y(x, **settings)
    rest = {name: value for name, value in settings.items() if name != "samples"}
    if rest == settings:
        with pytest.raises(ValueError, match=rf"{match}.*Received"):
            model.generate_pairs(3, **rest)
        with pytest.raises(ValueError, match=rf"{match}.*Received"):
            model.transfer_x(style=x, concept=y, **rest)


@pytest.mark.parametrize("count", [0, -1, 2.5, None])
def test_a_malformed_count_of_pairs_is_refused(model, count):
    with pytest.raises(ValueError, match=r"count.*Received"):
        model.generate_pairs(count, seed=0)


def test_what_cannot_fit_is_refused_by_its_size(model, images):
    x, y = images
    many = np.broadcast_to(x[:1], (2 * 10**5, 4, 4, 1))
    other = np.broadcast_to(y[:1], (2 * 10**5, 4, 2, 1))
    for call, message in (
        (lambda: model.generate_y(x, seed=0, samples=10**12), "7 inputs x 1000000000000 samples"),
        (
            lambda: model.generate_x(y, seed=0, samples=2**62),
            r"10\^19 samples of 4x4x1, more than 1024 EiB",
        ),
        (lambda: model.generate_pairs(10**30, seed=0), r"10\^30 pairs of 4x4x1 and 4x2x1"),
        (
            lambda: model.transfer_x(style=many, concept=other, seed=0),
            "200000 styles x 200000 concepts of 4x4x1",
        ),
    ):
        with pytest.raises(ValueError, match=rf"should leave a result that fits.*{message}"):
            call()


def test_a_model_that_knows_no_shapes_says_so(images):
    model = WynerModel(WynerConfig(hidden=(8,)))
    x, y = images
    for call in (
        lambda: model.generate_y(x, seed=0),
        lambda: model.generate_x(y, seed=0),
        lambda: model.generate_pairs(3, seed=0),
        lambda: model.transfer_x(style=x, concept=y, seed=0),
    ):
        with pytest.raises(ValueError, match=r"x_shape.*Received"):
            call()
