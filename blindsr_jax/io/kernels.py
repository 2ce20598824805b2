"""Blur kernels from and to files."""

import io
import os
from typing import NamedTuple

import numpy as np
import scipy.io

from blindsr_jax.io import kernel_shapes
from blindsr_jax.io.files import refuse, write_bytes
from blindsr_jax.io.images import png_bytes
from blindsr_jax.io.kernel_arrays import FIGURE_SIZE, load_array
from blindsr_jax.io.kernel_shapes import MAX_SIZE

# Spline-shifted and estimated kernels have small negative values, up to some per cent of the maximum.
_NEGATIVE = 0.1
_NEGATIVE_MASS = 0.25
_SIGNED_MASS = 0.9  # of the positive values, where negative lobes are meant
_SHEET_SIZE = 70  # pixels of a kernel in a sheet


class KnownKernel(NamedTuple):
    """A kernel that was read from a file."""

    values: np.ndarray  # (k, k) float64, sum 1
    notes: tuple[str, ...]  # what was done to its shape


def _check_signs(path, kernel: np.ndarray, *, signed: bool) -> None:
    negative, positive = -kernel[kernel < 0].sum(), kernel[kernel > 0].sum()
    if signed and not negative <= _SIGNED_MASS * positive:
        raise refuse(path, "its negative values outweigh the others, a kernel with a positive sum was expected")
    if not signed and (kernel.min() < -_NEGATIVE * kernel.max() or negative > _NEGATIVE_MASS * positive):
        raise refuse(path, "it has clearly negative values, a non-negative kernel or --signed_kernel was expected")


def load_kernel(path: str | os.PathLike, *, signed: bool = False, offset: float = 0.0) -> KnownKernel:
    """Reads a blur kernel from a .npy file, a .mat file, a table as text, or a gray picture (PNG, TIFF, BMP, PGM).

    A .mat file holds it as the variable `Kernel`, or as its only square matrix or cell array. Further axes of length 1
    and three equal channels are dropped; sides that are even or unequal are padded with zeros; an origin in the corner
    (as Fourier transforms want it) is moved to the middle.

    Args:
      path: file, one pixel or number per kernel entry.
      signed: whether negative values of any size are allowed.
      offset: where the centre of mass should be, pixels behind the middle: it decides on which side to pad.

    Returns:
      KnownKernel, k odd and at most MAX_SIZE. Small negative values are kept.

    Raises:
      InputError: the file cannot be read, or its array is not one kernel of finite, essentially non-negative (without
        `signed`) numbers with a positive sum.
    """
    kernel = load_array(path)
    if kernel.dtype.kind not in "fiu":
        raise refuse(path, f"values of type {kernel.dtype} are not supported, real numbers were expected")
    kernel_shapes.check_shape(path, kernel.shape)
    if not np.isfinite(kernel).all():
        raise refuse(path, "it contains NaN or infinite values, finite ones were expected")
    if not kernel.any():
        raise refuse(path, "all values are zero, a kernel with a positive sum was expected")
    # The sum of huge numbers overflows, and so may a conversion from a wider type; powers of two change no digit.
    kernel = kernel.astype(np.promote_types(kernel.dtype, np.float64))
    kernel = np.ldexp(kernel, -np.frexp(np.abs(kernel).max())[1]).astype(np.float64)
    kernel, notes = kernel_shapes.squeeze(path, kernel), ()
    if (moved := kernel_shapes.from_corner(kernel)) is not None:
        kernel, notes = moved, ("its origin was in the corner and was moved to the middle",)
    if max(kernel.shape) > MAX_SIZE:
        found = f"{kernel.shape[0]} x {kernel.shape[1]}"
        raise refuse(path, f"{found} is too large for a kernel, at most {MAX_SIZE} were expected")
    _check_signs(path, kernel, signed=signed)
    square = kernel_shapes.to_odd_square(kernel, offset)
    if square.shape != kernel.shape:
        sizes = " x ".join(map(str, kernel.shape)), " x ".join(map(str, square.shape))
        notes = (*notes, f"its {sizes[0]} entries were padded with zeros to {sizes[1]}")
    return KnownKernel(square / square.sum(), notes)


def read_kernel(path: str | os.PathLike) -> np.ndarray:
    """The values (k, k) of `load_kernel`: float64, k odd, sum 1; raises InputError as that does."""
    return load_kernel(path).values


def _unit_sum(kernel):
    kernel = np.asarray(kernel, np.float64)
    if not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise ValueError("a kernel with finite values and a positive sum is needed")
    return kernel / kernel.sum()


def write_kernel(path: str | os.PathLike, kernel: np.ndarray) -> None:
    """Writes a kernel as float32 .npy with sum 1, whole or not at all.

    Args:
      path: file to write.
      kernel: float array (k, k).

    Raises:
      ValueError: values are not finite, or the sum is not positive.
      OSError: the folder cannot be written.
    """
    data = io.BytesIO()
    np.save(data, _unit_sum(kernel).astype(np.float32))
    write_bytes(path, data.getvalue())


def write_kernel_mat(path: str | os.PathLike, kernel: np.ndarray) -> None:
    """Writes a kernel as the float64 variable `Kernel` with sum 1 of a MATLAB 5 file; equal kernels give equal bytes.

    Args:
      path: file to write.
      kernel: float array (k, k).

    Raises:
      ValueError: values are not finite, or the sum is not positive.
      OSError: the folder cannot be written.
    """
    data = io.BytesIO()
    scipy.io.savemat(data, {"Kernel": _unit_sum(kernel)})
    # The first 116 bytes are free text, where SciPy notes the time.
    write_bytes(path, b"MATLAB 5.0 MAT-file".ljust(116) + data.getvalue()[116:])


def _drawn(kernel, factor):
    """A kernel in 8-bit gray, from 0 to its maximum, each entry factor x factor pixels."""
    kernel = _unit_sum(kernel)
    levels = np.rint(255 * np.clip(kernel / kernel.max(), 0, 1)).astype(np.uint8)
    return np.kron(levels, np.ones((factor, factor), np.uint8))


def kernel_png(path: str | os.PathLike, kernel: np.ndarray) -> None:
    """Writes a picture of a kernel: gray, 0 black, its maximum white, every entry a square of equal size.

    Args:
      path: PNG file to write, at least 150 pixels high.
      kernel: float array (k, k); negative values are shown black.

    Raises:
      ValueError: values are not finite, or the sum is not positive.
      OSError: the folder cannot be written.
    """
    write_bytes(path, png_bytes(_drawn(kernel, -(-FIGURE_SIZE // len(kernel)))))


def kernel_sheet(path: str | os.PathLike, kernels: np.ndarray) -> None:
    """Writes a picture of many kernels in rows and columns, each from 0 black to its own maximum white.

    Args:
      path: PNG file to write.
      kernels: float array (rows, columns, k, k) with positive sums; negative values are shown black.

    Raises:
      ValueError: values are not finite, or a sum is not positive.
      OSError: the folder cannot be written.
    """
    kernels = np.asarray(kernels)
    rows, columns, size, _ = kernels.shape
    factor, gap = -(-_SHEET_SIZE // size), 4
    sheet = np.full((rows, columns, factor * size + gap, factor * size + gap), 90, np.uint8)
    for row, column in np.ndindex(rows, columns):
        sheet[row, column, gap:, gap:] = _drawn(kernels[row, column], factor)
    write_bytes(path, png_bytes(np.concatenate(np.concatenate(sheet, 1), 1)))
