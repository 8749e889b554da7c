import dataclasses

import numpy as np
import pytest

from wyner_keras.data import load
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import CVAE, JVAE
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.training import baselines, recipe, train_baseline
from wyner_keras.training.settings import STAGES


def test_a_cvae_takes_the_recipes_latents_networks_and_all_its_epochs():
    chosen = recipe("annealed", "mnist", seed=4)
    config, stage = baselines.baseline_settings("cvae", chosen)
    assert (config.u, config.v) == (chosen.config.u, chosen.config.v)
    assert (config.hidden, config.seed) == ((512, 512, 512), 4)
    stages = (getattr(chosen, name) for name in STAGES)
    assert stage.epochs == sum(each.epochs for each in stages)
    assert baselines.baseline_settings("cvae", chosen, epochs=7)[1].epochs == 7
    with pytest.raises(ValueError, match=r"`epochs` should be a positive integer. Received"):
        baselines.baseline_settings("cvae", chosen, epochs=0)
    assert stage.learning_rate == chosen.joint.learning_rate
    assert stage.two_epsilon_squared == chosen.joint.two_epsilon_squared


@pytest.mark.parametrize(
    ("name", "z"), [("annealed", DiagonalGaussian(dim=64)), ("paper", Categorical(n=40, k=10))]
)
def test_a_jvaes_latent_is_as_wide_as_u_and_v_together(name, z):
    config, stage = baselines.baseline_settings("jvae", recipe(name, "mnist"))
    assert config.z == z
    assert config.u is config.v is None
    assert stage.concept_weight is None


def test_an_unknown_name_and_a_recipe_without_locals_are_refused():
    with pytest.raises(ValueError, match=r"`name` should be one of.*Received: name='gan'"):
        train_baseline("gan", None, recipe("annealed", "digits"))
    bare = recipe("paper", "digits")
    bare = dataclasses.replace(bare, config=dataclasses.replace(bare.config, u=None))
    with pytest.raises(ValueError, match=r"should have U and V.*u=None"):
        train_baseline("cvae", None, bare)


@pytest.mark.parametrize(("name", "kind"), [("cvae", CVAE), ("jvae", JVAE)])
def test_a_baseline_trains_and_a_second_call_goes_on_from_its_folder(name, kind, tmp_path):
    chosen = recipe("annealed", "digits")
    chosen = dataclasses.replace(
        chosen,
        config=dataclasses.replace(chosen.config, hidden=(16,)),
        pairs_per_class=13,
        joint=dataclasses.replace(chosen.joint, epochs=2, batch_size=64),
        **dict.fromkeys(("alignment", "flow", "refinement")),
        marginal=dataclasses.replace(chosen.marginal, epochs=1),
    )
    source = load("digits")
    wrapper = ConvAutoencoder((8, 8, 1), code_size=3, filters=(2, 3))
    wrapper.build()
    wrapper.trainable = False
    trained = train_baseline(name, source, chosen, wrapper=wrapper, folder=tmp_path, verbose=0)
    assert type(trained.model) is kind
    assert len(trained.history[name]["loss"]) == 3
    assert np.isfinite(trained.history[name]["loss"]).all()
    again = train_baseline(name, source, chosen, wrapper=wrapper, folder=tmp_path, verbose=0)
    assert again.history == trained.history
    x = source.test.images[:5]
    np.testing.assert_allclose(
        again.model.generate_y(x, seed=1), trained.model.generate_y(x, seed=1), atol=1e-5
    )
