import dataclasses

import numpy as np
import pytest

from experiments.ablation import ablation_study
from experiments.studies import experiment as experiment_module
from experiments.studies import run_sweep
from experiments.studies.stage_cache import StageCache, last_shared, stage_keys, wrapper_key
from wyner_keras import runs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig
from wyner_keras.training import (
    Ramp,
    Recipe,
    StageSettings,
    WrapperSettings,
    train,
)
from wyner_keras.training.settings import STAGES

STAGE = StageSettings(epochs=1, batch_size=24, jit_compile=False)
# What the default recipe has, small; the refinement would be another joint stage.
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
    marginal=STAGE,
    train_experts=False,
    distillation_weight=1.0,
    warm_start=True,
)
SHARING = ("default", "no flow", "q(z|x) of features")


def make_recipe(name, local=None, seed_offset=0):
    return dataclasses.replace(DEFAULT, wrapper=None)


@pytest.fixture
def study(monkeypatch):
    """The default recipe, and two whose config differs after shared stages."""
    monkeypatch.setattr("experiments.ablation.studies.ABLATION_SEEDS", 1)
    study = ablation_study(make_recipe, ["annealed"])
    groups = tuple(group for group in study.groups if group.title in SHARING)
    return dataclasses.replace(study, groups=groups)


def weights(model):
    return [np.asarray(weight).tobytes() for weight in model.get_weights()]


def test_a_killed_sweep_goes_on_and_shared_stages_leave_the_weights_of_unshared_ones(
    study, one_step, experiment, monkeypatch
):
    monkeypatch.setattr("wyner_keras.evaluation.judge_for", lambda *_, **__: "judge")
    monkeypatch.setattr(experiment_module, "_judge", lambda *_: {"figures": {}, "nats": {}})
    monkeypatch.setattr(experiment_module, "_draw_samples", lambda *_: {})
    with monkeypatch.context() as patch:
        patch.setattr("wyner_keras.models.marginal.MarginalStage.terms", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_sweep(study, experiment)
    assert len(list((experiment.folder / "stages").iterdir())) == 2
    results = run_sweep(study, experiment)
    assert one_step == ["alignment", "joint", "flow", *["marginal"] * 4]
    assert not (experiment.folder / "stages").exists()
    trained = [tuple(results[each.name]["seconds"]) for each in study.configurations]
    assert trained == [STAGES[:4], ("alignment", "joint", "marginal"), STAGES[:4]]
    assert None not in [result["shared_nats"] for result in results.values()]
    for configuration in study.configurations[1:]:
        run = runs.Run.open(experiment.run_folder(configuration))
        model = run.load_model()
        assert (
            model.config
            == with_config(configuration.recipe, x_shape=(8, 8, 1), y_shape=(8, 8, 1)).config
        )
        alone = train(
            experiment.source,
            configuration.recipe,
            mapping=experiment.mapping,
            verbose=0,
        )
        assert weights(model) == weights(alone.model), configuration.name


def with_config(recipe, **changes):
    return dataclasses.replace(recipe, config=dataclasses.replace(recipe.config, **changes))


def with_stage(recipe, stage, **changes):
    return dataclasses.replace(
        recipe, **{stage: dataclasses.replace(getattr(recipe, stage), **changes)}
    )


@pytest.mark.parametrize(
    ("other", "last"),
    [
        (dataclasses.replace(DEFAULT, name="other"), "marginal"),
        (dataclasses.replace(DEFAULT, distillation_weight=2.0), "flow"),
        (dataclasses.replace(DEFAULT, warm_start=False), "flow"),
        (with_config(DEFAULT, marginal_encoder="features"), "flow"),
        (dataclasses.replace(DEFAULT, refinement=STAGE), "marginal"),
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
    assert list(stage_keys(other)) == [name for name in STAGES if getattr(other, name) is not None]


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
    cache = StageCache(tmp_path / "stages")
    one, other = DEFAULT, dataclasses.replace(DEFAULT, distillation_weight=2.0)
    unlike = dataclasses.replace(DEFAULT, train_experts=True)
    with monkeypatch.context() as patch:
        patch.setattr("os.rename", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cache.store(one, "alignment", checkpoint(tmp_path / "a"))
    assert cache.restore(other, tmp_path / "run") is None
    cache.store(one, "alignment", tmp_path / "a")
    cache.store(one, "flow", checkpoint(tmp_path / "b"))
    places = [cache.folder / stage_keys(one)[stage] for stage in ("alignment", "flow")]
    assert sorted(cache.folder.iterdir()) == sorted(places)
    assert (places[1] / "progress.json").read_text() == "progress.json of b"
    # What has reached something goes on from that.
    assert cache.restore(other, tmp_path / "a") is None
    cache.tidy([one], [other, unlike])
    assert sorted(cache.folder.iterdir()) == sorted(places)
    cache.tidy([one, unlike], [other])
    assert list(cache.folder.iterdir()) == places[1:]
    cache.tidy([unlike], [])
    assert list(cache.folder.iterdir()) == places[1:]
    cache.tidy([other], [])
    assert not cache.folder.exists()
