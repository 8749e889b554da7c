import fcntl
import functools
import gc
import os
import signal
from pathlib import Path

# Before the first test module imports TensorFlow.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
WORKER = "PYTEST_XDIST_WORKER" in os.environ
if WORKER:
    # Workers fill the processors; threads of each would only get in one another's way.
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"):
        os.environ.setdefault(name, "1")
    # TensorFlow builds a function around each operation whose settings are new, and runs that: more
    # than a quarter of the time of tests that train eagerly. Workers run the operations themselves.
    # Processes that tests start, and tests without workers, do as TensorFlow does by itself.
    try:
        from tensorflow.python import pywrap_tfe
    except ImportError:
        pass  # Where bundles are only served, there is none.
    else:
        set_as_function = pywrap_tfe.TFE_ContextOptionsSetRunEagerOpAsFunction
        pywrap_tfe.TFE_ContextOptionsSetRunEagerOpAsFunction = lambda options, _: set_as_function(
            options, False
        )

import pytest
import shortened
import tiny_bundle
from hypothesis import settings

# A shared machine stalls now and then; that is no property of the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


# Files that take longest come first: of two workers none is then left alone with one at the end.
# Two that write one bundle are apart, or one worker would wait for the other.
FIRST = (
    "tests/notebooks",
    "tests/wyner_keras/test_training.py",
    "tests/wyner_keras/test_stage.py",
    "tests/wyner_export/test_bundle.py",
    "tests/docs",
    "tests/wyner_export/test_engines.py",
    "tests/wyner_keras/cli",
    "tests/wyner_export",
    "tests/wyner_serving",
    "tests/wyner_keras/losses",
    "tests/wyner_keras/evaluation",
)


def pytest_collection_modifyitems(items):
    """`testpaths` gives no order: of paths that overlap, pytest keeps the widest alone."""
    gone = [path for path in FIRST if not (Path(__file__).parents[1] / path).exists()]
    assert not gone, f"FIRST should name what there is. Received: {gone}"

    def place(item):
        return next((n for n, path in enumerate(FIRST) if item.nodeid.startswith(path)), len(FIRST))

    items.sort(key=place)


def pytest_collection_finish():
    """What imports left stays; without this, each full collection walks TensorFlow's modules."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """What a file's tests left stays too: a sweep's full collections would walk it each time."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()
    return result


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Judges that tests train are cached for these tests alone, in their subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WYNER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def no_hang():
    """A reader that waits for ever fails instead."""

    def stop(*_):
        raise BaseException("the reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def eager():
    """In this test functions run without being traced."""
    with shortened.eagerly():
        yield


@pytest.fixture(scope="module")
def eagerly():
    """In all tests of this module, from the first that asks for it on."""
    with shortened.eagerly():
        yield


@pytest.fixture(scope="session")
def make_tiny():
    """Makes tiny models; settings override."""
    return tiny_bundle.tiny_model


@pytest.fixture(scope="session")
def tiny(tiny_of):
    """One such model, of images with a flow."""
    return tiny_of("images")


@pytest.fixture(scope="session")
def tiny_images(tiny):
    """Seven images of x and of y."""
    return tuple(tiny_bundle.tiny_rows(tiny).values())


@pytest.fixture(scope="session")
def tiny_of():
    """The model of a shared bundle, by its name in `tiny_bundle.SHARED`."""
    return functools.cache(lambda name: tiny_bundle.SHARED[name]())


@pytest.fixture(scope="session")
def bundle_of(tiny_of, tmp_path_factory):
    """A shared bundle by its name, written by the first worker that needs it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder.parent if WORKER else folder

    def bundle(name):
        with (folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / name).exists():
                # Whoever asks: eagerly it would take half as long again.
                with shortened.traced():
                    tiny_bundle.write_tiny_bundle(tiny_of(name), folder / name)
        return folder / name

    return bundle


@pytest.fixture(scope="session")
def bundle(bundle_of):
    """The bundle of the tiny model of images."""
    return bundle_of("images")
