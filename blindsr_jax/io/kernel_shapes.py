"""Arrays that hold one kernel in another shape: further axes, even or unequal sides, the origin in the corner."""

import os

import numpy as np

from blindsr_jax.io.files import refuse

MAX_SIZE = 255  # rows of a kernel
MAX_CORNER = 1024  # rows of one that is padded to the size of an image, its origin in the corner
_CLOSER = 0.5  # share of the second moment that is left where the origin is moved from the corner to the middle
_NOTHING = 1e-6  # of the largest value: rounding, in what was made by Fourier transforms


def check_shape(path: str | os.PathLike, shape: tuple[int, ...]) -> None:
    """Refuses a shape that is not that of one kernel, before anything is reserved for it.

    Raises:
      InputError: it is not, beside axes of length 1, (k, l), (k, l, 3) or (3, k, l).
    """
    sides = [n for n in shape if n != 1]
    if len(shape) < 2 or 0 in shape or len(sides) > 3 or (len(sides) == 3 and 3 not in (sides[0], sides[-1])):
        raise refuse(path, f"the shape {shape} is not that of a kernel, (k, k) was expected")
    if max(shape) > MAX_CORNER:
        found = " x ".join(map(str, shape))
        raise refuse(path, f"{found} is too large for a kernel, at most {MAX_SIZE} were expected")


def squeeze(path: str | os.PathLike, array: np.ndarray) -> np.ndarray:
    """The kernel (k, l) of a float array that passes `check_shape`, the mean of its channels where it has three.

    Raises:
      InputError: the channels differ.
    """
    while array.ndim > 2 and 1 in array.shape:  # the outer ones first: (1, 1, 1, k) is a row
        array = array[0] if array.shape[0] == 1 else np.squeeze(array, array.shape.index(1))
    if array.ndim == 2:
        return array
    for axis in (-1, 0):
        if array.shape[axis] == 3:
            channels = np.moveaxis(array, axis, 0)
            if np.allclose(channels, channels[:1], rtol=1e-4, atol=1e-6 * np.abs(array).max()):
                return channels.mean(0)
    raise refuse(path, f"the kernels of the three channels of {array.shape} differ, one for all was expected")


def _moment(kernel: np.ndarray) -> float:
    """Mean squared distance, px^2, of the absolute values of (h, w) from their centre."""
    total, moment = np.abs(kernel).sum(), 0.0
    for axis, size in enumerate(kernel.shape):
        profile, place = np.abs(kernel).sum(1 - axis) / total, np.arange(size)
        moment += profile @ (place - profile @ place) ** 2
    return moment


def from_corner(kernel: np.ndarray) -> np.ndarray | None:
    """A kernel whose origin is its corner, as Fourier transforms want it, with its origin in the middle.

    Args:
      kernel: float array (h, w), not all zero.

    Returns:
      (m, n), both odd, without the zeros around; None where the origin seems to be where it should.
    """
    rolled = np.fft.fftshift(kernel)
    if not _moment(rolled) < _CLOSER * _moment(kernel):
        return None
    rolled = np.pad(rolled, [(0, 1 - n % 2) for n in rolled.shape])  # the origin is at n // 2
    middle = np.array(rolled.shape) // 2
    reach = abs(np.argwhere(abs(rolled) > _NOTHING * abs(rolled).max()) - middle).max()
    rows, columns = (slice(max(m - reach, 0), m + reach + 1) for m in middle)
    return rolled[rows, columns]


def to_odd_square(kernel: np.ndarray, offset: float) -> np.ndarray:
    """Pads a kernel with zeros on all sides to a square of odd size.

    Args:
      kernel: float array (h, w), not of sum zero.
      offset: where its centre of mass is to be, pixels behind the middle; where a side is even, the padding of the two
        that comes nearer is taken.

    Returns:
      (k, k).
    """
    size = max(kernel.shape) | 1
    for axis, n in enumerate(kernel.shape):
        missing = size - n
        mass = kernel.sum(1 - axis) / kernel.sum()
        off_middle = mass @ np.arange(n) - (size - 1) / 2
        choices = {missing // 2, missing - missing // 2}
        before = min(choices, key=lambda b: (round(abs(off_middle + b - offset), 6), abs(off_middle + b), -b))
        margins = [(0, 0), (0, 0)]
        margins[axis] = (before, missing - before)
        kernel = np.pad(kernel, margins)
    return kernel
