"""Reads the numbers of files that hold a kernel: arrays, MATLAB files, tables as text, and pictures."""

import io
import os
import warnings
from pathlib import Path

import numpy as np

from blindsr_jax.io import kernel_shapes, mat5
from blindsr_jax.io.files import InputError, read_bytes, read_npy, refuse
from blindsr_jax.io.image_decode import decode
from blindsr_jax.io.kernel_shapes import MAX_SIZE
from blindsr_jax.io.sample_values import full_range

FIGURE_SIZE = 150  # least pixels a side of the picture that is written of a kernel
_MAX_BYTES = 2**24  # of a file, which may hold other variables too
_PICTURES = (".png", ".tif", ".tiff", ".bmp", ".pgm")
_TEXTS = (".txt", ".csv")


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
    for factor in range(size if size >= FIGURE_SIZE else 0, 1, -1):
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


def load_array(path: str | os.PathLike) -> np.ndarray:
    """The numbers of a file that holds one kernel, in the type and the shape in which it does.

    Raises:
      InputError: the file cannot be read, is of another kind, or holds several kernels.
    """
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
