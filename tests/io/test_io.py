import hashlib
import io as stdio
import os

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.evaluation import metrics
from blindsr_jax.io import png16
from tests.file_samples import encoded, frames, levels, save


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_round_trip(tmp_path, channels, mode, bits):
    samples = levels((11, 7, channels), peak=2**bits - 1, dtype=np.uint8 if bits == 8 else np.uint16)
    source = tmp_path / "a.png"
    if bits == 8:
        save(source, samples[..., 0] if channels == 1 else samples)
    else:
        source.write_bytes(png16.encode(samples))
    image = io.read_image(source)
    assert (image.mode, image.bits, image.pixels.dtype) == (mode, bits, np.float32)
    assert image.pixels.shape == (11, 7, 1 if channels < 3 else 3)
    assert (image.alpha is None) == (channels in (1, 3))
    assert image.alpha is None or image.alpha.shape == (11, 7)
    io.write_image(tmp_path / "out" / "b.png", image)
    again = io.read_image(tmp_path / "out" / "b.png")
    for one, other in zip(image._replace(sha256=None), again._replace(sha256=None), strict=True):
        np.testing.assert_array_equal(one, other)
    assert os.listdir(tmp_path / "out") == ["b.png"]
    with PIL.Image.open(tmp_path / "out" / "b.png") as written:
        assert written.mode == (
            "I;16" if (bits, channels) == (16, 1) else "RGBA" if (bits, channels) == (16, 2) else mode
        )


def test_the_digest_is_of_the_bytes_that_were_decoded(tmp_path, monkeypatch):
    for path in (save(tmp_path / "a.png", levels((5, 4, 3))), tmp_path / "a.npy"):
        if path.suffix == ".npy":
            np.save(path, np.zeros((5, 4)))
        data, opened, os_open = path.read_bytes(), [], os.open
        monkeypatch.setattr(os, "open", lambda name, *args, f=os_open, n=opened: n.append(str(name)) or f(name, *args))
        assert io.read_image(path).sha256 == hashlib.sha256(data).hexdigest()
        monkeypatch.undo()
        assert opened == [str(path)]


def test_palettes_and_bitmaps(tmp_path):
    rgb = levels((9, 8, 3)) // 64 * 64
    paletted = PIL.Image.fromarray(rgb).convert("P", palette=PIL.Image.Palette.ADAPTIVE)
    paletted.save(tmp_path / "plain.png")
    paletted.save(tmp_path / "clear.png", transparency=3)
    image = io.read_image(tmp_path / "plain.png")
    assert image.mode == "RGB"
    np.testing.assert_allclose(image.pixels, rgb / 255, atol=0.5)
    image = io.read_image(tmp_path / "clear.png")
    assert image.mode == "RGBA" and set(np.unique(image.alpha)) == {0.0, 1.0}
    paletted.save(tmp_path / "one.gif")
    assert io.read_image(tmp_path / "one.gif").mode == "RGB"
    bitmap = save(tmp_path / "bits.png", levels((9, 8)), "1")
    image = io.read_image(bitmap)
    assert image.mode == "L" and image.bits == 8 and set(np.unique(image.pixels)) == {0.0, 1.0}
    PIL.Image.fromarray(rgb).save(tmp_path / "key.png", transparency=tuple(int(v) for v in rgb[0, 0]))
    assert io.read_image(tmp_path / "key.png").alpha[0, 0] == 0
    PIL.Image.fromarray(rgb[..., 0]).save(tmp_path / "gray_key.png", transparency=int(rgb[0, 0, 0]))
    assert io.read_image(tmp_path / "gray_key.png").mode == "LA"


@pytest.mark.parametrize("name", ["a.tif", "a.bmp", "a.webp", "a.ppm", "a.tga", "a.jp2", "a.wrong_suffix"])
def test_other_lossless_formats(tmp_path, name):
    rgb = levels((40, 37, 3))
    options = {"lossless": True} if name == "a.webp" else {"format": "PNG"} if name == "a.wrong_suffix" else {}
    image = io.read_image(save(tmp_path / name, rgb, **options))
    assert (image.mode, image.bits) == ("RGB", 8)
    np.testing.assert_array_equal(image.pixels, (rgb / 255).astype(np.float32))


def test_jpeg_and_cmyk(tmp_path):
    rgb = np.broadcast_to(np.array([200, 100, 50], np.uint8), (16, 16, 3))
    for mode in (None, "CMYK"):
        image = io.read_image(save(tmp_path / "a.jpg", rgb.copy(), mode, quality=95))
        assert image.mode == "RGB"
        np.testing.assert_allclose(image.pixels, rgb / 255, atol=0.02)
    assert io.read_image(save(tmp_path / "g.jpg", levels((16, 16)))).mode == "L"


# What a camera held in each of eight ways needs: rows and columns exchanged, rows reversed, columns reversed.
UPRIGHT = {1: "", 2: "c", 3: "rc", 4: "r", 5: "t", 6: "tc", 7: "trc", 8: "tr"}


@pytest.mark.parametrize("kind", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation(tmp_path, orientation, kind):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    rgb = np.kron(levels((3, 5, 3)), np.ones((16, 16, 1), np.uint8))
    options = {"webp": {"lossless": True}, "jpg": {"quality": 100, "subsampling": 0}}.get(kind, {})
    path = save(tmp_path / f"a.{kind}", rgb, exif=exif, **options)
    moves = UPRIGHT[orientation]
    expected = rgb.swapaxes(0, 1) if "t" in moves else rgb
    expected = expected[:: -1 if "r" in moves else 1, :: -1 if "c" in moves else 1]
    image = io.read_image(path)
    np.testing.assert_allclose(image.pixels * 255, expected, atol=4 if kind == "jpg" else 0.01)
    assert image.notes == ()
    io.write_image(tmp_path / "out.png", image)
    with PIL.Image.open(tmp_path / "out.png") as written:
        assert written.size == expected.shape[1::-1] and not written.getexif()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_read(tmp_path, kind):
    (tmp_path / "a").write_bytes(frames(kind))
    image = io.read_image(tmp_path / "a")
    expected = levels((8, 8, 3), seed=0)
    distance = abs(image.pixels * 255 - expected).mean()  # from another frame it is 80
    assert image.pixels.shape == (8, 8, 3) and distance < (30 if kind in ("GIF", "WEBP") else 1e-4)
    assert image.notes == ("it holds several frames or pages, only the first was read",)
    (tmp_path / "b").write_bytes(encoded(expected, kind))
    assert io.read_image(tmp_path / "b").notes == ()


def test_colours_of_a_cmyk_jpeg_that_is_stored_as_luma(tmp_path):
    # The decoder undoes the luma for the first three inks; written as CMYK, then marked as YCCK (transform 2).
    inks = np.broadcast_to(np.array([30, 120, 200], np.uint8), (16, 16, 3))
    luma = 255 - np.asarray(PIL.Image.fromarray(inks.copy()).convert("YCbCr"))
    stored = np.dstack([luma, np.full((16, 16), 20, np.uint8)])
    data = stdio.BytesIO()
    PIL.Image.frombytes("CMYK", (16, 16), stored.tobytes()).save(data, "JPEG", quality=100)
    data = bytearray(data.getvalue())
    data[data.find(b"Adobe") + 11] = 2
    (tmp_path / "a.jpg").write_bytes(bytes(data))
    expected = np.clip(255 - 20 - inks[0, 0].astype(float), 0, 255)
    image = io.read_image(tmp_path / "a.jpg")
    assert image.mode == "RGB"
    np.testing.assert_allclose(255 * image.pixels, np.broadcast_to(expected, (16, 16, 3)), atol=25)
    np.testing.assert_allclose(255 * image.pixels[..., 0], 225, atol=25)


def test_a_camera_jpeg_with_a_preview_is_one_picture(tmp_path):
    picture, preview = (PIL.Image.fromarray(levels((16, 16, 3), seed=n)) for n in (0, 1))
    picture.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[preview])
    assert io.read_image(tmp_path / "a.jpg").pixels.shape == (16, 16, 3)


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bit_gray_tiff(tmp_path, dtype):
    gray = levels((6, 5), peak=65535, dtype=np.uint16)
    image = io.read_image(save(tmp_path / "a.tif", gray.astype(dtype)))
    assert (image.mode, image.bits) == ("L", 16)
    np.testing.assert_allclose(image.pixels[..., 0], gray / 65535, atol=1e-7)


def test_sixteen_bit_pgm(tmp_path):
    gray = levels((6, 5), peak=65535, dtype=np.uint16)
    (tmp_path / "a.pgm").write_bytes(b"P5 5 6 65535\n" + gray.astype(">u2").tobytes())
    image = io.read_image(tmp_path / "a.pgm")
    assert image.bits == 16
    np.testing.assert_allclose(image.pixels[..., 0], gray / 65535, atol=1e-7)


def test_float_tiff(tmp_path):
    gray = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    image = io.read_image(save(tmp_path / "a.tif", gray))
    assert (image.mode, image.bits) == ("L", 16)
    np.testing.assert_array_equal(image.pixels[..., 0], gray)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3), (6, 5, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "float16", "uint8", "uint16"])
def test_arrays(tmp_path, shape, dtype):
    values = levels(shape)
    peak = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    array = (values / 255 if peak == 1 else values).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    image = io.read_image(tmp_path / "a.npy")
    assert image.bits == (8 if dtype == "uint8" else 16)
    assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[1 if len(shape) == 2 else shape[2]]
    expected = array.reshape(6, 5, -1).astype(np.float64) / peak
    np.testing.assert_allclose(image.pixels, expected[..., : image.pixels.shape[-1]], atol=1e-7)


def test_write_image_clips_and_rounds_half_to_even(tmp_path):
    pixels = np.array([[[-0.5], [0.5 / 255], [1.5 / 255], [2.5 / 255], [1.5]]])
    io.write_image(tmp_path / "a.png", io.Image(pixels))
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.png").pixels * 255, [[[0], [0], [2], [2], [255]]])
    pixels = np.random.default_rng(0).random((30, 30, 3)).astype(np.float32)
    io.write_image(tmp_path / "b.png", io.Image(pixels))
    np.testing.assert_allclose(io.read_image(tmp_path / "b.png").pixels, metrics.quantize(pixels), atol=1e-7)


def test_write_image_errors_leave_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    io.write_image(path, io.Image(np.zeros((4, 4, 3))))
    before = path.read_bytes()
    for bad in (np.full((4, 4, 3), np.nan), np.zeros((4, 4)), np.zeros((4, 4, 2))):
        with pytest.raises(ValueError):
            io.write_image(path, io.Image(bad))
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        io.write_image(path, io.Image(np.ones((4, 4, 3))))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.png"]


def test_bicubic_enlarge():
    ramp = np.broadcast_to((np.arange(16) + 0.5)[:, None, None] / 16, (16, 8, 3))
    large = io.bicubic_enlarge(ramp, 4)
    assert large.shape == (64, 32, 3) and large.dtype == np.float32
    expected = (np.arange(64) + 0.5) / 64
    np.testing.assert_allclose(large[8:-8, 3, 1], expected[8:-8], atol=1e-6)
    assert io.bicubic_enlarge(np.eye(5), 3).shape == (15, 15)
    assert 0 <= io.bicubic_enlarge(np.eye(5), 3).min() and io.bicubic_enlarge(np.eye(5), 3).max() <= 1
