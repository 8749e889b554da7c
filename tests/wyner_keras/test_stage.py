"""What Keras' `fit` offers, on a stage; and that evaluation changes nothing in it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tiny_bundle import tiny_rows

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.divergence import TrainingDiverged
from wyner_keras.losses import Alignment, Joint, Loss, Marginal, Matching, Refinement
from wyner_keras.schedules import Ramp, Schedule

LOSSES = [Alignment(dimensions=4), Joint(), Matching(), Marginal(), Refinement()]


@pytest.fixture(autouse=True)
def no_calibration(monkeypatch):
    """What the flows' affine maps are is no matter here, and takes long."""
    for name in ("begin", "end"):
        monkeypatch.setattr(Matching, name, lambda self, stage, pairs, validation=None: None)


@pytest.fixture(scope="module")
def small(make_model):
    """Makes a compiled stage of a model as small as its loss allows."""

    def make(loss=None, *, compiled=None, **settings):
        least = {"v": False, "flow_steps": 0, "readers": ("features", "features")}
        if isinstance(loss, Matching):
            least |= {"v": None, "flow_steps": 1}
        stage = wk.Stage(make_model(**least | settings), loss or Joint())
        stage.compile(keras.optimizers.Adam(0.01), **(compiled or {"run_eagerly": True}))
        return stage

    return make


# The least that a graph can be made of.
BARE = {"loss": Joint(concept_weight=0.0), "u": False}


@pytest.fixture
def stage(small):
    return small()


def given(kind, pairs):
    """Data as `fit` takes it: 24 pairs in batches of 12, in an order that differs by kind."""
    if kind == "pairs":
        return {"x": pairs, "batch_size": 12}
    if kind == "dataset":
        return {"x": pairs.dataset(12, seed=0)}
    return dict(zip("xy", pairs.arrays(), strict=True)) | {"batch_size": 12}


def test_history_names_the_loss_and_every_term(stage, pairs):
    history = stage.fit(pairs, batch_size=12, epochs=2, validation_data=pairs, verbose=0).history
    names = {"loss", *stage.objective.weights(stage.model)}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in history.values())


@pytest.mark.parametrize("loss", [Joint(), Marginal()], ids=["features", "data"])
def test_pairs_arrays_and_a_dataset_train_and_evaluate_alike(loss, small, pairs, weights):
    """Of pairs features are computed before, of a dataset on the way."""
    found, losses = [], []
    for kind in ("pairs", "dataset", "arrays"):
        stage = small(loss, readers=("data", "features"))
        data = given(kind, pairs)
        # Pairs are shuffled by the model's seed, as this dataset is.
        losses.append(stage.fit(**data, verbose=0).history["loss"])
        data["x"] = pairs.dataset(12, shuffle=False) if kind == "dataset" else data["x"]
        losses[-1].append(stage.evaluate(**data, verbose=0)[0])
        found.append(
            [value for layer in loss.trained(stage.model) for value in layer.get_weights()]
        )
    # A reader of features starts from the expert where all pairs are there before.
    others = (1, 2) if isinstance(loss, Joint) else ()
    for other in others:
        np.testing.assert_allclose(losses[0], losses[other], rtol=1e-3)
        for one, another in zip(found[0], found[other], strict=True):
            np.testing.assert_allclose(one, another, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(losses[1], losses[2], rtol=1e-3)


def test_experts_that_stay_are_asked_once_where_that_takes_little_memory(small, pairs, monkeypatch):
    losses, held = [], []
    for room in (2**27, 0):
        monkeypatch.setattr("wyner_keras.model._HELD", room)
        stage = small(Joint())
        held.append(set(stage.model.rows(pairs, repeatedly=True)))
        losses.append(stage.fit(pairs, batch_size=12, verbose=0).history["loss"])
    assert held[0] - held[1] == {"x_expert", "y_expert"}
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_a_batch_larger_than_the_pairs_is_all_of_them(stage, pairs):
    stage.fit(pairs, batch_size=1000, epochs=2, verbose=0)
    assert int(stage.optimizer.iterations) == 2


def test_the_same_seed_trains_the_same_weights(small, pairs, weights):
    found = []
    for seed, chance in ((0, 5), (0, 6), (1, 6)):
        # Keras' own seed has no say.
        keras.utils.set_random_seed(chance)
        stage = small(seed=seed)
        stage.fit(pairs, batch_size=24, verbose=0)
        found.append(weights(stage.model))
    assert found[0] == found[1] != found[2]


def test_a_compiled_step_trains_as_an_eager_one_and_reads_schedules(small, pairs):
    losses = []
    for compiled in ({"run_eagerly": True}, {"jit_compile": False}):
        stage = small(**BARE, compiled=compiled)
        stage.temperature.assign(0.7)
        first = stage.fit(pairs, batch_size=12, verbose=0).history["loss"][0]
        # A schedule assigns variables; the compiled step must read them.
        stage.two_epsilon_squared.assign(0.004)
        losses.append([first, stage.fit(pairs, batch_size=12, verbose=0).history["loss"][0]])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert losses[1][1] > 3 * losses[1][0]


def test_xla_and_several_steps_in_one_execution(small, pairs):
    stage = small(**BARE, compiled={"jit_compile": True, "steps_per_execution": 2})
    history = stage.fit(pairs, batch_size=6, epochs=6, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    assert int(stage.optimizer.iterations) == 24


def test_mixed_precision(make_model, make_tiny, pairs):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model()
        for loss in LOSSES:
            stage = wk.Stage(model, loss)
            stage.compile("adam", run_eagerly=True)
            assert np.isfinite(stage.train_on_batch(*pairs.arrays())).all()
        decoder = model.side("x").decoder_network
        assert decoder.compute_dtype == "bfloat16"
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
        # What goes in and comes out has not lost any.
        x, y = pairs.arrays()
        side = model.side("y")
        np.testing.assert_allclose(side.codec.decode(side.encode(y)), y, rtol=1e-5)
        for each in (model, make_tiny("vector", (8, 8, 1))):
            given = (x, y) if each is model else tiny_rows(each).values()
            assert all(part.dtype == tf.float32 for part in each(tuple(given)))
    finally:
        keras.config.set_dtype_policy(policy)


# Evaluation.


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_validation_changes_no_weight_and_evaluation_is_repeatable(loss, small, pairs, weights):
    found = []
    for validates in (False, True):
        stage = small(loss)
        more = {"validation_data": pairs} if validates else {}
        # Twice: the second goes on with the noise where the first stopped.
        for _ in range(2):
            stage.fit(pairs, batch_size=24, verbose=0, **more)
        found.append(weights(stage))
    assert found[0] == found[1]
    first, again = (stage.evaluate(pairs, batch_size=12, verbose=0) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("kind", ["arrays", "dataset"])
def test_nor_do_other_kinds_of_data_or_how_often_it_is_done(kind, small, pairs, weights):
    found = []
    for often in (None, 2):
        stage, data = small(), given(kind, pairs)
        held = pairs.dataset(8) if kind == "dataset" else tuple(pairs.select(range(9)).arrays())
        more = {"validation_data": held, "validation_freq": often} if often else {}
        stage.fit(**data, epochs=2, verbose=0, **more)
        found.append(weights(stage))
    assert found[0] == found[1]


def test_nor_does_evaluating_between_two_fits_in_a_compiled_step(small, pairs, weights):
    found = []
    for evaluates in (False, True):
        stage = small(**BARE, compiled={"steps_per_execution": 2, "jit_compile": False})
        stage.fit(pairs, batch_size=12, verbose=0)
        if evaluates:
            stage.evaluate(pairs, batch_size=5, verbose=0)
            stage.test_on_batch(*pairs.arrays())
            stage.loss_and_terms(pairs.arrays(), training=False)
        stage.fit(pairs, batch_size=12, verbose=0)
        found.append(weights(stage))
    assert found[0] == found[1]


def test_what_fit_validates_is_what_evaluate_says(stage, pairs):
    history = stage.fit(pairs, batch_size=12, validation_data=pairs, verbose=0).history
    found = stage.evaluate(pairs, batch_size=12, verbose=0, return_dict=True)
    assert {name: history[f"val_{name}"][-1] for name in found} == found


def test_batches_of_one_evaluation_have_noise_of_their_own(stage, pairs):
    x, y = (rows[:4] for rows in pairs.arrays())
    once, twice = (
        stage.evaluate(np.tile(x, (n, 1, 1, 1)), np.tile(y, (n, 1)), batch_size=4, verbose=0)
        for n in (1, 2)
    )
    # The same four pairs twice: with the same noise both halves would be alike.
    assert once[0] != twice[0]


def test_samples_of_a_step_are_new_and_exact_where_they_are_asked_to_be(stage):
    latent, draw = stage.model.z, stage.draw(training=True)
    q = latent(np.zeros((50, 3), "f"))
    relaxed, exact, prior = draw(latent, q), draw(latent, q, exact=True), draw.prior(latent, 50)
    assert len(np.unique(np.asarray(relaxed))) > 100
    for sample in (exact, prior):
        np.testing.assert_array_equal(np.sort(sample, axis=1), np.tile([0, 0, 1], (50, 1)))
    assert not np.array_equal(exact, draw(latent, q, exact=True))
    stage.temperature.assign(100.0)
    assert np.asarray(draw(latent, q)).max() < 0.4


# Files.


def test_a_checkpoint_of_weights_restores_model_optimizer_and_schedule(
    small, pairs, weights, tmp_path
):
    path = tmp_path / "stage.weights.h5"
    stage = small(Alignment(dimensions=4))
    stage.temperature.assign(0.25)
    stage.fit(
        pairs,
        batch_size=12,
        callbacks=[keras.callbacks.ModelCheckpoint(path, save_weights_only=True)],
        verbose=0,
    )
    # `end` sets the experts after the last epoch: the checkpoint is of before.
    again = small(Alignment(dimensions=4), seed=4)
    again.load_weights(path)
    side, old = again.model.side("x"), stage.model.side("x")
    assert weights(*side.expert_network.hidden_layers) == weights(*old.expert_network.hidden_layers)
    assert weights(*again.heads) == weights(*stage.heads)
    assert float(again.temperature.numpy()) == 0.25
    assert int(again.optimizer.iterations) == 2


def test_a_whole_stage_is_saved_and_trains_on(small, pairs, weights, tmp_path):
    stage = small(Marginal(distillation_weight=3.0), readers=("data", "features"))
    stage.fit(pairs, batch_size=12, verbose=0)
    stage.save(tmp_path / "stage.keras")
    again = keras.models.load_model(tmp_path / "stage.keras", safe_mode=True)
    assert again.objective == Marginal(distillation_weight=3.0)
    assert weights(again.model) == weights(stage.model)
    for old, new in zip(stage.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, new)
    again.run_eagerly = True
    again.fit(pairs, batch_size=12, verbose=0)
    assert int(again.optimizer.iterations) == 4


def test_every_loss_comes_back_from_its_configuration(small):
    for loss in (*LOSSES, Joint(concept_weight=7.0, concept_noise=0.1)):
        data = keras.saving.serialize_keras_object(loss)
        assert keras.saving.deserialize_keras_object(data, safe_mode=True) == loss


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def test_an_interrupted_fit_resumes_at_its_epoch_with_and_without_validation(
    small, pairs, weights, tmp_path
):
    found = []
    for validates in (False, True):
        more = {"validation_data": pairs} if validates else {}
        data = {"x": pairs, "batch_size": 12, "epochs": 2, "verbose": 0, **more}
        backup = str(tmp_path / f"backup-{validates}")
        with pytest.raises(KeyboardInterrupt):
            callbacks = [keras.callbacks.BackupAndRestore(backup), Interruption()]
            small(**BARE).fit(**data, callbacks=callbacks)
        again = small(**BARE)
        history = again.fit(**data, callbacks=[keras.callbacks.BackupAndRestore(backup)])
        assert history.epoch == [1]
        assert int(again.optimizer.iterations) == 4
        found.append(weights(again.model))
    assert found[0] == found[1]


# Callbacks and optimizers.


def test_tensorboard_gets_every_term(stage, pairs, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    stage.fit(pairs, batch_size=12, validation_data=pairs, callbacks=[board], verbose=0)
    for part in ("train", "validation"):
        events = b"".join(path.read_bytes() for path in (tmp_path / part).iterdir())
        for name in ("loss", *stage.objective.weights(stage.model)):
            assert f"epoch_{name}".encode() in events


def test_an_optimizers_weight_decay_and_average_reach_what_is_trained_alone(small, pairs, weights):
    stage = small(Refinement())
    decoders = [side.decoder_network for side in stage.model.sides]
    others = [
        layer
        for side in stage.model.sides
        for layer in side._flatten_layers(include_self=False, recursive=False)
        if layer not in decoders
    ]
    before, trained = weights(*others), weights(*decoders)
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=0.5, use_ema=True, ema_momentum=0.5)
    stage.compile(optimizer, run_eagerly=True)
    stage.fit(pairs, batch_size=12, verbose=0)
    assert weights(*others) == before
    assert weights(*decoders) != trained


def test_schedules_run_over_the_epochs(stage, pairs):
    seen = []
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(
            [
                float(ops.convert_to_numpy(value))
                for value in (
                    stage.optimizer.learning_rate,
                    stage.temperature,
                    stage.two_epsilon_squared,
                )
            ]
        )
    )
    ramp = Ramp(start=1e-2, end=1e-4)
    schedule = Schedule(learning_rate=ramp, two_epsilon_squared=Ramp(start=1.0, end=4.0))
    stage.fit(pairs, batch_size=24, epochs=3, callbacks=[schedule, spy], verbose=0)
    expected = [[1e-2, 0.5, 1.0], [1e-3, 0.5, 2.0], [1e-4, 0.5, 4.0]]
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


class Poisoned(Joint):
    """Its loss is no number once 2ε² is 1000 or more."""

    def __call__(self, model, batch, draw, training):
        terms = super().__call__(model, batch, draw, training)
        poison = ops.where(draw.two_epsilon_squared >= 1000.0, float("nan"), 0.0)
        return terms | {"kl_u": terms["kl_u"] + poison}


def test_a_loss_that_is_no_number_stops_training_and_the_last_good_weights_are_back(
    small, pairs, weights
):
    stage, seen = small(Poisoned()), []
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(weights(stage.model))
    )
    # 1, 100 and 10,000: the third epoch's is too large.
    schedule = Schedule(two_epsilon_squared=Ramp(start=1.0, end=1e4))
    with pytest.raises(TrainingDiverged, match=r"became nan in epoch 3, batch 1.*2 good epochs"):
        stage.fit(pairs, batch_size=24, epochs=3, callbacks=[schedule, spy], verbose=0)
    assert weights(stage.model) == seen[1]


# What is refused.

BAD = {
    "shape": (np.zeros((4, 4, 3, 1), np.float32), np.zeros((4, 3), np.float32)),
    "dtype": (np.zeros((4, 4, 4, 1), np.int64), np.zeros((4, 3), np.float32)),
    "range": (np.full((4, 4, 4, 1), 255.0), np.zeros((4, 3))),
    "nan": (np.random.default_rng(0).random((4, 4, 4, 1)), np.full((4, 3), np.nan)),
    "empty": (np.zeros((0, 4, 4, 1)), np.zeros((0, 3))),
    "length": (np.zeros((4, 4, 4, 1)), np.zeros((3, 3))),
    "y missing": (np.zeros((4, 4, 4, 1)), None),
    "none": (None, None),
    "lists": ([0.1], [0.2]),
    "a dictionary": ({"x": np.zeros((4, 4, 4, 1))}, None),
    "swapped": (np.zeros((4, 3)), np.zeros((4, 4, 4, 1))),
    "weights": (
        tf.data.Dataset.from_tensors((np.zeros((4, 4, 4, 1)), np.zeros((4, 3)), np.ones(4))),
        None,
    ),
    "lone dataset": (tf.data.Dataset.from_tensor_slices(np.zeros((4, 3))).batch(2), None),
}


@pytest.fixture(scope="module")
def untrained(small):
    """A stage that takes no step."""
    return small()


@pytest.mark.parametrize("kind", BAD)
def test_malformed_data_are_refused_in_a_line_before_any_step(kind, untrained, pairs):
    x, y = BAD[kind]
    stage = untrained
    for call in (
        lambda: stage.fit(x, y, verbose=0),
        lambda: stage.evaluate(x, y, verbose=0),
        lambda: stage.fit(pairs, validation_data=(x, y), verbose=0),
    ):
        with pytest.raises(ValueError, match="Received") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert int(stage.optimizer.iterations) == 0


@pytest.mark.parametrize("name", ["sample_weight", "class_weight"])
def test_weights_are_refused(name, untrained, pairs):
    weights = np.ones(24) if name == "sample_weight" else {0: 2.0}
    for data in ((pairs,), pairs.arrays(), (pairs.dataset(12),)):
        for call in (untrained.fit, untrained.evaluate):
            with pytest.raises(ValueError, match=rf"`{name}` should be None.*Received: {name}="):
                call(*data, **{name: weights}, verbose=0)
    if name == "sample_weight":
        with pytest.raises(ValueError, match="`sample_weight` should be None"):
            untrained.test_on_batch(*pairs.arrays(), weights)
    with pytest.raises(ValueError, match=r"a tuple \(x, y\). Received: a tuple of 3"):
        untrained.fit(pairs, validation_data=(*pairs.arrays(), np.ones(24)), verbose=0)


def test_pairs_beside_y_and_pairs_of_another_shape_are_refused(untrained, pairs):
    stage = untrained
    with pytest.raises(ValueError, match=r"y should be None beside `Pairs`. Received: y=an array"):
        stage.fit(pairs, np.zeros((24, 3)))
    swapped = Pairs(pairs.y, pairs.x, pairs.index[:, ::-1])
    with pytest.raises(ValueError, match=r"should have shape \(4, 4, 1\). Received: \(3,\)"):
        stage.fit(swapped, verbose=0)


def test_a_stage_is_of_a_model_and_a_loss(make_model):
    for model, loss in ((keras.Sequential(), Joint()), (make_model(), "joint")):
        with pytest.raises(ValueError, match=r"of a WynerModel and a Loss. Received: model="):
            wk.Stage(model, loss)
    assert isinstance(Joint(), Loss)
