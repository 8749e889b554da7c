"""Reads MNIST by tensorflow-datasets."""

import os
from typing import Any

import numpy as np

from wyner_keras.data.images import LabelledImages

_READ_BATCH = 1000
# One of the four files that tensorflow-datasets fetches.
_PROBE = "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz"
_PROBE_SECONDS = 15


def read_mnist() -> tuple[LabelledImages, LabelledImages]:
    """Reads MNIST from disk, downloading and preparing it first when it is not there.

    It is looked for in the folder that the environment variable `TFDS_DATA_DIR` names, or, when
    that is not set, in the default folder of tensorflow-datasets. Source: LeCun, Cortes, Burges,
    The MNIST database of handwritten digits, 1998.

    Returns:
        60,000 images to train on and 10,000 to test by, `(n, 28, 28, 1)`, intensities in [0, 1].

    Raises:
        ValueError: when it is not on disk and cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    data_dir = os.environ.get("TFDS_DATA_DIR")
    # Passed on by hand: tensorflow-datasets reads the variable only once, when it is imported.
    builder = tfds.builder("mnist", data_dir=data_dir)
    if not builder.is_prepared():
        _prepare(builder, data_dir)
    return _read(builder, "train"), _read(builder, "test")


def _prepare(builder: Any, data_dir: str | None) -> None:
    import requests

    try:
        # Offline, the download itself would retry for minutes before it gives up.
        requests.head(_PROBE, timeout=_PROBE_SECONDS)
        builder.download_and_prepare()
    # Whatever goes wrong on the way (network, disk, checksum), the two ways out are the same.
    except Exception as error:
        place = "TFDS_DATA_DIR" if data_dir else "the default folder; TFDS_DATA_DIR is not set"
        raise ValueError(
            f"MNIST should be in {str(builder.data_dir)!r} ({place}), or be downloadable. Either "
            "set TFDS_DATA_DIR to a folder that holds mnist as tensorflow-datasets prepares it, "
            "or run once with a network connection. "
            f"Received: no prepared data there, and {type(error).__name__}: {error}"
        ) from error


def _read(builder: Any, split: str) -> LabelledImages:
    import tensorflow_datasets as tfds

    from wyner_serving.progress import bar

    count = builder.info.splits[split].num_examples
    images = np.empty((count, *builder.info.features["image"].shape), np.uint8)
    labels = np.empty(count, np.int64)
    config = tfds.ReadConfig(try_autocache=False)  # read once, so a cache only costs time
    stream = builder.as_dataset(split=split, as_supervised=True, read_config=config)
    with bar(None, f"Reading MNIST {split}", "image", total=count) as shown:
        start = 0
        for image_batch, label_batch in tfds.as_numpy(stream.batch(_READ_BATCH)):
            stop = start + len(label_batch)
            images[start:stop] = image_batch
            labels[start:stop] = label_batch
            shown.update(len(label_batch))
            start = stop
    return LabelledImages(images, labels)
