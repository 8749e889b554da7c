"""One image file: how its pixels are read, and what is refused by its name."""

import logging
import os
import socket
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin

from wyner_serving.image_file import read_image, to_unit

_GREYS = np.array([[0, 50, 100], [150, 200, 250]], np.uint8)
_FINE = np.array([[0, 1, 257], [30_000, 65_534, 65_535]], np.uint16)
_NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")


pytestmark = pytest.mark.usefixtures("no_hang")


def _chunk(kind, content):
    length, checksum = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", checksum)


def _png(path, size, depth, colour, row, *chunks, after=()):
    """A PNG written by hand, for what Pillow does not write; all of its rows are the same."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * min(size[1], 10))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), *after, (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts))
    return path


def _saved(path, image, kind=None, **options):
    image.save(path, kind, **options)
    return path


def _tags(**tags):
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory[int(tag[1:])] = value
    return directory


# By the EXIF standard's words on where row 0 and column 0 of the file are seen.
_UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: lambda a: a[::-1].T,
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: a[:, ::-1].T,
}


@pytest.mark.parametrize("orientation", _UPRIGHT)
@pytest.mark.parametrize(
    ("suffix", "pixels"),
    [("png", _GREYS), ("png", _FINE), ("tif", _GREYS), ("tif", _FINE)],
    ids=["png", "png16", "tif", "tif16"],
)
def test_exif_orientation_is_applied(tmp_path, suffix, pixels, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"exif": exif} if suffix == "png" else {"tiffinfo": _tags(_274=orientation)}
    path = _saved(tmp_path / f"a.{suffix}", Image.fromarray(pixels), **options)
    found = read_image(path)
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found[..., 0], _UPRIGHT[orientation](pixels))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_photographs_are_turned(tmp_path, kind):
    exif = Image.Exif()
    exif[274] = 6
    flat = _saved(tmp_path / "flat", Image.fromarray(_NOISE), kind)
    turned = _saved(tmp_path / "turned", Image.fromarray(_NOISE), kind, exif=exif)
    np.testing.assert_array_equal(read_image(turned), np.rot90(read_image(flat), -1))


def test_unreadable_exif_data_is_said_and_the_pixels_are_read(tmp_path, caplog):
    image = Image.fromarray(_GREYS)
    path = _saved(tmp_path / "a.png", image, exif=b"Exif\0\0no exif data")
    np.testing.assert_array_equal(read_image(path)[..., 0], _GREYS)
    assert "a.png" in caplog.text
    assert "not turned" in caplog.text


def test_warnings_of_pillow_are_logged_with_the_file(tmp_path, caplog):
    # One tag that says that it is longer than the file is.
    entry = struct.pack("<HHHII", 1, 34665, 4, 2**20, 26)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entry
    path = _saved(tmp_path / "a.jpg", Image.fromarray(_GREYS), exif=exif)
    assert read_image(path).shape == (2, 3, 1)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * len(caplog.records)
    assert "a.jpg" in caplog.text


# v over alpha a on white is v·a/255 + 255·(1 − a/255): 100 at 51 (a fifth) is 20 + 204.
@pytest.mark.parametrize(
    ("mode", "value", "seen"),
    [
        ("RGBA", (255, 0, 0, 0), [255, 255, 255]),
        ("RGBA", (255, 0, 0, 255), [255, 0, 0]),
        ("RGBA", (100, 0, 255, 51), [224, 204, 255]),
        ("RGBA", (255, 0, 0, 128), [255, 127, 127]),
        ("LA", (0, 0), [255]),
        ("LA", (100, 51), [224]),
        ("LA", (7, 255), [7]),
    ],
)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_alpha_shows_white(tmp_path, mode, value, seen, suffix):
    path = _saved(tmp_path / f"a.{suffix}", Image.new(mode, (3, 2), value))
    np.testing.assert_array_equal(read_image(path), np.broadcast_to(seen, (2, 3, len(seen))))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_one_clear_colour_of_a_palette_shows_white(tmp_path, kind):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 255, 0])
    found = read_image(_saved(tmp_path / "a", image, kind, transparency=1))
    assert found.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 255, 0]]]


def test_a_palette_with_an_alpha_for_each_colour(tmp_path):
    chunks = (b"PLTE", bytes([255, 0, 0, 100, 0, 255])), (b"tRNS", bytes([0, 51]))
    path = _png(tmp_path / "a.png", (2, 1), 8, 3, b"\0\1", *chunks)
    assert read_image(path).tolist() == [[[255, 255, 255], [224, 204, 255]]]


@pytest.mark.parametrize(
    ("depth", "row", "clear", "seen"),
    [
        (1, b"\x40", 0, [255, 255]),
        (2, b"\x60", 1, [255, 170]),
        (4, b"\xf2", 2, [255, 255]),
        (4, b"\x24", 2, [255, 68]),
        (8, b"\x22\x44", 0x22, [255, 0x44]),
        (16, b"\x12\x34\x12\x35", 0x1234, [65535, 0x1235]),
    ],
)
def test_one_clear_value_of_grey_shows_white(tmp_path, depth, row, clear, seen):
    chunk = (b"tRNS", struct.pack(">H", clear))
    path = _png(tmp_path / "a.png", (2, 1), depth, 0, row, chunk)
    assert read_image(path)[0, :, 0].tolist() == seen


def test_one_clear_colour_shows_white_and_its_likes_do_not(tmp_path):
    chunk = (b"tRNS", struct.pack(">HHH", 1, 2, 3))
    path = _png(tmp_path / "a.png", (2, 1), 8, 2, b"\1\2\3\1\2\4", chunk)
    assert read_image(path).tolist() == [[[255, 255, 255], [1, 2, 4]]]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey_palettes_stay_grey_and_others_are_colour(tmp_path, kind):
    # The third colour is red, and is used only in the second image.
    palette = [9, 9, 9, 200, 200, 200, 255, 0, 0]
    for places, seen in (
        ([0, 1], [[9], [200]]),
        ([1, 2], [[200, 200, 200], [255, 0, 0]]),
    ):
        image = Image.frombytes("P", (2, 1), bytes(places))
        image.putpalette(palette)
        assert read_image(_saved(tmp_path / "a", image, kind)).tolist() == [seen]


def test_a_red_that_is_not_seen_leaves_a_palette_grey(tmp_path):
    chunks = (b"PLTE", bytes([255, 0, 0, 5, 5, 5])), (b"tRNS", b"\0")
    path = _png(tmp_path / "a.png", (2, 1), 8, 3, b"\0\1", *chunks)
    assert read_image(path).tolist() == [[[255], [5]]]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.png", {}),
        ("a.tif", {}),
        ("a.tif", {"compression": "tiff_lzw"}),
        ("a.tiff", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_16_bits_of_grey_are_kept(tmp_path, name, options):
    found = read_image(_saved(tmp_path / name, Image.fromarray(_FINE), **options))
    np.testing.assert_array_equal(found[..., 0], _FINE)
    unit = to_unit(found, 3)
    np.testing.assert_array_equal(unit, np.stack([_FINE / 65535] * 3, -1).astype("float32"))


def _tiff(path, order, bits, zero_is_white, pixels):
    """A grey TIFF of one row written by hand."""
    width, length = len(pixels) * 8 // bits, len(pixels)
    short = 16 if order == ">" else 0  # short values are at the left of their 4 bytes
    tags = [(256, 4, width), (257, 4, 1), (258, 3, bits << short), (259, 3, 1 << short)]
    tags += [(262, 3, (not zero_is_white) << short), (273, 4, 8), (277, 3, 1 << short)]
    tags += [(278, 4, 1), (279, 4, length)]
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(f"{order}I", 8 + length)
    end = struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)
    path.write_bytes(head + pixels + end)
    return path


@pytest.mark.parametrize(
    ("order", "bits", "zero_is_white", "pixels", "seen"),
    [
        ("<", 16, False, b"\2\1\4\3", [0x102, 0x304]),
        (">", 16, False, b"\1\2\3\4", [0x102, 0x304]),
        ("<", 16, True, b"\2\1\4\3", [0xFFFF - 0x102, 0xFFFF - 0x304]),
        ("<", 8, False, b"\1\2\3\4", [1, 2, 3, 4]),
        ("<", 8, True, b"\1\2\3\4", [254, 253, 252, 251]),
    ],
)
def test_tiffs_in_either_order_of_bytes_and_of_grey(
    tmp_path, order, bits, zero_is_white, pixels, seen
):
    found = read_image(_tiff(tmp_path / "a.tif", order, bits, zero_is_white, pixels))
    assert found.dtype == np.dtype(f"u{bits // 8}")
    assert found.ravel().tolist() == seen


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_becomes_rgb(tmp_path, kind):
    # A channel of light is what both its ink and black let through: (1 - c)(1 - k).
    inks = np.array([0, 51, 255, 102], np.uint8)
    path = _saved(tmp_path / "a", Image.new("CMYK", (8, 8), tuple(inks.tolist())), kind)
    expected = (255 - inks[:3].astype(float)) * (255 - inks[3]) / 255
    np.testing.assert_allclose(read_image(path), np.broadcast_to(expected, (8, 8, 3)), atol=2)


@pytest.mark.parametrize("kind", _FORMATS)
def test_formats_are_known_by_their_content(tmp_path, kind):
    # Squares of one colour, so that lossy formats come near.
    pixels = np.repeat([[[200, 40, 90]], [[20, 220, 130]]], 16, 0).repeat(16, 1).astype(np.uint8)
    path = _saved(tmp_path / "a.png", Image.fromarray(pixels), kind)
    found = read_image(path).astype(int)
    assert found.shape == pixels.shape
    tolerance = {"JPEG": 4, "WEBP": 4}.get(kind, 0)
    assert abs(found[[4, 28]] - pixels[[4, 28]]).max() <= tolerance


def test_black_and_white_is_0_and_255(tmp_path):
    path = _saved(tmp_path / "a.png", Image.fromarray(_GREYS > 120))
    np.testing.assert_array_equal(read_image(path)[..., 0], np.where(_GREYS > 120, 255, 0))


def test_a_phones_jpeg_gives_its_first_view(tmp_path):
    views = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    path = _saved(tmp_path / "a.jpg", views[0], "MPO", save_all=True, append_images=views[1:])
    assert (abs(read_image(path).astype(int) - [250, 0, 0]) < 8).all()


def test_links_to_files_are_followed(tmp_path):
    _saved(tmp_path / "a.png", Image.fromarray(_GREYS))
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "link.png")[..., 0], _GREYS)


def _animation(kind):
    def make(path):
        frames = [Image.new("L", (8, 8), value) for value in (0, 100, 200)]
        _saved(path, frames[0], kind, save_all=True, append_images=frames[1:])

    return make


def _plain(mode, kind):
    return lambda path: _saved(path, Image.new(mode, (3, 2)), kind)


def _tiff_of_signed_bytes(path):
    _saved(path, Image.fromarray(_GREYS), "TIFF", tiffinfo=_tags(_339=2))


def _fifo(path):
    os.mkfifo(path)


def _socket(path):
    before = os.getcwd()
    os.chdir(path.parent)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(before)


_TEXT = b"key\0" + b"a" * 50_000_000
_PACKED = b"key\0\0" + zlib.compress(b"a" * 50_000_000)
_PACKED_UTF8 = b"key\0\1\0\0\0" + zlib.compress(b"a" * 50_000_000)


def _with_text(*before, after=()):
    return lambda path: _png(path, (1, 1), 8, 0, b"\7", *before, after=after)


def _cut(kind):
    def make(path):
        _saved(path, Image.fromarray(_NOISE), kind)
        path.write_bytes(path.read_bytes()[:-300])

    return make


def _damaged(path):
    _saved(path, Image.fromarray(_NOISE), "PNG")
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *[(_animation(kind), "be one picture a file") for kind in ("GIF", "WEBP", "TIFF", "PNG")],
        (_plain("I", "TIFF"), "in mode 'I'"),
        (_plain("F", "TIFF"), "in mode 'F'"),
        (_plain("LAB", "TIFF"), "in mode 'LAB'"),
        (_plain("YCbCr", "TIFF"), "in mode 'YCbCr'"),
        (_tiff_of_signed_bytes, "with signed values"),
        (lambda path: _tiff(path, "<", 12, False, bytes(6)), r"with \[12\] bits"),
        (lambda path: _tiff(path, ">", 16, True, bytes(6)), "readable as PNG, JPEG"),
        (lambda path: _png(path, (1, 1), 16, 2, bytes(6)), "16 bits a channel in colour"),
        (lambda path: _png(path, (1, 1), 16, 4, bytes(4)), "16 bits a channel in colour"),
        (lambda path: _png(path, (1, 1), 16, 6, bytes(8)), "16 bits a channel in colour"),
        (_plain("L", "PPM"), "readable as PNG, JPEG, .*cannot identify"),
        (_plain("L", "ICO"), "readable as PNG, JPEG, .*cannot identify"),
        (_fifo, "regular file.*a FIFO"),
        (_socket, "regular file.*a socket"),
        (lambda path: path.symlink_to("/dev/zero"), "regular file.*a device"),
        (lambda path: path.symlink_to("nowhere"), "regular file.*a link to nothing"),
        (lambda path: path.symlink_to(path), "regular file.*levels of symbolic links"),
        (lambda path: path.mkdir(), "regular file.*a folder"),
        (lambda path: None, "regular file.*No such file"),
        (lambda path: _png(path, (30_000, 30_000), 8, 0, b""), "DecompressionBombError"),
        (lambda path: _png(path, (10_000, 10_000), 8, 0, b""), "DecompressionBombWarning"),
        (_with_text((b"tEXt", _TEXT)), "text at most.*with 50000000"),
        (_with_text(after=[(b"tEXt", _TEXT)]), "text at most.*with 50000000"),
        (_with_text((b"zTXt", _PACKED)), "ValueError: Decompressed data too large"),
        (_with_text(after=[(b"zTXt", _PACKED)]), "ValueError: Decompressed data too large"),
        (_with_text((b"iTXt", _PACKED_UTF8)), "ValueError: Decompressed data too large"),
        *[(_cut(kind), "readable as PNG, JPEG") for kind in _FORMATS],
        (_damaged, "readable as PNG, JPEG"),
        (lambda path: path.write_bytes(b""), "readable as PNG, JPEG"),
        (lambda path: path.write_bytes(b"no image"), "readable as PNG, JPEG"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "readable as PNG, JPEG"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_by_name(tmp_path, make, message):
    path = tmp_path / "spoilt.png"
    make(path)
    with pytest.raises(ValueError, match=message) as caught:
        read_image(path, "pictures")
    assert str(caught.value).startswith("pictures should ")
    assert f"Received: {str(path)!r}" in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(13, "Permission denied"),
        SyntaxError("broken PNG file"),
        struct.error("unpack requires a buffer"),
        MemoryError(),
        RecursionError("too deep"),
        KeyError(7),
        Image.DecompressionBombError("too large"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["Image.open", "ImageFile.ImageFile.load"])
def test_whatever_pillow_raises_is_a_value_error_that_names_the_file(
    tmp_path, monkeypatch, error, where
):
    path = _saved(tmp_path / "a.png", Image.fromarray(_GREYS))

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(f"PIL.{where}", fail)
    with pytest.raises(ValueError, match=rf"a\.png.*{type(error).__name__}") as caught:
        read_image(path)
    assert caught.value.__cause__ is error


def test_special_files_are_never_opened(tmp_path, monkeypatch):
    _fifo(tmp_path / "a.png")

    def opened(*args, **kwargs):
        raise AssertionError("opened")

    monkeypatch.setattr("PIL.Image.open", opened)
    monkeypatch.setattr("os.open", opened)
    monkeypatch.setattr("builtins.open", opened)
    with pytest.raises(ValueError, match="a FIFO"):
        read_image(tmp_path / "a.png")


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(_FORMATS), st.data())
def test_damaged_files_are_read_or_refused_by_name(tmp_path, kind, data):
    path = _saved(tmp_path / "a.png", Image.fromarray(_NOISE), kind)
    content = bytearray(path.read_bytes())
    # Most of what can go wrong is said in the first bytes.
    places = st.integers(0, 80) | st.integers(0, len(content) - 1)
    for place, value in data.draw(
        st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)
    ):
        content[place] = value
    path.write_bytes(content)
    try:
        found = read_image(path)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert found.dtype in (np.uint8, np.uint16)
        assert found.ndim == 3
        assert found.shape[2] in (1, 3)


def test_colour_becomes_luminance_where_one_channel_is_asked_for():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]], np.uint8)
    # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    expected = [0.299 * 255, 0.587 * 255, 0.114 * 255, 9]
    np.testing.assert_allclose(to_unit(pixels, 1)[0, :, 0] * 255, expected, atol=0.51)
