import json
import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from wyner_keras import Categorical, DiagonalGaussian, WynerConfig, WynerModel, information
from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.information import measures


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(1)
    images = LabelledImages(rng.random((30, 8, 8, 1), dtype=np.float32), np.arange(30) % 3)
    return Pairs(images, images, np.stack([np.arange(30), (np.arange(30) + 1) % 30], axis=1))


def test_what_z_holds_is_the_information_of_the_joint_table(tiny, pairs):
    found = information.measure(tiny, pairs)
    x, y = (
        np.asarray(tiny.features(images, s)) for s, images in zip("xy", pairs.arrays(), strict=True)
    )
    for name, logits in (
        ("i_xy_z", tiny.joint_z(x, y)[0]),
        ("i_x_z", tiny.marginal_z(x, "x")),
        ("i_y_z", tiny.marginal_z(y, "y")),
    ):
        table = softmax(np.asarray(logits, float), axis=1) / len(pairs)
        assert found[name] == pytest.approx(information.mutual_information(table), abs=1e-6), name
    q_x, q_y = (
        softmax(np.asarray(tiny.marginal_z(images, side), float), axis=1)
        for images, side in ((x, "x"), (y, "y"))
    )
    expected = information.mutual_information(q_x.T @ q_y / len(pairs))
    assert found["i_zx_zy"] == pytest.approx(expected, abs=1e-6)
    logits = np.asarray(tiny.joint_z(x, y)[0], float)
    by_label = [softmax(logits, axis=1)[pairs.x_labels == label].sum(axis=0) for label in range(3)]
    expected = information.mutual_information(np.stack(by_label) / len(pairs))
    assert found["i_label_z"] == pytest.approx(expected, abs=1e-6)
    assert found["h_label"] == pytest.approx(math.log(3))
    mean = softmax(logits, axis=1).mean(axis=0)
    excess = found["kl_z"] - found["i_xy_z"]
    assert excess == pytest.approx(stats.entropy(mean, np.full(3, 1 / 3)), abs=1e-5)


def test_all_are_plain_numbers_and_bounds_are_on_their_sides(tiny, pairs):
    found = information.measure(tiny, pairs, contrasted=20)
    assert json.loads(json.dumps(found)) == found
    assert found["rows"] == 30
    for side, name in ("xu", "yv"):
        lower, upper = found[f"i_{side}_{name}_lower"], found[f"i_{side}_{name}_upper"]
        assert 0 <= lower <= math.log(20)
        assert lower <= upper
        assert 0 <= found[f"i_label_{name}_lower"] <= found["h_label"]
    assert found == information.measure(tiny, pairs, contrasted=20)


def test_a_continuous_z_gets_bounds(make_tiny, pairs):
    found = information.measure(make_tiny(z=DiagonalGaussian(dim=2), flow_steps=0), pairs)
    for name in ("i_xy_z", "i_x_z", "i_y_z"):
        assert found[name] <= min(found[f"{name}_upper"], math.log(30)) + 1e-6
    assert "i_label_z" in found
    assert "i_zx_zy" not in found


def test_no_local_latents_hold_nothing(make_tiny, pairs):
    found = information.measure(make_tiny(u=None, v=None, flow_steps=0), pairs)
    assert [value for name, value in found.items() if "_u" in name or "_v" in name] == [0.0] * 6


def test_a_marginal_encoder_that_reads_images_is_given_them(make_tiny, pairs):
    model = make_tiny(marginal_encoder="images")
    found = information.measure(model, pairs)
    logits = np.asarray(model.marginal_z(pairs.arrays()[0], "x"), float)
    table = softmax(logits, axis=1) / len(pairs)
    assert found["i_x_z"] == pytest.approx(information.mutual_information(table), abs=1e-6)


def test_without_labels_nothing_is_said_of_them(tiny, pairs):
    images = LabelledImages.unlabelled(pairs.x.images)
    found = information.measure(tiny, Pairs(images, images, pairs.index))
    labelled = information.measure(tiny, pairs)
    assert found == {name: value for name, value in labelled.items() if "label" not in name}


def test_scores_of_a_flow_are_densities_of_the_codes_it_makes(tiny, pairs):
    features = np.asarray(tiny.features(pairs.x.images, "x"))
    parameters_z = np.asarray(tiny.marginal_z(features, "x"))
    z = np.asarray(tiny.config.z.mode(parameters_z))
    parameters = np.asarray(tiny.marginal_local(features, z, "x"))
    code = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    local = tiny.flow("x").inverse(code, z)
    mean, deviation = parameters[:, :2], np.exp(parameters[:, 2:] / 2)
    expected = np.logaddexp(
        stats.norm.logpdf(code, mean, deviation).sum(axis=1), stats.norm.logpdf(code).sum(axis=1)
    )
    scores = measures._scores(tiny, "x", tiny.config.u, features, parameters_z, np.asarray(local))
    # The flow's map back and forth has an error of its own.
    np.testing.assert_allclose(np.diagonal(scores), expected, rtol=5e-3, atol=5e-3)


def test_a_model_that_reads_the_label_holds_its_entropy_and_no_more():
    """Images show their label among private noise; weights are set by hand."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    images = rng.random((300, 1, 5, 1), dtype=np.float32)
    images[:, 0, :3, 0] = np.eye(3)[labels]
    x = LabelledImages(images, labels)
    index = np.stack([np.arange(300), (np.arange(300) + 1) % 300], axis=1)
    model = WynerModel(
        WynerConfig(
            z=Categorical(n=1, k=3),
            u=None,
            v=None,
            hidden=(5,),
            x_shape=(1, 5, 1),
            y_shape=(1, 5, 1),
        )
    )
    for shift, networks in (
        (0, (model.joint_expert_x, model.marginal_encoder_z_x)),
        (-1, (model.joint_expert_y, model.marginal_encoder_z_y)),
    ):
        for network in networks:
            kernel = np.zeros((5, 3), np.float32)
            kernel[:3] = np.roll(40 * np.eye(3), shift, axis=1)
            for variable, value in zip(
                network.trainable_variables,
                (np.eye(5), np.zeros(5), kernel, np.zeros(3)),
                strict=True,
            ):
                variable.assign(value)
    found = information.measure(model, Pairs(x, x, index))
    for name in ("i_xy_z", "i_x_z", "i_y_z", "i_label_z", "h_label", "kl_z"):
        assert found[name] == pytest.approx(math.log(3), abs=1e-4), name


def test_leakage_of_a_label_is_found_and_never_more_than_there_is():
    rng = np.random.default_rng(0)
    labels = np.arange(2000) % 2
    shifted = rng.normal(size=(2000, 3)) + 2 * labels[:, None]
    read = measures._read(shifted, labels)
    assert 0.5 < read < math.log(2)
    assert measures._read(rng.normal(size=(2000, 3)), labels) < 0.02


@pytest.mark.parametrize(
    ("settings", "match"), [({"rows": 1}, "`rows`.*Received"), ({"contrasted": 1}, "`contrasted`")]
)
def test_bad_settings_are_refused(tiny, pairs, settings, match):
    with pytest.raises(ValueError, match=match):
        information.measure(tiny, pairs, **settings)


def test_what_is_not_pairs_is_refused(tiny, pairs):
    with pytest.raises(ValueError, match=r"`pairs` should be Pairs.*Received: tuple"):
        information.measure(tiny, pairs.arrays())


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("classes", [1, 2])
def test_few_pairs_and_one_class_are_measured(count, classes, tiny, make_tiny):
    rng = np.random.default_rng(0)
    images = LabelledImages(
        rng.random((count, 8, 8, 1), dtype=np.float32), np.arange(count) % classes
    )
    continuous = make_tiny(
        z=DiagonalGaussian(dim=2), joint_encoder="free", alignment_weight=0.0, flow_steps=0
    )
    for model in (tiny, continuous):
        found = information.measure(model, Pairs.diagonal(images))
        assert all(math.isfinite(value) for value in found.values())
        assert found["rows"] == count
        assert found["i_x_u_lower"] <= math.log(count) + 1e-9
        if classes == 1:
            assert found["h_label"] == found["i_label_z"] == found["i_label_u_lower"] == 0
    assert ("i_xy_z_upper" in found) == (count > 1)
