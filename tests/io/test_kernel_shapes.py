"""One kernel in the shapes and files that other tools write."""

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.kernels import geometry
from tests.file_samples import array_bytes, cells, encoded, mat_bytes, tiff_bytes


def streak(size=15):
    """A lopsided kernel with its centre of mass in the middle, in multiples of 1/255 of its peak."""
    points = np.linspace(-1, 1, 40)[:, None] ** 2 * np.array([[1.5, 3.0]])
    values = np.asarray(geometry.splat(np.float32(points - points.mean(0) + size // 2), size), np.float64)
    levels = np.rint(255 * values / values.max())
    return levels / levels.sum()


GOOD = streak()
LEVELS = np.rint(255 * GOOD / GOOD.max()).astype(np.uint8)
WIDE = np.pad(GOOD, 56)  # 127 x 127


def text(separator, head=""):
    return (head + "\n".join(separator.join(f"{v:.9e}" for v in row) for row in GOOD) + "\n").encode()


READ = {
    "k_k_1.npy": array_bytes(GOOD[..., None]),
    "first_of_one.npy": array_bytes(GOOD[None]),
    "torch.npy": array_bytes(GOOD[None, None].astype(np.float32)),
    "k_k_3.npy": array_bytes(np.dstack([GOOD] * 3)),
    "3_k_k.npy": array_bytes(np.stack([GOOD] * 3)),
    "torch_3.npy": array_bytes(np.stack([GOOD] * 3)[:, None]),
    "integers_3.npy": array_bytes(np.dstack([LEVELS] * 3)),
    "one_more_row.npy": array_bytes(np.pad(GOOD, (0, 1))),
    "one_row_before.npy": array_bytes(np.pad(GOOD, (1, 0))),
    "shifted.npy": array_bytes(np.fft.ifftshift(GOOD)),
    "padded.npy": array_bytes(np.fft.ifftshift(WIDE)),
    "padded_even.npy": array_bytes(np.fft.ifftshift(np.pad(GOOD, ((57, 56), (57, 56))))),
    "padded_image.npy": array_bytes(np.fft.ifftshift(np.pad(GOOD, ((121, 120), (249, 248)))).astype(np.float32)),
    "rounded.npy": array_bytes(np.fft.ifft2(np.fft.fft2(np.fft.ifftshift(WIDE))).real),
    "cells.mat": mat_bytes(kernels=cells(GOOD, GOOD, GOOD), sigma=2.0),
    "cell.mat": mat_bytes(Kernel=cells(GOOD), compress=True),
    "k_k_1.mat": mat_bytes(Kernel=np.dstack([GOOD] * 3)),
    "k.csv": text(","),
    "k.txt": text(" "),
    "semicolons.csv": text(" ; ", "# a kernel\n"),
    "tabs.txt": text("\t", "\ufeff% a kernel\n"),
    "k16.tif": tiff_bytes(LEVELS.astype(np.uint16) * 257),
    "k32.tiff": tiff_bytes(GOOD.astype(np.float32)),
    "k64.tif": tiff_bytes(GOOD),
    "k8.bmp": encoded(LEVELS, "BMP"),
    "rgb.bmp": encoded(np.dstack([LEVELS] * 3), "BMP"),
    "k.pgm": encoded(LEVELS, "PPM"),
}


@pytest.mark.parametrize("name", READ)
def test_is_the_same_kernel(tmp_path, name):
    (tmp_path / name).write_bytes(READ[name])
    known = io.load_kernel(tmp_path / name)
    size = max(len(known.values), 15)
    np.testing.assert_allclose(geometry.resize(known.values, size), geometry.resize(GOOD, size), atol=1e-7)
    corner = name.startswith(("shifted", "padded", "rounded"))
    assert any("corner" in note for note in known.notes) == corner and len(known.values) < 20
    assert any("padded" in note for note in known.notes) == name.startswith("one_")  # and the other is no news
    np.testing.assert_array_equal(io.read_kernel(tmp_path / name), known.values)


@pytest.mark.parametrize("shape", [(9, 15), (15, 9), (1, 11), (11, 1), (8, 11), (6, 12)])
def test_unequal_sides_are_padded_and_keep_the_middle(tmp_path, shape):
    kernel = np.random.default_rng(0).random(shape)
    kernel = (kernel + kernel[::-1, ::-1]) / 2  # its centre is its middle
    np.save(tmp_path / "k.npy", kernel)
    known = io.load_kernel(tmp_path / "k.npy")
    size = max(shape) | 1
    assert known.values.shape == (size, size) and f"{shape[0]} x {shape[1]}" in known.notes[0]
    nonzero = known.values[known.values > 0]
    np.testing.assert_allclose(nonzero, (kernel / kernel.sum()).ravel())
    off = np.asarray(geometry.center_of_mass(known.values)) - size // 2
    np.testing.assert_allclose(np.abs(off), [0.5 * (n % 2 == 0) for n in shape], atol=1e-6)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("center", geometry.CENTERS)
def test_an_even_kernel_is_padded_towards_the_centre_that_is_asked_for(tmp_path, scale, center):
    np.save(tmp_path / "k.npy", np.ones((4, 4)))
    offset = geometry.center_offset(scale, center)
    values = io.load_kernel(tmp_path / "k.npy", offset=offset).values
    assert geometry.center(len(values), scale, center) - 2 == pytest.approx(offset)
    expected = 2.5 if center == "aligned" else 1.5
    np.testing.assert_allclose(geometry.center_of_mass(values), expected, atol=1e-6)


@pytest.mark.parametrize("kind", ["middle", "delta", "box", "ring", "release"])
def test_a_kernel_in_its_place_is_not_moved(tmp_path, kind):
    rows, columns = np.indices((21, 21)) - 10
    ring = np.abs(np.hypot(rows, columns) - 7) < 1
    delta = (rows == 0) & (columns == 0)
    kernel = {
        "middle": np.pad(GOOD, 3),
        "delta": delta.astype(float),
        "box": np.ones((21, 21)),
        "ring": ring.astype(float),
        "release": np.exp(-((rows + 3.5) ** 2 + (columns + 3.5) ** 2) / 30.0),  # for x8
    }[kind]
    np.save(tmp_path / "k.npy", kernel)
    known = io.load_kernel(tmp_path / "k.npy")
    np.testing.assert_allclose(known.values, kernel / kernel.sum(), rtol=1e-12)
    assert known.notes == ()


def lanczos(size=15, lobes=3, scale=2):
    place = (np.arange(size) - size // 2) / scale
    line = np.where(abs(place) < lobes, np.sinc(place) * np.sinc(place / lobes), 0)
    return np.outer(line, line) / line.sum() ** 2


def test_negative_lobes_are_read_where_they_are_meant(tmp_path):
    path = tmp_path / "k.npy"
    np.save(path, lanczos())
    with pytest.raises(io.InputError, match="negative.*--signed_kernel"):
        io.read_kernel(path)
    np.testing.assert_allclose(io.load_kernel(path, signed=True).values, lanczos(), rtol=1e-12)
    for bad in (-np.ones((3, 3)), np.eye(3) - 0.33, np.diag([1.0, -1.0, 0.05])):
        np.save(path, bad)
        with pytest.raises(io.InputError, match="positive sum"):
            io.load_kernel(path, signed=True)


def test_a_picture_is_read_with_the_numbers_of_its_file(tmp_path):
    numbers = LEVELS.astype(np.uint16) // 16  # 4 bits in 16: no note of a camera's depth
    (tmp_path / "k.tif").write_bytes(tiff_bytes(numbers))
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.tif"), numbers / numbers.sum(), rtol=1e-12)
    PIL.Image.fromarray(LEVELS).save(tmp_path / "k.png", gamma=1.0)
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.png"), LEVELS / LEVELS.sum(), rtol=1e-12)
