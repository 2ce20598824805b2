import io as stdio
import os

import numpy as np
import PIL.Image
import pytest
import scipy.io

from blindsr_jax import io
from blindsr_jax.io import png16
from tests.file_samples import (
    archive_bytes,
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


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "g", "u1", "i2", "u8", "i8"])
def test_kernels_of_any_real_type(tmp_path, dtype):
    values = np.array([[0, 1, 2], [3, 120, 5], [6, 7, 8]]).astype(dtype)
    np.save(tmp_path / "k.npy", values)
    kernel = io.read_kernel(tmp_path / "k.npy")
    assert kernel.dtype == np.float64
    np.testing.assert_allclose(kernel, values.astype(float) / 152, rtol=1e-15)


def test_tiny_negatives_are_kept_and_huge_and_tiny_numbers_do_not_overflow(tmp_path):
    values = kernel()
    values[0, 0] = -1e-5  # as in the released data
    np.save(tmp_path / "k.npy", values)
    read = io.read_kernel(tmp_path / "k.npy")
    np.testing.assert_allclose(read, values / values.sum(), rtol=1e-15)
    assert read[0, 0] < -9e-6
    for factor in (1e307, 1e-300):
        np.save(tmp_path / "k.npy", np.full((3, 3), factor))
        np.testing.assert_allclose(io.read_kernel(tmp_path / "k.npy"), 1 / 9, rtol=1e-15)


def test_the_only_square_matrix_of_a_mat_file(tmp_path):
    truth = kernel()
    for name, extra in (("k", {}), ("blur", {"sigma": 2.0, "note": "text", "image": np.ones((40, 50))})):
        (tmp_path / "k.mat").write_bytes(mat_bytes(**{name: truth}, **extra))
        np.testing.assert_allclose(io.read_kernel(tmp_path / "k.mat"), truth, atol=1e-15)
    (tmp_path / "k.mat").write_bytes(mat_bytes(other=np.eye(3), Kernel=truth))
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.mat"), truth, atol=1e-15)


def test_pictures_hold_numbers_and_not_colours(tmp_path):
    numbers = np.rint(kernel() / kernel().max() * 65535).astype(np.uint16)
    (tmp_path / "k.png").write_bytes(png16.encode(numbers[..., None]))
    np.testing.assert_allclose(io.read_kernel(tmp_path / "k.png"), numbers / numbers.sum(), rtol=1e-12)
    numbers = (numbers >> 8).astype(np.uint8)
    expected = numbers / numbers.sum()
    profile = icc_profile(b"GRAY", {b"kTRC": icc_gamma(1)})
    for array, options in (
        (numbers, {"icc_profile": profile}),
        (np.dstack([numbers] * 3), {}),
        (np.dstack([numbers, np.full_like(numbers, 255)]), {}),
    ):
        (tmp_path / "k.png").write_bytes(encoded(array, "PNG", **options))
        np.testing.assert_allclose(io.read_kernel(tmp_path / "k.png"), expected, rtol=1e-12)


def test_a_file_of_too_many_bytes_is_not_read(tmp_path):
    for name in ("k.npy", "k.mat", "k.png"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(10**10)
        with pytest.raises(io.InputError, match="MB are more than the limit of 16.8 MB"):
            io.read_kernel(tmp_path / name)


@pytest.mark.parametrize("size", [1, 11, 21, 151])
def test_kernel_picture(tmp_path, size):
    io.kernel_png(tmp_path / "k.png", kernel(size))
    with PIL.Image.open(tmp_path / "k.png") as image:
        picture = np.asarray(image)
    factor = picture.shape[0] // size
    assert picture.shape == (factor * size,) * 2 and picture.shape[0] >= 150 and picture.max() == 255
    np.testing.assert_array_equal(picture[::factor, ::factor], picture[factor - 1 :: factor, factor - 1 :: factor])


def npy_header(shape):
    data = stdio.BytesIO()
    np.lib.format.write_array_header_1_0(data, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return data.getvalue()


BAD_KERNELS = {
    "stack.npy": (array_bytes(np.ones((4, 3, 5))), "shape"),
    "channels.npy": (array_bytes(np.arange(27.0).reshape(3, 3, 3)), "channels .* differ"),
    "batch.npy": (array_bytes(np.ones((2, 3, 3, 3))), "shape"),
    "no_rows.npy": (array_bytes(np.ones((0, 3))), "shape"),
    "number.npy": (array_bytes(np.ones(())), "shape"),
    "row.npy": (array_bytes(np.ones(5)), "shape"),
    "nan.npy": (array_bytes(np.full((3, 3), np.nan)), "NaN"),
    "zero.npy": (array_bytes(np.zeros((3, 3))), "zero"),
    "negative.npy": (array_bytes(-np.ones((3, 3))), "negative"),
    "mixed.npy": (array_bytes(np.eye(3) - 0.3), "negative"),
    "complex.npy": (array_bytes(np.ones((3, 3), complex)), "complex"),
    "object.npy": (array_bytes(np.array([{}]), allow_pickle=True), "plain array"),
    "text.npy": (b"1 2 3", "plain array"),
    "empty.npy": (b"", "empty"),
    "bool.npy": (array_bytes(np.eye(3) > 0), "bool"),
    "dates.npy": (array_bytes(np.zeros((3, 3), "M8[s]")), "datetime"),
    "mass.npy": (array_bytes(np.where(np.eye(11) > 0, 1, -0.09)), "negative"),
    "large.npy": (array_bytes(np.ones((257, 257), np.uint8)), "257 x 257 is too large .* at most 255"),
    "claims.npy": (npy_header((60001, 60001)), "60001 x 60001 is too large"),
    "archive.npy": (archive_bytes(), "archive"),
    "none.mat": (mat_bytes(k=np.ones((3, 4)), sigma=2.0), "no variable 'Kernel' and no other square matrix"),
    "two.mat": (mat_bytes(a=np.eye(3), b=np.eye(5)), "no variable 'Kernel' and 2 square matrices"),
    "struct.mat": (mat_bytes(Kernel={"k": np.eye(3)}), "real numbers"),
    "cell.mat": (mat_bytes(Kernel=np.array([np.eye(3), 1], object)), "2 different kernels"),
    "cells.mat": (mat_bytes(kernels=cells(np.eye(3), np.eye(3)[::-1])), "2 different kernels"),
    "structs.mat": (mat_bytes(Kernel=cells({"k": np.eye(3)})), "real numbers"),
    "many.mat": (mat_bytes(Kernel=cells(*[np.eye(3)] * 101)), "more than 100 cells"),
    "complex.mat": (mat_bytes(Kernel=1j * np.eye(3)), "real numbers"),
    "large.mat": (mat_bytes(compress=True, Kernel=np.zeros((3001, 3001))), r"shape \(3001, 3001\)"),
    "hdf5.mat": (b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(400), "-v7"),
    "words.mat": (mat_bytes(Kernel="abc"), "real numbers"),
    "broken.mat": (b"MATLAB 5.0 MAT-file" + bytes(200), "MATLAB|Kernel"),
    "text.mat": (b"hello", "MATLAB"),
    "colour.png": (encoded(levels((5, 5, 3)), "PNG"), "colours"),
    "large.png": (encoded(np.ones((257, 257), np.uint8), "PNG"), "257 x 257 is too large"),
    "black.png": (encoded(np.zeros((5, 5), np.uint8), "PNG"), "zero"),
    "clear.png": (encoded(np.full((5, 5, 2), 9, np.uint8), "PNG"), "transparent"),
    "frames.png": (frames("PNG"), "several frames"),
    "picture.png": (encoded(np.kron(levels((17, 17)), np.ones((9, 9), np.uint8)), "PNG"), "picture of a kernel of 17"),
    "text.png": (b"hello", "not an image"),
    "white_is_zero.tif": (tiff_bytes(np.ones((5, 5), np.uint16), "miniswhite"), "zero is white"),
    "words.txt": (b"one two", "table"),
    "ragged.txt": (b"1 2 3\n4 5\n", "table"),
    "comma.csv": (b"0,1;0,2\n0,1;0,2\n", "table"),
    "nothing.txt": (b"# no numbers\n", "shape"),
    "latin.csv": (b"\xe9,1\n", "table"),
    "nan.txt": (b"nan 1\n1 1\n", "NaN"),
    "many.txt": (b"1\n" * 2000, "1025 x 1 is too large"),
    "kernel.jpg": (b"1 0 0", "npy"),
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


def test_a_sheet_of_kernels(tmp_path):
    kernels = np.zeros((2, 3, 5, 5))
    kernels[..., 2, 2] = 1
    kernels[1, 2, 0, 4] = 0.5
    io.kernel_sheet(tmp_path / "sheet.png", kernels)
    levels = 255 * io.read_image(tmp_path / "sheet.png").pixels[..., 0]
    assert levels.shape == (2 * 74, 3 * 74)
    assert levels[4 + 35, 4 + 35] == 255 and levels[74 + 4 + 5, 2 * 74 + 4 + 65] == pytest.approx(128, abs=1)
    assert levels[4 + 2, 4 + 2] == 0
    with pytest.raises(ValueError, match="positive sum"):
        io.kernel_sheet(tmp_path / "sheet.png", 0 * kernels)
