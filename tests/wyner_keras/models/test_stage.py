"""What Keras' `fit` offers, on a stage."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.models import JointStage, MarginalStage, WynerConfig, WynerModel


def eager(model, kind=JointStage):
    stage = kind(model)
    stage.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
    return stage


@pytest.fixture
def stage(make_model):
    return eager(make_model())


def test_history_names_the_loss_and_every_term(stage, pairs):
    history = stage.fit(pairs, batch_size=12, epochs=2, validation_data=pairs, verbose=0).history
    names = {"loss", *stage.term_names}
    assert set(history) == names | {f"val_{name}" for name in names}
    assert all(len(values) == 2 and np.isfinite(values).all() for values in history.values())


def test_arrays_a_dataset_and_pairs_give_the_same_terms(make_model, pairs):
    x, y = pairs.arrays()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    results = [
        eager(make_model()).evaluate(**data, verbose=0, return_dict=True)
        for data in (
            {"x": x, "y": y, "batch_size": 8},
            {"x": dataset},
            {"x": pairs, "batch_size": 8},
        )
    ]
    for name, value in results[0].items():
        assert value == pytest.approx(results[1][name], rel=1e-4, abs=1e-6)
        assert value == pytest.approx(results[2][name], rel=1e-4, abs=1e-6)


def test_arrays_and_a_dataset_train_the_same(make_model, pairs, weights):
    x, y = pairs.arrays()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    trained = []
    for data in ({"x": x, "y": y, "batch_size": 8, "shuffle": False}, {"x": dataset}):
        stage = eager(make_model())
        stage.fit(**data, epochs=1, verbose=0)
        trained.append(weights(stage.model))
    assert trained[0] == trained[1]


def test_validation_split_and_validation_arrays(make_model, pairs):
    x, y = pairs.arrays()
    stage = eager(make_model())
    split = stage.fit(x, y, batch_size=8, validation_split=0.5, verbose=0).history
    assert np.isfinite(split["val_loss"]).all()
    given = stage.fit(x, y, batch_size=8, validation_data=(x[:5], y[:5]), verbose=0).history
    assert given["val_kl_z"][0] == pytest.approx(
        np.mean(stage.terms(x[:5], y[:5], training=False)["kl_z"]), rel=1e-4
    )


@pytest.mark.parametrize("kind", [JointStage, MarginalStage])
def test_a_model_without_shapes_takes_those_of_the_first_data(kind, tiny_settings, pairs):
    x, y = pairs.arrays()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(12)
    unknown = {**tiny_settings, "x_shape": None, "y_shape": None}
    for data in ((pairs,), (x, y), (dataset,)):
        model = WynerModel(WynerConfig(**unknown))
        assert not model.built
        eager(model, kind).fit(*data, verbose=0)
        assert (model.config.x_shape, model.config.y_shape) == ((4, 4, 1), (4, 2, 1))
        assert model.generate_pairs(2, seed=0)[1].shape == (2, 4, 2, 1)


def test_wrapped_pairs_train_on_cached_features_as_on_images(
    make_model, wrappers, wrapped_pairs, weights
):
    trained = []
    for data in (wrapped_pairs, wrapped_pairs.dataset(8, drop_remainder=True)):
        model = make_model(wrapper=wrappers)
        eager(model).fit(data, batch_size=8 if data is wrapped_pairs else None, verbose=0)
        trained.append(model.decoder_x.get_weights())
    for cached, direct in zip(*trained, strict=True):
        np.testing.assert_allclose(cached, direct, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("data", ["pairs", "arrays"])
def test_the_same_seed_trains_the_same_weights(data, make_model, pairs, weights):
    trained = []
    for seed in (0, 0, 1):
        model = make_model(seed=seed, encoder_dropout=0.2, encoder_noise=0.1)
        for kind in (JointStage, MarginalStage):
            given = (pairs,) if data == "pairs" else pairs.arrays()
            eager(model, kind).fit(*given, batch_size=12, verbose=0)
        trained.append(weights(model))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]


def test_graph_execution_trains_as_eager_execution_and_reads_schedules(make_model, pairs):
    losses = []
    for settings in ({"run_eagerly": True}, {"jit_compile": False}):
        stage = JointStage(make_model())
        stage.compile(optimizer=keras.optimizers.Adam(0.01), **settings)
        stage.temperature.assign(0.7)
        first = stage.fit(pairs, batch_size=12, verbose=0).history["loss"][0]
        # A schedule assigns variables; the compiled step must read them.
        stage.local_weight.assign(30.0)
        stage.two_epsilon_squared.assign(0.01)
        losses.append([first, stage.fit(pairs, batch_size=12, verbose=0).history["loss"][0]])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert losses[1][1] > 3 * losses[1][0]


def test_xla_and_several_steps_in_one_execution(make_model, pairs):
    stage = JointStage(make_model(two_epsilon_squared=0.05))
    stage.compile(optimizer=keras.optimizers.Adam(0.02), jit_compile=True, steps_per_execution=2)
    history = stage.fit(pairs, batch_size=6, epochs=6, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0]
    assert int(stage.optimizer.iterations) == 24


@pytest.mark.parametrize("settings", [{}, {"residual": True}, {"decoder": "gaussian"}])
def test_mixed_precision(settings, make_model, pairs):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make_model(**settings)
        for kind in (JointStage, MarginalStage):
            history = eager(model, kind).fit(pairs, batch_size=12, verbose=0).history
            assert np.isfinite(history["loss"]).all()
        assert model.decoder_x.compute_dtype == "bfloat16"
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
        y = model.generate_y(pairs.arrays()[0], seed=0)
        assert y.dtype == np.float32
        assert np.isfinite(y).all()
    finally:
        keras.config.set_dtype_policy(policy)


def test_mixed_precision_through_a_wrapper(make_model, make_wrapper, wrapped_pairs):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        wrappers = make_wrapper((8, 8, 1)), make_wrapper((8, 4, 1))
        model = make_model(wrapper=wrappers, distance="pixels")
        history = eager(model).fit(wrapped_pairs, batch_size=12, verbose=0).history
        assert np.isfinite(history["loss"]).all()
    finally:
        keras.config.set_dtype_policy(policy)


def test_a_checkpoint_of_weights_restores_the_model_and_the_schedule(
    make_model, pairs, weights, tmp_path
):
    path = tmp_path / "stage.weights.h5"
    stage = eager(make_model())
    stage.temperature.assign(0.25)
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_weights_only=True)
    stage.fit(pairs, batch_size=12, callbacks=[checkpoint], verbose=0)
    again = eager(make_model(seed=4))
    assert weights(again.model) != weights(stage.model)
    again.load_weights(path)
    assert weights(again.model) == weights(stage.model)
    assert float(again.temperature.numpy()) == 0.25


@pytest.mark.parametrize("kind", [JointStage, MarginalStage])
def test_a_checkpoint_of_the_whole_stage_loads_and_trains_on(
    kind, make_model, wrappers, wrapped_pairs, weights, tmp_path
):
    path = tmp_path / "stage.keras"
    stage = eager(make_model(wrapper=wrappers), kind)
    checkpoint = keras.callbacks.ModelCheckpoint(path)
    stage.fit(wrapped_pairs, batch_size=12, callbacks=[checkpoint], verbose=0)
    again = keras.models.load_model(path, safe_mode=True)
    assert isinstance(again, kind)
    assert again.model.config == stage.model.config
    assert weights(again.model) == weights(stage.model)
    assert int(again.optimizer.iterations) == 2
    slots = [np.asarray(variable) for variable in stage.optimizer.variables]
    restored = [np.asarray(variable) for variable in again.optimizer.variables]
    for old, new in zip(slots, restored, strict=True):
        np.testing.assert_array_equal(old, new)
    again.run_eagerly = True
    again.fit(wrapped_pairs, batch_size=12, verbose=0)
    assert int(again.optimizer.iterations) == 4


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


def test_an_interrupted_fit_resumes_at_its_epoch(make_model, pairs, weights, tmp_path):
    stage = eager(make_model())
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        stage.fit(pairs, batch_size=12, epochs=4, callbacks=[backup, Interruption()], verbose=0)
    interrupted = weights(stage.model)
    again = eager(make_model(seed=3))
    seen = []
    spy = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append((epoch, weights(again.model)))
    )
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    history = again.fit(pairs, batch_size=12, epochs=4, callbacks=[backup, spy], verbose=0)
    assert history.epoch == [2, 3]
    assert seen[0] == (2, interrupted)
    assert int(again.optimizer.iterations) == 8


def test_early_stopping_stops_and_restores(stage, pairs, weights):
    seen = []
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(weights(stage.model))
    )
    stop = keras.callbacks.EarlyStopping(
        "loss", min_delta=1e9, patience=2, restore_best_weights=True
    )
    history = stage.fit(pairs, batch_size=12, epochs=9, callbacks=[spy, stop], verbose=0)
    assert history.epoch == [0, 1, 2]
    assert len(set(seen)) == 3
    assert weights(stage.model) == seen[0]


def test_tensorboard_gets_every_term(stage, pairs, tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, write_graph=False)
    stage.fit(pairs, batch_size=12, validation_data=pairs.arrays(), callbacks=[board], verbose=0)
    for part in ("train", "validation"):
        events = b"".join(path.read_bytes() for path in (tmp_path / part).iterdir())
        for name in ("loss", *stage.term_names):
            assert f"epoch_{name}".encode() in events


def test_a_stage_reconstructs_as_its_model(stage, pairs):
    batch = pairs.arrays()
    for ours, models in zip(stage(batch), stage.model(batch), strict=True):
        np.testing.assert_array_equal(ours, models)


BAD = {
    "shape": (np.zeros((4, 4, 3, 1), np.float32), np.zeros((4, 4, 2, 1), np.float32)),
    "dtype": (np.zeros((4, 4, 4, 1), np.int64), np.zeros((4, 4, 2, 1), np.float32)),
    "range": (np.full((4, 4, 4, 1), 255.0), np.zeros((4, 4, 2, 1))),
    "nan": (np.zeros((4, 4, 4, 1)), np.full((4, 4, 2, 1), np.nan)),
    "empty": (np.zeros((0, 4, 4, 1)), np.zeros((0, 4, 2, 1))),
    "length": (np.zeros((4, 4, 4, 1)), np.zeros((3, 4, 2, 1))),
    "y missing": (np.zeros((4, 4, 4, 1)), None),
}


@pytest.mark.parametrize("kind", BAD)
def test_malformed_arrays_are_refused(kind, stage, pairs):
    with pytest.raises(ValueError, match="Received"):
        stage.fit(*BAD[kind], verbose=0)
    with pytest.raises(ValueError, match="Received"):
        stage.evaluate(*BAD[kind], verbose=0)
    with pytest.raises(ValueError, match="Received"):
        stage.fit(pairs, validation_data=BAD[kind], verbose=0)
    assert int(stage.optimizer.iterations) == 0


def test_pairs_of_another_shape_are_refused(stage, pairs, wrapped_pairs):
    swapped = Pairs(pairs.y, pairs.x, pairs.index[:, ::-1])
    for wrong in (wrapped_pairs, swapped):
        with pytest.raises(ValueError, match=r"should have shape \(4, 4, 1\).*Received"):
            stage.fit(wrong, verbose=0)


def test_a_pair_of_wrappers_over_one_set_of_images_uses_each_on_its_side(make_model, make_wrapper):
    wrappers = make_wrapper((8, 8, 1)), make_wrapper((8, 8, 1), seed=5)
    images = LabelledImages(np.random.default_rng(0).random((8, 8, 8, 1), np.float32), range(8))
    pairs = Pairs(images, images, np.stack([np.arange(8)] * 2, axis=1))
    stage = eager(make_model(wrapper=wrappers))
    from_pairs = stage.evaluate(pairs, verbose=0, return_dict=True)
    again = eager(stage.model)
    from_arrays = again.evaluate(*pairs.arrays(), verbose=0, return_dict=True)
    for name, value in from_arrays.items():
        assert from_pairs[name] == pytest.approx(value, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("kind", [JointStage, MarginalStage])
def test_a_stage_of_something_else_is_refused(kind):
    with pytest.raises(ValueError, match=r"WynerModel.*Received"):
        kind(keras.Sequential())
