import pytest
from bars import bars

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig
from wyner_keras.sweeps import Band, Configuration, Size, Sweep, Workshop
from wyner_keras.training import Recipe, StageSettings, WrapperSettings

TINY = Size(name="tiny", inputs=30, styles=4, concepts=4)


def tiny_recipe(**changes):
    stage = StageSettings(epochs=1, batch_size=16, jit_compile=False)
    values = {
        "z": Categorical(n=1, k=3),
        "u": DiagonalGaussian(dim=2),
        "v": DiagonalGaussian(dim=2),
        "hidden": (8,),
        **changes,
    }
    return Recipe(
        name="tiny",
        config=WynerConfig(**values),
        pairs_per_class=16,
        wrapper=WrapperSettings(code_size=4, filters=(4, 4), epochs=1, batch_size=16),
        joint=stage,
        marginal=stage,
    )


@pytest.fixture
def tiny_sweep():
    """Three configurations, of which the second stands in both bands."""
    one, two, three = (
        Configuration(name=f"u{dim}", label=f"U of {dim}", recipe=tiny_recipe(u=latent))
        for dim, latent in (
            (0, None),
            (2, DiagonalGaussian(dim=2)),
            (3, DiagonalGaussian(dim=3)),
        )
    )
    return Sweep(
        name="tiny",
        title="Tiny",
        bands=(
            Band(title="first", configurations=(one, two)),
            Band(title="second", configurations=(two, three)),
        ),
    )


@pytest.fixture
def source():
    return bars()


@pytest.fixture
def workshop(tmp_path, source):
    return Workshop(
        folder=tmp_path / "sweeps",
        source=source,
        data="bars",
        mapping={0: 1, 1: 2, 2: 0},
        size=TINY,
        seed=0,
    )
