import numpy as np
import pytest

from wyner_keras.cli import main
from wyner_keras.data import Pairs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.modality import Image, Vector
from wyner_keras.model import WynerModel
from wyner_keras.networks.affine import Affine
from wyner_keras.side import SideSettings


@pytest.fixture(scope="session")
def pairs():
    """24 pairs of 4x4 images and of vectors, of three labels that both show."""
    rng = np.random.default_rng(1)
    labels, index = np.arange(24) % 3, np.stack([np.arange(24), (np.arange(24) * 5 + 3) % 24], 1)
    x = 0.3 * rng.random((24, 4, 4, 1)) + 0.2 * labels[:, None, None, None]
    y = rng.normal(size=(24, 3)) + 3 * labels[np.argsort(index[:, 1]), None]
    return Pairs(x, y, index)


@pytest.fixture(scope="session")
def make_model(pairs):
    """Makes models of such pairs without learnt codecs, whose weights all show.

    Widths 3, 2 and 4 tell z, u and v apart. q(z|x) reads images, q(z|y) features.
    """
    modalities = {"x": Image(shape=(4, 4, 1)), "y": Vector(kinds=("real",) * 3)}
    # Nothing changes them: all models share them, and the features that they give.
    codecs = {name: modality.codec(None, 0) for name, modality in modalities.items()}
    for codec, store in zip(codecs.values(), pairs.stores, strict=True):
        codec.train_on(Pairs(store, store))

    def make(z=None, u=None, v=None, seed=0, readers=("data", "features"), **settings):
        settings = {"hidden": (8,), "flow_steps": 1, **settings}
        # False for none.
        locals_ = [
            DiagonalGaussian(dim=size) if local is None else local or None
            for local, size in ((u, 2), (v, 4))
        ]
        model = WynerModel(
            z or Categorical(n=1, k=3),
            modalities,
            codecs=codecs,
            settings={
                name: SideSettings(local=local, reader=reader, **settings)
                for name, local, reader in zip("xy", locals_, readers, strict=True)
            },
            seed=seed,
        )
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            variable.assign(0.7 * rng.normal(size=variable.shape) / np.sqrt(variable.shape[0]))
        for side in model.sides:
            if side.flow is not None:
                size, width = side.local.size, model.z.size
                matrix = np.tril(0.3 * rng.normal(size=(size, size))) + np.eye(size)
                none = np.zeros((width, size, size))
                side.flow.assign_affine(
                    Affine(rng.normal(size=(width, size)), none, none[0, 0], matrix)
                )
        return model

    return make


@pytest.fixture(scope="session")
def weights():
    """All the weights of some layers, as bytes."""

    def read(*layers):
        return b"".join(value.tobytes() for layer in layers for value in layer.get_weights())

    return read


@pytest.fixture
def call(capsys):
    """Carries out a `wyner` command in this process: its exit status, output and messages."""

    def carry_out(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return carry_out


@pytest.fixture
def refused(call):
    """The one line that a failing command writes."""

    def message(*words, code=2):
        found, out, err = call(*words)
        assert (found, out) == (code, "")
        assert "Traceback" not in err
        (line,) = [line for line in err.splitlines() if line.startswith("wyner: error: ")]
        return line

    return message
