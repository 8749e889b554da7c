import json
import math

import numpy as np
import pytest
from scipy import stats

from wyner_keras import (
    Categorical,
    DiagonalGaussian,
    Image,
    Pairs,
    SideSettings,
    WynerModel,
    information,
)
from wyner_keras.information import measures


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(1)
    images = rng.random((30, 8, 8, 1), dtype=np.float32)
    index = np.stack([np.arange(30), (np.arange(30) + 1) % 30], axis=1)
    return Pairs(images, images, index, x_labels=np.array(["a", "b", "c"] * 10))


@pytest.fixture(scope="module")
def plain(make_tiny):
    """Without flows, whose determinants take time."""
    return make_tiny(flow_steps=0)


def posteriors(model, pairs):
    """q(z|x,y), q(z|x) and q(z|y) of a Z of one variable, `(pairs, k)` each."""
    data = dict(zip("xy", pairs.arrays(), strict=True))
    h = {side.name: side.encode(data[side.name]) for side in model.sides}
    each = (side.read(data[side.name], h[side.name]) for side in model.sides)
    return [np.asarray(q.outputs()[0], float) for q in (model.joint_z(data), *each)]


def test_what_z_holds_is_the_information_of_the_joint_table(plain, pairs):
    found = information.measure(plain, pairs)
    joint, x, y = posteriors(plain, pairs)
    for name, table in (("i_xy_z", joint), ("i_x_z", x), ("i_y_z", y)):
        expected = information.mutual_information(table / table.sum())
        assert found[name] == pytest.approx(expected, abs=1e-6), name
    crossed = x.T @ y
    expected = information.mutual_information(crossed / crossed.sum())
    assert found["i_zx_zy"] == pytest.approx(expected, abs=1e-6)
    by_label = np.stack([joint[pairs.x_labels == label].sum(axis=0) for label in "abc"])
    expected = information.mutual_information(by_label / by_label.sum())
    assert found["i_label_z"] == pytest.approx(expected, abs=1e-6)
    assert found["h_label"] == pytest.approx(math.log(3))
    excess = found["kl_z"] - found["i_xy_z"]
    expected = stats.entropy(joint.mean(axis=0), np.full(3, 1 / 3))
    assert excess == pytest.approx(expected, abs=1e-5)


def test_parts_change_nothing(plain, pairs, monkeypatch):
    whole = information.measure(plain, pairs, contrasted=20)
    assert whole == information.measure(plain, pairs, contrasted=20)
    monkeypatch.setattr(measures, "_AT_ONCE", 7)
    found = information.measure(plain, pairs, contrasted=20)
    for name in ("i_xy_z", "i_x_z", "i_zx_zy", "i_label_z", "kl_z"):
        assert found[name] == pytest.approx(whole[name], abs=1e-6)


def test_all_are_plain_numbers_and_bounds_are_on_their_sides(make_tiny, pairs):
    found = information.measure(make_tiny(), pairs, contrasted=20)  # with flows
    assert json.loads(json.dumps(found)) == found
    assert found["rows"] == 30
    for side, name in ("xu", "yv"):
        lower, upper = found[f"i_{side}_{name}_lower"], found[f"i_{side}_{name}_upper"]
        assert 0 <= lower <= math.log(20)
        assert lower <= upper
        assert 0 <= found[f"i_label_{name}_lower"] <= found["h_label"]


@pytest.mark.parametrize("traced", [20, 1000])
def test_where_each_z_has_a_flow_of_its_own_fewer_are_contrasted(
    traced, make_tiny, pairs, monkeypatch
):
    """Every u is taken through every flow: 25 times 25 is past the limit, 9 times 9 is not."""
    model = make_tiny(z=DiagonalGaussian(dim=2))
    kept = {}

    def bounds(scores, linked=None):
        kept.setdefault(len(scores), scores)
        return 0.0, 0.0

    monkeypatch.setattr(measures, "_TRACED", traced)
    monkeypatch.setattr(measures.aggregated, "contrastive_bounds", bounds)
    information.measure(model, pairs, contrasted=25)
    monkeypatch.setattr(measures, "_FLOWED", 9 * 9)
    information.measure(model, pairs, contrasted=25)
    assert sorted(kept) == [9, 25]  # of z too, of which none is left out
    assert np.isfinite(kept[9]).all()


@pytest.mark.parametrize(("x", "y"), [("vector", "series"), ((12, 9, 3), "vector")])
def test_sides_of_any_kind_with_a_continuous_z_get_bounds(x, y, make_tiny, pairs):
    model = make_tiny(x, y, z=DiagonalGaussian(dim=2), flow_steps=0)
    rng = np.random.default_rng(0)
    rows = {
        "vector": np.stack([rng.normal(size=30), *np.tile([0, 1], (4, 15))], axis=1),
        "series": rng.normal(size=(30, 12, 2)),
    }
    rows = [rows.get(kind, rng.random((30, 12, 9, 3))) for kind in (x, y)]
    modalities = dict(
        zip(("x_modality", "y_modality"), (s.modality for s in model.sides), strict=1)
    )
    labels = {"x_labels": np.arange(30) % 2}
    found = information.measure(model, Pairs(*rows, **labels, **modalities))
    for name in ("i_xy_z", "i_x_z", "i_y_z"):
        assert found[name] <= min(found[f"{name}_upper"], math.log(30)) + 1e-6
    assert "i_label_z" in found
    assert "i_zx_zy" not in found
    assert "i_label_v_lower" not in found  # y has none
    assert all(math.isfinite(value) for value in found.values())


@pytest.mark.parametrize("linked", ["rows", "groups", "all"])
def test_what_goes_together_keeps_no_upper_bound_down(linked, make_tiny, pairs):
    """A z that names its row holds more than the log of how many rows there are."""
    model = make_tiny(z=DiagonalGaussian(dim=2), flow_steps=0)
    for side in model.sides:
        for network in (side.expert_network, side.reader_network):
            layer = network.output_layer
            layer.bias.assign(np.concatenate([np.zeros(2), np.full(2, -25.0)]))
            layer.kernel.assign(np.concatenate([layer.kernel[:, :2], 0 * layer.kernel[:, 2:]], 1))
    index = pairs.index if linked == "groups" else np.repeat(pairs.index, 2, axis=0)
    groups = {"rows": None, "groups": np.arange(30) // 3, "all": np.zeros(60, int)}[linked]
    found = information.measure(model, Pairs(*pairs.stores, index, groups=groups))
    for name in ("i_xy_z", "i_x_z", "i_y_z"):
        assert math.isfinite(found[f"{name}_upper"])
        assert (found[f"{name}_upper"] > 2 * math.log(60)) == (linked != "all")


def test_no_local_latents_hold_nothing(make_tiny, pairs):
    found = information.measure(make_tiny(u=False, v=False, flow_steps=0), pairs)
    assert [value for name, value in found.items() if "_u" in name or "_v" in name] == [0.0] * 6


def test_a_reader_of_images_is_given_them(make_tiny, pairs):
    model = make_tiny(reader="data", flow_steps=0)
    found = information.measure(model, pairs)
    _, x, _ = posteriors(model, pairs)
    expected = information.mutual_information(x / x.sum())
    assert found["i_x_z"] == pytest.approx(expected, abs=1e-6)


def test_without_labels_nothing_is_said_of_them(plain, pairs):
    found = information.measure(plain, Pairs(pairs.x, pairs.y, pairs.index))
    labelled = information.measure(plain, pairs)
    assert found == {name: value for name, value in labelled.items() if "label" not in name}


def test_scores_of_a_flow_are_densities_of_the_codes_it_makes(tiny, pairs):
    side, data = tiny.sides[0], pairs.arrays()[0]
    features = side.encode(data)
    z = np.asarray(side.read(data, features).mode)
    mean, log_variance = map(np.asarray, side.posterior(features, z).outputs())
    local = np.random.default_rng(0).normal(size=mean.shape).astype(np.float32)
    code = np.asarray(side.code(local, z))
    expected = np.logaddexp(
        stats.norm.logpdf(code, mean, np.exp(log_variance / 2)).sum(axis=1),
        stats.norm.logpdf(code).sum(axis=1),
    )
    scores = measures._local_scores(side, np.asarray(features), z, local)
    np.testing.assert_allclose(np.diagonal(scores), expected, rtol=1e-4, atol=1e-4)


def test_a_model_that_reads_the_label_holds_its_entropy_and_no_more():
    """Images show their label among private noise; weights are set by hand."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    images = rng.random((300, 1, 5, 1), dtype=np.float32)
    images[:, 0, :3, 0] = np.eye(3)[labels]
    image = Image(shape=(1, 5, 1))
    settings = SideSettings(local=None, hidden=(5,), reader="features", flow_steps=0)
    model = WynerModel(
        Categorical(n=1, k=3),
        {"x": image, "y": image},
        codecs=dict.fromkeys("xy", image.codec(None, 0)),
        settings=dict.fromkeys("xy", settings),
    )
    for side, shift in zip(model.sides, (0, -1), strict=True):
        kernel = np.zeros((5, 3), np.float32)
        kernel[:3] = np.roll(40 * np.eye(3), shift, axis=1)
        for network in (side.expert_network, side.reader_network):
            for variable, value in zip(
                network.trainable_variables,
                (np.eye(5), np.zeros(5), kernel, np.zeros(3)),
                strict=True,
            ):
                variable.assign(value)
    index = np.stack([np.arange(300), (np.arange(300) + 1) % 300], axis=1)
    found = information.measure(model, Pairs(images, images, index, x_labels=labels))
    for name in ("i_xy_z", "i_x_z", "i_y_z", "i_zx_zy", "i_label_z", "h_label", "kl_z"):
        assert found[name] == pytest.approx(math.log(3), abs=1e-4), name


def test_leakage_of_a_label_is_found_and_never_more_than_there_is():
    rng = np.random.default_rng(0)
    labels = np.array(["n", "y"])[np.arange(2000) % 2]
    shifted = rng.normal(size=(2000, 3)) + 2 * (labels == "y")[:, None]
    assert 0.5 < measures._leaked(shifted, labels) < math.log(2)
    assert measures._leaked(rng.normal(size=(2000, 3)), labels) < 0.02


def test_a_label_that_one_row_has_hides_no_leak():
    rng = np.random.default_rng(0)
    labels = np.append(np.arange(2000) % 2, 2)
    shifted = rng.normal(size=(2001, 3)) + 2 * labels[:, None]
    assert 0.5 < measures._leaked(shifted, labels) < math.log(2)
    assert measures._leaked(shifted[:3], np.arange(3)) == 0


def test_of_a_group_one_row_counts_as_a_leak():
    """What tells each of 40 people apart tells all that is so of each, by rows."""
    rng = np.random.default_rng(0)
    people = rng.permutation(np.repeat(np.arange(40), 20))
    values = rng.normal(size=(40, 8))[people] + 0.1 * rng.normal(size=(800, 8))
    labels = rng.integers(2, size=40)[people]
    assert measures._leaked(values, labels) > 0.1
    assert measures._leaked(values, labels, people) < 0.05


@pytest.mark.parametrize(
    ("settings", "match"), [({"rows": 1}, "`rows`.*Received"), ({"contrasted": 1}, "`contrasted`")]
)
def test_bad_settings_are_refused(plain, pairs, settings, match):
    with pytest.raises(ValueError, match=match):
        information.measure(plain, pairs, **settings)


def test_what_is_not_pairs_is_refused(plain, pairs):
    with pytest.raises(ValueError, match=r"`pairs` should be Pairs.*Received: "):
        information.measure(plain, pairs.arrays())


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("classes", [1, 2])
def test_few_pairs_and_one_class_are_measured(count, classes, plain, make_tiny):
    images = np.random.default_rng(0).random((7, 8, 8, 1), dtype=np.float32)
    few = Pairs(images, images, x_labels=np.arange(7) % classes).select(np.arange(count))
    continuous = make_tiny(z=DiagonalGaussian(dim=2), flow_steps=0)
    for model in (plain, continuous):
        found = information.measure(model, few)
        assert all(math.isfinite(value) for value in found.values())
        assert found["rows"] == count
        assert found["i_x_u_lower"] <= math.log(count) + 1e-9
        if classes == 1:
            assert found["h_label"] == found["i_label_z"] == found["i_label_u_lower"] == 0
    assert ("i_xy_z_upper" in found) == (count > 1)
