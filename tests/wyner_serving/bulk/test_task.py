"""A task on batches of rows: what comes together changes no bit, and noise is each row's own."""

import functools

import numpy as np
import pytest
import tiny_bundle
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_serving import Bundle, InputError
from wyner_serving.bulk import TASKS, BulkTask
from wyner_serving.noise import RowNoise

ROWS = 75
DRAWN = [task for task in TASKS if not task.startswith("rank")]


@pytest.fixture(scope="module")
def rows_of(tiny_of):
    """Rows of a side of a model."""
    return functools.cache(lambda name: tiny_bundle.tiny_rows(tiny_of(name), ROWS))


@pytest.fixture(scope="module")
def task_of(bundle_of, tmp_path_factory, rows_of):
    """A task of a bundle, ready, and the batch of all rows."""
    folder = tmp_path_factory.mktemp("galleries")

    @functools.cache
    def of(name, task, seed=0):
        gallery = None
        if task.startswith("rank"):
            side, bundle = task[-1], Bundle.load(bundle_of(name))
            gallery = folder / f"{name}-{side}.gallery"
            encode = bundle.gallery_x if side == "x" else bundle.gallery_y
            encode(rows_of(name)[side]).save(gallery)
        work = BulkTask(bundle_of(name), task, seed=seed, gallery=gallery, top=4)
        data = {column: rows_of(name)[side] for column, side in work.inputs.items()}
        return work, {"row": np.arange(ROWS), **data}

    return of


def some(batch, places):
    return {name: values[places] for name, values in batch.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize("name", ["images", "columns", "mixed"])
@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=4)
@given(data=st.data())
def test_no_batch_changes_a_bit(task_of, name, task, data):
    work, batch = task_of(name, task)
    whole = work(batch)
    order = np.array(data.draw(st.permutations(range(ROWS))))
    cuts = sorted(data.draw(st.sets(st.integers(1, ROWS - 1), max_size=6)))
    for places in np.split(order, cuts):
        assert_same(work(some(batch, places)), some(whole, places))


@pytest.mark.parametrize("task", DRAWN)
def test_rows_of_the_same_values_have_noise_of_their_own_and_a_seed_changes_it(task_of, task):
    work, batch = task_of("images", task)
    first = {name: np.repeat(values[:1], 2, axis=0) for name, values in batch.items()}
    made = work({**first, "row": np.array([3, 2**40])})
    other, _ = task_of("images", task, seed=1)
    again = other({**first, "row": np.array([3, 2**40])})
    name = (
        "u"
        if task == "encode_x"
        else "v"
        if task == "encode_y"
        else next(iter(made.keys() - {"row"}))
    )
    assert (made[name][0] != made[name][1]).any()
    assert (made[name] != again[name]).any()


def test_results_are_those_of_the_bundles_graphs(bundle, task_of):
    """With a row's noise, the graphs give what the task gives, up to rounding."""
    opened, places = Bundle.load(bundle, threads=1), np.array([70, 5])
    noise = RowNoise(0, opened.latent_entries)
    z, u, v = (noise.draw(name, places) for name in ("z", "u", "v"))

    def close(task, graph, **inputs):
        work, batch = task_of("images", task)
        found = work(some(batch, places))
        expected = opened.run_graph(graph, inputs)
        for values, name in zip(expected, [name for name in found if name != "row"], strict=False):
            np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=task)

    x, y = (task_of("images", f"encode_{side}")[1][side][places] for side in "xy")
    close("generate_y", "generate_y", x=x, noise_z=z, noise_v=v)
    close("generate_x", "generate_x", y=y, noise_z=z, noise_u=u)
    close("generate_pairs", "generate_pairs", noise_z=z, noise_u=u, noise_v=v)
    close("encode_x", "encode_x_z", x=x, noise_z=z)
    close("encode_y", "encode_y_z", y=y, noise_z=z)
    work, batch = task_of("images", "encode_x")
    found = work(some(batch, places))
    for name, values in zip(opened.posterior_names, opened.posteriors(x, "x"), strict=True):
        np.testing.assert_allclose(found[f"z_{name}"], values, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "style", "concept", "local"), [("x", "x", "y", "u"), ("y", "y", "x", "v")]
)
def test_transfer_gives_each_style_its_own_concept(bundle, task_of, task, style, concept, local):
    opened, places = Bundle.load(bundle, threads=1), np.array([70, 5])
    work, batch = task_of("images", f"transfer_{task}")
    noise, chosen = RowNoise(0, opened.latent_entries), some(batch, places)
    (grid,) = opened.run_graph(
        f"transfer_{task}",
        {
            "style": chosen["style"],
            "concept": chosen["concept"],
            "noise_concept_z": noise.draw("z", places),
            "noise_style_z": noise.draw("z", places, draw=1),
            f"noise_{local}": noise.draw(local, places),
        },
    )
    np.testing.assert_allclose(work(chosen)[task], grid[[0, 1], [0, 1]], atol=1e-5)


@pytest.mark.parametrize("name", ["images", "product"])
def test_ranks_are_those_of_the_bundle(bundle_of, task_of, rows_of, name):
    opened, rows = Bundle.load(bundle_of(name)), rows_of(name)
    for side, given_ in (("y", "x"), ("x", "y")):
        work, batch = task_of(name, f"rank_{side}")
        found = work(batch)
        nats = opened.log_pmi(rows["x"], rows["y"])
        nats = nats if side == "y" else nats.T
        assert found["rows"].shape == found["nats"].shape == (ROWS, 4)
        np.testing.assert_allclose(found["nats"], -np.sort(-nats, axis=1)[:, :4], atol=1e-4)
        np.testing.assert_allclose(
            np.take_along_axis(nats, found["rows"], 1), found["nats"], atol=1e-4, err_msg=given_
        )


def test_bad_tasks_and_batches_are_refused(bundle, tmp_path, task_of):
    work, batch = task_of("images", "generate_y")
    for change, message in (
        ({"row": np.zeros(ROWS, int)}, "each number once"),
        ({"row": np.arange(ROWS) - 1}, "of 0 or more"),
        ({"row": np.arange(ROWS) / 2}, "integers"),
        ({"row": np.arange(ROWS - 1)}, f"{ROWS - 1} rows"),
        ({"x": batch["x"] * 2}, r"in \[0, 1\]"),
    ):
        with pytest.raises(InputError, match=message):
            work(batch | change)
    with pytest.raises(InputError, match="row, x"):
        work({"x": batch["x"]})
    for words, message in (
        (("draw",), "one of"),
        (("rank_y",), "gallery"),
        (("encode_x", tmp_path / "a.gallery"), "gallery"),
        (("rank_y", tmp_path / "a.gallery"), "a.gallery"),
    ):
        with pytest.raises(InputError, match=message):
            BulkTask(bundle, words[0], gallery=words[1] if words[1:] else None)


@pytest.mark.parametrize("task", ["generate_y", "transfer_x", "transfer_y", "encode_x", "rank_y"])
def test_results_beyond_float32_are_refused_as_the_bundle_does(task_of, task):
    work, batch = task_of("columns", task)
    (name,) = (name for name, side in work.inputs.items() if side == "x")
    real = [each["kind"] == "real" for each in work.bundle.side_entries["x"]["columns"]]
    far = batch | {name: batch[name].copy()}
    far[name][40, real] = 3.4e38
    with pytest.raises(InputError, match="what float32 can hold"):
        work(far)
    rest = np.delete(np.arange(ROWS), 40)
    assert_same(work(some(far, rest)), some(work(batch), rest))


def test_noise_is_of_the_law_that_a_latent_says():
    noise = RowNoise(0, {"z": {"noise": "normal", "size": 3}, "u": {"noise": "uniform", "size": 2}})
    normal, uniform = noise.draw("z", np.arange(4000)), noise.draw("u", np.arange(4000))
    assert normal.mean() == pytest.approx(0, abs=0.04)
    assert normal.std() == pytest.approx(1, abs=0.04)
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() < 1
    # Rows that follow one another, and draws of a row, have nothing in common.
    assert abs(np.corrcoef(normal[1:, 0], normal[:-1, 0])[0, 1]) < 0.06
    assert abs(np.corrcoef(normal[:, 0], noise.draw("z", np.arange(4000), 1)[:, 0])[0, 1]) < 0.06
