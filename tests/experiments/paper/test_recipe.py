import json

from experiments.paper import PaperJoint, PaperMarginal, paper_recipe
from wyner_keras.latents import Categorical
from wyner_keras.recipe import Recipe


def test_the_papers_recipe_has_the_papers_settings(facts):
    paper = paper_recipe(facts["mnist"])
    assert paper.z == Categorical(n=1, k=100)
    for side in paper.sides.values():
        assert (side.local, side.hidden) == (Categorical(n=20, k=10), (512, 512, 512))
        assert (side.residual, side.flow_steps, side.dropout, side.noise) == (False, 0, 0, 0)
        assert side.reader == "features"
    assert all(codec.noise == 0 for codec in paper.codecs.values())
    assert not paper.learned_prior
    assert [stage.loss for stage in paper.stages] == [PaperJoint(), PaperMarginal()]
    assert PaperJoint().common_information_weight == PaperMarginal().distillation_weight == 0
    for stage in paper.stages:
        assert stage.epochs == 50
        assert stage.temperature.start > stage.temperature.end
        assert stage.learning_rate.start > stage.learning_rate.end
        assert stage.two_epsilon_squared.start == stage.two_epsilon_squared.end == 1e-4


def test_the_papers_other_reading_of_the_local_size(facts):
    paper = paper_recipe(facts["mnist"], local=(2, 10))
    assert {side.local for side in paper.sides.values()} == {Categorical(n=2, k=10)}


def test_the_recipe_survives_json(facts):
    original = paper_recipe(facts["digits"], seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert original.seed == 3
