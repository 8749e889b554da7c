import os

# Before the first test module imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import pytest
import tiny_bundle
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
    """Makes tiny models; settings override."""
    return tiny_bundle.tiny_model


@pytest.fixture(scope="session")
def tiny(make_tiny):
    """One such model."""
    return make_tiny()


@pytest.fixture(scope="session")
def tiny_images():
    """Seven images of x and of y."""
    return tiny_bundle.tiny_images()


@pytest.fixture(scope="session")
def bundle(tiny, tmp_path_factory):
    """The tiny model's bundle."""
    return tiny_bundle.write_tiny_bundle(tiny, tmp_path_factory.mktemp("bundles") / "bundle")
