"""The quality of JPEG compression that an image has gone through: from its tables, or from its pixels.

A JPEG file keeps multiples of a table of steps, one per frequency of 8 x 8 blocks. In the pixels of an image that was
one, saved in another kind of file since, the cosine transforms of the blocks still lie near such multiples.
"""

import functools
from collections.abc import Sequence

import jax
import numpy as np
import scipy.fft

from blindsr_jax.imaging import jpeg

QUALITIES = range(5, 99)
_ORDER = np.add.outer(np.arange(8), np.arange(8))
_USED = (2 <= _ORDER) & (_ORDER <= 5)  # the lowest vary with the picture's brightness, the highest are seldom kept
_FEWEST_BLOCKS = 100
_MOST_BLOCKS = 20_000
# Mean of cos(2 pi coefficient / step) above which the steps are those of the image: 1 on exact multiples, 0 elsewhere.
THRESHOLD = 0.25


@functools.cache
def _steps() -> np.ndarray:
    """The luminance steps (100, 8, 8) of the qualities 1 to 100."""
    return np.asarray(jax.vmap(jpeg.tables)(np.arange(1, 101)), float)[:, 0]


def from_table(table: Sequence[int]) -> int:
    """The quality whose steps are nearest to a table of a file (64 numbers, in rows)."""
    given = np.log(np.asarray(table, float).reshape(8, 8))
    return 1 + int(np.argmin(np.abs(np.log(_steps()) - given).sum((1, 2))))


def from_pixels(pixels: np.ndarray) -> int | None:
    """The quality of compression that shows in the pixels.

    Args:
      pixels: (h, w, c) in [0, 1], whose blocks begin at the upper left corner, as in a whole image.

    Returns:
      From 5 to 98, or None where no compression shows, or too little of the image tells.
    """
    gray = pixels[..., 0] if pixels.shape[-1] == 1 else pixels @ jpeg.GRAY_WEIGHTS.astype(pixels.dtype)
    h, w = (n - n % 8 for n in gray.shape)
    blocks = 255 * gray[:h, :w].reshape(h // 8, 8, w // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8) - 128
    blocks = blocks[(blocks.max((1, 2)) < 126) & (blocks.min((1, 2)) > -127)]  # clipped ones are no multiples
    blocks = blocks[:: max(1, len(blocks) // _MOST_BLOCKS)]
    if len(blocks) < _FEWEST_BLOCKS:
        return None
    found = scipy.fft.dctn(blocks, axes=(1, 2), norm="ortho")
    scores = {quality: _score(found, _steps()[quality - 1]) for quality in QUALITIES}
    best = max(scores.values())
    if best < THRESHOLD:
        return None
    # Multiples of a step are multiples of its divisors too: of what fits as well, the coarsest.
    return min(quality for quality, score in scores.items() if score > best - 0.05)


def _score(found: np.ndarray, step: np.ndarray) -> float:
    """How near coefficients (n, 8, 8) lie to multiples of their steps, those that are rounded to 0 left out."""
    use = _USED & (step >= 2)
    values, step = found[:, use], step[use]
    is_large = np.abs(values) > step / 2  # a plain picture has more just above this, where the cosine is -1
    if is_large.sum() < _FEWEST_BLOCKS:
        return 0.0
    return float(np.mean(np.cos(2 * np.pi * values / step)[is_large]))
