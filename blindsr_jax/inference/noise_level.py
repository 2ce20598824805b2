"""The noise level of an image from its pixels: what is left at high frequencies in its flattest patches.

White noise has the same power at all frequencies, a picture little at high ones where it has little at low ones. Which
patches are flat is read from their low frequencies and the noise from the high ones, so that choosing the patches does
not make the noise look smaller than it is (after Ponomarenko et al. 2007).
"""

from typing import NamedTuple

import numpy as np
import scipy.fft

from blindsr_jax.inference.validity import is_clipped

SIDE = 8  # of a patch, in pixels
FLAT = 0.05  # share of the patches that is taken as flat
FEWEST = 60  # flat patches
CLIPPED = (0, 1 / 16, 1 / 8, 1 / 4)  # shares of the pixels of a patch, the first that leaves enough patches counts
# Power of a low frequency in that of the noise, in flat patches with clipped pixels, above which those are letters or
# drawings on white: noise that clips gave 0.7 to 2.6 on seven images, black letters on white 11 to 13.
LETTERS = 5.0
MOST = 30_000  # patches; more of them cost time and change little
_ORDER = np.add.outer(np.arange(SIDE), np.arange(SIDE))  # of the frequencies of a DCT
_LOW, _HIGH = (1 <= _ORDER) & (_ORDER <= 6), 9 <= _ORDER
# The mean, over patches, of the median of as many squares of normal numbers as there are high frequencies.
_MEDIAN_OF_POWER = 0.4960541732648132
# What 8 bits do to a clean image, as the standard deviation of a uniform error of one level.
ROUNDING = 1 / 255 / 12**0.5


class NoiseLevel(NamedTuple):
    """Standard deviations on the [0, 1] scale, the rounding to 8 bits left in."""

    std: float  # of the noise of one colour, the root of the mean square over colours
    gray_std: float  # of the noise of the mean of the colours: `std` where all colours have the same noise
    dark_std: float  # of the gray noise in the darker half of the flat patches
    bright_std: float  # in the brighter half


def _patches(plane: np.ndarray) -> np.ndarray:
    """(rows, columns, SIDE, SIDE) patches on a regular grid."""
    windows = np.lib.stride_tricks.sliding_window_view(plane, (SIDE, SIDE))
    stride = max(1, int(np.sqrt(windows.shape[0] * windows.shape[1] / MOST)))
    return windows[::stride, ::stride]


def _usable(clipped: np.ndarray) -> tuple[float, np.ndarray] | None:
    """(rows, columns) bool, the patches without clipped pixels, or with as few as leave enough patches; None: too few.

    Strong noise clips a pixel of nearly every patch of a dark or bright image. The first of the pair is the share of
    the pixels of a patch that may be clipped.
    """
    share = _patches(clipped).mean((-2, -1))
    return next(((most, share <= most) for most in CLIPPED if np.sum(share <= most) >= 4 * FEWEST), None)


def _flat(coefficients: np.ndarray) -> np.ndarray:
    """The flattest patches."""
    energy = np.square(coefficients[:, _LOW]).sum(1)
    count = max(FEWEST, int(FLAT * len(energy)))
    return coefficients[np.argsort(energy)[:count]]


def _std(coefficients: np.ndarray) -> float:
    """Standard deviation of the noise; of each patch the median of its high frequencies, as edges are few."""
    power = np.square(coefficients[:, _HIGH])
    return float(np.sqrt(np.mean(np.median(power, 1)) / _MEDIAN_OF_POWER))


def estimate(pixels: np.ndarray) -> NoiseLevel | None:
    """The noise level of an image.

    Args:
      pixels: (h, w, c) in [0, 1]; patches with pixels at 0 or 1 are left out, as clipping hides their noise, unless too
        few are left, see CLIPPED.

    Returns:
      NoiseLevel, or None where too few patches are left to tell.
    """
    pixels = np.asarray(pixels, np.float32)
    if min(pixels.shape[:2]) < 2 * SIDE:
        return None
    found = _usable(is_clipped(pixels).any(-1))
    if found is None:
        return None
    most_clipped, usable = found
    every = (*np.moveaxis(pixels, -1, 0), pixels.mean(-1))
    planes = [scipy.fft.dctn(_patches(plane)[usable], axes=(-2, -1), norm="ortho") for plane in every]
    *colours, flat = map(_flat, planes)
    gray_std = _std(flat)
    if most_clipped > 0 and np.mean(np.square(flat[:, _LOW])) > LETTERS * gray_std**2:
        return None
    stds = [_std(colour) for colour in colours]
    dark, bright = np.array_split(flat[np.argsort(flat[:, 0, 0])], 2)
    return NoiseLevel(float(np.sqrt(np.mean(np.square(stds)))), gray_std, _std(dark), _std(bright))
