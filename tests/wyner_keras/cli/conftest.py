import contextlib
import io
import json

import pytest

import wyner_keras as wk
from wyner_keras.cli import main
from wyner_keras.models.stage import Stage
from wyner_keras.training import Ramp, Recipe, StageSettings


def _tiny(name="annealed", data="digits", *, data_y=None, local=None, seed=0):
    if name != "annealed":
        raise ValueError(f"`name` should be annealed. Received: name={name!r}")
    stage = StageSettings(epochs=1, batch_size=128, temperature=Ramp.constant(0.5))
    latent = wk.Categorical(n=2, k=4)
    config = wk.WynerConfig(u=latent, v=wk.DiagonalGaussian(dim=3), hidden=(16,), seed=seed)
    return Recipe(name=name, config=config, pairs_per_class=40, joint=stage, marginal=stage)


@pytest.fixture(scope="session")
def tiny_recipe():
    """Makes the recipe that commands train by here."""
    return _tiny


@pytest.fixture(scope="module", autouse=True)
def quick_machine():
    """That recipe whatever is asked for, and no compiling by XLA."""
    compile_stage = Stage.compile

    def without_xla(self, *args, **kwargs):
        compile_stage(self, *args, **{**kwargs, "jit_compile": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stage, "compile", without_xla)
        patch.setattr("wyner_keras.training.recipe", _tiny)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder that `wyner train` wrote, and the values that it printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--data", "digits", "--quick", "--seed", "5", "--out", str(folder), "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0
    return folder, json.loads(out.getvalue())
