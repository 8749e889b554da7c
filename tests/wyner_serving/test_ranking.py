import json
import shutil
from typing import ClassVar

import numpy as np
import pytest
from mutations import seal
from scipy.special import expit, logsumexp
from tiny_bundle import tiny_rows

from wyner_serving import Bundle, BundleError, Gallery, InputError
from wyner_serving.tasks import Tasks

GAUSSIAN = {
    "family": "gaussian",
    "dim": 3,
    "size": 3,
    "noise": "normal",
    "pmi": [{"form": "gaussian", "dim": 3}],
}


class Engine(Tasks):
    """Reads z off the values: posteriors of mean x / 2 and variance 1 / 2, in chunks."""

    batch_size = 7
    identity = "0123456789abcdef"
    side_entries: ClassVar = {side: {"kind": "series", "shape": [3]} for side in "xy"}
    latent_entries: ClassVar = {"z": GAUSSIAN}
    posterior_names = ("mean", "log_variance")

    def run_graph(self, name, inputs):
        ((side, values),) = inputs.items()
        assert name == f"posterior_{side}_z" and len(values) <= self.batch_size
        return [values / 2, np.full_like(values, np.log(0.5))]


class Bits(Engine):
    """Three bits, a latent of no form that is known: its own graph says what rows tell."""

    latent_entries: ClassVar = {"z": {"family": "bits", "size": 3, "noise": "uniform"}}
    posterior_names = ("probabilities",)
    most = 0

    def run_graph(self, name, inputs):
        if name != "score_pairs":
            ((_, values),) = inputs.items()
            return [expit(values)]
        p, q = inputs["x_probabilities"], inputs["y_probabilities"]
        self.most = max(self.most, len(p) * len(q))
        return [np.log(2 * (p[:, None] * q + (1 - p)[:, None] * (1 - q))).sum(-1)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rows(rng, count):
    return rng.normal(size=(count, 3)).astype(np.float32)


def test_each_query_has_the_rows_of_the_highest_pmi(rng):
    """With equal variances the pmi falls with the distance from μ, whatever the arithmetic."""
    engine, x, y = Engine(), rows(rng, 20), rows(rng, 300)
    found = engine.rank(x, y, k=4)
    assert found.rows.shape == found.nats.shape == (20, 4)
    assert (found.rows.dtype, found.nats.dtype) == (np.int64, np.float32)
    # s = t = 1/2: v = 3/4, and a dimension gives [2 m w - (m² + w²) / 2] / 2 v - log(v) / 2.
    m, w = x[:, None] / 2.0, y / 2.0
    expected = ((2 * m * w - (m**2 + w**2) / 2) / 1.5 - np.log(0.75) / 2).sum(axis=-1)
    np.testing.assert_array_equal(found.rows, np.argsort(-expected, axis=1)[:, :4])
    np.testing.assert_allclose(
        found.nats, np.take_along_axis(expected, found.rows, 1), rtol=1e-5, atol=1e-5
    )
    every = engine.rank(x, y, k=None)
    np.testing.assert_array_equal(every.rows[:, :4], found.rows)
    np.testing.assert_array_equal(np.sort(every.rows, axis=1), np.tile(np.arange(300), (20, 1)))
    np.testing.assert_allclose(engine.log_pmi(x, y), expected, rtol=1e-5, atol=1e-5)


def test_either_side_is_ranked_and_a_gallery_knows_which(rng):
    engine, x, y = Engine(), rows(rng, 12), rows(rng, 30)
    by_x, by_y = engine.rank_y(x, y), engine.rank_x(y, x)
    np.testing.assert_array_equal(engine.rank(x, engine.gallery_y(y)).rows, by_x.rows)
    np.testing.assert_array_equal(engine.rank(y, engine.gallery_x(x)).rows, by_y.rows)
    scores = engine.log_pmi(x, y)
    np.testing.assert_array_equal(by_y.rows, np.argsort(-scores.T, axis=1)[:, :10])
    with pytest.raises(InputError, match=r"`gallery` should be of y. Received: a gallery of x"):
        engine.rank_y(x, engine.gallery_x(x))


def test_equal_rows_come_in_the_gallerys_order_and_all_of_a_small_one(rng):
    y = np.repeat(rows(rng, 2), 3, axis=0)
    found = Engine().rank(y[:1], y)
    np.testing.assert_array_equal(found.rows, [[0, 1, 2, 3, 4, 5]])


def test_a_latent_of_another_form_is_ranked_by_its_graph(rng):
    engine, x, y = Bits(), rows(rng, 5), rows(rng, 2300)
    values = np.indices((2,) * 3).reshape(3, -1).T
    log_q = [
        (values * np.log(p)[:, None] + (1 - values) * np.log(1 - p)[:, None]).sum(-1)
        for p in (expit(x), expit(y))
    ]
    expected = logsumexp(log_q[0][:, None] + log_q[1][None], axis=-1) + np.log(8)
    np.testing.assert_allclose(engine.log_pmi(x, y), expected, rtol=1e-4, atol=1e-5)
    gallery = engine.gallery_x(x)
    np.testing.assert_array_equal(
        engine.rank_x(y[:9], gallery, k=2).rows, np.argsort(-expected.T[:9], axis=1)[:, :2]
    )
    assert engine.most <= 1000  # pairs at once, which bounds memory


def test_a_gallery_comes_back_from_its_file(rng, tmp_path):
    engine, x, y = Engine(), rows(rng, 3), rows(rng, 50)
    gallery = engine.gallery_y(y)
    path = gallery.save(tmp_path / "deep" / "y.gallery")
    assert path == tmp_path / "deep" / "y.gallery" and list(path.parent.iterdir()) == [path]
    again = Gallery.load(path)
    assert (len(again), again.side, again.model) == (50, "y", engine.identity)
    for found, expected in zip(engine.rank(x, again), engine.rank(x, gallery), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_gallery_of_another_model_is_refused(rng):
    class Other(Engine):
        identity = "fedcba9876543210"

    gallery = Other().gallery_y(rows(rng, 5))
    with pytest.raises(
        InputError,
        match=r"this model, 0123456789ab: encode its rows again by gallery_y. "
        r"Received: a gallery of model fedcba987654",
    ):
        Engine().rank(rows(rng, 2), gallery)


def saved(path, **changed):
    arrays = {"output_0": np.zeros((4, 3), np.float32), "output_1": np.zeros((4, 3), np.float32)}
    facts = {"format": 1, "side": "y", "latent": GAUSSIAN, "model": "m"}
    facts |= {name: value for name, value in changed.items() if name in facts}
    arrays |= {name: value for name, value in changed.items() if name in arrays}
    with path.open("wb") as stream:
        np.savez(stream, gallery=np.array(json.dumps(facts)), **arrays)


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 2},
        {"side": "z"},
        {"latent": {"family": "gaussian"}},
        {"latent": {**GAUSSIAN, "pmi": [{"form": "gaussian", "dim": "3"}]}},
        {"latent": {**GAUSSIAN, "pmi": [{"form": "categorical", "n": 2, "k": 3}]}},
        {"latent": 3},
        {"model": 3},
        {"output_0": np.zeros((5, 3), np.float32)},
        {"output_0": np.zeros((4, 3))},
        {"output_0": np.full((4, 3), np.nan, np.float32)},
        {"output_0": np.zeros((4, 2), np.float32)},
    ],
)
def test_a_damaged_gallery_is_refused(tmp_path, changed):
    saved(tmp_path / "a")
    assert len(Gallery.load(tmp_path / "a")) == 4
    saved(tmp_path / "a", **changed)
    with pytest.raises(InputError, match=r"/a' should be a gallery that `Gallery.save` wrote"):
        Gallery.load(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_gallery_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match="should be a gallery"):
        Gallery.load(tmp_path / "a")


def test_arguments_are_checked(rng):
    engine, x = Engine(), rows(rng, 2)
    with pytest.raises(InputError, match="`k` should be a positive integer"):
        engine.rank(x, x, k=0)
    with pytest.raises(InputError, match=r"`x` should be an array \(n, 3\)"):
        engine.rank(x[:, :2], x)
    with pytest.raises(InputError, match=r"`y` should be an array \(n, 3\)"):
        engine.rank(x, x[0])
    with pytest.raises(InputError, match="should leave a result that fits in memory"):
        engine.rank(*np.zeros((2, 10**6, 3), np.float32), k=None)
    with pytest.raises(InputError, match="should leave a result that fits in memory"):
        engine.log_pmi(*np.zeros((2, 10**6, 3), np.float32))

    class Broken(Engine):
        def run_graph(self, name, inputs):
            return [np.nan * each for each in super().run_graph(name, inputs)]

    with pytest.raises(InputError, match=r"posterior_y_z .* what float32 can hold"):
        Broken().gallery_y(x)


@pytest.mark.parametrize("name", ["columns", "mixed"])
def test_keras_and_a_bundle_rank_alike_and_share_galleries(bundle_of, tiny_of, tmp_path, name):
    model, bundle = tiny_of(name), Bundle.load(bundle_of(name), threads=1)
    data = tiny_rows(model)
    assert model.identity == bundle.identity
    for query, side in (("x", "y"), ("y", "x")):
        rank = [getattr(each, f"rank_{side}") for each in (model, bundle)]
        expected, found = (each(data[query], data[side]) for each in rank)
        np.testing.assert_allclose(found.nats, expected.nats, rtol=1e-4, atol=1e-5)
        for rows_found, rows_expected, nats in zip(
            found.rows, expected.rows, expected.nats, strict=True
        ):
            # Rows whose nats rounding can tell apart.
            apart = np.abs(np.diff(nats)).min() > 1e-4
            assert not apart or (rows_found == rows_expected).all()
        gallery = getattr(model, f"gallery_{side}")(data[side])
        again = Gallery.load(gallery.save(tmp_path / side))
        np.testing.assert_array_equal(rank[1](data[query], again).nats.shape, found.nats.shape)
        np.testing.assert_allclose(
            rank[1](data[query], again).nats, found.nats, rtol=1e-4, atol=1e-5
        )


def test_the_exported_graph_gives_the_same_scores(bundle_of, tiny_of):
    for name in ("columns", "mixed"):
        bundle, data = Bundle.load(bundle_of(name), threads=1), tiny_rows(tiny_of(name))
        inputs = {
            f"{side}_{output}": values
            for side in "xy"
            for output, values in zip(
                bundle.posterior_names, bundle.posteriors(data[side], side), strict=True
            )
        }
        (nats,) = bundle.run_graph("score_pairs", inputs)
        np.testing.assert_allclose(nats, bundle.log_pmi(*data.values()), rtol=1e-4, atol=1e-4)


def test_an_earlier_bundle_ranks_and_one_without_the_graph_says_so(bundle_of, tiny_of, tmp_path):
    """Format 2 before there was ranking had neither identity nor pmi nor score_pairs."""
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_of("columns"), folder)
    data = tiny_rows(tiny_of("columns"))
    expected = Bundle.load(folder, threads=1).rank(data["x"], data["y"])
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values["identity"], values["latents"]["z"]["pmi"], values["graphs"]["score_pairs"]
    path.write_text(json.dumps(values))
    seal(folder, files=False)
    bundle = Bundle.load(folder, threads=1)
    gallery = bundle.gallery_y(data["y"])
    np.testing.assert_array_equal(bundle.rank(data["x"], gallery).rows, expected.rows)
    assert bundle.identity == gallery.model != values.get("identity")
    values["latents"]["z"]["family"] = "strange"
    path.write_text(json.dumps(values))
    seal(folder, files=False)
    with pytest.raises(BundleError, match="should hold the graph score_pairs: export the model"):
        Bundle.load(folder).rank(data["x"], data["y"])
    del values["graphs"]["posterior_y_z"], values["graphs"]["posterior_x_z"]
    path.write_text(json.dumps(values))
    seal(folder, files=False)
    with pytest.raises(BundleError, match="should hold the graph posterior_x_z"):
        Bundle.load(folder).rank(data["x"], data["y"])


def test_a_bundle_whose_parts_do_not_add_up_is_refused(bundle_of, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_of("columns"), folder)
    path = folder / "manifest.json"
    good = json.loads(path.read_text())
    for parts in (
        [{"form": "gaussian", "dim": 2}],
        [{"form": "gaussian", "dim": -3}],
        [{"form": "gaussian"}],
        ["gaussian"],
        3,
    ):
        values = json.loads(json.dumps(good))
        values["latents"]["z"]["pmi"] = parts
        path.write_text(json.dumps(values))
        seal(folder, files=False)
        with pytest.raises(BundleError):
            Bundle.load(folder)
