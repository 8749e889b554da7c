import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx

from wyner_keras.networks.group_normalization import GroupNormalization


def built(groups, shape):
    layer = GroupNormalization(groups)
    layer.build((None, *shape))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=shape[-1:]), rng.normal(size=shape[-1:])])
    return layer


@pytest.mark.parametrize(("groups", "shape"), [(2, (5, 7, 6)), (4, (1, 9, 4)), (1, (3, 1, 3))])
def test_it_gives_what_keras_own_layer_gives(groups, shape):
    layer, data = built(groups, shape), np.random.default_rng(1).normal(3.0, 2.0, (4, *shape))
    oracle = keras.layers.GroupNormalization(groups)
    oracle.build((None, *shape))
    oracle.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(data), oracle(data), rtol=1e-5, atol=1e-5)


def test_onnxruntime_normalises_a_flat_picture_rightly():
    """Keras' own layer is off by 1e-3 or so here: thousands of like numbers are added in a row."""
    shape = (32, 32, 32)
    layer, data = built(8, shape), np.full((1, *shape), 0.7, np.float32)
    data[:, :3, :3] += np.random.default_rng(1).random((1, 3, 3, 32), dtype=np.float32)
    function = tf.function(layer, input_signature=[tf.TensorSpec((None, *shape), name="x")])
    graph, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=18)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"x": data})
    values = data.astype(float).reshape(1, 32, 32, 8, 4)
    mean, variance = (each((1, 2, 4), keepdims=True) for each in (values.mean, values.var))
    expected = ((values - mean) / np.sqrt(variance + 1e-3)).reshape(data.shape)
    gamma, beta = layer.get_weights()
    np.testing.assert_allclose(found, expected * gamma + beta, rtol=1e-5, atol=2e-5)
