"""The how-tos on Weights & Biases and MLflow are run as they stand, offline."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import shortened

HOWTO = Path(__file__).parents[2] / "docs" / "howto.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), re.M | re.S)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def needs(name):
    """Decided before any fixture: what a test of a tracker needs takes seconds."""
    reason = f"{name} is in .venv-readers alone: make test-readers"
    return pytest.mark.skipif(find_spec(name) is None, reason=reason)


@pytest.fixture
def scope(monkeypatch, eager, tmp_path):
    """What the blocks before leave: pairs, two parts of them, and a recipe, here of two stages."""
    monkeypatch.chdir(tmp_path)
    shortened.narrow(monkeypatch.setattr)
    shortened.two_steps(monkeypatch.setattr)
    scope = {"__name__": "howto"}
    exec(compile(BLOCKS[0], str(HOWTO), "exec"), scope)
    wk = scope["wk"]
    scope["train"], scope["held_out"] = scope["pairs"].split(seed=0)
    recipe = wk.recipes.default(scope["train"].facts()).scaled(0.01)
    joint = recipe.stage("joint")
    again = scope["replace"](joint, name="again")
    return scope | {"recipe": scope["replace"](recipe, stages=(joint, again))}


def run(name, scope):
    (block,) = [block for block in BLOCKS if f"import {name}\n" in block]
    exec(compile(block, str(HOWTO), "exec"), scope)


@needs("wandb")
def test_weights_and_biases(scope, monkeypatch, tmp_path):
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    told, log = [], wandb.sdk.wandb_run.Run.log

    def listen(self, data, *given, **settings):
        told.append((self.name, self.group, dict(data)))
        return log(self, data, *given, **settings)

    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "log", listen)
    run("wandb", scope)
    assert [(name, group) for name, group, _ in told] == [("joint", "first"), ("again", "first")]
    for _, _, data in told:
        assert data["epoch/epoch"] == 0
        assert {"epoch/loss", "epoch/val_loss", "epoch/held_out_nats_z"} <= set(data)
        assert data["epoch/learning_rate"] > 0
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2


@needs("mlflow")
def test_mlflow(scope, monkeypatch, tmp_path):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    run("mlflow", scope)
    assert mlflow.active_run() is None
    mlflow.flush_async_logging()
    runs = {
        each.info.run_name: each
        for each in mlflow.search_runs(experiment_names=["pairs"], output_format="list")
    }
    assert set(runs) == {"first", "joint", "again"}
    assert all(each.info.status == "FINISHED" for each in runs.values())
    for stage in ("joint", "again"):
        data = runs[stage].data
        assert data.tags["mlflow.parentRunId"] == runs["first"].info.run_id
        assert {"loss", "val_loss", "held_out_nats_z"} <= set(data.metrics)
        assert "optimizer_learning_rate" in data.params
