"""Kinds of image files that cameras, scanners, microscopes and editors write: read rightly, or one true sentence."""

import io as stdio
import logging
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from blindsr_jax import io
from blindsr_jax.io import tiff
from tests.file_samples import array_bytes, chunk, encoded, icc_rgb, levels, tiff_bytes, with_chunk

RGB = levels((12, 10, 3), seed=3)
GRAY = levels((12, 10), seed=4)
RGBA = levels((12, 10, 4), seed=5)
DEEP = levels((12, 10, 3), peak=65535, dtype=np.uint16, seed=6)
SIGNED = (GRAY // 2).astype(np.int8)


def unit(array, white=255.0):
    return array.reshape(12, 10, -1) / white


def lab_tiff():
    srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
    data = stdio.BytesIO()
    ImageCms.profileToProfile(PIL.Image.fromarray(RGB // 2 + 60), srgb, lab, outputMode="LAB").save(data, "TIFF")
    return data.getvalue()


# File, its values in [0, 1], bits of the result, and the level of white if it has to be told.
READ = {
    "miniswhite8.tif": (tiff_bytes(GRAY, "miniswhite"), 1 - unit(GRAY), 8, None),
    "miniswhite16.tif": (tiff_bytes(DEEP[..., 0], "miniswhite"), 1 - unit(DEEP[..., 0], 65535), 16, None),
    "miniswhite_float.tif": (tiff_bytes((GRAY / 255).astype("f4"), "miniswhite"), 1 - unit(GRAY), 16, None),
    "miniswhite_half.tif": (tiff_bytes((GRAY / 255).astype("f2"), "miniswhite"), 1 - unit(GRAY), 16, None),
    "miniswhite12.tif": (tiff_bytes(GRAY.astype("u2") * 16, "miniswhite"), 1 - unit(GRAY * 16.0, 4095), 16, 4095),
    "signed8.tif": (tiff_bytes(SIGNED), unit(SIGNED, 127), 8, None),
    "signed16.tif": (tiff_bytes(SIGNED.astype("i2") * 258), unit(SIGNED * 258.0, 32767), 16, None),
    "float16.tif": (tiff_bytes((GRAY / 255).astype("f2")), unit(GRAY), 16, None),
    "float32.tif": (tiff_bytes((GRAY / 255).astype("f4")), unit(GRAY), 16, None),
    "float64.tif": (tiff_bytes(GRAY / 255), unit(GRAY), 16, None),
    "float_rgb.tif": (tiff_bytes((RGB / 255).astype("f4")), unit(RGB), 16, None),
    "float_rgba.tif": (tiff_bytes((RGBA / 255).astype("f4"), extrasamples=["unassalpha"]), unit(RGBA), 16, None),
    "rgb16.tif": (tiff_bytes(DEEP), unit(DEEP, 65535), 16, None),
    "big_endian.tif": (tiff_bytes(DEEP, byteorder=">"), unit(DEEP, 65535), 16, None),
    "big.tif": (tiff_bytes(DEEP, bigtiff=True), unit(DEEP, 65535), 16, None),
    "tiled.tif": (tiff_bytes(DEEP, tile=(16, 16)), unit(DEEP, 65535), 16, None),
    "strips.tif": (tiff_bytes(DEEP, rowsperstrip=5), unit(DEEP, 65535), 16, None),
    "planes.tif": (tiff_bytes(np.moveaxis(DEEP, -1, 0), planarconfig="separate"), unit(DEEP, 65535), 16, None),
    "float255.tif": (tiff_bytes(RGB.astype("f4")), unit(RGB), 16, 255),
    "float255.npy": (array_bytes(RGB.astype("f8")), unit(RGB), 16, 255),
    "float_rgba255.npy": (array_bytes(RGBA.astype("f4")), unit(RGBA), 16, 255),
    "int64.npy": (array_bytes(RGB.astype("i8")), unit(RGB), 16, 255),
    "uint32.tif": (tiff_bytes(RGB.astype("u4") * 2**24), unit(RGB), 16, 255 * 2**24),
    "12in16.tif": (tiff_bytes(GRAY.astype("u2") * 16), unit(GRAY * 16.0, 4095), 16, 4095),
    "8in16.npy": (array_bytes(RGB.astype("u2")), unit(RGB), 16, 255),
    "8in16alpha.npy": (array_bytes(RGBA.astype("u2")), unit(RGBA), 16, 255),
    "big_endian.npy": (array_bytes(DEEP.astype(">u2")), unit(DEEP, 65535), 16, None),
    "signed.npy": (array_bytes(SIGNED.astype("i2") * 258), unit(SIGNED * 258.0, 32767), 16, None),
}


@pytest.mark.parametrize("name", READ)
def test_is_read_rightly(tmp_path, name):
    data, expected, bits, white_level = READ[name]
    (tmp_path / name).write_bytes(data)
    image = io.read_image(tmp_path / name, white_level=white_level)
    assert (image.bits, image.notes) == (bits, ())
    read = image.pixels if image.alpha is None else np.dstack([image.pixels, image.alpha])
    np.testing.assert_allclose(read, expected, atol=5e-4 if "half" in name or "float16" in name else 1e-6)


# File, and what the sentence names.
REFUSED = {
    "above1.npy": (array_bytes(np.full((4, 4), 1.0000001, np.float32)), ("1.0000001", "[0, 1]", "--white_level")),
    "float255.tif": (tiff_bytes(RGB.astype("f4")), ("from 0.0 to 255.0", "[0, 1]", "--white_level")),
    "float255.npy": (array_bytes(RGB.astype("f4")), ("255.0", "--white_level")),
    "int64.npy": (array_bytes(RGB.astype("i8")), ("int64", "--white_level")),
    "uint32.tif": (tiff_bytes(RGB.astype("u4")), ("uint32", "--white_level")),
    "negative16.tif": (tiff_bytes(GRAY.astype("i2") - 300), ("from -", "[0, 32767]", "--white_level")),
    "negative8.tif": (tiff_bytes(GRAY.view("i1")), ("from -", "[0, 127]")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_in_a_sentence_that_is_true(tmp_path, name):
    data, words = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(io.InputError) as caught:
        io.read_image(tmp_path / name)
    assert [word for word in (name, *words) if word not in str(caught.value)] == [], caught.value


@pytest.mark.parametrize("peak, level", [(200, 255), (900, 1023), (3755, 4095), (4095, 4095), (16383, 16383)])
def test_numbers_that_seem_to_have_fewer_bits_than_their_file_are_noted(tmp_path, peak, level):
    gray = levels((12, 10), peak=peak, dtype=np.uint16)
    gray[0, 0] = peak
    for name, data in (("a.tif", tiff_bytes(gray)), ("a.npy", array_bytes(gray)), ("a.png", encoded(gray, "PNG"))):
        (tmp_path / name).write_bytes(data)
        image = io.read_image(tmp_path / name)
        np.testing.assert_allclose(image.pixels[..., 0], gray / 65535, atol=1e-7)
        assert len(image.notes) == 1 and f"{peak} of 65535" in image.notes[0]
        assert f"--white_level={level}" in image.notes[0]
        assert io.read_image(tmp_path / name, white_level=level).notes == ()


def test_the_full_range_is_not_noted(tmp_path):
    for array in (np.full((5, 5), 16384, np.uint16), np.full((5, 5), 9, np.uint8), np.full((5, 5), 0.1, np.float32)):
        np.save(tmp_path / "a.npy", array)
        assert io.read_image(tmp_path / "a.npy").notes == ()


def test_values_beyond_the_white_level_are_clipped_and_counted(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[-1, 50, 100, 150]], np.float32))
    image = io.read_image(tmp_path / "a.npy", white_level=100)
    np.testing.assert_allclose(image.pixels[..., 0], [[0, 0.5, 1, 1]])
    assert len(image.notes) == 1 and "50 %" in image.notes[0] and "--white_level=100" in image.notes[0]


def test_a_nan_is_refused_with_a_white_level_too(tmp_path):
    np.save(tmp_path / "a.npy", np.full((4, 4), np.nan))
    with pytest.raises(io.InputError, match="NaN"):
        io.read_image(tmp_path / "a.npy", white_level=255)


def test_lab_becomes_srgb(tmp_path):
    (tmp_path / "a.tif").write_bytes(lab_tiff())
    image = io.read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, (RGB // 2 + 60) / 255, atol=0.03)  # 8 bits of Lab are coarse
    assert image.mode == "RGB" and "Lab" in image.notes[0]


def test_colours_that_are_multiplied_by_alpha_are_divided(tmp_path):
    alpha = np.clip(DEEP[..., :1] / 65535, 0.3, 1)
    alpha[3, 4] = 0
    stored = np.rint(65535 * np.dstack([RGB / 255 * alpha, alpha])).astype(np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff_bytes(stored, extrasamples=["assocalpha"]))
    image = io.read_image(tmp_path / "a.tif")
    visible = image.alpha > 0
    np.testing.assert_allclose(image.pixels[visible], (RGB / 255)[visible], atol=1e-4)
    np.testing.assert_allclose(image.alpha, alpha[..., 0], atol=1e-5)


def test_further_channels_and_pages_are_noted(tmp_path):
    stored = np.dstack([DEEP, DEEP[..., :2]])
    (tmp_path / "a.tif").write_bytes(tiff_bytes(stored, extrasamples=["unspecified"] * 2))
    image = io.read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, DEEP / 65535, atol=1e-6)
    assert image.mode == "RGB" and "channels were ignored" in image.notes[0]
    (tmp_path / "b.tif").write_bytes(tiff_bytes(np.stack([DEEP, DEEP // 2])))
    image = io.read_image(tmp_path / "b.tif")
    np.testing.assert_allclose(image.pixels, DEEP / 65535, atol=1e-6)
    assert "several frames or pages" in image.notes[0]


def test_a_deep_tiff_is_turned_upright_and_its_profile_noted(tmp_path):
    icc = icc_rgb([[0.61, 0.2, 0.15], [0.31, 0.63, 0.06], [0.02, 0.1, 0.74]], 2.2)
    tags = [(274, 3, 1, 6, True), (34675, 7, len(icc), icc, True)]
    (tmp_path / "a.tif").write_bytes(tiff_bytes(DEEP, extratags=tags))
    image = io.read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, DEEP.swapaxes(0, 1)[:, ::-1] / 65535, atol=1e-6)
    assert len(image.notes) == 1 and "'A test' was not applied" in image.notes[0]


@pytest.mark.parametrize("compression", ["deflate", "lzw", "packbits", "zstd"])
@pytest.mark.parametrize("predictor", [False, True])
def test_compressed_deep_tiff(tmp_path, compression, predictor, monkeypatch):
    pytest.importorskip("imagecodecs")
    floats = (RGB / 255).astype(np.float32)
    for array, expected in ((DEEP, DEEP / 65535), (floats, floats)):
        (tmp_path / "a.tif").write_bytes(tiff_bytes(array, compression=compression, predictor=predictor))
        np.testing.assert_allclose(io.read_image(tmp_path / "a.tif").pixels, expected, atol=1e-7)
    monkeypatch.setattr(tiff, "has_codecs", lambda: False)
    with pytest.raises(io.InputError, match=r"compressed in this TIFF, .*pip install 'blindsr_jax\[tiff\]'"):
        io.read_image(tmp_path / "a.tif")


def test_without_the_extra_compressed_gray_is_read_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "has_codecs", lambda: False)
    for array, white in ((DEEP[..., 0], 65535), ((GRAY / 255).astype(np.float32), 1)):
        (tmp_path / "a.tif").write_bytes(encoded(array, "TIFF", compression="tiff_lzw"))
        np.testing.assert_allclose(io.read_image(tmp_path / "a.tif").pixels[..., 0], array / white, atol=1e-7)


@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 3}, {"tile": (16, 16)}])
def test_a_tiff_that_is_cut_off_anywhere_is_refused(tmp_path, options, capfd):
    data = tiff_bytes(DEEP, **options)
    for length in range(4, len(data), 7):
        (tmp_path / "a.tif").write_bytes(data[:length])
        with pytest.raises(io.InputError, match="truncated|not an image"):
            io.read_image(tmp_path / "a.tif")
    assert capfd.readouterr() == ("", "") and not logging.getLogger("tifffile").disabled


LINEAR = chunk(b"gAMA", struct.pack(">I", 100000))
SRGB_GAMMA = chunk(b"gAMA", struct.pack(">I", 45455))
BT2020 = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600))
BT709 = chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
SRGB = chunk(b"sRGB", b"\0")
PQ, SRGB_CODE = chunk(b"cICP", bytes([9, 16, 0, 1])), chunk(b"cICP", bytes([1, 13, 0, 1]))


@pytest.mark.parametrize(
    "chunks, named",
    [
        (LINEAR, ["gAMA"]),
        (SRGB_GAMMA + BT2020, ["cHRM"]),
        (LINEAR + BT2020, ["gAMA", "cHRM"]),
        (PQ, ["cICP"]),
        (PQ + SRGB, ["cICP"]),
        (SRGB_GAMMA + BT709, []),
        (LINEAR + SRGB, []),
        (LINEAR + SRGB_CODE, []),
        (b"", []),
    ],
)
def test_colour_chunks_of_a_png_that_say_otherwise_are_noted(tmp_path, chunks, named):
    for name in ("8.png", "16.png"):
        path = tmp_path / name
        io.write_image(path, io.Image(RGB / 255, bits=int(name[:-4])))
        data = path.read_bytes()
        path.write_bytes(data[:33] + chunks + data[33:])
        image = io.read_image(path)
        np.testing.assert_allclose(image.pixels, RGB / 255, atol=1e-5)
        assert len(image.notes) == bool(named)
        assert all(word in image.notes[0] for word in named)


def test_a_profile_outranks_the_other_chunks(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = with_chunk(encoded(RGB, "PNG"), b"iCCP", b"a\0\0" + zlib.compress(srgb))
    (tmp_path / "a.png").write_bytes(data[:33] + LINEAR + data[33:])
    assert io.read_image(tmp_path / "a.png").notes == ()


def sprite():
    """A red disc with a soft edge, of which the transparent surroundings are green."""
    rows, columns = np.indices((24, 26))
    alpha = np.clip(8 - np.hypot(rows - 12, columns - 13), 0, 1)
    pixels = np.where(alpha[..., None] > 0, [0.8, 0.2, 0.1], [0.0, 1.0, 0.0])
    return io.Image(pixels.astype(np.float32), alpha.astype(np.float32))


def test_hidden_colours_do_not_bleed_into_the_edge():
    image = sprite()
    filled = io.fill_hidden(image)
    np.testing.assert_allclose(filled.pixels, np.broadcast_to(np.float32([0.8, 0.2, 0.1]), (24, 26, 3)), atol=1e-5)
    assert filled.alpha is image.alpha and filled.bits == 8 and len(filled.notes) == 1
    assert "transparent" in filled.notes[0]


def test_visible_colours_stay_to_the_bit():
    rng = np.random.default_rng(0)
    image = sprite()._replace(pixels=rng.random((24, 26, 3)).astype(np.float32))
    filled = io.fill_hidden(image)
    visible = image.alpha >= 0.25
    np.testing.assert_array_equal(filled.pixels[visible], image.pixels[visible])
    hidden = filled.pixels[image.alpha == 0]
    assert hidden.min() >= image.pixels[image.alpha > 0].min() and hidden.max() <= image.pixels[image.alpha > 0].max()


@pytest.mark.parametrize("alpha", [None, 1.0, 0.0])
def test_where_all_or_nothing_is_visible_the_image_is_the_same(alpha):
    image = sprite()
    image = image._replace(alpha=None if alpha is None else np.full((24, 26), alpha, np.float32))
    assert io.fill_hidden(image) is image


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (2, 3)])
def test_small_images_are_filled(shape):
    alpha = np.zeros(shape, np.float32)
    alpha[0, 0] = 1
    gray = np.where(alpha > 0, 0.5, 0.9).astype(np.float32)[..., None]
    np.testing.assert_allclose(io.fill_hidden(io.Image(gray, alpha)).pixels, 0.5, atol=1e-6)
