"""Random damage: a file gives a valid array, or one sentence that names it; never another error or a warning."""

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.io import png16
from tests.file_samples import (
    array_bytes,
    cells,
    encoded,
    frames,
    icc_gamma,
    icc_profile,
    levels,
    mat_bytes,
    tiff_bytes,
)

RGB = levels((24, 24, 3))
KERNEL = np.outer(*2 * [np.array([1, 2, 4, 2, 1.0])])
GRAY_PROFILE = icc_profile(b"GRAY", {b"kTRC": icc_gamma(1.5)})
IMAGES = {
    "a.png": encoded(RGB, "PNG"),
    "profile.png": encoded(RGB[..., 0], "PNG", icc_profile=GRAY_PROFILE),
    "deep.png": png16.encode(RGB.astype(np.uint16)),
    "animated.png": frames("PNG"),
    "a.jpg": encoded(RGB, "JPEG"),
    "progressive.jpg": encoded(RGB, "JPEG", progressive=True),
    "a.tif": encoded(RGB, "TIFF"),
    "packed.tif": encoded(RGB, "TIFF", compression="tiff_adobe_deflate"),
    "float.tif": tiff_bytes((RGB / 255).astype(np.float32)),
    "deep.tif": tiff_bytes(RGB.astype(np.uint16), byteorder=">", tile=(16, 16)),
    "signed.tif": tiff_bytes((RGB[..., 0] // 2).astype(np.int8)),
    "packed16.tif": tiff_bytes(257 * RGB.astype(np.uint16), compression="lzw", predictor=True),
    "deflated.tif": tiff_bytes((RGB / 255).astype(np.float16), compression="deflate"),
    "a.gif": encoded(RGB, "GIF"),
    "animated.gif": frames("GIF"),
    "a.webp": encoded(RGB, "WEBP"),
    "a.bmp": encoded(RGB, "BMP"),
    "a.jp2": encoded(RGB, "JPEG2000"),
    "a.ppm": encoded(RGB, "PPM"),
    "a.npy": array_bytes(RGB / 255),
}
KERNELS = {
    "k.npy": array_bytes(KERNEL),
    "k.mat": mat_bytes(Kernel=KERNEL),
    "packed.mat": mat_bytes(compress=True, Kernel=KERNEL),
    "k.png": encoded(KERNEL.astype(np.uint8), "PNG"),
    "k.tif": tiff_bytes(KERNEL.astype(np.float32)),
    "k.csv": "\n".join(",".join(map(str, row)) for row in KERNEL).encode(),
    "cells.mat": mat_bytes(kernels=cells(KERNEL, KERNEL)),
}


def damaged(good, seed, count):
    """Copies with bytes changed (most of them at the start, where the headers are), cut out, doubled or cut off."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        data = bytearray(good)
        for place in rng.integers(0, min(len(data), 400 if i % 2 else 60), rng.integers(1, 5)):
            data[place] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        start, end = sorted(rng.integers(0, len(data), 2))
        if i % 8 == 0:
            del data[start : min(end, start + 9)]
        elif i % 8 == 2:
            data[start:start] = data[start:end]
        elif i % 8 == 4:
            del data[end:]
        yield bytes(data)


@pytest.mark.parametrize("name", IMAGES | KERNELS)
def test_damage_gives_an_array_or_one_sentence(tmp_path, name, recwarn, capfd, caplog):
    path, refused = tmp_path / name, 0
    good = (IMAGES | KERNELS)[name]
    path.write_bytes(good)
    assert io.read_image(path).pixels.size if name in IMAGES else io.read_kernel(path).size
    for data in damaged(good, sum(name.encode()), 60):
        path.write_bytes(data)
        try:
            if name in IMAGES:
                image = io.read_image(path)
                assert image.pixels.ndim == 3 and image.pixels.shape[-1] in (1, 3) and image.bits in (8, 16)
                assert 0 <= image.pixels.min() <= image.pixels.max() <= 1
                assert all(text.isprintable() for text in image.notes)
            else:
                kernel = io.read_kernel(path)
                assert kernel.ndim == 2 and kernel.shape[0] == kernel.shape[1] and abs(kernel.sum() - 1) < 1e-9
        except io.InputError as error:
            refused += 1
            assert str(error).startswith(f"cannot read {str(path)!r}: ") and str(error).isprintable()
    assert refused >= 10 and not recwarn.list and not caplog.records
    # Of the decoders in C, only that of packed TIFF prints what it thinks.
    out, err = capfd.readouterr()
    assert out == "" and (name == "packed.tif" or err == "")
