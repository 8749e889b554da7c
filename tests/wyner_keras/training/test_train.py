import dataclasses
import importlib

import numpy as np
import pytest
from bars import bars

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import TrainingDiverged, WynerConfig
from wyner_keras.training import Ramp, Recipe, StageSettings, WrapperSettings, train

# The package offers the function under the module's name.
training = importlib.import_module("wyner_keras.training.train")


def stage(**values):
    return StageSettings(**{"epochs": 1, "batch_size": 16, "jit_compile": False, **values})


TINY = Recipe(
    name="tiny",
    config=WynerConfig(
        z=Categorical(n=1, k=3),
        u=DiagonalGaussian(dim=2),
        v=DiagonalGaussian(dim=2),
        hidden=(16,),
        joint_local="xz",
        residual=True,
        concept_weight=1.0,
        flow_steps=1,
        encoder_dropout=0.2,
    ),
    pairs_per_class=16,
    wrapper=WrapperSettings(code_size=4, filters=(4, 4), epochs=1, batch_size=16),
    alignment=stage(epochs=2),
    flow=stage(),
    refinement=stage(),
    joint=stage(local_weight=Ramp(start=2.0, end=1.0), two_epsilon_squared=Ramp.constant(0.3)),
    marginal=stage(),
    train_experts=False,
    distillation_weight=1.0,
    warm_start=True,
)


@pytest.fixture
def source():
    return bars()


def next_of_three(label):
    return (label + 1) % 3


@pytest.fixture(scope="module")
def whole():
    """A training that nothing interrupts."""
    return train(bars(), TINY, mapping=next_of_three, verbose=0)


def weights(model):
    return [np.asarray(weight).tobytes() for weight in model.get_weights()]


def test_all_stages_run_and_leave_their_history(whole, source):
    assert list(whole.history) == [
        "wrapper", "alignment", "joint", "flow", "marginal", "refinement"
    ]  # fmt: skip
    assert len(whole.history["alignment"]["loss"]) == 2
    assert set(whole.seconds) == set(whole.history)
    assert np.isfinite(whole.shared_nats)
    assert whole.model.generate_y(source.test.images[:2], seed=0).shape == (2, 8, 8, 1)


def test_stages_are_made_as_the_recipe_says(source, monkeypatch):
    made = []

    def watched(name):
        make = getattr(training, name)

        def spy(model, **arguments):
            made.append((name, arguments))
            return make(model, **arguments)

        return spy

    for name in ("JointStage", "MarginalStage"):
        monkeypatch.setattr(training, name, watched(name))
    stages = {
        name: dataclasses.replace(getattr(TINY, name), concept_weight=weight)
        for name, weight in (("joint", 0.5), ("refinement", 4.0))
    }
    train(source, dataclasses.replace(TINY, **stages), mapping=next_of_three, verbose=0)
    refinement = {"train_experts": False, "train_locals": False, "reader": "marginals"}
    assert made == [
        ("JointStage", {"train_experts": False, "concept_weight": 0.5, "flows": False}),
        ("MarginalStage", {"distillation_weight": 1.0, "train_locals": True}),
        ("JointStage", {**refinement, "concept_weight": 4.0}),
    ]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(whole, source):
    again = train(source, TINY, mapping=next_of_three, verbose=0).model
    reseeded = dataclasses.replace(TINY, config=dataclasses.replace(TINY.config, seed=1))
    other = train(source, reseeded, mapping=next_of_three, verbose=0).model
    assert weights(whole.model) == weights(again)
    assert weights(whole.model) != weights(other)


def test_a_resumed_run_skips_finished_stages_and_ends_alike(whole, source, tmp_path, monkeypatch):
    def interrupted(self, *arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wyner_keras.models.marginal.MarginalStage.terms", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(source, TINY, mapping=next_of_three, folder=tmp_path, verbose=0)
    with monkeypatch.context() as patch:
        # The refinement, which is left to do, is a joint stage too.
        for stage in ("alignment.AlignmentStage", "flow.FlowStage"):
            patch.setattr(f"wyner_keras.models.{stage}.terms", interrupted)
        patch.setattr("wyner_keras.networks.ConvAutoencoder.train", interrupted)
        resumed = train(source, TINY, mapping=next_of_three, folder=tmp_path, verbose=0)
    assert weights(resumed.model) == weights(whole.model)
    assert resumed.history["joint"] == whole.history["joint"]


def test_a_learned_prior_is_fitted_to_the_training_pairs(whole, source):
    config = dataclasses.replace(TINY.config, prior="tree")
    trained = train(
        source, dataclasses.replace(TINY, config=config), mapping=next_of_three, verbose=0
    )
    model = trained.model
    fitted = np.exp(np.asarray(model.prior_z.logits)[0, 0])
    x, y = (
        model.features(images, "xy"[side]) for side, images in enumerate(trained.pairs.arrays())
    )
    expected = np.asarray(model.config.z.probabilities(model.joint_z(x, y)[0])).mean(axis=(0, 1))
    np.testing.assert_allclose(fitted, expected, atol=1e-5)
    # It is for sampling alone.
    np.testing.assert_array_equal(
        model.generate_y(source.test.images[:2], seed=0),
        whole.model.generate_y(source.test.images[:2], seed=0),
    )


def test_a_loss_that_is_not_a_number_stops_training_and_keeps_the_last_good_weights(
    source, tmp_path
):
    bad = dataclasses.replace(
        TINY, joint=stage(epochs=4, learning_rate=Ramp(start=1e-3, end=1e30, begin=0.3))
    )
    with pytest.raises(TrainingDiverged, match=r"loss became (nan|inf).*weights.*are back"):
        train(source, bad, mapping=next_of_three, folder=tmp_path, verbose=0)
    assert (tmp_path / "joint.weights.h5").exists()
    assert not list(tmp_path.glob(".*tmp*"))
