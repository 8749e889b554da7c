import io

import numpy as np
import pytest
from PIL import Image

from wyner_serving import ServingError
from wyner_serving.tf_serving.png import from_png, to_png


@pytest.mark.parametrize("channels", [1, 3])
def test_all_levels_survive(channels):
    levels = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1) / 255
    images = np.concatenate([levels, 1 - levels]).repeat(channels, axis=-1)
    images[..., 0] **= 2
    found = from_png(to_png(images))
    assert found.dtype == np.float32 and found.shape == images.shape
    np.testing.assert_array_equal(found, np.round(255 * images) / np.float32(255))


def content(size):
    stream = io.BytesIO()
    Image.new("L", size).save(stream, "PNG")
    return stream.getvalue()


BAD = {
    "no image": [b"no image"],
    "sizes": [content((2, 2)), content((3, 2))],
    "cut": [content((9, 9))[:40]],
    "text": ["x"],
    "none": [],
}


@pytest.mark.parametrize("case", BAD)
def test_anything_else_is_an_error(case):
    with pytest.raises(ServingError, match="should come as PNG"):
        from_png(BAD[case])
