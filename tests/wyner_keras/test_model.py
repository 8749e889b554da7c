"""A W-model's tasks by hand, its files, and what it refuses."""

import functools
import gc
import os
import subprocess
import sys
import weakref

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_bundle
from scipy.special import softmax

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.model import WynerModel
from wyner_keras.product import Product
from wyner_keras.side import SideSettings

COUNTS = {"x": 7, "y": 5}


@pytest.fixture(scope="module")
def model(make_model):
    # Large weights, so that samples differ by far more than rounding.
    model = make_model()
    for variable in model.trainable_variables:
        variable.assign(2 * np.asarray(variable))
    return model


@pytest.fixture(scope="module")
def rows(pairs):
    return {name: data[: COUNTS[name]] for name, data in zip("xy", pairs.arrays(), strict=True)}


def streams(seed, model):
    """The noise of each latent."""
    children = np.random.SeedSequence(seed).spawn(3)
    families = model.z, *(side.local for side in model.sides)
    return {
        name: functools.partial(family.draw_noise, np.random.default_rng(child))
        for name, family, child in zip("zuv", families, children, strict=True)
    }


def one_hot(scores):
    return np.eye(scores.shape[-1], dtype=np.float32)[scores.argmax(axis=-1)]


def logits_of(side, data):
    """Of q(z|x)."""
    if side.settings.reader == "data":
        return np.asarray(side.reader_network(data))
    return np.asarray(side.reader_network([side.codec.encode(data)]))


def sampled_z(side, data, noise):
    """z ~ q(z|x)."""
    return one_hot(logits_of(side, data) - np.log(-np.log(noise)))


def sampled_code(side, data, z, noise):
    """What the decoder reads of u ~ q(u|x,z)."""
    rest = side.codec.encode(data) - side.concept(z)
    mean, log_variance = np.split(np.asarray(side.posterior_network([rest, z])), 2, axis=1)
    return mean + np.exp(log_variance / 2) * noise


def rendered(side, code, z):
    return np.asarray(side.codec.decode(side.decoder_network([code, z]) + side.concept(z)))


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("given", "made"), [("x", "y"), ("y", "x")])
def test_conditional_generation_is_the_papers(given, made, model, rows):
    noise, count = streams(4, model), COUNTS[given]
    side, other = model.side(made), model.side(given)
    z = sampled_z(other, rows[given], noise["z"](count))
    # The local of its prior, not of an encoder.
    local = noise[side.local_name](count)
    found = getattr(model, f"generate_{made}")(rows[given], seed=4)
    assert found.dtype == np.float32
    close(found, rendered(side, side.flow(local, z), z))


def test_joint_generation_draws_all_from_the_priors(model):
    noise = streams(9, model)
    z = one_hot(noise["z"](6))
    for side, found in zip(model.sides, model.generate_pairs(6, seed=9), strict=True):
        local = noise[side.local_name](6)
        close(found, rendered(side, side.flow(local, z), z))


@pytest.mark.parametrize(("name", "of"), [("x", "y"), ("y", "x")])
def test_style_transfer_is_the_papers(name, of, model, rows):
    noise, side, other = streams(2, model), model.side(name), model.side(of)
    concept_z = sampled_z(other, rows[of], noise["z"](COUNTS[of]))
    style_z = sampled_z(side, rows[name], noise["z"](COUNTS[name]))
    code = sampled_code(side, rows[name], style_z, noise[side.local_name](COUNTS[name]))
    local = np.asarray(side.flow.inverse(code, style_z))
    found = getattr(model, f"transfer_{name}")(style=rows[name], concept=rows[of], seed=2)
    assert found.shape == (COUNTS[name], COUNTS[of], *side.modality.shape)
    for each, z in enumerate(concept_z):
        z = np.tile(z, (len(local), 1))
        close(found[:, each], rendered(side, side.flow(local, z), z))


@pytest.mark.parametrize("name", "xy")
def test_encoding_samples_both_posteriors_and_decoding_inverts_it(name, model, rows):
    noise, side, count = streams(5, model), model.side(name), COUNTS[name]
    found = getattr(model, f"encode_{name}")(rows[name], seed=5)
    z = sampled_z(side, rows[name], noise["z"](count))
    np.testing.assert_array_equal(found.z, z)
    code = sampled_code(side, rows[name], z, noise[side.local_name](count))
    close(found.local, side.flow.inverse(code, z))
    decoded = getattr(model, f"decode_{name}")(*found)
    close(decoded, rendered(side, side.flow(found.local, z), z))
    (posterior,) = model.run_graph(f"posterior_{name}_z", {name: rows[name]})
    close(posterior, softmax(logits_of(side, rows[name]), axis=1))


def test_transfer_to_the_styles_own_concept_decodes_its_code(make_model, rows):
    """With one z on both sides, the flow goes back the way it came."""
    model = make_model(flow_steps=4)
    for side in model.sides:
        side.reader_network.output_layer.bias.assign([0.0, 100.0, 0.0])
    found = model.transfer_x(style=rows["x"], concept=rows["y"][:1], seed=3)[:, 0]
    side, z = model.side("x"), np.eye(3, dtype=np.float32)[[1] * COUNTS["x"]]
    code = sampled_code(side, rows["x"], z, streams(3, model)["u"](COUNTS["x"]))
    np.testing.assert_allclose(found, rendered(side, code, z), atol=5e-3)


TASKS = {
    "generate_y": lambda m, r, seed: m.generate_y(r["x"], seed=seed, samples=3),
    "generate_x": lambda m, r, seed: m.generate_x(r["y"], seed=seed),
    "generate_pairs": lambda m, r, seed: np.concatenate(
        [side.ravel() for side in m.generate_pairs(7, seed=seed)]
    ),
    "transfer_x": lambda m, r, seed: m.transfer_x(style=r["x"], concept=r["y"], seed=seed),
    "transfer_y": lambda m, r, seed: m.transfer_y(style=r["y"], concept=r["x"], seed=seed),
    "encode_y": lambda m, r, seed: np.hstack(m.encode_y(r["y"], seed=seed)),
}


@pytest.mark.parametrize("task", TASKS)
def test_the_seed_decides_and_chunks_do_not(task, model, rows, monkeypatch):
    call = TASKS[task]
    whole = call(model, rows, 0)
    np.testing.assert_array_equal(call(model, rows, 0), whole)
    assert not np.allclose(call(model, rows, 1), whole, atol=1e-2)
    monkeypatch.setattr(model, "batch_size", 3)
    np.testing.assert_allclose(call(model, rows, 0), whole, rtol=1e-4, atol=1e-5)


def test_samples_of_an_input_are_different_draws(model, rows):
    samples = model.generate_x(rows["y"], seed=0, samples=20)
    assert samples.shape == (5, 20, 4, 4, 1)
    assert samples.min() >= 0
    assert samples.max() <= 1
    assert all(len(np.unique(each.reshape(20, -1), axis=0)) == 20 for each in samples)
    one = model.generate_x(rows["y"], seed=0, samples=1)
    np.testing.assert_array_equal(one[:, 0], model.generate_x(rows["y"], seed=0))


def test_without_local_latents_the_concept_is_all(make_model, rows):
    bare = make_model(u=False, v=False, flow_steps=0)
    samples = bare.generate_y(rows["x"], seed=0, samples=30)
    assert len(np.unique(samples.reshape(-1, 3).round(4), axis=0)) == 3
    found = bare.transfer_x(style=rows["x"], concept=rows["y"], seed=0)
    np.testing.assert_allclose(found, np.repeat(found[:1], 7, axis=0), atol=1e-6)
    assert bare.encode_x(rows["x"]).local is None
    with pytest.raises(ValueError, match=r"`u` should be None: the model has none"):
        bare.decode_x(np.eye(3, dtype="f"), np.zeros((3, 2), "f"))


# Reconstruction, as Keras calls models.


def test_it_reconstructs_pairs_at_the_modes_however_they_are_given(model, pairs):
    x, y = pairs.arrays()
    h = {side.name: side.codec.encode(data) for side, data in zip(model.sides, (x, y), strict=True)}
    logits = sum(np.asarray(side.expert_network([h[side.name]])) for side in model.sides)
    z = one_hot(logits)
    expected = []
    for side in model.sides:
        mean = side.posterior_network([h[side.name] - side.concept(z), z])[:, : side.local.size]
        expected.append(rendered(side, mean, z))
    stage = wk.Stage(model, wk.losses.Joint())
    for found in (
        model((x, y)),
        model.predict((x, y), verbose=0),
        model.predict([x, y], batch_size=7, verbose=0),
        model.predict(pairs, verbose=0),
        model.predict(pairs.dataset(7, shuffle=False), verbose=0),
        stage.predict(pairs, verbose=0),
        stage((x, y)),
    ):
        assert isinstance(found, tuple)
        for side, wanted in zip(found, expected, strict=True):
            close(side, wanted)


X, Y = np.full((3, 4, 4, 1), 0.123, np.float32), np.full((3, 3), 0.123, np.float32)
WRONG = {
    "x alone": (X, r"Received: an array \(3, 4, 4, 1\) float32$"),
    "a tensor": (tf.constant(Y), r"Received: a tensor \(3, 3\) float32$"),
    "swapped": ((Y, X), r"Received: an array \(3, 3\) float32, an array"),
    "rank": ((X[..., 0], Y), r"Received: an array \(3, 4, 4\) float32"),
    "lengths": ((X, Y[:2]), r"Received: .*, an array \(2, 3\) float32$"),
    "three": ((X, Y, Y), r"Received: an array .*float32$"),
    "lists": ([[0.1, 0.2]], r"Received: \[0\.1, 0\.2\]$"),
    "a dictionary": ({"x": X, "y": Y}, r"Received: a dict of 2: x: an array"),
    "none": (None, r"Received: None$"),
    "half": ((X, None), r"Received: an array .*float32, None$"),
    "text": ("images", r"Received: 'images'$"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_anything_else_is_refused_in_a_line_that_names_the_method(kind, model):
    given, message = WRONG[kind]
    for call in (model, model.predict):
        with pytest.raises(ValueError, match=rf"call generate_y\(x, seed=0\).*{message}") as caught:
            call(given)
        assert "\n" not in str(caught.value)
        assert "0.123" not in str(caught.value)


@pytest.mark.parametrize("more", [(), (np.ones(3),)], ids=["y alone", "weights"])
def test_a_dataset_that_is_not_of_pairs_is_refused(more, model):
    dataset = tf.data.Dataset.from_tensors((*((X, Y) if more else (Y,)), *more))
    with pytest.raises(ValueError, match=r"predict\(pairs\).*Received: a dataset|Received: a "):
        model.predict(dataset)


def test_a_pair_in_two_arguments_is_refused_too(model):
    for call in (lambda: model(X, Y), lambda: model()):
        with pytest.raises(ValueError, match=r"model\(\(x, y\)\).*Received"):
            call()


@pytest.mark.parametrize("method", ["fit", "evaluate", "compile"])
def test_a_model_is_trained_by_its_stages(method, model, pairs):
    with pytest.raises(ValueError, match=rf"stages alone: .*Received: {method}$"):
        getattr(model, method)(pairs)


def test_malformed_requests_are_refused(model, rows):
    for wrong in (-1, 1.5, None, True):
        with pytest.raises(ValueError, match=r"`seed` should be.*Received"):
            model.generate_y(rows["x"], seed=wrong)
        with pytest.raises(ValueError, match=r"`count` should be.*Received"):
            model.generate_pairs(wrong, seed=0)
    for call in (
        lambda: model.generate_y(rows["y"], seed=0),
        lambda: model.transfer_x(style=rows["x"], concept=rows["x"], seed=0),
        lambda: model.transfer_y(style=rows["x"], concept=rows["x"], seed=0),
        lambda: model.decode_x(np.eye(3, dtype="f"), np.zeros((3, 4), "f")),
    ):
        with pytest.raises(ValueError, match=r"should .*Received"):
            call()
    with pytest.raises(ValueError, match=r"fits in memory.*10\^30 pairs"):
        model.generate_pairs(10**30, seed=0)


# What it is made of.


def test_the_seed_decides_the_initial_weights_and_networks_differ(weights):
    def made(seed):
        vector = wk.Vector(kinds=("real",) * 6)
        settings = SideSettings(hidden=(6,), reader="features", flow_steps=1)
        return WynerModel(
            Categorical(n=1, k=6),
            dict.fromkeys("xy", vector),
            codecs=dict.fromkeys("xy", vector.codec(None, 0)),
            settings=dict.fromkeys("xy", settings),
            seed=seed,
        )

    first, again, other = made(0), made(0), made(1)
    assert weights(first) == weights(again) != weights(other)
    kernels = [
        variable.numpy()
        for variable in first.trainable_variables
        if variable.name == "kernel" and np.any(variable.numpy())
    ]
    distinct = {kernel.tobytes() for kernel in kernels}
    assert len(kernels) == len(distinct) > 8


def test_features_are_computed_once_for_a_store_and_a_codec(make_model, pairs):
    model, other = make_model(), make_model(seed=1)
    side, store = model.side("x"), Pairs(*pairs.arrays()).x
    first = model.features(side, store)
    np.testing.assert_allclose(first, side.codec.encode(store.take(np.arange(24))), atol=1e-5)
    assert other.features(other.side("x"), store) is first
    other.side("x").codec = side.modality.codec(None, 0)
    assert other.features(other.side("x"), store) is not first
    # They go with the store.
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None


SETTINGS = [
    ({"local": (20, 10)}, "`local`"),
    ({"hidden": ()}, "hidden"),
    ({"hidden": (16, 0)}, "hidden"),
    ({"hidden": (16.0,)}, "hidden"),
    ({"hidden": (16, True)}, "hidden"),
    ({"hidden": 512}, "hidden"),
    ({"reader": "images"}, "reader"),
    ({"flow_steps": -1}, "flow_steps"),
    ({"flow_steps": True}, "flow_steps"),
    ({"local": None, "flow_steps": 2}, "flow_steps"),
    ({"local": Categorical(n=1, k=2), "flow_steps": 2}, "flow_steps"),
    ({"dropout": 1.0}, "dropout"),
    ({"dropout": -0.1}, "dropout"),
    ({"noise": -1.0}, "noise"),
    ({"noise": float("nan")}, "noise"),
]


@pytest.mark.parametrize(("settings", "match"), SETTINGS)
def test_malformed_settings_of_a_side_are_refused(settings, match):
    with pytest.raises(ValueError, match=rf"`?{match}.*Received"):
        SideSettings(**settings)


def test_malformed_arguments_are_refused(model):
    modalities = {side.name: side.modality for side in model.sides}
    codecs = {side.name: side.codec for side in model.sides}
    settings = {side.name: side.settings for side in model.sides}
    with pytest.raises(ValueError, match=r"`z` should be a latent family.*Received: z=3"):
        WynerModel(3, modalities, codecs, settings)
    with pytest.raises(ValueError, match=r"`codecs` should be of the sides \['x', 'y'\].*\['x'\]"):
        WynerModel(model.z, modalities, {"x": codecs["x"]}, settings)
    with pytest.raises(ValueError, match=r"`settings` should be of the sides.*\['y', 'x'\]"):
        WynerModel(model.z, modalities, codecs, dict(reversed(settings.items())))


# Files.

KINDS = {
    "one codec": ((8, 8, 1), None),
    "two codecs": ((8, 8, 1), (12, 7, 3)),
    "mixed": ("vector", "series"),
}


@pytest.fixture(scope="module")
def kinds(make_tiny):
    return {name: make_tiny(*sides) for name, sides in KINDS.items()}


RELOAD = """
import sys
import wyner_keras as wk
for place, folder in enumerate(sys.argv[1:]):
    if not place:  # no other module has registered a class yet
        model = wk.load_model(folder + "/model.keras")
        import keras, numpy as np, tensorflow as tf
        tf.config.run_functions_eagerly(True)
    else:
        model = keras.models.load_model(folder + "/model.keras", safe_mode=True)
    given = np.load(folder + "/given.npz")
    np.savez(
        folder + "/again.npz", y=model.generate_y(given["x"], seed=3),
        x=model.transfer_x(style=given["x"], concept=given["y"], seed=3),
    )
"""


def test_a_fresh_process_loads_and_generates_the_same(eager, kinds, make_tiny, tmp_path):
    names = ("product", "one codec")
    product = Product(Categorical(n=1, k=3), DiagonalGaussian(dim=2))
    kinds = {**kinds, "product": make_tiny("vector", "series", z=product)}
    for name in names:
        (tmp_path / name).mkdir()
        kinds[name].save(tmp_path / name / "model.keras")
        np.savez(tmp_path / name / "given.npz", **tiny_bundle.tiny_rows(kinds[name]))
    done = subprocess.run(
        [
            *(sys.executable, "-W", "error::UserWarning:keras", "-c", RELOAD),
            *(str(tmp_path / name) for name in names),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for name in names:
        again = np.load(tmp_path / name / "again.npz")
        model, given = kinds[name], tiny_bundle.tiny_rows(kinds[name])
        np.testing.assert_array_equal(again["y"], model.generate_y(given["x"], seed=3))
        made = model.transfer_x(style=given["x"], concept=given["y"], seed=3)
        np.testing.assert_array_equal(again["x"], made)


def test_files_have_the_layout_of_files_that_there_are(kinds, tmp_path):
    """Keras looks weights up by where they were: a property that holds layers would move them."""
    kinds["two codecs"].save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5") as file:
        assert sorted(file) == ["layers", "vars"]
        assert sorted(file["layers"]) == ["side", "side_1", "tree_prior"]
        assert all("codec" in file["layers"][side] for side in ("side", "side_1"))


def test_pairs_are_ranked_by_how_common_kinds_are(make_tiny):
    model = make_tiny("vector", "vector", z=Categorical(n=1, k=2))
    shares = np.array([0.9, 0.1])
    model.prior.fit([(np.repeat(np.eye(2), (9, 1), axis=0),)])
    (part,) = model.latent_entries["z"]["pmi"]
    assert part["shares"] == pytest.approx(shares.tolist(), abs=1e-5)
    rows = tiny_bundle.tiny_rows(model)
    q_x, q_y = (np.asarray(model.posteriors(rows[name], name)[0], float) for name in "xy")
    expected = np.log((q_x / shares) @ q_y.T)
    np.testing.assert_allclose(model.log_pmi(rows["x"], rows["y"]), expected, atol=1e-4)
    graph = model.run_graph(
        "score_pairs", {"x_probabilities": q_x.astype("f"), "y_probabilities": q_y.astype("f")}
    )
    np.testing.assert_allclose(graph[0], expected, atol=1e-4)
    identity = model.identity
    model.prior.fit([(np.eye(2),)])
    assert model.identity != identity  # a gallery of it is another's


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_from_its_file_and_from_its_config(kind, kinds, weights, tmp_path):
    model = kinds[kind]
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    config = model.get_config()
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    # Twice: a config is not used up.
    rebuilt = [WynerModel.from_config(config) for _ in range(2)]
    rebuilt.append(keras.models.clone_model(model))
    for other in rebuilt:
        other.load_weights(tmp_path / "model.weights.h5")
    given = tiny_bundle.tiny_rows(model)
    expected = model((given["x"], given["y"]))
    for other in (loaded, *rebuilt):
        assert weights(other) == weights(model)
        x, y = other.sides
        assert (x.codec is y.codec) == (kind == "one codec")
        assert not x.codec.trainable_variables + y.codec.trainable_variables
        assert [side.modality for side in other.sides] == [side.modality for side in model.sides]
        assert [side.settings for side in other.sides] == [side.settings for side in model.sides]
        for found, wanted in zip(other((given["x"], given["y"])), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


# A learned prior.


@pytest.fixture
def several(make_model):
    """Its posteriors are far from uniform, and its variables from independent."""
    model = make_model(z=Categorical(n=2, k=3))
    for side in model.sides:
        kernel = side.expert_network.output_layer.kernel
        kernel.assign(20.0 * kernel.numpy())
    return model


def test_the_prior_becomes_the_aggregated_posterior_and_is_for_pairs_alone(
    several, pairs, rows, tmp_path
):
    h = {
        s.name: s.codec.encode(data) for s, data in zip(several.sides, pairs.arrays(), strict=True)
    }
    logits = sum(np.asarray(side.expert_network([h[side.name]])) for side in several.sides)
    q = softmax(logits.reshape(-1, 2, 3).astype(float), axis=-1)
    expected = np.einsum("ba,bc->ac", q[:, 0], q[:, 1]) / len(q)
    product = expected.sum(axis=1, keepdims=True) * expected.sum(axis=0)
    assert np.abs(expected - product).max() > 0.03

    noise = several.z.draw_noise(np.random.default_rng(1), 50_000)

    def frequencies():
        z = np.asarray(several.sample_prior(noise)).reshape(-1, 2, 3)
        return np.einsum("ba,bc->ac", z[:, 0], z[:, 1]) / len(z)

    tolerance = 5 * np.sqrt(0.25 / 50_000)
    np.testing.assert_allclose(frequencies(), 1 / 9, atol=tolerance)
    before = several.generate_y(rows["x"], seed=0)
    several.fit_prior(pairs)
    np.testing.assert_allclose(frequencies(), expected, atol=tolerance)
    # Given data there is no draw from p(z).
    np.testing.assert_array_equal(several.generate_y(rows["x"], seed=0), before)
    several.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for one, other in zip(
        again.generate_pairs(9, seed=2), several.generate_pairs(9, seed=2), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_model_without_a_prior_cannot_fit_it(make_model, pairs):
    config = make_model().get_config() | {"learned_prior": False}
    with pytest.raises(ValueError, match=r"fit_prior needs .*Received: z=.*learned_prior=False"):
        wk.WynerModel.from_config(config).fit_prior(pairs)


def test_a_gaussian_zs_prior_is_that_of_its_posteriors(make_model, pairs):
    model = make_model(z=DiagonalGaussian(dim=2))
    for side in model.sides:
        output = side.expert_network.output_layer
        output.bias.assign([3.0, -1.0, -3.0, -3.0])
    model.fit_prior(pairs)
    q = model.joint_z(dict(zip("xy", pairs.arrays(), strict=True)))
    noise = np.random.default_rng(0).normal(size=(5000, 2)).astype("f")
    z = np.asarray(model.sample_prior(noise))
    np.testing.assert_allclose(z.mean(axis=0), q.mean.numpy().mean(axis=0), atol=0.1)
