"""Blur kernels from and to files."""

import io
import warnings
from pathlib import Path

import numpy as np
import scipy.io

from blindsr_jax import mat5
from blindsr_jax.files import InputError, read_bytes, read_npy, refuse, write_bytes
from blindsr_jax.image_decode import decode
from blindsr_jax.image_files import png_bytes

MAX_SIZE = 255  # rows of a kernel
_MAX_BYTES = 2**24  # of a file, which may hold other variables too
# Spline-shifted and estimated kernels have small negative values, up to some per cent of the maximum.
_NEGATIVE = 0.1
_NEGATIVE_MASS = 0.25
_FIGURE_SIZE = 150
_SHEET_SIZE = 70  # pixels of a kernel in a sheet


def _check_shape(path, shape):
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] % 2 == 0:
        raise refuse(path, f"the shape {shape} is not that of a kernel, a square of odd size was expected")
    if shape[0] > MAX_SIZE:
        raise refuse(path, f"{shape[0]} x {shape[1]} is too large for a kernel, at most {MAX_SIZE} were expected")


def _load_mat(path):
    """The variable `Kernel`, or the only square matrix."""
    try:
        variables = mat5.read_matrices(read_bytes(path, limit=_MAX_BYTES), limit=MAX_SIZE**2)
    except InputError:
        raise
    except ValueError as error:
        raise refuse(path, str(error)) from error
    if "Kernel" not in variables:
        shapes = {name: getattr(value, "shape", ()) for name, value in variables.items()}
        square = [name for name, shape in shapes.items() if len(shape) == 2 and shape[0] == shape[1] > 1]
        if len(square) != 1:
            found = f"{len(square)} square matrices" if square else "no other square matrix"
            raise refuse(path, f"it has no variable 'Kernel' and {found}, one kernel was expected")
        return variables[square[0]]
    if isinstance(variables["Kernel"], str):
        raise refuse(path, f"the variable 'Kernel' {variables['Kernel']}")
    return variables["Kernel"]


def _check_picture(path, levels):
    """Refuses what `kernel_png` writes, where every entry is a square of many pixels."""
    size = len(levels)
    for factor in range(size if size >= _FIGURE_SIZE else 0, 1, -1):
        if size % factor == 0 and (levels == np.kron(levels[::factor, ::factor], np.ones((factor, factor)))).all():
            raise refuse(path, f"it is an enlarged picture of a kernel of {size // factor}, the .npy file was expected")


def _load_png(path):
    def check(width, height):
        if max(width, height) > MAX_SIZE:
            raise refuse(path, f"{width} x {height} is too large for a kernel, at most {MAX_SIZE} were expected")

    with warnings.catch_warnings():  # of the decoder, about metadata
        warnings.simplefilter("ignore")
        samples, notes = decode(path, read_bytes(path, limit=_MAX_BYTES), check=check, profile=False)
    if notes:
        raise refuse(path, f"{notes[0]}, a plain gray image was expected")
    if samples.shape[-1] in (2, 4):
        if (samples[..., -1] != np.iinfo(samples.dtype).max).any():
            raise refuse(path, "it is transparent in places, a plain gray image was expected")
        samples = samples[..., :-1]
    if (samples != samples[..., :1]).any():
        raise refuse(path, "it has colours, a gray kernel was expected")
    levels = samples[..., 0]
    if levels.shape[0] == levels.shape[1]:
        _check_picture(path, levels)
    return levels


def _load_kernel(path):
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        data = read_bytes(path, limit=_MAX_BYTES)
        return read_npy(path, data, check=lambda shape: _check_shape(path, shape))
    if suffix == ".mat":
        return _load_mat(path)
    if suffix == ".png":
        return _load_png(path)
    raise refuse(path, "a kernel as .npy, .mat or .png was expected")


def read_kernel(path):
    """Reads a blur kernel from a .npy file, a .mat file or a gray .png file.

    A .mat file holds it as the variable `Kernel`, or as its only square matrix.

    Args:
      path: file, one pixel or number per kernel entry.

    Returns:
      float64 array (k, k), k odd and at most MAX_SIZE, scaled to sum 1. Small negative values are kept.

    Raises:
      InputError: the file cannot be read, or its array is not a square of odd size with finite, essentially
        non-negative numbers that are not all zero.
    """
    kernel = _load_kernel(path)
    if kernel.dtype.kind not in "fiu":
        raise refuse(path, f"values of type {kernel.dtype} are not supported, real numbers were expected")
    _check_shape(path, kernel.shape)
    if not np.isfinite(kernel).all():
        raise refuse(path, "it contains NaN or infinite values, finite ones were expected")
    if not kernel.any():
        raise refuse(path, "all values are zero, a kernel with a positive sum was expected")
    # The sum of huge numbers overflows, and so may a conversion from a wider type; powers of two change no digit.
    kernel = kernel.astype(np.promote_types(kernel.dtype, np.float64))
    kernel = np.ldexp(kernel, -np.frexp(np.abs(kernel).max())[1]).astype(np.float64)
    negative, positive = -kernel[kernel < 0].sum(), kernel[kernel > 0].sum()
    if kernel.min() < -_NEGATIVE * kernel.max() or negative > _NEGATIVE_MASS * positive:
        raise refuse(path, "it has clearly negative values, a non-negative kernel was expected")
    return kernel / kernel.sum()


def _unit_sum(kernel):
    kernel = np.asarray(kernel, np.float64)
    if not np.isfinite(kernel).all() or kernel.sum() <= 0:
        raise ValueError("a kernel with finite values and a positive sum is needed")
    return kernel / kernel.sum()


def write_kernel(path, kernel):
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


def write_kernel_mat(path, kernel):
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


def kernel_png(path, kernel):
    """Writes a picture of a kernel: gray, 0 black, its maximum white, every entry a square of equal size.

    Args:
      path: PNG file to write, at least 150 pixels high.
      kernel: float array (k, k); negative values are shown black.

    Raises:
      ValueError: values are not finite, or the sum is not positive.
      OSError: the folder cannot be written.
    """
    write_bytes(path, png_bytes(_drawn(kernel, -(-_FIGURE_SIZE // len(kernel)))))


def kernel_sheet(path, kernels):
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
