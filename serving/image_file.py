"""Reads one image file: its pixels as they are meant to be seen, or an error that names it."""

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wyner_serving.progress import bar
from wyner_serving.regular_file import check_regular

if TYPE_CHECKING:
    from PIL import Image

_log = logging.getLogger(__name__)
_one_at_a_time = threading.RLock()

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif")
"""How the names of files that are read end."""

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
_EXPECTED = "PNG, JPEG, BMP, WebP, TIFF or GIF"
_GREY_16 = ("I;16", "I;16L", "I;16B", "I;16N")
_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", *_GREY_16)
# Pillow's own limit for compressed text; it has none for plain text.
_MAX_TEXT = 2**20
_ORIENTATION = 0x0112
# Tags of TIFF, and the values of theirs that matter here.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_WHITE_IS_ZERO, _UNSIGNED = 0, 1
# A grey PNG of few bits is stretched to 8 when read, but the value that it calls clear is not.
_STRETCH = {"L;2": 85, "L;4": 17}


def read_image(path: str | os.PathLike[str], name: str = "images") -> NDArray[Any]:
    """Reads one image file.

    It is turned as its EXIF orientation says, and what is transparent in it shows a white ground.
    Grey stays grey, with or without alpha; so does a palette of which only grey is seen. CMYK
    becomes RGB. Colour profiles are not applied.

    Args:
        path: of a PNG, JPEG, BMP, WebP, TIFF or GIF file, whatever its suffix; links are followed.
        name: what the caller calls the images, for the error message.

    Returns:
        Pixels `(height, width, channels)`, one channel (grey) or three (RGB): uint8, or uint16
        where a grey file has 16 bits.

    Raises:
        ValueError: when it is no regular file (FIFO, socket, device, folder), is not whole, is
            none of these formats, holds several frames or pages, more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` or more than 1 MiB of text, or has values that Pillow
            cannot read without loss (32 bits, floats, LAB, 16 bits a channel in colour or
            beside alpha). The error names the file.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGBA", (3, 2), (255, 0, 0, 0)).save(f"{folder}/clear_red.png")
        ...     pixels = read_image(f"{folder}/clear_red.png")
        >>> pixels.shape, pixels[0, 0].tolist()
        ((2, 3, 3), [255, 255, 255])
    """
    check_regular(path, name)
    from PIL import Image

    try:
        # Given a name, Pillow 13 maps a TIFF into memory, and mixes up the sides of a turned one.
        with (
            _named_warnings(path),
            open(path, "rb") as file,
            Image.open(file, formats=_FORMATS) as image,
        ):
            raw_mode = _raw_mode(image)
            fault = _fault(image, raw_mode)
            if fault is None:
                _turn_upright(image, path)
                return _pixels(image, raw_mode)
    # Broken files make Pillow raise much else than OSError: SyntaxError, struct.error, ...
    except Exception as error:
        raise ValueError(
            f"{name} should be readable as {_EXPECTED}. "
            f"Received: {os.fspath(path)!r} ({type(error).__name__}: {error})"
        ) from error
    expected, received = fault
    raise ValueError(f"{name} should {expected}. Received: {os.fspath(path)!r} {received}")


def read_images_of(files: Sequence[Path], shape: tuple[int, ...], name: str) -> NDArray[np.float32]:
    """Reads image files for a model, whose images have one shape.

    Args:
        files: to read, in this order.
        shape: `(height, width, channels)`; of one channel, colour becomes its luminance.
        name: what the caller calls the images, for the error message.

    Returns:
        float32 `(files, height, width, channels)` in [0, 1].

    Raises:
        ValueError: when a file cannot be read, or has another height or width.
    """
    if shape[2] not in (1, 3):
        raise ValueError(
            f"{name} should be one .npy file: image files have 1 or 3 channels, not {shape[2]}. "
            f"Received: {str(files[0])!r}"
        )
    images = np.empty((len(files), *shape), np.float32)
    for image, file in zip(images, files, strict=True):
        pixels = read_image(file, name)
        if pixels.shape[:2] != shape[:2]:
            raise ValueError(
                f"{name} should be {shape[0]} pixels high and {shape[1]} wide, as the model was "
                f"trained. Received: {str(file)!r}, {pixels.shape[0]} high and "
                f"{pixels.shape[1]} wide"
            )
        image[...] = to_unit(pixels, shape[2])
    return images


def to_unit(pixels: NDArray[Any], channels: int) -> NDArray[np.float32]:
    """Intensities in [0, 1] of pixels, with the channels that the other images have.

    Args:
        pixels: uint8 or uint16 `(height, width, 1 or 3)`, as `read_image` returns them.
        channels: 1, where colour becomes its luminance (ITU-R BT.601), or 3, where grey is
            repeated.

    Returns:
        float32 `(height, width, channels)`: the pixels over 255, or over 65535.

    Example:
        >>> to_unit(np.array([[[51]], [[255]]], "uint8"), channels=3)[:, 0].tolist()
        [[0.20000000298023224, 0.20000000298023224, 0.20000000298023224], [1.0, 1.0, 1.0]]
    """
    if channels < pixels.shape[2]:
        from PIL import Image

        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    unit = pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)
    return np.broadcast_to(unit, (*unit.shape[:2], channels))


def to_bytes(pixels: NDArray[Any], channels: int) -> NDArray[np.uint8]:
    """Pixels as bytes, 16 bits rounded to 8, with the channels that the other images have.

    Args:
        pixels: uint8 or uint16 `(height, width, 1 or 3)`, as `read_image` returns them.
        channels: 1 or 3, no fewer than the pixels have; grey is repeated.

    Example:
        >>> to_bytes(np.array([[[257 * 51]]], "uint16"), channels=3).tolist()
        [[[51, 51, 51]]]
    """
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.broadcast_to(pixels, (*pixels.shape[:2], channels))


def stack_bytes(pixels: Sequence[NDArray[np.uint8]], channels: int) -> NDArray[np.uint8]:
    """Images of bytes in one array `(n, height, width, channels)`.

    Args:
        pixels: one array an image, all of one size.
        channels: 1 or 3, no fewer than any image has; grey is repeated.

    Example:
        >>> stack_bytes([np.zeros((2, 2, 1), "uint8")], channels=3).shape
        (1, 2, 2, 3)
    """
    stack = np.empty((len(pixels), *pixels[0].shape[:2], channels), np.uint8)
    for image, each in zip(stack, pixels, strict=True):
        image[...] = each
    return stack


def read_images(paths: Sequence[Path]) -> Iterator[NDArray[Any]]:
    """Reads image files one by one, with a progress bar, and checks that they are of one size.

    Args:
        paths: of the files.

    Raises:
        ValueError: as `read_image` does, and when a file differs in size; the error names it.

    Example:
        >>> [image.shape for image in read_images([])]
        []
    """
    first = None
    for path in bar(paths, "Reading images", "image"):
        array = read_image(path)
        size = array.shape[1], array.shape[0]  # as image viewers say it
        first = size if first is None else first
        if size != first:
            raise ValueError(
                f"images should all have the size of {str(paths[0])!r}, {first}. "
                f"Received: {str(path)!r} of {size}"
            )
        yield array


@contextlib.contextmanager
def _named_warnings(path: str | os.PathLike[str]) -> Iterator[None]:
    """Pillow's warnings name no file: too many pixels become an error, the rest are logged."""
    from PIL import Image

    # What catches warnings is one for all threads.
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield
    for warning in caught:
        _log.warning("%r: %s", os.fspath(path), warning.message)


def _raw_mode(image: Any) -> str:
    # How the file holds a pixel. Known until the pixels are read; WebP has none.
    args = image.tile[0][3] if image.tile else ""
    return args if isinstance(args, str) else str(args[0])


def _fault(image: "Image.Image", raw_mode: str) -> tuple[str, str] | None:
    """What the image should be and what it is, where it cannot be read without loss."""
    # The other frames of an MPO, a phone's JPEG, are views or depths of the same scene.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        return "be one picture a file", "with several frames or pages"
    received = _unread_values(image, raw_mode)
    if received is not None:
        return "be grey with 8 or 16 bits, or in colour with 8 bits a channel", received
    image.load()  # a PNG's text may follow its pixels
    text = sum(len(value) for value in image.info.values() if isinstance(value, str))
    if text > _MAX_TEXT:
        return f"carry {_MAX_TEXT} characters of text at most", f"with {text}"
    return None


def _unread_values(image: Any, raw_mode: str) -> str | None:
    if image.mode not in _MODES:
        return f"in mode {image.mode!r}"
    # Pillow keeps only the upper 8 bits where a pixel is more than one value of 16.
    if image.format == "PNG" and image.mode not in _GREY_16 and raw_mode.endswith(";16B"):
        return "with 16 bits a channel in colour or beside alpha"
    if image.format == "TIFF":
        bits, kinds = (
            np.atleast_1d(image.tag_v2.get(tag, 1)).tolist()
            for tag in (_BITS_PER_SAMPLE, _SAMPLE_FORMAT)
        )
        if max(bits) > 8 and not (image.mode in _GREY_16 and bits == [16]):
            return f"with {bits} bits in mode {image.mode!r}"
        if any(kind != _UNSIGNED for kind in kinds):
            return f"with signed values or floats (SampleFormat {kinds})"
    return None


def _turn_upright(image: "Image.Image", path: str | os.PathLike[str]) -> None:
    from PIL import ImageOps

    try:
        image.getexif().get(_ORIENTATION)
    # The pixels are sound; only which way up they are is unknown.
    except Exception as error:
        _log.warning("%r: EXIF data unreadable, so not turned (%s)", os.fspath(path), error)
        return
    # exif_transpose would write these data anew, which breaks on odd ones.
    image.info.pop("exif", None)
    ImageOps.exif_transpose(image, in_place=True)


def _pixels(image: "Image.Image", raw_mode: str) -> NDArray[Any]:
    if image.mode in ("P", "PA"):
        seen = _on_white(np.asarray(image.convert("RGBA")))
        is_grey = bool((seen == seen[..., :1]).all())
        # A copy: a view would keep three channels in memory for one.
        return seen[..., :1].copy() if is_grey else seen
    if image.mode in ("LA", "La"):
        return _on_white(np.asarray(image.convert("LA")))
    if image.mode in ("RGBA", "RGBa"):
        return _on_white(np.asarray(image.convert("RGBA")))
    if image.mode in _GREY_16:
        array = np.asarray(image).astype(np.uint16)[..., None]
        # Where 0 is white, Pillow turns 8 bits round but not 16.
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
            array = np.iinfo(np.uint16).max - array
    elif image.mode in ("1", "L"):
        array = np.asarray(image.convert("L"))[..., None]
    else:
        array = np.asarray(image.convert("RGB"))
    clear = image.info.get("transparency")
    if clear is None:
        return array
    # PNG and GIF: one value, or one colour, is clear and all others are opaque.
    is_clear = (array == np.multiply(clear, _STRETCH.get(raw_mode, 1))).all(-1, keepdims=True)
    return np.where(is_clear, np.iinfo(array.dtype).max, array).astype(array.dtype)


def _on_white(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Rounded to the nearest; alpha of 255 leaves values as they are, alpha of 0 makes them 255.
    values, alpha = array[..., :-1].astype(np.uint32), array[..., -1:].astype(np.uint32)
    return ((values * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
