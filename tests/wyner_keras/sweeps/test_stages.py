import dataclasses
import importlib
import json

import keras
import numpy as np
import pytest

from wyner_keras import runs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.sweeps import Band, carry_out
from wyner_keras.sweeps.stages import Shelf, keys, last_shared, wrapper_key
from wyner_keras.sweeps.studies import ablation_study
from wyner_keras.training import Ramp, Recipe, StageSettings, WrapperSettings, train
from wyner_keras.training.settings import STAGES

train_module = importlib.import_module("wyner_keras.training.train")

STAGE = StageSettings(epochs=1, batch_size=24, jit_compile=False)
# All that the default recipe has, small.
DEFAULT = Recipe(
    name="annealed",
    config=WynerConfig(
        z=Categorical(n=1, k=3),
        u=DiagonalGaussian(dim=2),
        v=DiagonalGaussian(dim=2),
        hidden=(8,),
        joint_local="xz",
        marginal_encoder="images",
        residual=True,
        flow_steps=1,
        concept_weight=1.0,
        concept_noise=0.3,
        encoder_dropout=0.2,
        encoder_noise=0.3,
    ),
    pairs_per_class=16,
    wrapper=WrapperSettings(code_size=4, filters=(4, 4), epochs=1, batch_size=16),
    alignment=STAGE,
    joint=dataclasses.replace(
        STAGE, concept_weight=2.0, two_epsilon_squared=Ramp(start=0.3, end=0.2)
    ),
    flow=STAGE,
    refinement=STAGE,
    marginal=STAGE,
    train_experts=False,
    distillation_weight=1.0,
    warm_start=True,
)
# Stages that each variant trains itself, in the order of training; the others are shared.
OWN = {
    "default": ["wrapper", *STAGES],
    "no alignment stage": ["joint", "flow", "marginal", "refinement"],
    "free encoder": ["joint", "flow", "marginal"],
    "no residual model": list(STAGES),
    "no flow": ["marginal", "refinement"],
    "no concept term": ["joint", "flow", "marginal"],
    "no refinement": [],
    "no distillation": ["marginal", "refinement"],
    "q(z|x) of features": ["marginal", "refinement"],
    "slant in the code": ["wrapper", *STAGES],
    "fixed 2ε²": ["joint", "flow", "marginal", "refinement"],
}


def start(name, nth=0):
    return dataclasses.replace(DEFAULT, config=dataclasses.replace(DEFAULT.config, seed=nth))


def variants(study):
    return {band.title: band.configurations[0] for band in study.bands}


@pytest.fixture
def study(monkeypatch):
    monkeypatch.setattr("wyner_keras.sweeps.studies.ABLATION_SEEDS", 1)
    return ablation_study(start, ["annealed"])


@pytest.fixture
def fitted(monkeypatch):
    """Names of the stages that were trained, by one untraced step each; nothing is judged."""
    names = []

    def step(stage, pairs, settings, name, folder, verbose):
        names.append(name)
        stage.compile(optimizer=keras.optimizers.Adam(0.01))
        if settings.two_epsilon_squared is not None:
            stage.two_epsilon_squared.assign(settings.two_epsilon_squared(0.0))
        batch = next(iter(stage._prepared(pairs, settings.batch_size, shuffle=True)))
        return {name: [float(value)] for name, value in stage.train_step(batch).items()}

    def train_wrapper(source, recipe, verbose):
        names.append("wrapper")
        wrapper = ConvAutoencoder(
            (8, 8, 1), 4, (4, 4), slant=recipe.wrapper.slant, seed=recipe.config.seed
        )
        wrapper.build()
        return wrapper, {}

    module = importlib.import_module("wyner_keras.sweeps.carry_out")
    monkeypatch.setattr(train_module, "_fit", step)
    monkeypatch.setattr("wyner_keras.training.train_wrapper", train_wrapper)
    monkeypatch.setattr("wyner_keras.evaluation.judge_for", lambda *_, **__: "judge")
    monkeypatch.setattr(module, "_judged", lambda *_: {"figures": {}, "nats": {}})
    monkeypatch.setattr(module, "_samples", lambda *_: {})
    return names


def weights(model):
    return [np.asarray(weight).tobytes() for weight in model.get_weights()]


def test_every_variant_trains_and_shared_stages_leave_the_weights_of_unshared_ones(
    study, fitted, workshop
):
    found = carry_out(study, workshop)
    assert fitted == [stage for own in OWN.values() for stage in own]
    assert not (workshop.folder / "stages").exists()
    assert len(list((workshop.folder / "wrappers").iterdir())) == 2
    default = found["annealed-z1x3-u2"]
    assert set(default["seconds"]) == set(STAGES)
    for title, one in variants(study).items():
        history = json.loads((workshop.run_folder(one) / "history.json").read_text())["history"]
        stages = [name for name in STAGES if getattr(one.recipe, name) is not None]
        assert list(history) == stages, title
        assert all(np.isfinite(values).all() for values in history["marginal"].values()), title
        shared = found[one.name]["shared_nats"]
        assert (shared is None) == (one.recipe.alignment is None), title
    # Those whose config is not that of the model that they went on from.
    for title in ("no flow", "q(z|x) of features"):
        one = variants(study)[title]
        run = runs.Run.open(workshop.run_folder(one))
        model = run.load_model()
        assert model.config == dataclasses.replace(
            one.recipe.config, x_shape=(8, 8, 1), y_shape=(8, 8, 1)
        )
        alone = train(
            workshop.source,
            one.recipe,
            mapping=workshop.mapping,
            wrapper=runs.load_model(run.folder / "model.keras").wrapper_x,
            verbose=0,
        )
        assert weights(model) == weights(alone.model), title


def with_config(recipe, **changes):
    return dataclasses.replace(recipe, config=dataclasses.replace(recipe.config, **changes))


def with_stage(recipe, stage, **changes):
    return dataclasses.replace(
        recipe, **{stage: dataclasses.replace(getattr(recipe, stage), **changes)}
    )


@pytest.mark.parametrize(
    ("other", "last"),
    [
        (dataclasses.replace(DEFAULT, name="other"), "refinement"),
        (dataclasses.replace(DEFAULT, distillation_weight=2.0), "flow"),
        (dataclasses.replace(DEFAULT, warm_start=False), "flow"),
        (with_config(DEFAULT, marginal_encoder="features"), "flow"),
        (with_stage(DEFAULT, "refinement", epochs=2), "marginal"),
        (dataclasses.replace(DEFAULT, flow=None), "joint"),
        (with_config(DEFAULT, flow_steps=2), "joint"),
        (with_stage(DEFAULT, "flow", learning_rate=Ramp(start=0.1, end=0.1)), "joint"),
        (dataclasses.replace(DEFAULT, train_experts=True), "alignment"),
        (with_config(DEFAULT, concept_weight=0.5), "alignment"),
        (with_config(DEFAULT, common_information_weight=0.25), "alignment"),
        (with_stage(DEFAULT, "joint", concept_weight=1.0), "alignment"),
        (dataclasses.replace(DEFAULT, alignment=None), None),
        (with_stage(DEFAULT, "alignment", batch_size=8), None),
        (with_config(DEFAULT, seed=1), None),
        (with_config(DEFAULT, residual=False), None),
        (with_config(DEFAULT, encoder_dropout=0.1), None),
        (with_config(DEFAULT, u=DiagonalGaussian(dim=3)), None),
        (with_stage(DEFAULT, "wrapper", slant=False), None),
        (dataclasses.replace(DEFAULT, pairs_per_class=17), None),
    ],
)
def test_recipes_share_the_stages_before_what_they_differ_in(other, last):
    assert last_shared(DEFAULT, other) == last_shared(other, DEFAULT) == last
    assert list(keys(other)) == [name for name in STAGES if getattr(other, name) is not None]


def test_wrappers_are_shared_by_settings_and_seed():
    assert wrapper_key(DEFAULT) == wrapper_key(with_config(DEFAULT, residual=False))
    others = [with_config(DEFAULT, seed=1), with_stage(DEFAULT, "wrapper", slant=False)]
    assert len({wrapper_key(recipe) for recipe in (DEFAULT, *others)}) == 3


def checkpoint(folder):
    folder.mkdir()
    for name in ("model.keras", "progress.json"):
        (folder / name).write_text(f"{name} of {folder.name}")
    return folder


def test_a_stage_is_kept_whole_or_not_at_all_until_nobody_wants_it(tmp_path, monkeypatch):
    shelf = Shelf(tmp_path / "stages")
    one, other = DEFAULT, dataclasses.replace(DEFAULT, distillation_weight=2.0)
    unlike = dataclasses.replace(DEFAULT, train_experts=True)
    with monkeypatch.context() as patch:
        patch.setattr("os.rename", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shelf.put(one, "alignment", checkpoint(tmp_path / "a"))
    assert shelf.take(other, tmp_path / "run") is None
    shelf.put(one, "alignment", tmp_path / "a")
    shelf.put(one, "flow", checkpoint(tmp_path / "b"))
    places = [shelf.folder / keys(one)[stage] for stage in ("alignment", "flow")]
    assert sorted(shelf.folder.iterdir()) == sorted(places)
    assert (places[1] / "progress.json").read_text() == "progress.json of b"
    # What has reached something goes on from that.
    assert shelf.take(other, tmp_path / "a") is None
    shelf.tidy([one], [other, unlike])
    assert sorted(shelf.folder.iterdir()) == sorted(places)
    shelf.tidy([one, unlike], [other])
    assert list(shelf.folder.iterdir()) == places[1:]
    shelf.tidy([unlike], [])
    assert list(shelf.folder.iterdir()) == places[1:]
    shelf.tidy([other], [])
    assert not shelf.folder.exists()


def test_a_killed_sweep_goes_on_from_shared_stages(study, fitted, workshop, monkeypatch):
    chosen = [variants(study)[title] for title in ("default", "no distillation")]
    short = dataclasses.replace(
        study, bands=tuple(Band(title=one.name, configurations=(one,)) for one in chosen)
    )
    with monkeypatch.context() as patch:
        patch.setattr("wyner_keras.models.marginal.MarginalStage.terms", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            carry_out(short, workshop)
    assert len(list((workshop.folder / "stages").iterdir())) == 1
    del fitted[:]
    carry_out(short, workshop)
    assert fitted == ["marginal", "refinement"] * 2
