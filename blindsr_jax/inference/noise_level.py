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
# Above either of these, flat patches with clipped pixels are letters or drawings on white. Of the neighbours of a
# clipped pixel, those that are clipped too: noise clips here and there (at most 0.33 in 201 crops of 60 x 60), the
# white between letters is one piece (0.37 to 0.51 on nine pages).
PIECES = 0.35
# And, where the colours are equal, the power of a low frequency in that of the noise: less in 184 of those crops, 11 to
# 13 for small letters. Colours with noise of their own have no letters.
LETTERS = 5.0
EQUAL = 0.8  # part of a colour's noise that the mean of the colours has, above which they are called equal
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


def _usable(hidden: np.ndarray) -> np.ndarray | None:
    """(rows, columns) bool, the patches without clipped pixels, or with as few as leave enough patches; None: too few.

    Strong noise clips a pixel of nearly every patch of a dark or bright image.

    Args:
      hidden: (rows, columns, SIDE, SIDE) bool, the clipped pixels of each patch.
    """
    share = hidden.mean((-2, -1))
    return next((share <= most for most in CLIPPED if np.sum(share <= most) >= 4 * FEWEST), None)


def _flattest(coefficients: np.ndarray) -> np.ndarray:
    """The numbers of the flattest patches."""
    energy = np.square(coefficients[:, _LOW]).sum(1)
    return np.argsort(energy)[: max(FEWEST, int(FLAT * len(energy)))]


def _solid(clipped: np.ndarray) -> float:
    """Of the neighbours of clipped pixels, those that are clipped too; (n, SIDE, SIDE) bool, 0 where none is."""
    pairs = ((clipped[:, 1:], clipped[:, :-1]), (clipped[:, :, 1:], clipped[:, :, :-1]))
    both = sum(np.sum(a & b) for a, b in pairs)
    return float(both / max(sum(a.sum() + b.sum() for a, b in pairs) / 2, 1))


def _std(coefficients: np.ndarray) -> float:
    """Standard deviation of the noise; of each patch the median of its high frequencies, as edges are few."""
    power = np.square(coefficients[:, _HIGH])
    return float(np.sqrt(np.mean(np.median(power, 1)) / _MEDIAN_OF_POWER))


def _measure(pixels: np.ndarray) -> NoiseLevel | None:
    """As `estimate`, from patches in which no colour is clipped."""
    hidden = _patches(is_clipped(pixels).any(-1))
    usable = _usable(hidden)
    if usable is None:
        return None

    def spectra(plane):
        return scipy.fft.dctn(_patches(plane)[usable], axes=(-2, -1), norm="ortho")

    stds = [_std(colour[_flattest(colour)]) for colour in map(spectra, np.moveaxis(pixels, -1, 0))]
    gray = spectra(pixels.mean(-1))
    chosen = _flattest(gray)
    flat, hidden = gray[chosen], hidden[usable][chosen]
    std, gray_std = float(np.sqrt(np.mean(np.square(stds)))), _std(flat)
    smooth = np.mean(np.square(flat[:, _LOW])) <= LETTERS * gray_std**2 or gray_std <= EQUAL * std
    if hidden.any() and not (smooth and _solid(hidden) <= PIECES):
        return None
    dark, bright = np.array_split(flat[np.argsort(flat[:, 0, 0])], 2)
    return NoiseLevel(std, gray_std, _std(dark), _std(bright))


def estimate(pixels: np.ndarray) -> NoiseLevel | None:
    """The noise level of an image.

    Args:
      pixels: (h, w, c) in [0, 1]; patches with pixels at 0 or 1 are left out, as clipping hides their noise, unless too
        few are left, see CLIPPED. Where one colour is clipped nearly everywhere, as in yellow light, the others tell;
        the noise is then taken to be the same in all, so `gray_std` is too large for noise of each colour's own.

    Returns:
      NoiseLevel, or None where too few patches are left to tell.
    """
    pixels = np.asarray(pixels, np.float32)
    if min(pixels.shape[:2]) < 2 * SIDE:
        return None
    found, colours = _measure(pixels), pixels.shape[-1]
    if found is not None or colours == 1:
        return found
    alone = [one for one in (_measure(pixels[..., c : c + 1]) for c in range(colours)) if one is not None]
    return NoiseLevel(*np.sqrt(np.mean(np.square(alone), 0)).tolist()) if alone else None
