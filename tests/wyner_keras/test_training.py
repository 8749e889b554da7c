"""`train` from the codecs to the last stage, with tiny networks that run eagerly."""

import dataclasses
import errno
import io
import json
import os
import re
import shutil

import keras
import numpy as np
import pytest
import shortened
from file_steps import killed_at

import wyner_keras as wk
from wyner_keras import checkpoints, losses, recipes, training
from wyner_keras.data import Pairs
from wyner_keras.divergence import TrainingDiverged
from wyner_keras.modality import CodecSettings, Vector
from wyner_keras.networks import FlatCodec
from wyner_keras.recipe import Recipe, StageSettings
from wyner_keras.schedules import Ramp
from wyner_keras.side import SideSettings
from wyner_serving.whole import held


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """Tracing would take longer than these trainings do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wyner_keras.losses.matching._CALIBRATED_ON", 1000)
        # So short an alignment leaves no concept that both sides show.
        patch.setattr("wyner_keras.losses.joint.LEGIBLE", 0.0)
        with shortened.eagerly():
            yield


def stage(name, loss, **settings):
    return StageSettings(**{"name": name, "loss": loss, "epochs": 2, "batch_size": 24, **settings})


SIDE = SideSettings(local=wk.DiagonalGaussian(dim=2), hidden=(8,), reader="features", flow_steps=1)
TINY = Recipe(
    z=wk.Categorical(n=1, k=3),
    sides={"x": SIDE, "y": SIDE},
    codecs={"x": None, "y": None},
    stages=(
        stage("alignment", losses.Alignment(dimensions=4)),
        stage("joint", losses.Joint(), two_epsilon_squared=Ramp(start=0.5, end=0.1)),
        stage("flow", losses.Matching(), average=0.9),
        stage("marginal", losses.Marginal()),
        stage("refinement", losses.Refinement()),
    ),
)
NAMES = ["codec", *(each.name for each in TINY.stages)]


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    label = np.arange(24) % 3
    x, y = (3 * rng.normal(size=(3, 4))[label] + rng.normal(size=(24, 4)) for _ in "xy")
    return Pairs(x, y)


@pytest.fixture(scope="module")
def whole(vectors):
    """A training that nothing interrupts."""
    return wk.train(vectors, TINY, verbose=0)


def test_all_stages_run_and_leave_their_history(whole, vectors):
    assert list(whole.history) == list(whole.seconds) == NAMES
    for name in NAMES[1:]:
        history = whole.history[name]
        assert {len(values) for values in history.values()} == {2}
        assert set(history) == {"loss", *TINY.stage(name).loss.weights(whole.model)}
        assert np.isfinite(list(history.values())).all()
    assert 0 <= whole.shared_nats <= np.log(3) + 1e-4
    assert whole.pairs is vectors
    assert whole.recipe == TINY


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(whole, vectors, weights):
    found = []
    for seed, chance in ((0, 98), (1, 99)):
        # Keras' own seed has no say.
        keras.utils.set_random_seed(chance)
        first = dataclasses.replace(TINY, seed=seed, stages=TINY.stages[:1])
        again = wk.train(vectors, first, verbose=0).model
        found.append(weights(*(side.expert_network for side in again.sides)))
    # Later stages leave the experts alone.
    assert found[0] == weights(*(side.expert_network for side in whole.model.sides)) != found[1]


def test_a_run_that_is_killed_again_and_again_ends_bit_for_bit_alike(
    whole, vectors, weights, tmp_path, monkeypatch
):
    """In the second epoch of every stage, and between two of them."""
    finished = []

    def killed(name):
        if name == "joint" and finished.count(name) == 0:
            finished.append(name)
            raise KeyboardInterrupt
        finished.append(name)

    for settings in TINY.stages:
        kind, seen = type(settings.loss), []

        def interrupted(self, *given, compute=kind.__call__, seen=seen, **more):
            seen.append(1)
            # A step is an epoch.
            if len(seen) == 2:
                raise KeyboardInterrupt
            return compute(self, *given, **more)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "__call__", interrupted)
            with pytest.raises(KeyboardInterrupt):
                wk.train(vectors, TINY, folder=tmp_path, after_stage=killed, verbose=0)
        if settings.name == "joint":
            with pytest.raises(KeyboardInterrupt):
                wk.train(vectors, TINY, folder=tmp_path, after_stage=killed, verbose=0)
    found = wk.train(vectors, TINY, folder=tmp_path, after_stage=killed, verbose=0)
    # No stage was done twice, the codecs neither.
    assert finished == NAMES[1:]
    assert found.history == whole.history
    assert found.shared_nats == whole.shared_nats
    assert weights(found.model) == weights(whole.model)
    # Nothing of the interruptions is left.
    assert {path.name for path in tmp_path.iterdir()} == {"reached"}


class Numbered:
    """Stands for a model; its file holds a number."""

    weights = variables = ()

    def __init__(self, number):
        self.number = number

    def save(self, path):
        path.write_text(self.number)


def test_a_kill_at_any_step_leaves_a_model_beside_its_own_notes(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.models, "load_model", lambda path: path.read_text())
    found, step, killed = [], 0, True
    while killed:
        folder = tmp_path / str(step)
        folder.mkdir()
        checkpoints.save(folder, Numbered("1"), {"stage": "1"})
        later = Numbered("2"), {"stage": "2"}
        killed = killed_at(step, folder, lambda given=(folder, *later): checkpoints.save(*given))
        model, notes = checkpoints.load(folder)
        assert model == notes["stage"]
        found.append(model)
        checkpoints.tidy(folder, [])
        assert [path.name for path in folder.iterdir()] == ["reached"]
        step += 1
    assert step > 8
    assert found == sorted(found) and set(found) == {"1", "2"}


def test_a_folder_of_an_earlier_version_is_gone_on_from(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.models, "load_model", lambda path: path.read_text())
    (tmp_path / "model.keras").write_text("1")
    assert checkpoints.load(tmp_path) is None
    (tmp_path / "progress.json").write_text('{"stage": "1"}')
    assert checkpoints.load(tmp_path) == ("1", {"stage": "1"})
    checkpoints.save(tmp_path, Numbered("2"), {"stage": "2"})
    assert checkpoints.load(tmp_path) == ("2", {"stage": "2"})


@pytest.fixture(scope="module")
def codecs_alone(images):
    """A training of codecs that nothing interrupts."""
    codec = dataclasses.replace(LEARNT, epochs=3)
    recipe = dataclasses.replace(TINY, codecs={"x": codec, "y": codec}, stages=())
    return wk.train(Pairs(images, 1 - images), recipe, verbose=0)


@pytest.mark.parametrize("place", ["in its third epoch", "before it is kept"])
def test_a_codec_that_is_interrupted_goes_on_from_its_last_epoch(
    place, codecs_alone, weights, tmp_path, monkeypatch
):
    whole, pairs, recipe = codecs_alone, codecs_alone.pairs, codecs_alone.recipe
    kind, done = type(whole.model.side("x").codec), []
    compute = kind.compute_loss

    def counted(self, *given, **more):
        done.append(1)
        if place.startswith("in") and len(done) == 6 + 5:  # of y: x's three epochs of two steps
            raise KeyboardInterrupt
        return compute(self, *given, **more)

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kind, "compute_loss", counted)
        if place.startswith("before"):
            patch.setattr(checkpoints, "save", interrupted)
        wk.train(pairs, recipe, folder=tmp_path, verbose=0)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"codec.x.backup.npz", "codec.y.backup.npz"}
    done.clear()
    with monkeypatch.context() as patch:
        patch.setattr(kind, "compute_loss", counted)
        found = wk.train(pairs, recipe, folder=tmp_path, verbose=0)
    assert len(done) == (2 if place.startswith("in") else 0)
    assert found.history == whole.history
    for side in found.model.sides:
        assert weights(side.codec) == weights(whole.model.side(side.name).codec)
    assert [path.name for path in tmp_path.iterdir()] == ["reached"]


def test_a_folder_has_one_training_at_a_time(vectors, tmp_path):
    none = dataclasses.replace(TINY, stages=())
    with held(tmp_path), pytest.raises(BlockingIOError, match="by one process at a time"):
        wk.train(vectors, none, folder=tmp_path, verbose=0)
    assert wk.train(vectors, none, folder=tmp_path, verbose=0).history == {"codec": {}}


def test_a_folder_of_other_pairs_or_another_seed_is_refused(vectors, tmp_path):
    none = dataclasses.replace(TINY, stages=())
    wk.train(vectors, none, folder=tmp_path, verbose=0)
    x, y = vectors.arrays()
    for pairs, recipe in (
        (Pairs(x + 1, y), none),
        (vectors.take(20), none),
        (vectors, dataclasses.replace(none, seed=1)),
    ):
        with pytest.raises(ValueError, match="of the same pairs and seed"):
            wk.train(pairs, recipe, folder=tmp_path, verbose=0)
    # Whatever the recipe else is: another one may begin a stage anew.
    longer = dataclasses.replace(TINY, stages=TINY.stages[:1])
    assert list(wk.train(vectors, longer, folder=tmp_path, verbose=0).history) == NAMES[:2]
    # An earlier version did not say of which it was.
    notes = tmp_path / "reached" / "progress.json"
    told = json.loads(notes.read_text())
    assert told.pop("of")["seed"] == 0
    notes.write_text(json.dumps(told))
    assert wk.train(Pairs(x + 1, y), none, folder=tmp_path, verbose=0).history["codec"] == {}


def test_a_codec_that_is_interrupted_is_gone_on_from_by_its_own_training_alone(
    images, tmp_path, monkeypatch
):
    codec = dataclasses.replace(LEARNT, epochs=3)
    recipe = dataclasses.replace(TINY, codecs={"x": codec, "y": codec}, stages=())

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoints, "save", interrupted)
        wk.train(Pairs(images, 1 - images), recipe, folder=tmp_path, verbose=0)
    for pairs, other in (
        (Pairs(images[::-1], 1 - images), recipe),
        (Pairs(images, 1 - images), dataclasses.replace(recipe, seed=1)),
    ):
        with pytest.raises(ValueError, match=r"codec\.x\.backup\.npz .*the same pairs and seed"):
            wk.train(pairs, other, folder=tmp_path, verbose=0)


def test_a_folder_that_is_removed_meanwhile_ends_the_training_and_stays_away(vectors, tmp_path):
    folder = tmp_path / "checkpoints"
    for stage in ("alignment", "joint"):
        with pytest.raises(FileNotFoundError, match="checkpoints"):
            wk.train(
                vectors,
                TINY,
                folder=folder,
                after_stage=lambda name, last=stage: name != last or shutil.rmtree(folder),
                verbose=0,
            )
        assert not folder.exists()


def test_a_full_disk_ends_the_training_and_the_last_good_state_is_kept(
    whole, vectors, tmp_path, monkeypatch
):
    save, kept = np.savez, []

    def full(path, *arrays, **more):
        if "flow" in str(path) and kept:
            with open(path, "wb") as file:
                file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        kept.extend(["flow"] * ("flow" in str(path)))
        save(path, *arrays, **more)

    short = dataclasses.replace(TINY, stages=TINY.stages[:3])
    with monkeypatch.context() as patch, pytest.raises(OSError) as raised:
        patch.setattr(np, "savez", full)
        wk.train(vectors, short, folder=tmp_path, verbose=0)
    backup = tmp_path / "flow.backup.npz"
    assert str(raised.value) == f"{backup} should be written. Received: No space left on device"
    assert {path.name for path in tmp_path.iterdir()} == {"reached", backup.name}
    history = wk.train(vectors, short, folder=tmp_path, verbose=0).history
    assert history == {name: whole.history[name] for name in history}


def test_a_damaged_backup_is_refused_by_name_and_stays(vectors, tmp_path, monkeypatch):
    compute, seen = losses.Joint.__call__, []

    def interrupted(self, *given, **more):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return compute(self, *given, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(losses.Joint, "__call__", interrupted)
        wk.train(vectors, TINY, folder=tmp_path, verbose=0)
    backup = tmp_path / "joint.backup.npz"
    kept = backup.read_bytes()
    rng = np.random.default_rng(0)
    changed = np.frombuffer(kept, np.uint8).copy()
    changed[len(kept) // 2] ^= 1  # inside an array
    fewer = io.BytesIO()
    with np.load(backup) as arrays:
        np.savez(fewer, notes=arrays["notes"])
    for damaged in (
        changed.tobytes(),
        kept[: len(kept) // 2],
        rng.bytes(99),
        fewer.getvalue(),
        b"",
    ):
        backup.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"joint\.backup\.npz should hold what training has"):
            wk.train(vectors, TINY, folder=tmp_path, verbose=0)
        assert backup.read_bytes() == damaged


def test_a_finished_training_is_taken_up_without_training(whole, vectors, tmp_path, monkeypatch):
    short = dataclasses.replace(TINY, stages=TINY.stages[:1])
    first = wk.train(vectors, short, folder=tmp_path, verbose=0)
    monkeypatch.setattr("wyner_keras.stage.Stage.fit", None)
    monkeypatch.setattr("wyner_keras.training.train_codecs", None)
    again = wk.train(vectors, short, folder=tmp_path, verbose=0)
    assert (again.history, again.seconds) == (first.history, first.seconds)
    x = vectors.arrays()[0]
    np.testing.assert_array_equal(
        again.model.generate_y(x, seed=0), first.model.generate_y(x, seed=0)
    )


def test_a_loss_that_is_no_number_stops_training_and_keeps_the_last_good_weights(vectors, tmp_path):
    rising = Ramp(start=1e-3, end=1e30, begin=0.3)
    bad = stage("joint", losses.Joint(), epochs=4, learning_rate=rising)
    bad = dataclasses.replace(TINY, stages=(bad,))
    with pytest.raises(TrainingDiverged, match=r"loss became (nan|inf).*weights.*are back"):
        wk.train(vectors, bad, folder=tmp_path, verbose=0)
    assert (tmp_path / "joint.weights.h5").exists()
    assert not list(tmp_path.glob(".*"))


def test_a_training_killed_before_it_diverges_keeps_the_same_weights(
    vectors, tmp_path, monkeypatch
):
    rising = Ramp(start=1e-3, end=1e30, begin=0.3)
    bad = stage("joint", losses.Joint(), epochs=4, learning_rate=rising)
    bad = dataclasses.replace(TINY, stages=(bad,))
    with pytest.raises(TrainingDiverged) as whole:
        wk.train(vectors, bad, folder=tmp_path / "whole", verbose=0)
    good = int(re.search(r"after (\d+) good epochs", str(whole.value))[1])
    compute, seen = losses.Joint.__call__, []

    def interrupted(self, *given, **more):
        seen.append(1)
        if len(seen) == good + 1:
            raise KeyboardInterrupt
        return compute(self, *given, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(losses.Joint, "__call__", interrupted)
        wk.train(vectors, bad, folder=tmp_path / "killed", verbose=0)
    with pytest.raises(TrainingDiverged) as found:
        wk.train(vectors, bad, folder=tmp_path / "killed", verbose=0)
    assert str(found.value).replace("/killed/", "/whole/") == str(whole.value)
    assert {path.name for path in (tmp_path / "killed").iterdir()} == {
        "reached",
        "joint.weights.h5",
    }


# Codecs.

LEARNT = CodecSettings(code_size=3, filters=(2, 3), epochs=2, batch_size=12)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).random((24, 8, 8, 1), dtype=np.float32)


def codecs_of(pairs, **settings):
    codecs, history = training.train_codecs(pairs, dataclasses.replace(TINY, **settings), verbose=0)
    return codecs["x"], codecs["y"], history


def test_sides_of_one_store_share_a_codec(images):
    index = np.stack([np.arange(24), (np.arange(24) + 1) % 24], axis=1)
    x, y, history = codecs_of(Pairs(images, images, index), codecs={"x": LEARNT, "y": LEARNT})
    assert x is y
    assert {name: len(values) for name, values in history.items()} == {"loss": 2, "mse": 2}
    other = dataclasses.replace(LEARNT, code_size=4)
    x, y, _ = codecs_of(Pairs(images, images, index), codecs={"x": LEARNT, "y": other})
    assert (x.feature_size, y.feature_size) == (3, 4)
    rows = np.random.default_rng(0).poisson(5, (24, 2))
    kinds = {"x_modality": Vector(kinds=("real",) * 2), "y_modality": Vector(kinds=("count",) * 2)}
    x, y, _ = codecs_of(Pairs(rows, rows, **kinds), codecs={"x": LEARNT, "y": LEARNT})
    assert (type(x), y.kinds) == (FlatCodec, ("count", "count"))


def test_sides_of_two_stores_have_one_each_trained_on_all_of_its_rows(images, weights):
    series = np.random.default_rng(1).normal(size=(30, 12, 2))
    pairs = Pairs(images, series, np.stack([np.arange(20)] * 2, axis=1))
    other = dataclasses.replace(LEARNT, epochs=3)
    x, y, history = codecs_of(pairs, codecs={"x": LEARNT, "y": other})
    assert [len(history[name]) for name in ("loss", "loss_y")] == [2, 3]
    for codec, rows, modality, settings in (
        (x, images, pairs.modalities[0], LEARNT),
        (y, series, pairs.modalities[1], other),
    ):
        alone = modality.codec(settings, 0)
        alone.train_on(Pairs(rows, rows), epochs=settings.epochs, batch_size=12, verbose=0)
        assert weights(alone) == weights(codec)
        assert not codec.trainable_variables


def test_trained_codecs_may_be_given(whole, vectors, weights):
    codecs = {side.name: side.codec for side in whole.model.sides}
    trained = wk.train(
        vectors, dataclasses.replace(TINY, stages=TINY.stages[:1]), codecs=codecs, verbose=0
    )
    assert all(side.codec is codecs[side.name] for side in trained.model.sides)
    assert trained.history["codec"] == {}


# From data alone.


def narrow(recipe):
    """The default's stages, short and fast, on networks that are narrow."""
    small = {"local": wk.DiagonalGaussian(dim=2), "hidden": (16,), "flow_steps": 1}
    sides = {
        # Without noise of their own: it would hide what a few steps do.
        name: dataclasses.replace(side, **small, dropout=0.0, noise=0.0)
        for name, side in recipe.sides.items()
    }
    codecs = {
        name: dataclasses.replace(codec, code_size=4, epochs=4, filters=(4, 4), batch_size=96)
        for name, codec in recipe.codecs.items()
    }
    rates = {"alignment": 2e-2, "joint": 1e-2, "flow": 2e-2, "marginal": 2e-3, "refinement": 2e-3}
    for name, rate in rates.items():
        recipe = recipe.changed(
            name,
            # An epoch is one step, and the concepts that the joint stage draws are few.
            epochs={"joint": 12, "flow": 6}.get(name, 3),
            passes=1,
            batch_size=96,
            learning_rate=Ramp.constant(rate),
            # Where it falls, a loss rises though the error falls.
            two_epsilon_squared=Ramp.constant(0.5),
            jit_compile=False,
        )
    return dataclasses.replace(recipe, sides=sides, codecs=codecs)


def shared_label(count=96):
    """Columns of several kinds and series that share a label; some values are not known."""
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=count)
    columns = np.stack(
        [
            rng.normal(100.0 * label, 10.0),
            rng.poisson(np.array([2, 20, 60])[label]),
            label == 1,
            rng.normal(size=count),
        ],
        axis=1,
    )
    columns[::7, 0] = np.nan
    time = np.arange(12)[:, None]
    series = np.sin(time * (label[:, None, None] + 1) / 3 + rng.uniform(0, 1, (count, 1, 2)))
    return columns, 1e3 * series


def test_any_pair_trains_to_the_end_by_the_default_and_lowers_its_losses():
    columns, series = shared_label()
    vector = wk.Vector(kinds=("real", "count", "binary", "real"), missing=True)
    pairs = Pairs(columns, series, x_modality=vector)
    trained = wk.train(pairs, narrow(recipes.default(pairs.facts())), verbose=0)
    history = trained.history
    assert list(history) == NAMES
    # A flow begins as the affine map that is best for Gaussian codes; a quantity is not refined.
    for name in ("codec", "alignment", "joint", "marginal"):
        values = history[name]["loss"]
        assert np.isfinite(values).all()
        assert min(values[1:]) < values[0], (name, values)
    x, y = pairs.arrays()
    model = trained.model
    for side, made in (
        ("y", model.generate_y(x[:9], seed=0)),
        ("x", model.generate_x(y[:9], seed=0)),
    ):
        # Legal values, in the users' units.
        model.side(side).modality.check(made, side)


def test_the_recipe_is_the_datas_where_none_is_given(vectors, monkeypatch):
    asked = []

    def default(facts, seed):
        asked.append((facts, seed))
        return dataclasses.replace(TINY, stages=(), seed=seed)

    monkeypatch.setattr(recipes, "default", default)
    trained = wk.train(vectors, seed=5, verbose=0)
    assert asked == [(vectors.facts(), 5)]
    assert trained.recipe.seed == trained.model.seed == 5


def test_singles_are_trained_on_by_all_stages_but_the_alignment(vectors, monkeypatch, weights):
    rng = np.random.default_rng(1)
    extra = {"extra_x": rng.normal(size=(40, 4)), "extra_y": rng.normal(size=(30, 4))}
    few = Pairs(*vectors.arrays(), **extra)
    learning = stage("self_training", losses.SelfTraining(confidence=0.1), batch_size=16)
    stages = (TINY.stages[0], learning, *TINY.stages[1:])
    recipe = dataclasses.replace(TINY, stages=stages)
    seen, decoders = {}, []
    fit = wk.Stage.fit

    def noted(self, pairs, **settings):
        name = type(self.objective).__name__
        seen[name] = len(pairs)
        history = fit(self, pairs, **settings)
        if name == "Joint":
            decoders.append(weights(self.model.side("x").decoder_network))
        return history

    monkeypatch.setattr(wk.Stage, "fit", noted)
    monkeypatch.setattr("wyner_keras.losses.self_training.LEGIBLE", 0.0)
    trained = wk.train(few, recipe, verbose=0)
    assert seen == {"Alignment": 24, "SelfTraining": 64} | dict.fromkeys(
        ("Joint", "Matching", "Marginal", "Refinement"), 64
    )
    assert trained.pairs is few
    for history in list(trained.history.values())[1:]:
        assert np.isfinite(list(history.values())).all()
    # Which singles they are makes a difference, and so does nothing else. A decoder shows it.
    other = Pairs(*vectors.arrays(), **{name: rows[::-1] + 1 for name, rows in extra.items()})
    short = dataclasses.replace(recipe, stages=stages[:3])
    codecs = {side.name: side.codec for side in trained.model.sides}
    for pairs in (few, other):
        wk.train(pairs, short, codecs=codecs, verbose=0)
    first, again, changed = decoders
    assert first == again != changed


def test_a_codec_is_trained_on_singles_too(images, weights):
    few = Pairs(images[:10], 1 - images[:10], extra_x=images[10:])
    x, _, _ = codecs_of(few, codecs={"x": LEARNT, "y": LEARNT})
    whole, _, _ = codecs_of(Pairs(images, 1 - images), codecs={"x": LEARNT, "y": LEARNT})
    assert weights(x) == weights(whole)


def test_what_are_no_pairs_is_refused():
    with pytest.raises(
        ValueError, match=r"`pairs` should be Pairs\(x, y\). Received: pairs=an arr"
    ):
        wk.train(np.zeros((3, 2)))


def test_few_images_without_labels_are_read_whole_to_the_end(tmp_path):
    """Each pair its own concept; the readers are the experts, and rank, generate and are saved."""
    rng = np.random.default_rng(0)
    shared = rng.random((60, 1, 1, 1))
    x, y = (
        (shared * rng.random((1, *shape)) + 0.1 * rng.random((60, *shape))).clip(0, 1)
        for shape in ((17, 16, 1), (18, 15, 3))
    )
    pairs = Pairs(x, y)
    recipe = recipes.default(pairs.facts())
    assert {(s.expert, s.reader) for s in recipe.sides.values()} == {("data", "expert")}
    assert recipe.stage("alignment").loss.augmented
    # Whatever they learn: an epoch each.
    trained = wk.train(pairs, narrow(recipe).scaled(1e-3), verbose=0)
    model = trained.model
    assert trained.found["shared"] in ("kinds", "a quantity", "nothing")
    assert not trained.history["marginal"]  # nothing is left to train
    ranked = model.rank(x[:5], y, k=3)
    assert ranked.rows.shape == (5, 3)
    made = model.generate_y(x[:4], seed=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again.generate_y(x[:4], seed=0), made)
    assert again.identity == model.identity
