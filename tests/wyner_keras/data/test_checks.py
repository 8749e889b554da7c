"""check_images and its fellows: what passes, and what is refused at the door."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wyner_keras.data import check_images
from wyner_keras.data.checks import check_labels, check_whole

_shapes = hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=4)


def _unit(dtype: str) -> st.SearchStrategy:
    width = np.dtype(dtype).itemsize * 8
    return hnp.arrays(dtype, _shapes, elements=st.floats(0, 1, width=width))


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["float16", "float32", "float64"]).flatmap(_unit))
def test_valid_images_pass_as_float32(images):
    result = check_images(images, shape=images.shape[1:])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, images.astype("float32"))


@settings(deadline=None, max_examples=50)
@given(_unit("float32"), st.data())
def test_one_bad_value_anywhere_is_refused(images, data):
    bad = data.draw(
        st.sampled_from([np.nan, np.inf, -np.inf])
        | st.floats(max_value=-(2.0**-20), width=32, allow_infinity=False)
        | st.floats(min_value=1 + 2.0**-10, width=32, allow_infinity=False)
    )
    place = data.draw(st.tuples(*(st.integers(0, side - 1) for side in images.shape)))
    images[place] = bad
    expected = r"in \[0, 1\]" if np.isfinite(bad) else "finite"
    with pytest.raises(ValueError, match=rf"{expected}.*Received: "):
        check_images(images)


@settings(deadline=None, max_examples=50)
@given(hnp.arrays(np.uint8, _shapes))
def test_bytes_are_intensities_from_0_to_255(images):
    np.testing.assert_array_equal(check_images(images), images / np.float32(255))
    assert check_images(images, keep_bytes=True) is images


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        (hnp.integer_dtypes() | hnp.boolean_dtypes() | hnp.complex_number_dtypes()).filter(
            lambda dtype: dtype != np.uint8
        ),
        _shapes,
    )
)
def test_other_dtypes_are_refused(images):
    with pytest.raises(ValueError, match=r"x` should be .*Received: dtype"):
        check_images(images, "x")


@settings(deadline=None, max_examples=50)
@given(
    hnp.array_shapes(min_dims=0, max_dims=6, min_side=1, max_side=3).filter(lambda s: len(s) != 4)
)
def test_other_ranks_are_refused(shape):
    with pytest.raises(ValueError, match=r"should have shape.*Received: shape \("):
        check_images(np.zeros(shape, "float32"))


def test_float32_is_not_copied():
    images = np.zeros((2, 3, 3, 1), "float32")
    assert check_images(images) is images


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, r"x should be an array.*Received: None"),
        ([[0.0], [0.0, 1.0]], r"x should be an array.*Received: list \("),
        (np.zeros((2, 3, 3, 1), int), "uint8 in 0-255. Received: dtype int64"),
        (
            np.full((2, 3, 3, 1), 255.0),
            "give 0-255 data as uint8. Received: values from 255 to 255",
        ),
        (np.full((2, 3, 3, 1), 1.2), r"in \[0, 1\]\. Received: values from 1.2 to 1.2"),
        (np.zeros((2, 3, 3)), r"add the channel axis.*Received: shape \(2, 3, 3\)"),
        (np.zeros((0, 3, 3, 1)), r"should not be empty. Received: shape \(0, 3, 3, 1\)"),
        (np.zeros((2, 3, 0, 1)), r"should not be empty. Received: shape \(2, 3, 0, 1\)"),
        (np.zeros((2, 3, 4, 1)), r"\(n, 3, 3, 1\).*Received: shape \(2, 3, 4, 1\)"),
    ],
)
def test_bad_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        check_images(images, "x", (3, 3, 1))


@settings(deadline=None, max_examples=50)
@given(hnp.integer_dtypes().flatmap(lambda d: hnp.arrays(d, 5, elements=st.integers(0, 127))))
def test_labels_of_any_integer_dtype_pass_as_int64(labels):
    result = check_labels(labels, 5)
    assert result.dtype == np.int64
    np.testing.assert_array_equal(result, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "labels should be an array of integers or texts.*Received: None"),
        (np.array([0.0, 1.0]), "integers or texts. Received: dtype float64"),
        (np.array([True, False]), "integers or texts. Received: dtype bool"),
        (np.array(["a", None]), "integers or texts. Received: dtype object"),
        (np.array([0j, 1j]), "imaginary parts would be lost. Received: dtype complex128"),
        (np.array([0, 1, 2]), r"shape \(2,\).*Received: shape \(3,\)"),
        (np.array([[0, 1]]), r"shape \(2,\).*Received: shape \(1, 2\)"),
        (np.array([0, -1]), "0 or more.*Received: values from -1 to 0"),
        (np.array([0, 2**63], "uint64"), "int64.*Received: values from 0 to 9223372036854775808"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels, 2)


def test_labels_may_be_texts_of_any_kind_of_array():
    for labels in (["b", "a"], np.array(["b", "a"]), np.array(["b", "a"], object)):
        result = check_labels(labels, 2)
        assert (result.dtype.kind, result.tolist()) == ("U", ["b", "a"])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**62))
def test_whole_numbers_pass(value):
    assert check_whole(value, "seed") == value
    assert type(check_whole(np.int64(value), "seed")) is int


@pytest.mark.parametrize("value", [-1, 4, 1.0, True, "1", None, np.nan])
def test_other_numbers_are_refused(value):
    with pytest.raises(ValueError, match=r"n should be a whole number from 0 to 3. Received: "):
        check_whole(value, "n", maximum=3)
    if value != 4:
        with pytest.raises(
            ValueError, match=r"n should be (at least 0|a whole number of 0 or more). Received: "
        ):
            check_whole(value, "n")


_masked = np.ma.masked_greater(np.linspace(0, 1, 18).reshape(2, 3, 3, 1), 0.5)


@pytest.mark.parametrize(
    "images",
    [_masked, np.ma.array(np.zeros((2, 3, 3, 1))), list(_masked), (_masked[0], _masked[1])],
    ids=["masked", "nothing masked", "list", "tuple"],
)
def test_masked_images_are_refused(images):
    with pytest.raises(ValueError, match=r"x should have no masked .* fill .* drop .*Received: "):
        check_images(images, "x")


def test_masked_labels_are_refused():
    for labels in (np.ma.array([0, 1], mask=[0, 1]), [0, np.ma.masked]):
        with pytest.raises(ValueError, match=r"labels should have no masked values.*Received: "):
            check_labels(labels, 2)
