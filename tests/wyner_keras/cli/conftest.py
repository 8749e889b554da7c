import contextlib
import io
import json
import os
import signal

import numpy as np
import pytest
import shortened
import tiny_bundle
from PIL import Image

from wyner_keras import runs
from wyner_keras.cli import main
from wyner_keras.files import write_arrays, write_json


def tiny_recipe(facts, *, seed=0):
    """One stage of tiny networks, on the values themselves but for columns."""
    import wyner_keras as wk

    joint = wk.StageSettings(
        name="joint", loss=wk.losses.Joint(), epochs=1, batch_size=min(64, facts.pairs)
    )
    side = wk.SideSettings(
        local=wk.DiagonalGaussian(dim=2), hidden=(16,), reader="features", flow_steps=0
    )
    return wk.Recipe(
        z=wk.Categorical(n=1, k=4),
        sides={"x": side, "y": side},
        codecs={
            name: wk.CodecSettings(code_size=3, epochs=1) if len(modality.shape) == 1 else None
            for name, modality in zip("xy", facts.modalities, strict=True)
        },
        stages=(joint,),
        seed=seed,
    )


_loaded = {}


@contextlib.contextmanager
def tiny_machine():
    """The tiny recipe, whatever the data; a run's model is loaded once, and nothing is traced.

    Judges are trained for an epoch, and cached apart from those of other tests.
    """
    import wyner_keras.recipes
    from wyner_keras.evaluation import Judge

    load, train = runs.Run.load_model, Judge.train

    def load_once(run):
        key = str(run.folder), (run.folder / runs.MODEL).stat().st_mtime_ns
        if key not in _loaded:
            _loaded[key] = load(run)
        return _loaded[key]

    def train_shortly(*given, **settings):
        return train(*given, **settings | {"epochs": 1})

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WYNER_CACHE_DIR", os.path.join(os.environ["WYNER_CACHE_DIR"], "shortly"))
        patch.setattr(Judge, "train", train_shortly)
        patch.setattr(wyner_keras.recipes, "default", tiny_recipe)
        patch.setattr(runs.Run, "load_model", load_once)
        with shortened.eagerly():
            yield


@pytest.fixture(autouse=True)
def interruptible():
    """Ctrl-C interrupts, though a shell has what it starts in the background ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before or signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def quick_machine():
    """Such a machine for each module here, and for no other."""
    with tiny_machine():
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run folder that `wyner train` wrote, and the values that it printed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--data", "digits", "--quick", "--seed", "5", "--out", str(folder), "--json"]
    with tiny_machine(), contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0
    return folder, json.loads(out.getvalue())


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """Makes run folders of untrained tiny models; the same one for the same sides."""
    made = {}

    def make(x, y):
        if (x, y) not in made:
            model = tiny_bundle.tiny_model(x, y, flow_steps=0)
            folder = tmp_path_factory.mktemp("runs") / "run"
            folder.mkdir()
            model.save(folder / runs.MODEL)
            source = runs.Source(pairs=str(folder / "gone"))
            settings = {"format": 2, "data": source.to_dict(), "seed": 0, "recipe": {}}
            write_json(folder / runs.SETTINGS, settings)
            write_arrays(folder / runs.EXAMPLES, **tiny_bundle.tiny_rows(model, 8))
            made[x, y] = folder
        return made[x, y]

    return make


@pytest.fixture(scope="session")
def pair_folder(tmp_path_factory):
    """Forty pairs of images by name: x grey 9x12, y in colour 8x8."""
    root = tmp_path_factory.mktemp("data") / "pairs"
    rng = np.random.default_rng(0)
    for side, shape in (("x", (9, 12)), ("y", (8, 8, 3))):
        (root / side).mkdir(parents=True)
        for place in range(40):
            pixels = rng.integers(0, 256, shape, np.uint8)
            Image.fromarray(pixels).save(root / side / f"{place:02}.png")
    return root
