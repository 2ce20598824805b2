"""Blur kernels from and to files."""

import io
from pathlib import Path

import numpy as np
import scipy.io

from blindsr_jax import mat5
from blindsr_jax.files import InputError, read_bytes, read_npy, refuse, write_bytes
from blindsr_jax.image_files import png_bytes, read_image

# Spline-shifted and estimated kernels have small negative values, up to some per cent of the maximum.
_NEGATIVE = 0.1
_FIGURE_SIZE = 150


def _load_kernel(path):
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        return read_npy(path, read_bytes(path))
    if suffix == ".mat":
        try:
            return mat5.read_matrix(read_bytes(path), "Kernel")
        except InputError:
            raise
        except ValueError as error:
            raise refuse(path, str(error)) from error
    if suffix == ".png":
        pixels = read_image(path).pixels
        if (pixels != pixels[..., :1]).any():
            raise refuse(path, "it has colours, a gray kernel was expected")
        return pixels[..., 0]
    raise refuse(path, "a kernel as .npy, .mat or .png was expected")


def read_kernel(path):
    """Reads a blur kernel from a .npy file, the variable `Kernel` of a .mat file, or a gray .png file.

    Args:
      path: file, one pixel or number per kernel entry.

    Returns:
      float64 array (k, k), k odd, scaled to sum 1. Small negative values are kept.

    Raises:
      InputError: the file cannot be read, or its array is not a square of odd size with finite, essentially
        non-negative numbers that are not all zero.
    """
    kernel = _load_kernel(path)
    if kernel.dtype.kind not in "fiu":
        raise refuse(path, f"values of type {kernel.dtype} are not supported, real numbers were expected")
    kernel = kernel.astype(np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or kernel.shape[0] % 2 == 0:
        raise refuse(path, f"the shape {kernel.shape} is not that of a kernel, a square of odd size was expected")
    if not np.isfinite(kernel).all():
        raise refuse(path, "it contains NaN or infinite values, finite ones were expected")
    if not kernel.any():
        raise refuse(path, "all values are zero, a kernel with a positive sum was expected")
    if kernel.min() < -_NEGATIVE * kernel.max() or kernel.sum() <= 0:
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


def kernel_png(path, kernel):
    """Writes a picture of a kernel: gray, 0 black, its maximum white, every entry a square of equal size.

    Args:
      path: PNG file to write, at least 150 pixels high.
      kernel: float array (k, k); negative values are shown black.

    Raises:
      ValueError: values are not finite, or the sum is not positive.
      OSError: the folder cannot be written.
    """
    kernel = _unit_sum(kernel)
    levels = np.rint(255 * np.clip(kernel / kernel.max(), 0, 1)).astype(np.uint8)
    write_bytes(path, png_bytes(np.kron(levels, np.ones((-(-_FIGURE_SIZE // len(kernel)),) * 2, np.uint8))))
