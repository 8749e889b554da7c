"""What a stage evaluates while it trains changes nothing in what it trains."""

import h5py
import keras
import numpy as np
import pytest
from flows import FLOWS

from wyner_keras.latents import DiagonalGaussian
from wyner_keras.models import (
    CVAE,
    JVAE,
    AlignmentStage,
    CVAEConfig,
    CVAEStage,
    FlowStage,
    JointStage,
    JVAEStage,
    MarginalStage,
    WynerConfig,
)

STAGES = ("alignment", "joint", "flow", "marginal", "refinement", "cvae", "jvae")


@pytest.fixture
def make_stage(make_model, tiny_settings):
    """A stage that draws all the noise that its kind can draw."""
    noisy = {"encoder_dropout": 0.2, "encoder_noise": 0.1}
    rest = {name: value for name, value in tiny_settings.items() if name not in "zuv"}

    def make(kind):
        if kind == "alignment":
            stage = AlignmentStage(make_model(**noisy), functions=4)
        elif kind == "joint":
            stage = JointStage(make_model(**noisy, concept_weight=1.0, concept_noise=0.1))
        elif kind == "flow":
            stage = FlowStage(make_model(**FLOWS, **noisy))
        elif kind == "marginal":
            stage = MarginalStage(make_model(**noisy), distillation_weight=0.5)
        elif kind == "refinement":
            stage = JointStage(
                make_model(**noisy),
                train_experts=False,
                train_locals=False,
                concept_weight=2.0,
                reader="marginals",
            )
        elif kind == "cvae":
            gaussians = {name: DiagonalGaussian(dim=2) for name in "uv"}
            stage = CVAEStage(CVAE(CVAEConfig(**gaussians, **rest)))
        else:
            without = {"common_information_weight": 0.0, "alignment_weight": 0.0}
            z = DiagonalGaussian(dim=4)
            config = WynerConfig(z=z, u=None, v=None, joint_encoder="free", **without, **rest)
            stage = JVAEStage(JVAE(config))
        stage.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
        return stage

    return make


def given(kind, pairs):
    """Data as `fit` takes it, and the same to validate on."""
    x, y = pairs.arrays()
    if kind == "pairs":
        return {"x": pairs, "batch_size": 12}, pairs
    if kind == "arrays":
        return {"x": x, "y": y, "batch_size": 12}, (x[:9], y[:9])
    return {"x": pairs.dataset(12, seed=1)}, pairs.dataset(8, seed=2)


def trained(stage, data, **settings):
    stage.fit(**data, verbose=0, **settings)
    return b"".join(np.asarray(value).tobytes() for value in stage.get_weights())


@pytest.mark.parametrize("kind", STAGES)
def test_validation_changes_no_weight_of_any_stage(kind, make_stage, pairs):
    found = []
    for validates in (False, True):
        stage, (data, held_out) = make_stage(kind), given("pairs", pairs)
        more = {"validation_data": held_out} if validates else {}
        # Twice: the second goes on with the noise where the first stopped.
        for _ in range(2):
            weights = trained(stage, data, **more)
        found.append(weights)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("kind", "stage"), [("arrays", "joint"), ("dataset", "joint"), ("arrays", "flow")]
)
def test_nor_do_other_kinds_of_data_or_how_often_it_is_done(kind, stage, make_stage, pairs):
    found = []
    for often in (None, 2):
        each, (data, held_out) = make_stage(stage), given(kind, pairs)
        more = {"validation_data": held_out, "validation_freq": often} if often else {}
        found.append(trained(each, data, epochs=2, **more))
    assert found[0] == found[1]


def test_nor_does_evaluating_between_two_fits_in_a_compiled_step(make_stage, pairs):
    found = []
    for evaluates in (False, True):
        stage = make_stage("cvae")
        # With a moving average of the weights, and several steps at once.
        stage.compile(
            optimizer=keras.optimizers.Adam(0.01, use_ema=True),
            steps_per_execution=2,
            jit_compile=False,
        )
        more = {"validation_data": pairs} if evaluates else {}
        trained(stage, {"x": pairs, "batch_size": 12}, **more)
        if evaluates:
            stage.evaluate(pairs, batch_size=5, verbose=0)
            stage.test_on_batch(*pairs.arrays())
            stage.loss_and_terms(*pairs.arrays(), training=False)
        found.append(trained(stage, {"x": pairs, "batch_size": 12}))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["refinement", "flow"])
def test_the_same_weights_and_data_are_evaluated_alike_at_any_time(kind, make_stage, pairs):
    stage = make_stage(kind)
    first = stage.evaluate(pairs, batch_size=12, verbose=0, return_dict=True)
    assert stage.evaluate(pairs, batch_size=12, verbose=0, return_dict=True) == first
    still = stage.get_weights()
    stage.fit(pairs, batch_size=12, verbose=0)
    assert stage.evaluate(pairs, batch_size=12, verbose=0, return_dict=True) != first
    stage.set_weights(still)
    assert stage.evaluate(pairs, batch_size=12, verbose=0, return_dict=True) == first


def test_what_fit_validates_is_what_evaluate_says(make_stage, pairs):
    stage = make_stage("joint")
    history = stage.fit(pairs, batch_size=12, validation_data=pairs, verbose=0).history
    found = stage.evaluate(pairs, batch_size=12, verbose=0, return_dict=True)
    assert {name: history[f"val_{name}"][-1] for name in found} == found


def test_batches_of_one_evaluation_have_noise_of_their_own(make_stage, pairs):
    stage = make_stage("joint")
    x, y = pairs.arrays()
    first, second = (
        stage.evaluate(x[:4].repeat(n, axis=0), y[:4].repeat(n, axis=0), batch_size=4, verbose=0)
        for n in (1, 2)
    )
    # The same four pairs twice: with the same noise both halves would be alike.
    assert first[0] != second[0]


def test_a_resumed_fit_is_not_changed_either(make_stage, pairs, tmp_path):
    class Interruption(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    found = []
    for validates in (False, True):
        more = {"validation_data": pairs} if validates else {}
        folder = str(tmp_path / f"backup-{validates}")
        data = {"x": pairs, "batch_size": 12, "epochs": 2}
        with pytest.raises(KeyboardInterrupt):
            backup = keras.callbacks.BackupAndRestore(folder)
            trained(make_stage("joint"), data, callbacks=[backup, Interruption()], **more)
        backup = keras.callbacks.BackupAndRestore(folder)
        found.append(trained(make_stage("joint"), data, callbacks=[backup], **more))
    assert found[0] == found[1]


def test_files_hold_no_state_of_either_stream(make_stage, pairs, tmp_path):
    """A file of an earlier version, which knew one stream, loads as it did."""
    stage = make_stage("joint")
    stage.fit(pairs, batch_size=12, validation_data=pairs, verbose=0)
    names = {variable.path for variable in stage.weights}
    assert not any("seed_generator" in name for name in names)
    stage.save_weights(tmp_path / "stage.weights.h5")
    with h5py.File(tmp_path / "stage.weights.h5") as file:
        paths = []
        file.visit(paths.append)
    assert not any("seed" in path and "dropout" not in path for path in paths)
