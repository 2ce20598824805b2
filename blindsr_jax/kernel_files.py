"""Blur kernels from and to files."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.io

from blindsr_jax import kernel_shapes, mat5
from blindsr_jax.files import InputError, read_bytes, read_npy, refuse, write_bytes
from blindsr_jax.image_decode import decode
from blindsr_jax.image_files import png_bytes
from blindsr_jax.kernel_shapes import MAX_SIZE
from blindsr_jax.sample_values import full_range

_MAX_BYTES = 2**24  # of a file, which may hold other variables too
_PICTURES = (".png", ".tif", ".tiff", ".bmp", ".pgm")
_TEXTS = (".txt", ".csv")
# Spline-shifted and estimated kernels have small negative values, up to some per cent of the maximum.
_NEGATIVE = 0.1
_NEGATIVE_MASS = 0.25
_SIGNED_MASS = 0.9  # of the positive values, where negative lobes are meant
_FIGURE_SIZE = 150
_SHEET_SIZE = 70  # pixels of a kernel in a sheet


class KnownKernel(NamedTuple):
    """A kernel that was read from a file."""

    values: np.ndarray  # (k, k) float64, sum 1
    notes: tuple[str, ...]  # what was done to its shape


def _one_of(path, name: str, value) -> np.ndarray:
    """The kernel in a variable of a .mat file, of which all cells hold the same one."""
    if isinstance(value, str):
        raise refuse(path, f"the variable {name!r} {value}")
    if not isinstance(value, list):
        return value
    if any(cell.shape != value[0].shape or (cell != value[0]).any() for cell in value):
        raise refuse(path, f"the variable {name!r} holds {len(value)} different kernels, one was expected")
    return value[0]


def _load_mat(path):
    """The variable `Kernel`, or the only square matrix, or else the only cell array."""
    try:
        variables = mat5.read_matrices(read_bytes(path, limit=_MAX_BYTES), limit=kernel_shapes.MAX_CORNER**2)
    except InputError:
        raise
    except ValueError as error:
        raise refuse(path, str(error)) from error
    if "Kernel" in variables:
        return _one_of(path, "Kernel", variables["Kernel"])
    shapes = {name: getattr(value, "shape", ()) for name, value in variables.items()}
    square = [name for name, shape in shapes.items() if len(shape) == 2 and shape[0] == shape[1] > 1]
    found = square or [name for name, value in variables.items() if isinstance(value, list)]
    if len(found) != 1:
        words = f"{len(square)} square matrices" if square else "no other square matrix"
        raise refuse(path, f"it has no variable 'Kernel' and {words}, one kernel was expected")
    return _one_of(path, found[0], variables[found[0]])


def _load_text(path):
    """Rows of numbers with commas, semicolons, tabs or spaces between them."""
    try:
        text = read_bytes(path, limit=_MAX_BYTES).decode("utf-8-sig")
        separator = next((character for character in ";,\t" if character in text), None)
        with warnings.catch_warnings():  # of a file without numbers
            warnings.simplefilter("ignore")
            most = kernel_shapes.MAX_CORNER + 1
            return np.loadtxt(io.StringIO(text), delimiter=separator, comments=("#", "%"), ndmin=2, max_rows=most)
    except InputError:
        raise
    except ValueError as error:
        raise refuse(path, "it is no table, rows with equally many numbers were expected") from error


def _check_picture(path, levels):
    """Refuses what `kernel_png` writes, where every entry is a square of many pixels."""
    size = len(levels)
    for factor in range(size if size >= _FIGURE_SIZE else 0, 1, -1):
        if size % factor == 0 and (levels == np.kron(levels[::factor, ::factor], np.ones((factor, factor)))).all():
            raise refuse(path, f"it is an enlarged picture of a kernel of {size // factor}, the .npy file was expected")


def _load_picture(path):
    def check(width, height):
        if max(width, height) > MAX_SIZE:
            raise refuse(path, f"{width} x {height} is too large for a kernel, at most {MAX_SIZE} were expected")

    with warnings.catch_warnings():  # of the decoder, about metadata
        warnings.simplefilter("ignore")
        decoded = decode(path, read_bytes(path, limit=_MAX_BYTES), check=check, profile=False)
    samples = decoded.samples
    if decoded.notes or decoded.is_negative:
        found = decoded.notes[0] if decoded.notes else "zero is white in it"
        raise refuse(path, f"{found}, a plain gray image was expected")
    if samples.shape[-1] in (2, 4):
        if (samples[..., -1] != full_range(samples.dtype)).any():
            raise refuse(path, "it is transparent in places, a plain gray image was expected")
        samples = samples[..., :-1]
    if (samples != samples[..., :1]).any():
        raise refuse(path, "it has colours, a gray kernel was expected")
    levels = samples[..., 0]
    if levels.shape[0] == levels.shape[1]:
        _check_picture(path, levels)
    return levels


def _load_array(path) -> np.ndarray:
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        data = read_bytes(path, limit=_MAX_BYTES)
        return read_npy(path, data, check=lambda shape: kernel_shapes.check_shape(path, shape))
    if suffix == ".mat":
        return _load_mat(path)
    if suffix in _TEXTS:
        return _load_text(path)
    if suffix in _PICTURES:
        return _load_picture(path)
    raise refuse(path, f"a kernel as .npy, .mat, {', '.join((*_TEXTS, *_PICTURES))} was expected")


def _check_signs(path, kernel: np.ndarray, *, signed: bool) -> None:
    negative, positive = -kernel[kernel < 0].sum(), kernel[kernel > 0].sum()
    if signed and not negative <= _SIGNED_MASS * positive:
        raise refuse(path, "its negative values outweigh the others, a kernel with a positive sum was expected")
    if not signed and (kernel.min() < -_NEGATIVE * kernel.max() or negative > _NEGATIVE_MASS * positive):
        raise refuse(path, "it has clearly negative values, a non-negative kernel or --signed_kernel was expected")


def load_kernel(path, *, signed: bool = False, offset: float = 0.0) -> KnownKernel:
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
    kernel = _load_array(path)
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


def read_kernel(path) -> np.ndarray:
    """The values (k, k) of `load_kernel`: float64, k odd, sum 1; raises InputError as that does."""
    return load_kernel(path).values


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
