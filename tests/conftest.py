import os

# Before the first test module imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
from hypothesis import settings

# A shared machine stalls now and then; that is no property of the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Judges that tests train are cached for these tests alone, in their subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WYNER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def make_tiny():
    """A W-model of 8x8 images with a wrapper, flows and weights that show; settings override."""
    import numpy as np

    from wyner_keras.latents import Categorical, DiagonalGaussian
    from wyner_keras.models import WynerConfig, WynerModel
    from wyner_keras.networks import ConvAutoencoder

    def make(**settings):
        wrapper = ConvAutoencoder((8, 8, 1), code_size=3, filters=(2, 3))
        wrapper.build()
        values = {
            "z": Categorical(n=1, k=3),
            "u": DiagonalGaussian(dim=2),
            "v": DiagonalGaussian(dim=4),
            "hidden": (8,),
            "joint_local": "xz",
            "residual": True,
            "local_couplings": 2,
        }
        model = WynerModel(WynerConfig(**values | settings), wrapper=wrapper)
        rng = np.random.default_rng(0)
        for variable in model.trainable_variables:
            scale = 0.7 / np.sqrt(variable.shape[0])
            variable.assign(scale * rng.normal(size=variable.shape))
        return model

    return make


@pytest.fixture(scope="session")
def tiny(make_tiny):
    """One such model."""
    return make_tiny()


@pytest.fixture(scope="session")
def tiny_images():
    """Seven images of x and of y."""
    import numpy as np

    rng = np.random.default_rng(1)
    return tuple(rng.random((7, 8, 8, 1), dtype=np.float32) for _ in "xy")


@pytest.fixture(scope="session")
def bundle(tiny, tiny_images, tmp_path_factory):
    """The tiny model's bundle."""
    from wyner_export import write_bundle

    return write_bundle(
        tiny,
        tmp_path_factory.mktemp("bundles") / "bundle",
        images=tiny_images,
        name="tiny",
        label_map={"0": 1, "1": 2, "2": 0},
        metrics={"figures": {"joint_coherence": {"model": 0.5, "real": 1.0}}},
    )
