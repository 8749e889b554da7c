"""x and y from two sources of different shapes, each in a wrapper of its own."""

import dataclasses

import keras
import numpy as np
import pytest
from bars import bars, stripes

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.training import WrapperSettings, recipe, train, train_baseline, train_wrapper
from wyner_keras.training.settings import STAGES

NEXT = {0: 1, 1: 2, 2: 0}


@pytest.fixture(scope="module")
def sources():
    return bars(), stripes()


@pytest.fixture(scope="module")
def small():
    """The default recipe in small.

    The refinement is another joint stage, and flows are trained on latents of one side: to save
    time, both are left out.
    """
    chosen = recipe("annealed", "digits")
    config = dataclasses.replace(
        chosen.config,
        z=Categorical(n=1, k=3),
        u=DiagonalGaussian(dim=2),
        v=DiagonalGaussian(dim=3),
        hidden=(16,),
        marginal_encoder="images",
        seed=2,
    )
    stages = {
        name: dataclasses.replace(getattr(chosen, name), epochs=1, batch_size=16, jit_compile=False)
        for name in STAGES
    }
    return dataclasses.replace(
        chosen,
        config=config,
        pairs_per_class=16,
        wrapper=WrapperSettings(code_size=4, filters=(2, 3), epochs=1, batch_size=16),
        wrapper_y=WrapperSettings(code_size=6, filters=(3, 2), epochs=2, batch_size=10),
        **{**stages, "flow": None, "refinement": None},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def trained(sources, small, folder):
    x, y = sources
    return train(x, small, mapping=NEXT, target=y, folder=folder, verbose=0)


def weights(model):
    return [np.asarray(weight).tobytes() for weight in model.get_weights()]


def test_pairs_are_of_both_sources(trained, sources):
    pairs = trained.pairs
    assert (pairs.x, pairs.y) == (sources[0].train, sources[1].train)
    assert pairs.y_labels.tolist() == [NEXT[label] for label in pairs.x_labels.tolist()]


def test_each_side_has_a_wrapper_of_its_own_images_and_settings(trained, sources, small):
    model = trained.model
    assert (model.wrapper_x.image_shape, model.wrapper_x.code_size) == ((8, 8, 1), 4)
    assert (model.wrapper_y.image_shape, model.wrapper_y.code_size) == ((12, 16, 1), 6)
    history = trained.history["wrapper"]
    assert (len(history["loss"]), len(history["loss_y"])) == (1, 2)
    for source, side in zip(sources, "xy", strict=True):
        alone, found = train_wrapper(source, small, side=side, verbose=0)
        assert weights(alone) == weights(model.wrapper(side))
        assert found["loss"] == history["loss" if side == "x" else "loss_y"]


def test_all_tasks_give_images_of_their_side(trained, sources):
    assert list(trained.history) == ["wrapper", "alignment", "joint", "marginal"]
    assert set(trained.seconds) == set(trained.history)
    model, x, y = trained.model, sources[0].test.images[:4], sources[1].test.images[:5]
    assert model.generate_y(x, seed=0, samples=3).shape == (4, 3, 12, 16, 1)
    assert model.generate_x(y, seed=0).shape == (5, 8, 8, 1)
    assert [side.shape for side in model.generate_pairs(2, seed=0)] == [
        (2, 8, 8, 1),
        (2, 12, 16, 1),
    ]
    assert model.transfer_x(style=x, concept=y, seed=0).shape == (4, 5, 8, 8, 1)
    assert model.transfer_y(style=y, concept=x, seed=0).shape == (5, 4, 12, 16, 1)


def test_latents_are_measured_on_pairs_of_two_shapes(trained):
    from wyner_keras import information

    found = information.measure(trained.model, trained.pairs)
    assert 0 <= found["i_xy_z"] <= found["kl_z"] + 1e-6
    assert found["i_x_u_upper"] > 0
    assert found["i_y_v_upper"] > 0


def test_a_saved_model_is_the_same_again(trained, sources, tmp_path):
    trained.model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    y = sources[1].test.images[:3]
    np.testing.assert_array_equal(again.generate_x(y, seed=1), trained.model.generate_x(y, seed=1))
    assert weights(again.wrapper_y) == weights(trained.model.wrapper_y)


def test_a_finished_training_is_taken_up_without_training(
    trained, sources, small, folder, monkeypatch
):
    monkeypatch.setattr("wyner_keras.networks.ConvAutoencoder.train", None)
    monkeypatch.setattr("wyner_keras.models.stage.Stage.fit", None)
    x, y = sources
    again = train(x, small, mapping=NEXT, target=y, folder=folder, verbose=0)
    assert again.history == trained.history
    assert weights(again.model) == weights(trained.model)


def test_a_baseline_takes_a_pair_of_wrappers_in_place_of_training_them(trained, sources, small):
    wrappers = trained.model.wrapper_x, trained.model.wrapper_y
    x, y = sources
    cvae = train_baseline(
        "cvae", x, small, mapping=NEXT, target=y, wrapper=wrappers, epochs=1, verbose=0
    )
    assert list(cvae.history) == ["cvae"]
    assert (cvae.model.wrapper_x, cvae.model.wrapper_y) == wrappers
    assert cvae.model.generate_y(x.test.images[:2], seed=0).shape == (2, 12, 16, 1)


def test_a_label_without_a_partner_in_the_target_is_refused(sources, small):
    with pytest.raises(ValueError, match=r"class 2 should have a partner: images of class 5.*Rec"):
        train(sources[0], small, mapping={0: 1, 1: 2, 2: 5}, target=sources[1])


def test_one_wrapper_does_not_serve_two_shapes(trained, sources, small):
    with pytest.raises(ValueError, match=r"Images of y should have shape \(8, 8, 1\). Received"):
        train(
            sources[0],
            small,
            mapping=NEXT,
            target=sources[1],
            wrapper=trained.model.wrapper_x,
            verbose=0,
        )
