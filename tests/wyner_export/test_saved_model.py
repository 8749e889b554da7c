import json

import numpy as np
import pytest
import tensorflow as tf
import tiny_bundle
from tensorflow_serving.apis import prediction_log_pb2

from wyner_export import read_manifest
from wyner_export.signatures import seeded_noise, streams
from wyner_serving import Bundle

TASKS = ("generate_x", "generate_y", "generate_pairs", "transfer_x", "transfer_y")


def test_signatures_have_named_inputs_and_free_batches(judged):
    seeded = {f"{task}_{how}" for task in TASKS for how in ("seeded", "png")}
    rows = {"transfer_x_rows", "transfer_y_rows", "score_pairs_rows"}
    assert set(judged.graphs) | seeded | rows | {"sides", "about"} == set(judged.loaded.signatures)
    _, inputs = judged.loaded.signatures["transfer_x"].structured_input_signature
    assert {name: tuple(spec.shape) for name, spec in inputs.items()} == {
        "style": (None, 8, 8, 1),
        "concept": (None, 8, 8, 1),
        "noise_concept_z": (None, 3),
        "noise_style_z": (None, 3),
        "noise_u": (None, 2),
    }


@pytest.mark.parametrize("name", ["columns", "mixed"])
def test_only_images_on_both_sides_travel_as_png(judged_of, name):
    found = set(judged_of(name).loaded.signatures)
    assert {f"{task}_seeded" for task in TASKS} <= found
    assert not any(each.endswith("_png") for each in found)


def test_a_server_can_tell_what_its_data_are(judged_of):
    judged = judged_of("columns")
    told = judged.loaded.signatures["sides"](row=tf.zeros(3, tf.int32))["json"].numpy()
    manifest = read_manifest(judged.folder)
    assert [json.loads(text) for text in told] == [manifest["sides"]] * 3
    (about,) = judged.loaded.signatures["about"](row=tf.zeros(1, tf.int32))["json"].numpy()
    assert json.loads(about) == {
        "identity": manifest["identity"],
        "latents": manifest["latents"],
        "posterior_names": ["mean", "log_variance"],
    }


def test_a_seeded_row_depends_on_its_own_seed_and_image_alone(loaded, tiny_images):
    call = loaded.signatures["generate_y_seeded"]
    x, seeds = tf.constant(tiny_images[0]), tf.range(7)
    together = call(x=x, seed=seeds)["y"].numpy()
    for row in range(7):
        alone = call(x=x[row : row + 1], seed=seeds[row : row + 1])["y"].numpy()
        np.testing.assert_allclose(alone[0], together[row], atol=1e-6)
    np.testing.assert_array_equal(call(x=x, seed=seeds)["y"], together)
    same_image = tf.repeat(x[:1], 7, axis=0)
    rows = call(x=same_image, seed=seeds)["y"].numpy()
    assert all(np.abs(rows[0] - row).max() > 1e-3 for row in rows[1:])


@pytest.mark.parametrize("name", ["images", "columns"])
def test_transfer_by_rows_is_the_grids_diagonal(judged_of, name):
    judged = judged_of(name)
    for side in "xy":
        inputs, results = judged.answers[f"transfer_{side}"]
        grid = results[side]
        count = len(grid)
        given = {key: value[:count] for key, value in inputs.items()}
        rows = judged.loaded.signatures[f"transfer_{side}_rows"](**given)[side].numpy()
        np.testing.assert_allclose(rows, grid[range(count), range(count)], rtol=1e-5, atol=1e-5)
        assert np.abs(grid[:, :1] - grid).max() > 1e-3
        if (name, side) != ("columns", "y"):  # which has no local latent, no style
            assert np.abs(grid[:1] - grid).max() > 1e-3


def test_a_transfer_has_a_seed_for_its_style_and_one_for_its_concept(loaded, tiny_images):
    style, concept = (tf.constant(images[:1]) for images in tiny_images)
    style, concept = (tf.repeat(images, 40, axis=0) for images in (style, concept))
    same, other = tf.ones(40, tf.int32), tf.range(40)
    call = loaded.signatures["transfer_x_seeded"]

    def spread(**seeds):
        made = call(style=style, concept=concept, **seeds)["x"].numpy()
        return np.abs(made - made[:1]).max()

    assert spread(style_seed=same, concept_seed=same) < 1e-6
    assert spread(style_seed=other, concept_seed=same) > 1e-3
    assert spread(style_seed=same, concept_seed=other) > 1e-3


@pytest.mark.parametrize("name", ["columns", "mixed", "product"])
def test_scores_of_pairs_by_rows_are_the_diagonal_of_all(judged_of, tiny_of, name):
    data = tiny_bundle.tiny_rows(tiny_of(name))
    call = judged_of(name).loaded.signatures["score_pairs_rows"]
    found = call(**{side: tf.constant(rows) for side, rows in data.items()})["nats"].numpy()
    every = Bundle.load(judged_of(name).folder, threads=1).log_pmi(*data.values())
    np.testing.assert_allclose(found, np.diagonal(every), rtol=1e-4, atol=1e-5)
    assert np.ptp(found) > 0.01


def entry(noise, size):
    return {"noise": noise, "size": size}


def test_draws_of_one_seed_are_independent():
    draw, seeds, places = tf.function(seeded_noise), tf.range(1000), streams("zuv")
    assert places["noise_style_z"] == places["noise_z"] != places["noise_concept_z"]
    draws = [draw(entry("normal", 5), seeds, stream).numpy() for stream in set(places.values())]
    assert len(draws) == 4
    for one in range(4):
        for other in range(one):
            assert abs(np.corrcoef(draws[one].ravel(), draws[other].ravel())[0, 1]) < 0.05


def test_seeded_noise_has_the_laws_of_the_latents():
    draw = tf.function(seeded_noise)
    uniform = draw(entry("uniform", 10), tf.range(2000), 0).numpy().ravel()
    normal = draw(entry("normal", 10), tf.range(2000), 1).numpy().ravel()
    assert uniform.min() >= 0 and uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=0.01)
    assert uniform.var() == pytest.approx(1 / 12, abs=0.003)
    assert normal.mean() == pytest.approx(0, abs=0.03)
    assert normal.var() == pytest.approx(1, abs=0.05)


def test_png_bytes_go_in_and_come_out(loaded, tiny_images):
    pixels = np.round(255 * tiny_images[0][:3]).astype(np.uint8)
    content = tf.stack([tf.io.encode_png(image) for image in pixels])
    seeds = tf.constant([5, 6, 7])
    made = loaded.signatures["generate_y_png"](x_bytes=content, seed=seeds)["y_bytes"]
    expected = loaded.signatures["generate_y_seeded"](
        x=tf.constant(pixels / np.float32(255)), seed=seeds
    )["y"]
    for png, image in zip(made.numpy(), expected.numpy(), strict=True):
        np.testing.assert_array_equal(tf.io.decode_png(png), np.round(255 * image))


def test_warm_up_requests_can_be_replayed(judged_of):
    judged = judged_of("columns")
    extra = judged.folder / "saved_model" / "wyner" / "1" / "assets.extra"
    seen = []
    for record in tf.data.TFRecordDataset(str(extra / "tf_serving_warmup_requests")):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "wyner"
        name = request.model_spec.signature_name
        seen.append(name)
        # tests/wyner_serving/tf_serving replays the other forms.
        if name in judged.graphs:
            inputs = {key: tf.make_ndarray(proto) for key, proto in request.inputs.items()}
            results = judged.loaded.signatures[name](**inputs)
            assert all(np.isfinite(value).all() for value in results.values())
    assert sorted(seen) == sorted(judged.loaded.signatures)
