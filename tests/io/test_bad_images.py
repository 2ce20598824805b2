import io as stdio
import os
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.io import png16
from tests.file_samples import archive_bytes, array_bytes, chunk, encoded, levels, save, tiff_bytes, with_chunk

RGB = levels((32, 32, 3))


def png_header(width, height, bits=8):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def tiff(tags, content):
    """A TIFF of the entries of its directory, (tag, type, count, value), with some bytes at 200."""
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + body).ljust(200, b"\0") + content


def huge_tile_tiff(bits=8):
    packed = zlib.compress(bytes(100))
    # A small image in one tile of 60000 x 60000, deflated.
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, bits), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    return tiff([*tags, (322, 4, 1, 60000), (323, 4, 1, 60000), (324, 4, 1, 200), (325, 4, 1, len(packed))], packed)


def bomb_tiff():
    """A float image of 4 x 4 in RGB whose strip unpacks to 60 MB."""
    pointer, lengths = struct.pack("<3H", 32, 32, 32), struct.pack("<3H", 3, 3, 3)
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, 200), (259, 3, 1, 8), (262, 3, 1, 2), (273, 4, 1, 212)]
    return tiff([*tags, (277, 3, 1, 3), (279, 4, 1, len(BOMB)), (339, 3, 3, 206)], pointer + lengths + BOMB)


def no_strip_tiff():
    """A picture whose only strip is said to hold nothing."""
    data = bytearray(tiff_bytes(RGB.astype(np.float32)))
    place = data.find(struct.pack("<HH", 279, 4))
    data[place + 8 : place + 12] = bytes(4)
    return bytes(data)


def missing_tile_tiff():
    """A picture of one tile that is said to be three tiles wide; only the first is there."""
    data = bytearray(tiff_bytes(np.zeros((16, 16, 3), np.uint16), tile=(16, 16)))
    place = data.find(struct.pack("<HH", 256, 4))
    data[place + 8 : place + 12] = struct.pack("<I", 48)
    return bytes(data)


def deep_jp2():
    data = bytearray(encoded(RGB, "JPEG2000"))
    place = data.find(b"\xff\x4f\xff\x51") + 42
    data[place : place + 9 : 3] = bytes([15, 15, 15])  # bits per component, less one
    return bytes(data)


def claiming_npy(shape, dtype="|u1"):
    data = stdio.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": dtype, "fortran_order": False, "shape": shape})
    return data.getvalue() + bytes(64)


# 60 MB that take 60 kB, where a decoder unpacks a whole chunk.
BOMB = zlib.compress(bytes(60_000_000), 9)
NAN, INF = np.full((4, 4), np.nan, np.float32), np.full((4, 4), np.inf, np.float32)
BAD_IMAGES = {
    "empty.png": (b"", "empty"),
    "text.png": (b"This is not an image.\n", "not an image"),
    "picture.svg": (b"<svg/>", "not an image"),
    "drawing.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "truncated.png": (encoded(RGB, "PNG")[:-200], "truncated"),
    "truncated.jpg": (encoded(RGB, "JPEG")[:-300], "truncated"),
    "truncated.tif": (encoded(RGB, "TIFF")[:-300], "truncated|not an image"),
    "truncated.webp": (encoded(RGB, "WEBP")[:-300], "truncated|not an image"),
    "truncated.gif": (encoded(RGB, "GIF")[:-300], "truncated"),
    "truncated.bmp": (encoded(RGB, "BMP")[:-300], "truncated"),
    "truncated16.png": (png16.encode(RGB.astype(np.uint16) * 257)[:-200], "truncated"),
    "head.png": (encoded(RGB, "PNG")[:20], "not an image|truncated"),
    "bomb.png": (png_header(60000, 60000), "120 megapixels"),
    "large.png": (png_header(12000, 12000), "120 megapixels"),
    "nothing.png": (png_header(0, 10), "at least one pixel|truncated|not an image"),
    "lying.png": (png_header(300, 300), "truncated"),
    "text_bomb.png": (with_chunk(encoded(RGB, "PNG"), b"zTXt", b"Comment\0\0" + BOMB), "unpacks to an unusual size"),
    "itxt_bomb.png": (with_chunk(encoded(RGB, "PNG"), b"iTXt", b"a\0\1\0\0\0" + BOMB), "unpacks to an unusual size"),
    "icc_bomb.png": (with_chunk(encoded(RGB, "PNG"), b"iCCP", b"a\0\0" + BOMB), "unpacks to an unusual size"),
    "bomb16.png": (png_header(60000, 60000, 16), "60000 x 60000 pixels are more than"),
    "tile.tif": (huge_tile_tiff(), "60000 x 60000 pixels are more than"),
    "tile64.tif": (huge_tile_tiff(64), "60000 x 60000 pixels are more than"),
    "bomb.tif": (bomb_tiff(), r"truncated or damaged|blindsr_jax\[tiff\]"),
    "cut16.tif": (tiff_bytes(RGB.astype(np.uint16))[:-9], "truncated or damaged"),
    "missing_tile.tif": (missing_tile_tiff(), "truncated or damaged"),
    "no_strip.tif": (no_strip_tiff(), "truncated or damaged"),
    "complex.tif": (tiff_bytes(RGB[..., 0].astype(np.complex64)), "64-bit complex samples"),
    "cmyk16.tif": (tiff_bytes(np.dstack([RGB, RGB[..., :1]]).astype(np.uint16), "separated"), "SEPARATED"),
    "five.tif": (tiff_bytes(np.zeros((5, 4, 5), np.uint16), "minisblack", planarconfig="contig"), "5 channels"),
    "colour16.ppm": (b"P6 2 1 65535\n" + bytes(12), "16-bit samples in this PPM"),
    "plain16.ppm": (b"P3 1 1 1023\n1 2 3\n", "16-bit samples in this PPM"),
    "colour16.jp2": (deep_jp2(), "16-bit samples in this JPEG2000"),
    "nan.tif": (encoded(NAN, "TIFF"), "contains NaN"),
    "large_values.tif": (encoded(np.full((4, 4), 200, np.float32), "TIFF"), r"\[0, 1\]"),
    "integers.tif": (encoded(np.full((4, 4), 2**20, np.int32), "TIFF"), "int32 .* --white_level"),
    "nan.npy": (array_bytes(NAN), "contains NaN"),
    "inf.npy": (array_bytes(INF), "contains NaN or infinite"),
    "negative.npy": (array_bytes(np.full((4, 4), -0.5)), r"\[0, 1\]"),
    "bytes_as_floats.npy": (array_bytes(np.full((4, 4), 255.0)), r"\[0, 1\]"),
    "no_rows.npy": (array_bytes(np.zeros((0, 4, 3))), "at least one pixel"),
    "two_channels.npy": (array_bytes(np.zeros((4, 4, 2))), "shape"),
    "five_channels.npy": (array_bytes(np.zeros((4, 4, 5))), "shape"),
    "batch.npy": (array_bytes(np.zeros((1, 4, 4, 3))), "shape"),
    "complex.npy": (array_bytes(np.zeros((4, 4), complex)), "complex"),
    "int64.npy": (array_bytes(np.zeros((4, 4), int)), "int64"),
    "object.npy": (array_bytes(np.array([{}]), allow_pickle=True), "plain array"),
    "claims.npy": (claiming_npy((60000, 60000)), "60000 x 60000 pixels are more than the limit of 120 megapixels"),
    "claims_less.npy": (claiming_npy((600, 600)), "complete"),
    "negative_shape.npy": (claiming_npy((-1, 8)), "plain array"),
    "fields.npy": (array_bytes(np.zeros((4, 4), [("a", "f4")])), "plain array"),
    "bool.npy": (array_bytes(np.ones((4, 4), bool)), "bool"),
    "dates.npy": (array_bytes(np.zeros((4, 4), "M8[s]")), "datetime"),
    "words.npy": (array_bytes(np.full((4, 4), "a")), "<U1"),
    "truncated.npy": (array_bytes(RGB)[:-5], "complete"),
    "text.npy": (b"0.1 0.2", "plain array"),
    "archive.npy": (archive_bytes(), "archive"),
    "broken_header.npy": (array_bytes(RGB)[:10] + b"{'descr': '<f4'" + array_bytes(RGB)[25:], "plain array"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images(tmp_path, name):
    data, message = BAD_IMAGES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(io.InputError, match=message) as caught:
        io.read_image(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_paths_that_are_no_images(tmp_path, monkeypatch):
    with pytest.raises(io.InputError, match="no such file"):
        io.read_image(tmp_path / "missing.png")
    with pytest.raises(io.InputError, match="folder"):
        io.read_image(tmp_path)
    with pytest.raises(io.InputError, match="name"):
        io.read_image("a\0b.png")
    with pytest.raises(io.InputError, match="readable file"):
        io.read_image(tmp_path / ("a" * 300 + ".png"))
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(io.InputError, match="no such file"):
        io.read_image(tmp_path / "link.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        with pytest.raises(io.InputError, match="regular file"):
            io.read_image(tmp_path / "pipe.png")
    os.symlink("loop.png", tmp_path / "loop.png")
    with pytest.raises(io.InputError, match="readable file"):
        io.read_image(tmp_path / "loop.png")
    with pytest.raises(io.InputError, match="device"):
        io.read_image(os.devnull)
    path = save(tmp_path / "secret.png", RGB)
    # Without relying on file modes, which do not stop an administrator.
    monkeypatch.setattr("os.open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(io.InputError, match="permission denied"):
        io.read_image(path)


def test_a_file_that_vanishes_after_it_was_found(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    found = io.find_inputs(tmp_path / "*.png")
    path.unlink()
    with pytest.raises(io.InputError, match="no such file"):
        io.read_image(found[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "a.png")
    monkeypatch.setattr("pathlib.Path.is_file", lambda _: True)
    with pytest.raises(io.InputError, match="empty"):
        io.read_image(tmp_path / "a.png")


def test_a_name_of_two_lines_gives_a_message_of_one(tmp_path):
    (tmp_path / "a\nb.png").write_bytes(b"junk")
    with pytest.raises(io.InputError) as caught:
        io.read_image(tmp_path / "a\nb.png")
    assert "\n" not in str(caught.value) and r"a\nb.png" in str(caught.value)


def test_size_limits(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", RGB)
    monkeypatch.setenv("BLINDSR_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(io.InputError, match=r"32 x 32 .* 0.001 megapixels .*BLINDSR_MAX_MEGAPIXELS raises it"):
        io.read_image(path)
    monkeypatch.setenv("BLINDSR_MAX_MEGAPIXELS", "0.002")
    assert io.read_image(path).pixels.shape == (32, 32, 3)
    for bad in ("many", "-1", "nan", "inf"):
        monkeypatch.setenv("BLINDSR_MAX_MEGAPIXELS", bad)
        with pytest.raises(io.InputError, match=f"BLINDSR_MAX_MEGAPIXELS is '{bad}', a positive number"):
            io.read_image(path)


def test_the_limit_can_be_raised_above_that_of_the_decoder(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(png_header(20000, 20000))
    monkeypatch.setenv("BLINDSR_MAX_MEGAPIXELS", "500")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda _: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(io.InputError, match="memory"):
        io.read_image(path)
    assert PIL.Image.MAX_IMAGE_PIXELS < 2e8  # the decoder's own again


def test_a_file_of_too_many_bytes_is_not_read(tmp_path, monkeypatch):
    with open(tmp_path / "a.npy", "wb") as file:
        file.truncate(10**13)  # without taking any room
    with pytest.raises(io.InputError, match="10,000,000.0 MB are more than the limit"):
        io.read_image(tmp_path / "a.npy")


def test_damaged_camera_notes_do_not_lose_the_picture(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(with_chunk(encoded(RGB, "PNG"), b"tEXt", b"Raw profile type exif\0\nexif\n6\nno digits"))
    image = io.read_image(path)
    np.testing.assert_array_equal(image.pixels, (RGB / 255).astype(np.float32))
    assert image.notes == ("its EXIF data are damaged and were ignored",)
