"""MNIST by tensorflow-datasets, read from disk; absent, downloaded or refused with a way out."""

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds

from wyner_keras.data import load


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A folder that tensorflow-datasets prepared, with 20 + 10 images in place of 70,000."""
    builder_class = tfds.builder_cls("mnist")

    def examples(count, first):
        for number in range(count):
            image = np.full((28, 28, 1), number + first, np.uint8)
            yield number, {"image": image, "label": number % 10}

    monkeypatch.setattr(
        builder_class,
        "_split_generators",
        lambda self, manager: {"train": examples(20, 0), "test": examples(10, 100)},
    )
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return tmp_path


def _values(images):
    return sorted(images.images[:, 0, 0, 0].tolist())


def test_absent_it_is_prepared_and_then_read_without_network(prepared, monkeypatch):
    monkeypatch.setattr(requests, "head", lambda url, timeout: None)
    source = load("mnist")
    assert (source.name, source.train.image_shape) == ("mnist", (28, 28, 1))
    assert (_values(source.train), _values(source.test)) == (
        list(range(20)),
        list(range(100, 110)),
    )
    assert source.train.images.dtype == np.uint8
    np.testing.assert_array_equal(source.train.labels, source.train.images[:, 5, 5, 0] % 10)

    def no_network(*args, **kwargs):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "head", no_network)
    again = load("mnist")
    np.testing.assert_array_equal(again.train.images, source.train.images)


def test_offline_and_absent_it_says_where_and_how(tmp_path, monkeypatch):
    def no_network(*args, **kwargs):
        raise requests.ConnectionError("no route to host")

    monkeypatch.setattr(requests, "head", no_network)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(ValueError, match=r"Received: .*no route to host") as caught:
        load("mnist")
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "set TFDS_DATA_DIR to a folder" in message
    assert "run once with a network connection" in message
    assert isinstance(caught.value.__cause__, requests.ConnectionError)


def test_a_download_that_fails_says_the_same(tmp_path, monkeypatch):
    def fails(self):
        raise OSError("checksum does not match")

    monkeypatch.setattr(requests, "head", lambda url, timeout: None)
    monkeypatch.setattr(tfds.builder_cls("mnist"), "download_and_prepare", fails)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    # The default folder may hold MNIST on the machine that runs this.
    monkeypatch.setattr(tfds.builder_cls("mnist"), "is_prepared", lambda self: False)
    with pytest.raises(
        ValueError, match=r"TFDS_DATA_DIR is not set.*Received: .*checksum does not"
    ):
        load("mnist")
