import io as stdio
import json
import os
import struct
import warnings
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import scipy.io

from blindsr_jax import image_files, io, metrics, png16


def levels(shape, *, peak=255, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, peak + 1, shape).astype(dtype)


def save(path, array, mode=None, **options):
    image = PIL.Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


# Images that can be read.


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
    for one, other in zip(image, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert os.listdir(tmp_path / "out") == ["b.png"]
    with PIL.Image.open(tmp_path / "out" / "b.png") as written:
        assert written.mode == (
            "I;16" if (bits, channels) == (16, 1) else "RGBA" if (bits, channels) == (16, 2) else mode
        )


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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_camera_orientation(tmp_path, orientation):
    exif = PIL.Image.Exif()
    exif[274] = orientation
    rgb = levels((5, 8, 3))
    path = save(tmp_path / "a.png", rgb, exif=exif)
    with PIL.Image.open(path) as image:
        expected = np.asarray(PIL.ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(io.read_image(path).pixels, (expected / 255).astype(np.float32))


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


# Images that cannot.


def png_header(width, height):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def encoded(array, kind, **options):
    data = stdio.BytesIO()
    PIL.Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()


def array_bytes(array, **options):
    data = stdio.BytesIO()
    np.save(data, array, **options)
    return data.getvalue()


def archive_bytes():
    data = stdio.BytesIO()
    np.savez(data, a=np.zeros((3, 3)))
    return data.getvalue()


def interlaced16():
    data = bytearray(png16.encode(levels((4, 4, 3), peak=65535, dtype=np.uint16)))
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def frames(kind):
    pictures = [PIL.Image.fromarray(levels((8, 8, 3), seed=n)) for n in range(3)]
    data = stdio.BytesIO()
    pictures[0].save(data, kind, save_all=True, append_images=pictures[1:])
    return data.getvalue()


def colour16_tiff():
    pixels = levels((4, 4, 3), peak=65535, dtype=np.uint16).tobytes()
    # Width, height, bits (at 8 + 2 + 12 * 8 + 4), no compression, RGB, strip offset, samples per pixel, strip length.
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, 110), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 116)]
    tags += [(277, 3, 1, 3), (279, 4, 1, len(pixels))]
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, 8) + body + bytes(4) + struct.pack("<3H", 16, 16, 16) + pixels


RGB = levels((32, 32, 3))
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
    "interlaced.png": (interlaced16(), "interlaced"),
    "bomb.png": (png_header(60000, 60000), "120 megapixels"),
    "large.png": (png_header(12000, 12000), "120 megapixels"),
    "nothing.png": (png_header(0, 10), "at least one pixel|truncated|not an image"),
    "lying.png": (png_header(300, 300), "truncated"),
    "animated.gif": (frames("GIF"), "3 frames"),
    "animated.png": (frames("PNG"), "3 frames"),
    "animated.webp": (frames("WEBP"), "3 frames"),
    "pages.tif": (frames("TIFF"), "3 frames"),
    "colour16.tif": (colour16_tiff(), "16-bit"),
    "nan.tif": (encoded(NAN, "TIFF"), "contains NaN"),
    "large_values.tif": (encoded(np.full((4, 4), 200, np.float32), "TIFF"), r"\[0, 1\]"),
    "integers.tif": (encoded(np.full((4, 4), 2**20, np.int32), "TIFF"), "not supported"),
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


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "WEBP", "BMP", "PNG16", "NPY"])
def test_random_damage_gives_an_image_or_an_input_error(tmp_path, kind):
    rng = np.random.default_rng(0)
    good = {"PNG16": lambda: png16.encode(RGB.astype(np.uint16)), "NPY": lambda: array_bytes(RGB)}.get(
        kind, lambda: encoded(RGB, kind)
    )()
    for _ in range(60):
        data = bytearray(good)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = rng.integers(256)
        (tmp_path / "a").write_bytes(bytes(data))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                io.read_image(tmp_path / "a")
            except io.InputError as error:
                assert "\n" not in str(error)
        assert not seen


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
    path = save(tmp_path / "secret.png", RGB)
    # Without relying on file modes, which do not stop an administrator.
    monkeypatch.setattr(
        "pathlib.Path.read_bytes", lambda self: (_ for _ in ()).throw(PermissionError(13, "Permission denied"))
    )
    with pytest.raises(io.InputError, match="permission denied"):
        io.read_image(path)


def test_the_size_limit_can_be_changed(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", RGB)
    monkeypatch.setattr(image_files, "MAX_PIXELS", 1000)
    with pytest.raises(io.InputError, match="limit"):
        io.read_image(path)


# Writing images.


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


# Kernels.


def kernel(size=11):
    grid = np.arange(size) - size // 2
    values = np.exp(-0.5 * (grid[:, None] ** 2 / 3 + grid**2 / 5))
    return values / values.sum()


def test_kernel_round_trips(tmp_path):
    truth = kernel()
    io.write_kernel(tmp_path / "k.npy", 3 * truth)
    assert np.load(tmp_path / "k.npy").dtype == np.float32
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.npy"), truth, atol=1e-8)
    io.write_kernel_mat(tmp_path / "k.mat", truth)
    np.testing.assert_allclose(scipy.io.loadmat(tmp_path / "k.mat")["Kernel"], truth, atol=1e-16)
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.mat"), truth, atol=1e-15)
    assert (tmp_path / "k.mat").read_bytes()[:116] == b"MATLAB 5.0 MAT-file".ljust(116)
    (tmp_path / "k.png").write_bytes(encoded(np.rint(truth / truth.max() * 255).astype(np.uint8), "PNG"))
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.png"), truth, atol=1e-3)
    assert io.read_kernel(tmp_path / "k.png").sum() == pytest.approx(1, abs=1e-12)
    np.save(tmp_path / "small_negatives.npy", truth - 0.01 * truth.max())
    assert io.read_kernel(tmp_path / "small_negatives.npy").min() < 0


@pytest.mark.parametrize("size", [1, 11, 21, 151])
def test_kernel_picture(tmp_path, size):
    io.kernel_png(tmp_path / "k.png", kernel(size))
    with PIL.Image.open(tmp_path / "k.png") as image:
        picture = np.asarray(image)
    factor = picture.shape[0] // size
    assert picture.shape == (factor * size,) * 2 and picture.shape[0] >= 150 and picture.max() == 255
    np.testing.assert_array_equal(picture[::factor, ::factor], picture[factor - 1 :: factor, factor - 1 :: factor])


def mat_bytes(**content):
    data = stdio.BytesIO()
    scipy.io.savemat(data, content)
    return data.getvalue()


BAD_KERNELS = {
    "even.npy": (array_bytes(np.ones((4, 4))), "odd"),
    "oblong.npy": (array_bytes(np.ones((3, 5))), "square"),
    "stack.npy": (array_bytes(np.ones((3, 3, 3))), "square"),
    "number.npy": (array_bytes(np.ones(())), "square"),
    "nan.npy": (array_bytes(np.full((3, 3), np.nan)), "NaN"),
    "zero.npy": (array_bytes(np.zeros((3, 3))), "zero"),
    "negative.npy": (array_bytes(-np.ones((3, 3))), "negative"),
    "mixed.npy": (array_bytes(np.eye(3) - 0.3), "negative"),
    "complex.npy": (array_bytes(np.ones((3, 3), complex)), "complex"),
    "object.npy": (array_bytes(np.array([{}]), allow_pickle=True), "plain array"),
    "text.npy": (b"1 2 3", "plain array"),
    "empty.npy": (b"", "empty"),
    "other.mat": (mat_bytes(k=np.eye(3)), "Kernel"),
    "words.mat": (mat_bytes(Kernel="abc"), "real numbers"),
    "broken.mat": (b"MATLAB 5.0 MAT-file" + bytes(200), "MATLAB|Kernel"),
    "text.mat": (b"hello", "MATLAB"),
    "colour.png": (encoded(levels((5, 5, 3)), "PNG"), "colours"),
    "text.png": (b"hello", "not an image"),
    "kernel.txt": (b"1 0 0", "npy"),
}


@pytest.mark.parametrize("name", BAD_KERNELS)
def test_bad_kernels(tmp_path, name):
    data, message = BAD_KERNELS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(io.InputError, match=message) as caught:
        io.read_kernel(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_kernel_and_bad_kernels_to_write(tmp_path):
    for name in ("k.npy", "k.mat", "k.png"):
        with pytest.raises(io.InputError, match="no such file"):
            io.read_kernel(tmp_path / name)
    for write in (io.write_kernel, io.write_kernel_mat, io.kernel_png):
        for bad in (np.zeros((3, 3)), np.full((3, 3), np.nan)):
            with pytest.raises(ValueError):
                write(tmp_path / "k", bad)
    assert not os.listdir(tmp_path)


# Tables and patterns.


def test_json(tmp_path):
    record = {
        "nan": float("nan"),
        "inf": [np.inf, -np.inf, np.float32("nan")],
        "array": np.array([1.0, np.nan]),
        "tuple": (1, True, None),
        "numpy": np.int64(3),
        "path": tmp_path / "ä",
        4: np.bool_(True),
    }
    io.write_json(tmp_path / "a.json", record)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert "NaN" not in text and "Infinity" not in text and text.startswith('{\n "nan": null')
    assert json.loads(text) == {
        "nan": None,
        "inf": [None, None, None],
        "array": [1.0, None],
        "tuple": [1, True, None],
        "numpy": 3,
        "path": str(tmp_path / "ä"),
        "4": True,
    }
    with pytest.raises(TypeError):
        io.write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text("utf-8") == text


def test_text_and_csv(tmp_path):
    io.write_text(tmp_path / "a.txt", "größe\n")
    assert (tmp_path / "a.txt").read_bytes() == "größe\n".encode()
    rows = [{"name": "a,b", "psnr": 30.5}, {"name": "c", "psnr": np.inf, "config": {"k": 1}}]
    io.write_csv(tmp_path / "a.csv", rows)
    assert (tmp_path / "a.csv").read_text() == 'name,psnr,config\n"a,b",30.5,\nc,,"{""k"": 1}"\n'
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.txt"]


def test_find_inputs(tmp_path, monkeypatch):
    for name in ("b.png", "a.png", "photo[1].png", "deep/er/c.png", "folder.png/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")

    def found(pattern):
        return [str(path.relative_to(tmp_path)) for path in io.find_inputs(pattern)]

    assert found(f"{tmp_path}/*.png") == ["a.png", "b.png", "photo[1].png"]
    assert found(f"{tmp_path}/**/*.png") == ["a.png", "b.png", "deep/er/c.png", "photo[1].png"]
    assert found(tmp_path / "photo[1].png") == ["photo[1].png"]
    assert found(f"{tmp_path}/[ab].png") == ["a.png", "b.png"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert found("~/a.png") == ["a.png"]
    for bad in (f"{tmp_path}/*.jpg", f"{tmp_path}/none.png", ""):
        with pytest.raises(io.InputError, match="no file matches"):
            io.find_inputs(bad)
    with pytest.raises(io.InputError, match="is a folder"):
        io.find_inputs(tmp_path)


def test_unique_stems():
    assert io.unique_stems(["x/photo.png", "y/photo.jpg", "z/a.b.png"]) == ["photo", "photo_2", "a.b"]
    names = io.unique_stems(["photo.png", "photo.jpg", "photo_2.png", "photo.tif", "photo_2.tif"])
    assert names == ["photo", "photo_3", "photo_2", "photo_4", "photo_2_2"]
    assert io.unique_stems(["Photo.png", "photo.jpg"]) == ["Photo", "photo_2"]
    assert io.unique_stems([]) == []
