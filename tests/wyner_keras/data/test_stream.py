"""Streams of batches: order, shapes and content, against NumPy; tf.data streams taken in."""

import numpy as np
import pytest
import tensorflow as tf

from wyner_keras.data import FileRows, LabelledImages, Pairs


def _store(kind: str, array: np.ndarray, folder):
    """The same bytes in memory or in a file that is mapped."""
    if "memmap" in kind:
        path = folder / f"{len(array)}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")
    return array


@pytest.fixture(params=["memory", "memmap", "large memmap"])
def pairs(request, tmp_path, monkeypatch) -> Pairs:
    if "large" in request.param:
        monkeypatch.setattr("wyner_keras.data.stream._COPIED", 0)
        monkeypatch.setattr("wyner_keras.data.door.SMALL", 0)
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 256, (n, 3, 2, 1), np.uint8) for n in (5, 7))
    index = np.stack([np.arange(11) % 5, np.arange(11) % 7], 1)
    return Pairs(*(_store(request.param, array, tmp_path) for array in (x, y)), index)


def _collect(dataset):
    batches = [(x.numpy(), y.numpy()) for x, y in dataset]
    return [np.concatenate(side) for side in zip(*batches, strict=True)], [
        len(x) for x, _ in batches
    ]


def test_unshuffled_stream_is_the_index_in_order(pairs):
    (x, y), sizes = _collect(pairs.dataset(4, shuffle=False))
    expected_x, expected_y = pairs.arrays()
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)
    assert (x.dtype, x.max() <= 1, sizes) == (np.float32, True, [4, 4, 3])


def test_shuffled_stream_depends_on_seed_and_epoch_only(pairs):
    expected_x, expected_y = pairs.arrays()
    for global_seed in (1, 2):
        tf.random.set_seed(global_seed)
        dataset = pairs.dataset(4, seed=5)
        for epoch in range(3):
            (x, y), _ = _collect(dataset)
            order = np.random.default_rng([5, epoch]).permutation(11)
            np.testing.assert_array_equal(x, expected_x[order])
            np.testing.assert_array_equal(y, expected_y[order])


def test_parts_of_a_store_are_streamed_by_their_own_positions(pairs):
    rng = np.random.default_rng(0)
    for part in Pairs(pairs.x, rng.random((5, 2))).split(0.4):
        (x, y), _ = _collect(part.dataset(2, shuffle=False))
        np.testing.assert_array_equal(x, part.arrays()[0])
        np.testing.assert_array_equal(y, part.arrays()[1])


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("batch_size", "drop", "sizes", "static"),
    [
        (4, False, [4, 4, 3], None),
        (4, True, [4, 4], 4),
        (11, False, [11], 11),
        (11, True, [11], 11),
        (20, False, [11], None),
    ],
)
def test_batch_sizes_shapes_and_length_are_known(pairs, shuffle, batch_size, drop, sizes, static):
    dataset = pairs.dataset(batch_size, shuffle=shuffle, drop_remainder=drop)
    assert _collect(dataset)[1] == sizes
    assert dataset.cardinality().numpy() == len(sizes)
    for spec in dataset.element_spec:
        assert (spec.shape.as_list(), spec.dtype) == ([static, 3, 2, 1], tf.float32)
    assert dataset.options().autotune.enabled is False


def test_arrays_of_rows_and_of_pairs_come_with_the_examples(pairs):
    codes = np.arange(11) * 10
    values = {"x_features": (np.arange(10.0).reshape(5, 2), 0), "y_features": (np.arange(7), 1)}
    for batch in pairs.batches(4, by_row=values, by_pair={"codes": codes}, seed=3):
        places = batch["codes"].numpy() // 10
        x, y = pairs.index[places].T
        np.testing.assert_array_equal(batch["x_features"], values["x_features"][0][x])
        np.testing.assert_array_equal(batch["y_features"], y)
        np.testing.assert_array_equal(batch["x"], pairs.arrays()[0][places])
    (batch,) = pairs.batches(11, data=False, by_pair={"codes": codes}, shuffle=False)
    assert list(batch) == ["codes"]
    np.testing.assert_array_equal(batch["codes"], codes)


def test_vectors_and_series_keep_their_units():
    x, y = np.arange(12).reshape(6, 2), np.linspace(-50, 50, 36).reshape(6, 3, 2)
    (found, series), _ = _collect(Pairs(x, y).dataset(6, shuffle=False))
    np.testing.assert_array_equal(found, x.astype("f"))
    np.testing.assert_array_equal(series, y.astype("f"))


def test_numbers_of_the_other_order_of_bytes_are_read(tmp_path):
    array = np.random.default_rng(0).normal(size=(4, 2)).astype(">f4")
    np.save(tmp_path / "a.npy", array)
    for rows in (array, np.load(tmp_path / "a.npy", mmap_mode="r")):
        (x, _), _ = _collect(Pairs(rows, rows).dataset(4, shuffle=False))
        np.testing.assert_array_equal(x, array.astype("f"))


def test_files_are_streamed_when_they_do_not_fit(tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 2), np.uint8)
    paths = [tmp_path / f"{n}.png" for n in range(6)]
    for path, each in zip(paths, pixels, strict=True):
        Image.fromarray(each).save(path)
    kept, read = FileRows(paths), FileRows(paths, memory=20)
    assert (read.array, kept.array.dtype) == (None, np.uint8)
    (x, y), _ = _collect(Pairs(kept, read).dataset(4, seed=1))
    np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(np.sort(x, 0), np.sort(pixels[..., None] / np.float32(255), 0))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda p: p.dataset(0), "batch_size should be.*Received: 0"),
        (lambda p: p.dataset(2.0), "batch_size should be.*Received: 2.0"),
        (lambda p: p.dataset(12, drop_remainder=True), "at most the 2 pairs.*Received: 12"),
        (lambda p: p.dataset(2, seed=None), "seed should be.*Received: None"),
        (
            lambda p: p.batches(2, by_row={"codes": (np.zeros((4, 2)), 0)}),
            r"codes should have 5 rows. Received: shape \(4, 2\)",
        ),
        (
            lambda p: p.batches(2, by_pair={"codes": np.zeros(5)}),
            r"codes should have 2 rows. Received: shape \(5,\)",
        ),
        (lambda p: p.batches(2, by_pair={"codes": 0.5}), r"2 rows. Received: shape \(\)"),
        (lambda p: p.batches(2, data=False), "examples or arrays. Received: neither"),
    ],
)
def test_bad_use_is_refused(use, message):
    x = np.random.default_rng(0).random((5, 2))
    with pytest.raises(ValueError, match=message):
        use(Pairs(x, x, [[0, 1], [1, 2]]))


def test_fit_runs_on_the_stream():
    import keras

    x = np.random.default_rng(0).random((11, 3, 2, 1))
    pairs = Pairs(x, x)
    model = keras.Sequential([keras.Input((3, 2, 1)), keras.layers.Dense(1)])
    model.compile(optimizer="sgd", loss="mse")
    history = model.fit(
        pairs.dataset(4),
        validation_data=pairs.dataset(4, shuffle=False),
        epochs=2,
        shuffle=False,  # Keras warns when asked to shuffle a dataset, which it cannot
        verbose=0,
    )
    assert np.isfinite(history.history["val_loss"]).all()


# A tf.data stream taken in


def _dataset(x, y, size=3):
    return tf.data.Dataset.from_tensor_slices((x, y)).batch(size)


@pytest.mark.parametrize("small", [0, 2**30], ids=["on disk", "in memory"])
def test_a_stream_is_kept_and_can_be_shuffled_anew(small, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.rows.SMALL", small)
    x = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)
    y = np.random.default_rng(1).normal(size=(10, 2))
    pairs = Pairs.from_dataset(_dataset(x, y), y_labels=range(10))
    assert (pairs.x.array is None) == (small == 0)
    assert pairs.x.dtype == np.uint8
    for epoch, (found, vectors) in enumerate(pairs.dataset(10, seed=7).repeat(2)):
        order = np.random.default_rng([7, epoch]).permutation(10)
        np.testing.assert_array_equal(found, x[order] / np.float32(255))
        np.testing.assert_array_equal(vectors, y[order].astype("f"))


def test_of_an_endless_stream_so_many_pairs_are_taken():
    x = np.random.default_rng(0).random((5, 2))
    pairs = Pairs.from_dataset(_dataset(x, x).repeat(), count=7)
    np.testing.assert_array_equal(pairs.arrays()[0], x[[0, 1, 2, 3, 4, 0, 1]].astype("f"))


def _unequal():
    yield np.zeros((2, 3)), np.zeros((2, 2))
    yield np.zeros((2, 4)), np.zeros((2, 2))


def _uneven():
    yield np.zeros((2, 3)), np.zeros((1, 2))


def _of_dtypes(*dtypes):
    """Rows 0 to 5 in batches of 3, of a dtype each."""
    rows = np.arange(12.0).reshape(6, 2)
    return [
        (rows[at : at + 3].astype(dtype), rows[at : at + 3])
        for at, dtype in zip((0, 3), dtypes, strict=True)
    ]


@pytest.mark.parametrize(
    "dtypes", [("f8", "f4"), ("f4", "f2"), ("i8", "i4"), ("f4", ">f4"), (">f8", "f4")]
)
def test_batches_of_narrower_numbers_keep_their_values(dtypes):
    pairs = Pairs.from_dataset(_of_dtypes(*dtypes))
    np.testing.assert_array_equal(pairs.x.take(np.arange(6)), np.arange(12).reshape(6, 2))


@pytest.mark.parametrize(
    "dtypes", [("f4", "f8"), ("f4", "i4"), ("i4", "f8"), ("u1", "f4"), ("i4", "i8"), ("f4", "c8")]
)
def test_batches_of_another_dtype_are_refused(dtypes):
    own, other = map(np.dtype, dtypes)
    with pytest.raises(ValueError, match=f"rows of x of one dtype, {own}. Received: {other}"):
        Pairs.from_dataset(_of_dtypes(*dtypes))


_any = tf.TensorSpec((None, None))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.zeros((2, 2)), r"tf.data.Dataset.*Received: an array \(2, 2\) float64"),
        (lambda: tf.data.Dataset.from_tensors(np.zeros((2, 2))), "batches .x, y.*Received: a data"),
        (lambda: tf.data.Dataset.from_tensor_slices(([1.0], [2.0])), "batches .x, y"),
        (lambda: _dataset(np.eye(3), np.eye(3)).repeat(), "`count` say where.*an infinite dataset"),
        (lambda: _dataset(np.eye(3), np.eye(3)).take(0), "hold pairs. Received: an empty dataset"),
        (
            lambda: tf.data.Dataset.from_generator(_unequal, output_signature=(_any, _any)),
            r"rows of x of one shape, \(3,\). Received: \(4,\)",
        ),
        (
            lambda: tf.data.Dataset.from_generator(_uneven, output_signature=(_any, _any)),
            "as many rows of x as of y",
        ),
    ],
)
def test_streams_that_cannot_be_taken_in_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        Pairs.from_dataset(make())


def test_a_stream_larger_than_the_disk_is_refused(monkeypatch):
    monkeypatch.setattr("wyner_keras.data.spool._SHARE", 0)
    with pytest.raises(ValueError, match=r"TMPDIR sets. Received: more than \d+ bytes"):
        Pairs.from_dataset(_dataset(np.eye(3), np.eye(3)))


def test_labelled_bytes_stream_as_their_floats_did():
    images = np.random.default_rng(0).integers(0, 256, (4, 3, 2, 1), np.uint8)
    both = [LabelledImages(each, [0] * 4) for each in (images, images / np.float32(255))]
    (x, y), _ = _collect(Pairs(*both).dataset(4))
    np.testing.assert_array_equal(x, y)
