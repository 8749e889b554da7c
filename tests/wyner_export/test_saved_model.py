import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from wyner_export.graphs import graphs_of


@pytest.fixture(scope="module")
def loaded(bundle):
    return tf.saved_model.load(str(bundle / "saved_model" / "wyner" / "1"))


def test_signatures_have_named_inputs_and_free_batches(loaded, tiny):
    names = {graph.name for graph in graphs_of(tiny)}
    seeded = {f"generate_{what}_{how}" for what in ("x", "y", "pairs") for how in ("seeded", "png")}
    assert names | seeded <= set(loaded.signatures)
    _, inputs = loaded.signatures["transfer_x"].structured_input_signature
    assert {name: tuple(spec.shape) for name, spec in inputs.items()} == {
        "style": (None, 8, 8, 1),
        "concept": (None, 8, 8, 1),
        "noise_concept_z": (None, 3),
        "noise_style_z": (None, 3),
        "noise_u": (None, 2),
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


def test_seeded_noise_has_the_laws_of_the_latents(loaded):
    from wyner_export.saved_model import seeded_noise
    from wyner_keras.latents import Categorical, DiagonalGaussian

    uniform = seeded_noise(Categorical(n=2, k=5), tf.range(2000), 0).numpy().ravel()
    normal = seeded_noise(DiagonalGaussian(dim=10), tf.range(2000), 1).numpy().ravel()
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


def test_warm_up_requests_can_be_replayed(bundle, loaded, tiny):
    path = bundle / "saved_model" / "wyner" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    seen = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        assert request.model_spec.name == "wyner"
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        signature = loaded.signatures[request.model_spec.signature_name]
        results = signature(**{name: tf.constant(value) for name, value in inputs.items()})
        assert all(np.isfinite(value).all() for value in results.values())
        seen.append(request.model_spec.signature_name)
    assert seen == [graph.name for graph in graphs_of(tiny)]
