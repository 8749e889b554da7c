import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from wyner_keras.data import ImageSource, Pairs, add_one
from wyner_keras.evaluation import Judge, judges_for
from wyner_keras.networks.classifier import build_classifier

# Keras' own saving asks TensorFlow's tensors for NumPy arrays in NumPy 1's way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_it_reads_held_out_digits(judge: Judge, digits: ImageSource) -> None:
    assert judge.accuracy(digits.test.images, digits.test.labels) >= 0.95
    labels, features = judge.read(digits.test.images[:9])
    assert labels.shape == (9,)
    assert features.shape == (9, 128)
    in_bytes = (255 * digits.test.images[:9]).round().astype("uint8")
    np.testing.assert_array_equal(judge.read(in_bytes)[0], labels)


def test_same_seed_same_judge(digits: ImageSource) -> None:
    images, found = digits.train.images[:64], []
    for elsewhere in (0, 1):
        # What others seed has no say.
        keras.utils.set_random_seed(elsewhere)
        judge = Judge.train(images, digits.train.labels[:64], seed=3, epochs=1, verbose=0)
        found.append(judge.read(images)[1])
    np.testing.assert_array_equal(*found)
    first, other = (
        build_classifier("vector", (3,), 2, np.eye(3), seed).get_weights() for seed in (3, 4)
    )
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("shape", [(12, 2), (5,)])
def test_series_and_vectors_of_unbalanced_classes_are_read_in_any_units(shape) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["common", "other", "rare"], [150, 47, 3])
    rows = rng.normal(size=(200, *shape))
    rows[..., -1] += np.repeat([0, 4, 12], [150, 47, 3]).reshape(-1, *(1,) * (len(shape) - 1))
    rows = (1e4 + 1e3 * rows).astype("float32")
    judge = Judge.train(rows, labels, epochs=8, verbose=0)
    assert judge.classes.tolist() == ["common", "other", "rare"]
    assert judge.accuracy(rows, labels) > 0.9


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("image", (27, 31, 1)),
        ("image", (128, 128, 3)),
        ("image", (1, 64, 1)),
        ("series", (3, 2)),
        ("series", (100, 1)),
        ("vector", (1,)),
        ("own", (2, 2, 2, 2)),
    ],
)
def test_networks_of_any_size(kind: str, shape: tuple[int, ...]) -> None:
    sample = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    network = build_classifier(kind, shape, 100, sample, 0)
    logits, features = network(sample)
    assert logits.shape == (4, 100)
    assert features.shape == (4, 128)
    assert network.count_params() < 600_000


def test_what_is_not_known_and_what_never_varies_are_read() -> None:
    sample = np.array([[1.0, np.nan, 5.0], [3.0, 2.0, 5.0]], "float32")
    logits, _ = build_classifier("vector", (3,), 2, sample, 0)(sample)
    assert np.isfinite(logits).all()


def test_bad_input_is_refused(judge: Judge, digits: ImageSource) -> None:
    with pytest.raises(ValueError, match=r"Received: shape \(2, 28, 28, 1\)"):
        judge.read(np.zeros((2, 28, 28, 1), "float32"))
    with pytest.raises(ValueError, match=r"at least two classes. Received: \[3\]"):
        Judge.train(digits.train.images[:5], np.full(5, 3))
    with pytest.raises(ValueError, match=r"`epochs` should be at least 1. Received: 0"):
        Judge.train(digits.train.images, digits.train.labels, epochs=0)


@pytest.fixture
def untrained(monkeypatch):
    """Judges are made, not taught; how many were."""
    made = []

    def train(rows, labels, modality, **_):
        classes = np.unique(labels)
        network = build_classifier("own", modality.shape, len(classes), rows.take(np.arange(2)), 0)
        made.append(Judge(network, classes, modality))
        return made[-1]

    monkeypatch.setattr(Judge, "train", train)
    return made


def test_the_cache_is_written_once_reused_and_repaired(
    digits: ImageSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    untrained: list[Judge],
) -> None:
    monkeypatch.setenv("WYNER_CACHE_DIR", str(tmp_path))
    pairs, images = add_one(digits.train, 8), digits.test.images[:9]
    judges = judges_for(pairs)
    (file,) = tmp_path.iterdir()
    assert judges["x"] is judges["y"]  # both sides are of one store
    written = file.stat().st_mtime_ns, file.read_bytes()

    cached = judges_for(pairs)
    assert len(untrained) == 1
    assert (file.stat().st_mtime_ns, file.read_bytes()) == written
    np.testing.assert_array_equal(cached["x"].read(images)[1], judges["x"].read(images)[1])

    file.write_bytes(written[1][:1000])
    with caplog.at_level(logging.WARNING):
        judges_for(pairs)
    assert "cannot be read" in caplog.text
    assert len(untrained) == 2
    assert list(tmp_path.iterdir()) == [file]
    judges_for(pairs)
    judges_for(pairs, seed=1)
    assert len(untrained) == 3
    assert len(list(tmp_path.iterdir())) == 2

    # Who asked for figures gets them, though the judge has no place to stay.
    monkeypatch.setenv("WYNER_CACHE_DIR", str(file))
    with caplog.at_level(logging.WARNING):
        assert judges_for(pairs)["x"] is untrained[-1]
    assert f"WYNER_CACHE_DIR should name a folder to write into. Received: {file}" in caplog.text


def test_sides_labelled_apart_have_a_judge_each_and_others_none(tmp_path, untrained) -> None:
    rng = np.random.default_rng(0)
    x, y, letters = rng.random((12, 8, 8, 1)), rng.random((12, 3)), ["a", "b", "c"] * 4

    def judges(*sides: object, **labels: object) -> dict[str, Judge]:
        return judges_for(Pairs(*sides, **labels), cache_dir=tmp_path)

    both = judges(x, y, x_labels=np.arange(12) % 2, y_labels=letters)
    assert [judge.classes.tolist() for judge in both.values()] == [[0, 1], ["a", "b", "c"]]
    assert set(judges(x, y, y_labels=letters)) == {"y"}
    assert judges(x, y, x_labels=np.zeros(12, int)) == {}
    apart = judges(x, x, x_labels=np.arange(12) % 2, y_labels=np.arange(12) % 3)
    assert len(apart["x"].classes) < len(apart["y"].classes)
    many = rng.random((101, 2))
    assert judges(many, many, x_labels=np.arange(101)) == {}
