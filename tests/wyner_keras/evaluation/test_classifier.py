import logging
from pathlib import Path

import keras
import numpy as np
import pytest

from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.evaluation import Judge, judge_for

# Keras' own saving asks TensorFlow's tensors for NumPy arrays in NumPy 1's way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def test_it_reads_held_out_digits(judge: Judge, digits: ImageSource) -> None:
    assert judge.accuracy(digits.test) >= 0.97
    labels, features = judge.read(digits.test.images)
    assert features.shape == (len(digits.test), 128)
    np.testing.assert_array_equal(labels, judge.predict(digits.test.images))
    np.testing.assert_array_equal(features, judge.features(digits.test.images))
    assert judge.accuracy(digits.test) == np.mean(labels == digits.test.labels)


def test_labels_need_not_be_counted_from_0(digits: ImageSource) -> None:
    chosen = np.flatnonzero(digits.train.labels < 2)
    images = LabelledImages(digits.train.images[chosen], 30 + 40 * digits.train.labels[chosen])
    judge = Judge.train(images, epochs=2, verbose=0)
    assert judge.classes.tolist() == [30, 70]
    assert judge.accuracy(images) > 0.95


def test_same_seed_same_judge(digits: ImageSource) -> None:
    few, found = digits.train.take(128), []
    for seed, elsewhere in ((3, 0), (3, 1), (4, 1)):
        # What others seed has no say.
        keras.utils.set_random_seed(elsewhere)
        found.append(Judge.train(few, seed=seed, epochs=1, verbose=0).features(few.images))
    first, again, other = found
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_other_images_are_refused(judge: Judge) -> None:
    with pytest.raises(ValueError, match=r"Received: shape \(2, 28, 28, 1\)"):
        judge.predict(np.zeros((2, 28, 28, 1), "float32"))


def test_bad_training_is_refused(digits: ImageSource) -> None:
    alone = LabelledImages(digits.train.images[:5], np.full(5, 3))
    with pytest.raises(ValueError, match=r"at least two classes. Received: \[3\]"):
        Judge.train(alone)
    with pytest.raises(ValueError, match=r"`epochs` should be at least 1. Received: 0"):
        Judge.train(digits.train, epochs=0)


def test_cache_is_written_once_reused_and_repaired(
    digits: ImageSource,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    few = ImageSource("few", digits.train.take(200), digits.test)
    trained = judge_for(few, cache_dir=tmp_path, epochs=1, verbose=0)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns, file.read_bytes()

    train = Judge.train

    def never(*_: object, **__: object) -> Judge:
        raise AssertionError("trained again")

    monkeypatch.setattr(Judge, "train", never)
    cached = judge_for(few, cache_dir=tmp_path, epochs=1)
    assert (file.stat().st_mtime_ns, file.read_bytes()) == written
    np.testing.assert_array_equal(
        cached.features(digits.test.images), trained.features(digits.test.images)
    )

    monkeypatch.setattr(Judge, "train", train)
    file.write_bytes(written[1][:1000])
    with caplog.at_level(logging.WARNING):
        repaired = judge_for(few, cache_dir=tmp_path, epochs=1, verbose=0)
    assert "cannot be read" in caplog.text
    assert list(tmp_path.iterdir()) == [file]
    assert keras.saving.load_model(file).output_shape[0] == (None, 10)
    np.testing.assert_array_equal(
        repaired.features(digits.test.images), trained.features(digits.test.images)
    )


def test_cache_keeps_different_judges_apart_under_the_environments_folder(
    digits: ImageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WYNER_CACHE_DIR", str(tmp_path / "here"))
    few, fewer = (ImageSource("few", digits.train.take(n), digits.test) for n in (64, 60))
    judge_for(few, epochs=1, verbose=0)
    judge_for(fewer, epochs=1, verbose=0)
    judge_for(few, epochs=1, seed=1, verbose=0)
    assert len(list((tmp_path / "here").glob("judge-*.keras"))) == 3
