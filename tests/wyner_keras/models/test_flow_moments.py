import numpy as np
import pytest
from flows import FLOWS, bend

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import FlowStage


def sure(model):
    """Experts without doubt: z is then the same whatever the noise."""
    for expert in model.joint_encoders_z:
        expert.output_layer.kernel.assign(1000.0 * expert.output_layer.kernel.numpy())
    return model


def test_standardising_makes_each_concepts_codes_white(make_model, pairs):
    """By the moments of the codes that the stage reads, concept by concept."""
    model = sure(make_model(**FLOWS))
    stage = FlowStage(model)
    stage.standardise(pairs)
    rows, _ = stage._rows(pairs)
    means, log_variances, z = np.split(rows, [2, 4], axis=1)
    concepts, counts = np.unique(z.argmax(axis=1), return_counts=True)
    large = concepts[counts > 2]
    assert len(large) > 1
    for concept in large:
        chosen = z.argmax(axis=1) == concept
        ends = np.asarray(model.flow_u.standardised(means[chosen], z[chosen]), float)
        np.testing.assert_allclose(ends.mean(axis=0), 0, atol=1e-4)
        matrix = np.asarray(model.flow_u.unscale[0], float).reshape(3, 2, 2)[concept]
        noise = np.diag(np.exp(log_variances[chosen]).mean(axis=0))
        covariance = ends.T @ ends / chosen.sum() + matrix @ noise @ matrix.T
        np.testing.assert_allclose(covariance, np.eye(2), atol=5e-3)


def test_what_moves_the_decoder_most_is_taken_by_itself(make_model, pairs):
    """The first axis of w is a function of the code's along the most sensitive axis alone."""
    model = sure(make_model(**FLOWS))
    stage = FlowStage(model)
    stage.standardise(pairs)
    rng = np.random.default_rng(6)
    codes = rng.normal(size=(200, 4)).astype("f")
    z = np.eye(3, dtype="f")[np.zeros(200, int)]
    matrix = np.asarray(model.flow_v.unscale[0], float).reshape(3, 4, 4)[0]
    axis = matrix[0] / np.linalg.norm(matrix[0])
    shift = 1e-2
    moved = [
        np.linalg.norm(
            model.decode_code(codes + shift * np.float32(direction), z, "y")[0]
            - model.decode_code(codes, z, "y")[0]
        )
        for direction in (axis, *rng.permutation(np.eye(4) - np.outer(axis, axis)))
    ]
    assert moved[0] == max(moved)
    # Triangular: a coordinate reads the axes up to its own.
    rows = stage._rows(pairs)[1]
    along = matrix @ stage._axes("y", rows[:, :4], rows[:, 8:])
    assert np.abs(np.tril(along, -1)).max() > 0.01
    np.testing.assert_allclose(np.triu(along, 1), 0, atol=1e-4)


@pytest.mark.parametrize("z", [Categorical(n=2, k=3), DiagonalGaussian(dim=2)])
def test_other_common_latents_have_one_matrix_and_a_mean_that_z_moves(make_model, pairs, z):
    model = make_model(**FLOWS | {"z": z, "alignment_weight": 0.0})
    stage = FlowStage(model)
    stage.standardise(pairs)
    flow = model.flow_u
    assert not np.any(flow.scale[0])
    assert np.any(flow.shift[0])
    rows, _ = stage._rows(pairs)
    means, _, values = np.split(rows, [2, 4], axis=1)
    ends = np.asarray(flow.standardised(means, values), float)
    np.testing.assert_allclose(ends.mean(axis=0), 0, atol=0.3)
    np.testing.assert_allclose(flow(ends.astype("f"), values), means, atol=1e-3)


def moments(stage, pairs):
    """Mean and covariance of u's codes, and of samples, of each concept that many pairs have."""
    model = stage.model
    rows, _ = stage._rows(pairs)
    means, log_variances, z = np.split(rows.astype(float), [2, 4], axis=1)
    for concept in range(3):
        chosen = z.argmax(axis=1) == concept
        if chosen.sum() > 2:
            noise = np.diag(np.exp(log_variances[chosen]).mean(axis=0))
            codes = means[chosen].mean(axis=0), np.cov(means[chosen].T, bias=True) + noise
            u = np.random.default_rng(concept).normal(size=(40_000, 2)).astype("f")
            samples = np.asarray(
                model.flow_u(u, np.tile(np.eye(3, dtype="f")[concept], (40_000, 1)))
            )
            yield codes, (samples.mean(axis=0), np.cov(samples.T))


def test_calibrated_samples_have_the_codes_moments(make_model, pairs):
    """Whatever the velocity is; here one that no training has seen."""
    stage = FlowStage(sure(bend(make_model(**FLOWS))))
    stage.standardise(pairs)
    for codes, samples in moments(stage, pairs):
        assert np.abs(samples[1] / codes[1] - 1).max() > 0.1
    stage.calibrate(pairs)
    found = list(moments(stage, pairs))
    assert len(found) > 1
    for codes, samples in found:
        size = np.sqrt(np.diag(codes[1]))
        np.testing.assert_allclose(samples[0] / size, codes[0] / size, atol=0.03)
        scale = np.outer(size, size)
        np.testing.assert_allclose(samples[1] / scale, codes[1] / scale, atol=0.03)


def test_training_ends_calibrated(make_model, pairs):
    stage = FlowStage(sure(make_model(**FLOWS)))
    stage.compile(optimizer="adam")
    stage.fit(pairs, batch_size=8, epochs=3, verbose=0)
    for codes, samples in moments(stage, pairs):
        np.testing.assert_allclose(samples[1], codes[1], atol=0.03 * np.trace(codes[1]))
