import keras
import numpy as np
import pytest

from experiments.paper import FreeModel, PaperJoint, PaperMarginal, TrainedExpertsJoint
from wyner_keras import Categorical, DiagonalGaussian, SideSettings, Stage, WynerModel
from wyner_keras.data import Pairs


@pytest.fixture
def pairs():
    x = np.random.default_rng(0).random((2, 16, 8, 8, 1), dtype=np.float32)
    return Pairs(*x)


def make(pairs, local, **settings):
    side = SideSettings(local=local, hidden=(6,), reader="features", flow_steps=0, **settings)
    modalities = dict(zip("xy", pairs.modalities, strict=True))
    return WynerModel(
        Categorical(n=1, k=3),
        modalities,
        codecs={name: modality.codec(None, 0) for name, modality in modalities.items()},
        settings=dict.fromkeys("xy", side),
        learned_prior=False,
    )


def stepped(model, loss, pairs):
    """The stage after one step, its terms before, and whether each network changed."""
    stage = Stage(model, loss)
    stage.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)
    networks = {
        f"{name}_{side.name}": getattr(side, f"{name}_network")
        for side in model.sides
        for name in ("expert", "reader", "posterior", "decoder")
        if getattr(side, f"{name}_network") is not None
    }
    before = {name: layer.get_weights() for name, layer in networks.items()}
    batch = next(iter(stage._prepared(pairs, None, 16, training=True)))
    terms = {name: float(value) for name, value in stage.train_step(batch).items()}
    changed = {
        name
        for name, layer in networks.items()
        if any((a != b).any() for a, b in zip(before[name], layer.get_weights(), strict=True))
    }
    return stage, terms, changed


LOCALS = [None, Categorical(n=2, k=3), DiagonalGaussian(dim=2)]


@pytest.mark.parametrize("local", LOCALS)
def test_the_papers_first_stage_trains_its_own_networks_and_the_decoders(pairs, local):
    model = make(pairs, local, residual=False, dropout=0.0, noise=0.0)
    loss = PaperJoint(common_information_weight=0.5)
    stage, terms, changed = stepped(model, loss, pairs)
    assert changed == {"decoder_x", "decoder_y"}
    assert [head.name for head in stage.heads] == ["free", "free_u", "free_v"][: len(stage.heads)]
    assert len(stage.heads) == (1 if local is None else 3)
    found = {name for name in terms if name.startswith("kl")}
    assert found == ({"kl_z"} if local is None else {"kl_z", "kl_u", "kl_v"})
    weights = loss.weights(model)
    assert weights["kl_z"] == 1.5
    assert terms["loss"] == pytest.approx(sum(weights[name] * terms[name] for name in weights))


def test_what_the_first_stage_found_of_z_is_kept(pairs, tmp_path):
    model = make(pairs, LOCALS[1], residual=False)
    stage, _, _ = stepped(model, PaperJoint(), pairs)
    stage.objective.end(stage, pairs)
    kept = stage.model
    assert isinstance(kept, FreeModel)
    kept.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    h = {name: np.random.default_rng(1).normal(size=(4, 64)).astype("f") for name in "xy"}
    expected = kept.z.product(stage.heads[0]([h["x"], h["y"]]))
    for each in (kept, loaded):
        batch = {f"{name}_features": own for name, own in h.items()}
        np.testing.assert_array_equal(each.joint_z(batch).probabilities, expected.probabilities)
        for old, new in zip(model.sides, each.sides, strict=True):
            for a, b in zip(old.get_weights(), new.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)


def test_locals_may_be_the_models_own(pairs):
    stage, _, changed = stepped(make(pairs, LOCALS[2]), PaperJoint(of_both=False), pairs)
    assert changed == {"decoder_x", "decoder_y", "posterior_x", "posterior_y"}
    assert len(stage.heads) == 1


def test_the_papers_second_stage_trains_readers_and_locals(pairs):
    model = make(pairs, LOCALS[1], residual=False)
    _, terms, changed = stepped(model, PaperMarginal(), pairs)
    assert changed == {"reader_x", "reader_y", "posterior_x", "posterior_y"}
    assert not any(name.startswith("distillation") for name in terms)


def test_the_joint_stage_may_train_the_experts(pairs):
    loss = TrainedExpertsJoint(common_information_weight=0.25, alignment_weight=2.0)
    model = make(pairs, LOCALS[2])
    assert loss.adapted(model, pairs) is loss
    _, terms, changed = stepped(model, loss, pairs)
    assert changed >= {"expert_x", "expert_y", "posterior_x", "decoder_y"}
    assert (loss.weights(model)["kl_z"], loss.weights(model)["alignment"]) == (1.25, -2.0)
    assert np.isfinite(list(terms.values())).all()
    assert "alignment" not in TrainedExpertsJoint().weights(model)
