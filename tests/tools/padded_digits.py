"""The 8×8 digits as images of another shape."""

import numpy as np
from PIL import Image

from wyner_keras import data


def write_padded_digits(root, pad, count):
    """Test digits, darker and padded by `pad` as `np.pad` takes it, `count` a class, by label."""
    digits = data.load("digits").test
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
        for place, row in enumerate(digits.of_class(label)[:count]):
            image = np.rint(200 * np.pad(digits.images[row, :, :, 0], pad)).astype(np.uint8)
            Image.fromarray(image).save(root / str(label) / f"{place:02}.png")
    return root
