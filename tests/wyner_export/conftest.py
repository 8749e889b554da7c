import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import tiny_bundle

from wyner_export import read_manifest
from wyner_export.examples import run_examples
from wyner_export.functions import Interface
from wyner_export.parity import Parity
from wyner_export.rounding import conditioning
from wyner_export.saved_model import load_saved_model, run_saved_model


@dataclasses.dataclass
class Judged:
    """A shared bundle with what engines are judged by, its SavedModel the reference."""

    folder: Any
    graphs: dict
    loaded: Any
    answers: dict
    parity: Parity

    @classmethod
    def of(cls, folder, rows):
        manifest = read_manifest(folder)
        graphs = [Interface.from_dict(*entry) for entry in manifest["graphs"].items()]
        loaded = load_saved_model(folder / manifest["saved_model"]["path"])
        answers = run_examples(
            graphs, rows, manifest, lambda name, given: run_saved_model(loaded, name, given)
        )
        limits = conditioning(loaded, graphs, answers, manifest["sides"])
        named = {graph.name: graph for graph in graphs}
        return cls(folder, named, loaded, answers, Parity("SavedModel", answers, limits))

    def check(self, name, engine, results):
        self.parity.check(self.graphs[name], engine, results)

    def check_file(self, name, path):
        self.parity.check_onnx(self.graphs[name], path, self.loaded.signatures[name].variables)

    def onnx(self, name):
        return self.folder / "onnx" / f"{name}.onnx"


@pytest.fixture(scope="session")
def judged_of(bundle_of, tiny_of):
    return functools.cache(
        lambda name: Judged.of(bundle_of(name), tiny_bundle.tiny_rows(tiny_of(name)))
    )


@pytest.fixture(scope="session")
def judged(judged_of):
    """The bundle of the tiny model of images, judged."""
    return judged_of("images")


@pytest.fixture(scope="session")
def loaded(judged):
    """The SavedModel of the tiny model of images."""
    return judged.loaded


@pytest.fixture(scope="session")
def least():
    """A model of which no part takes long: two columns, three columns, no local latents."""
    from wyner_keras.latents import Categorical
    from wyner_keras.modality import Vector
    from wyner_keras.model import WynerModel
    from wyner_keras.side import SideSettings

    modalities = {"x": Vector(kinds=("real",) * 2), "y": Vector(kinds=("real",) * 3)}
    settings = SideSettings(local=None, hidden=(4,), reader="features", flow_steps=0)
    model = WynerModel(
        Categorical(n=1, k=3),
        modalities,
        codecs={side: modality.codec(None, 0) for side, modality in modalities.items()},
        settings=dict.fromkeys("xy", settings),
    )
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


@pytest.fixture
def only(monkeypatch):
    """Leaves one graph to an export, which is then short."""
    from wyner_export.graphs import graphs_of

    def only(name):
        def graphs(model):
            return tuple(graph for graph in graphs_of(model) if graph.name == name)

        monkeypatch.setattr("wyner_export.bundle.graphs_of", graphs)

    return only
