"""Pairs: gathering, subsets and the tf.data stream, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from wyner_keras.data import LabelledImages, Pairs


def _set(n: int, seed: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    return LabelledImages(rng.random((n, 3, 2, 1), np.float32), rng.integers(0, 4, n))


@pytest.fixture
def pairs() -> Pairs:
    index = np.stack([np.arange(11) % 5, np.arange(11) % 7], 1)
    return Pairs(_set(5, 0), _set(7, 1), index)


def _collect(dataset):
    batches = [(x.numpy(), y.numpy()) for x, y in dataset]
    return [np.concatenate(side) for side in zip(*batches, strict=True)], [
        len(x) for x, _ in batches
    ]


def test_arrays_and_labels_gather_by_index(pairs):
    x, y = pairs.arrays()
    for row, (i, j) in enumerate(pairs.index):
        np.testing.assert_array_equal(x[row], pairs.x.images[i])
        np.testing.assert_array_equal(y[row], pairs.y.images[j])
        assert pairs.x_labels[row] == pairs.x.labels[i]
        assert pairs.y_labels[row] == pairs.y.labels[j]
    x[:] = 0  # a copy
    assert pairs.x.images.any()


def test_index_is_its_own(pairs):
    index = np.array([[0, 1]])
    made = Pairs(pairs.x, pairs.y, index)
    index[:] = 99
    assert made.index.tolist() == [[0, 1]]
    assert made.index.dtype == np.int64


def test_take_is_a_random_subset_by_seed(pairs):
    some = pairs.take(6, seed=3)
    rows = [tuple(row) for row in some.index]
    assert len(set(rows)) == 6
    assert set(rows) <= {tuple(row) for row in pairs.index}
    np.testing.assert_array_equal(some.index, pairs.take(6, seed=3).index)
    assert not np.array_equal(some.index, pairs.take(6, seed=4).index)
    assert some.x is pairs.x


def test_unshuffled_stream_is_the_index_in_order(pairs):
    (x, y), sizes = _collect(pairs.dataset(4, shuffle=False))
    expected_x, expected_y = pairs.arrays()
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)
    assert sizes == [4, 4, 3]


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


def test_values_are_gathered_in_place_of_images(pairs):
    x_values = np.arange(10.0).reshape(5, 2)
    y_values = np.arange(7, dtype="float32")
    (x, y), _ = _collect(pairs.dataset(4, shuffle=False, x_values=x_values, y_values=y_values))
    np.testing.assert_array_equal(x, x_values[pairs.index[:, 0]])
    np.testing.assert_array_equal(y, y_values[pairs.index[:, 1]])


def test_pairs_are_shown_in_one_line(pairs):
    y = "LabelledImages(7 images of shape (3, 2, 1), classes 0, 1, 2, 3)"
    assert repr(pairs).startswith("Pairs(11 pairs, x=LabelledImages(5 images of shape (3, 2, 1), ")
    assert repr(pairs).endswith(f", y={y})")
    assert repr(Pairs(pairs.y, pairs.y, [[0, 1]])) == f"Pairs(1 pairs, x={y}, y=x)"
    bare = LabelledImages.unlabelled(pairs.x.images)
    assert repr(bare) == "LabelledImages(5 images of shape (3, 2, 1), no labels)"


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
        assert spec.shape.as_list() == [static, 3, 2, 1]
    assert dataset.options().autotune.enabled is False


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (
            lambda p: Pairs(p.x.images, p.y, p.index),
            "x should be LabelledImages. Received: ndarray",
        ),
        (lambda p: Pairs(p.x, None, p.index), "y should be LabelledImages. Received: NoneType"),
        (
            lambda p: Pairs(p.x, p.y, [[5, 0]]),
            "5 images of x, from 0 to 4. Received: values from 5",
        ),
        (lambda p: p.take(0), "n should be.*Received: 0"),
        (lambda p: p.take(12), "from 1 to 11. Received: 12"),
        (lambda p: p.take(1, seed=-2), "seed should be.*Received: -2"),
        (lambda p: p.dataset(0), "batch_size should be.*Received: 0"),
        (lambda p: p.dataset(2.0), "batch_size should be.*Received: 2.0"),
        (lambda p: p.dataset(12, drop_remainder=True), "at most the 11 pairs.*Received: 12"),
        (lambda p: p.dataset(2, seed=None), "seed should be.*Received: None"),
        (
            lambda p: p.dataset(2, x_values=np.zeros((4, 2))),
            r"x_values.* 5 rows.*Received: shape \(4, 2\)",
        ),
        (
            lambda p: p.dataset(2, y_values=np.zeros((7, 0))),
            r"y_values.* 7 rows.*Received: shape \(7, 0\)",
        ),
        (lambda p: p.dataset(2, x_values=0.5), r"x_values.* 5 rows.*Received: shape \(\)"),
        (
            lambda p: p.dataset(2, x_values=np.zeros((5, 2), int)),
            "floating-point. Received: dtype int",
        ),
        (lambda p: p.dataset(2, y_values=np.full(7, np.nan)), "finite. Received: 7 values"),
        (lambda p: p.dataset(2, x_values=np.ma.zeros((5, 2))), "x_values .*masked.*Received"),
        (lambda p: p.dataset(2, x_values=np.zeros(5, complex)), "imaginary parts would be lost"),
        (lambda p: p.dataset(2, x_values=[[0.0], [0.0, 1.0]]), "x_values should be an array"),
        (lambda p: Pairs(p.x, p.y, np.ma.array([[0, 0]])), "index .*masked values.*Received"),
        (lambda p: Pairs(p.x, p.y, [np.ma.array([0, 0])]), "index .*masked values.*Received"),
        (lambda p: Pairs(p.x, p.y, [[0j, 0j]]), "imaginary parts would be lost. Received"),
    ],
)
def test_bad_use_is_refused(pairs, use, message):
    with pytest.raises(ValueError, match=message):
        use(pairs)


def test_fit_runs_on_the_stream(pairs):
    import keras

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
