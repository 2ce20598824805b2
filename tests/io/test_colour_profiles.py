import itertools
import struct
import zlib

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from blindsr_jax import io
from blindsr_jax.io import png16
from tests.file_samples import encoded, icc_gamma, icc_profile, icc_rgb, levels, save, with_chunk

# Linear RGB to XYZ under D50: sRGB, and the wider Adobe RGB (1998).
SRGB = [[0.43607, 0.38506, 0.14308], [0.2225, 0.71688, 0.06062], [0.01393, 0.0971, 0.71417]]
WIDE = [[0.60976, 0.20524, 0.14922], [0.31112, 0.62566, 0.06322], [0.01948, 0.06089, 0.74484]]


def srgb_curve(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_wide_profile_becomes_srgb(tmp_path, kind):
    rgb = np.repeat(np.repeat(levels((6, 6, 3)) // 2 + 60, 16, 0), 16, 1)
    options = {"PNG": {}, "JPEG": {"quality": 100, "subsampling": 0}, "TIFF": {}, "WEBP": {"lossless": True}}[kind]
    (tmp_path / "a").write_bytes(encoded(rgb, kind, icc_profile=icc_rgb(WIDE, 2.2), **options))
    image = io.read_image(tmp_path / "a")
    linear = (rgb / 255) ** 2.2 @ np.transpose(WIDE) @ np.linalg.inv(np.transpose(SRGB))
    expected = srgb_curve(np.clip(linear, 0, 1))
    assert abs(expected - rgb / 255).max() > 0.05  # or there would be nothing to see
    assert np.mean(abs(image.pixels - expected)) < 0.003 and abs(image.pixels - expected).max() < 0.04
    assert image.mode == "RGB" and len(image.notes) == 1 and "'A test'" in image.notes[0]


def test_srgb_by_any_name_changes_nothing(tmp_path):
    rgb = levels((40, 40, 3))
    for name, icc in (
        ("own", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        ("none", None),
    ):
        image = io.read_image(save(tmp_path / f"{name}.png", rgb, icc_profile=icc))
        np.testing.assert_array_equal(image.pixels, (rgb / 255).astype(np.float32))
        assert image.notes == ()


def test_alpha_and_palettes_keep_their_kind(tmp_path):
    icc = icc_rgb(WIDE, 2.2)
    rgba = levels((8, 8, 4))
    image = io.read_image(save(tmp_path / "rgba.png", rgba, icc_profile=icc))
    opaque = io.read_image(save(tmp_path / "rgb.png", rgba[..., :3].copy(), icc_profile=icc))
    np.testing.assert_array_equal(image.pixels, opaque.pixels)
    np.testing.assert_array_equal(image.alpha, (rgba[..., 3] / 255).astype(np.float32))
    palette = PIL.Image.fromarray(rgba[..., :3].copy()).quantize(256)
    palette.save(tmp_path / "p.png", icc_profile=icc)
    assert io.read_image(tmp_path / "p.png").notes == image.notes != ()


def test_gray_profiles(tmp_path):
    gray = np.arange(256, dtype=np.uint8)[None]
    linear = icc_profile(b"GRAY", {b"kTRC": icc_gamma(1)})
    image = io.read_image(save(tmp_path / "linear.png", gray, icc_profile=linear))
    assert image.mode == "L" and image.notes
    np.testing.assert_allclose(image.pixels[0, :, 0], srgb_curve(gray[0] / 255), atol=0.006)
    # A profile of RGB at a gray image stands for its neutral colours.
    image = io.read_image(save(tmp_path / "rgb.png", gray, icc_profile=icc_rgb(WIDE, 1)))
    assert image.mode == "L"
    np.testing.assert_allclose(image.pixels[0, :, 0], srgb_curve(gray[0] / 255), atol=0.006)


def test_cmyk_by_its_profile(tmp_path):
    # Pure cyan is printed as a middle gray (L* = 50), whatever it is elsewhere.
    lattice = [(255 * (1 - max(c / 2, m, y, k)), 128, 128) for c, m, y, k in itertools.product((0, 1), repeat=4)]
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    table += 4 * ramp + np.rint(lattice).astype(np.uint8).tobytes() + 3 * ramp
    icc = icc_profile(b"CMYK", {b"A2B0": table})
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[..., 0] = 255
    cyan = PIL.Image.frombytes("CMYK", (16, 16), cmyk.tobytes())
    for suffix in ("jpg", "tif"):
        cyan.save(tmp_path / f"with.{suffix}", icc_profile=icc)
        image = io.read_image(tmp_path / f"with.{suffix}")
        np.testing.assert_allclose(255 * image.pixels, 119, atol=4)
        assert image.mode == "RGB" and "converted" in image.notes[0]
        cyan.save(tmp_path / f"without.{suffix}")
        image = io.read_image(tmp_path / f"without.{suffix}")
        np.testing.assert_allclose(image.pixels[3, 3], (0, 1, 1), atol=0.02)
        assert "CMYK without a colour profile" in image.notes[0]


def test_profiles_that_cannot_be_used_are_ignored_with_a_note(tmp_path):
    rgb = levels((8, 8, 3))
    wide = icc_rgb(WIDE, 2.2)
    for icc in (b"junk", wide[:200], wide[:-60], icc_profile(b"GRAY", {b"kTRC": icc_gamma(1)})):
        image = io.read_image(save(tmp_path / "a.png", rgb, icc_profile=icc))
        np.testing.assert_array_equal(image.pixels, (rgb / 255).astype(np.float32))
        assert len(image.notes) == 1 and "ignored" in image.notes[0]


def test_without_littlecms(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", levels((8, 8, 3)), icc_profile=icc_rgb(WIDE, 2.2))
    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda _: (_ for _ in ()).throw(ImportError("_imagingcms")))
    assert "LittleCMS" in io.read_image(path).notes[0]


def test_sixteen_bits_stay_and_say_so(tmp_path):
    rgb = levels((8, 8, 3), peak=65535, dtype=np.uint16)
    profile = b"a\0\0" + zlib.compress(icc_rgb(WIDE, 2.2))
    (tmp_path / "a.png").write_bytes(with_chunk(png16.encode(rgb), b"iCCP", profile))
    image = io.read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels, rgb / 65535, atol=1e-7)
    assert image.bits == 16 and "'A test' was not applied" in image.notes[0]
