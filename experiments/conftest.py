import importlib

import keras
import pytest

# The package offers a function under its module's name.
train_module = importlib.import_module("wyner_keras.training.train")


@pytest.fixture
def call(capsys):
    """Runs a module's `main` in this process: its exit status, output and messages."""

    def run(main, *words):
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def one_step(monkeypatch):
    """Every stage is trained by one step that nothing traces; a list of the stages' names."""
    names = []

    def fit(stage, pairs, settings, name, folder, verbose):
        names.append(name)
        stage.compile(optimizer=keras.optimizers.Adam(0.01))
        if settings.two_epsilon_squared is not None:
            stage.two_epsilon_squared.assign(settings.two_epsilon_squared(0.0))
        batch = next(iter(stage._prepared(pairs, settings.batch_size, shuffle=True)))
        return {key: [float(value)] for key, value in stage.train_step(batch).items()}

    monkeypatch.setattr(train_module, "_fit", fit)
    return names
