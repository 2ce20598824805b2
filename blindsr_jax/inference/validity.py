"""Pixels that tell nothing of the scene: clipped, stuck, or of a frame around the picture."""

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

CLIPPED = 0.5 / 255  # distance from black or white up to which a value is taken as clipped
STUCK = 0.15  # least distance of a stuck pixel from all its neighbours, beyond what they differ by
FLAT = 1 / 255  # range of the values of a row or column of a frame
THINNEST = 2  # rows or columns of a frame
_AROUND = np.ones((3, 3, 1), bool)
_AROUND[1, 1] = False


class Validity(NamedTuple):
    """What was found."""

    mask: np.ndarray  # (h, w, c) bool: whether a value tells of the scene
    stuck: np.ndarray  # (h, w, c) bool
    frame: tuple[int, int, int, int]  # rows and columns of the frame: top, right, bottom, left


def is_clipped(values: Any) -> Any:
    """Whether values of an image, an array of NumPy or JAX, are black or white."""
    return (values <= CLIPPED) | (values >= 1 - CLIPPED)


def _stuck(pixels: np.ndarray) -> np.ndarray:
    """Values that lie alone far outside the range of their eight neighbours: no lens makes such a point.

    Of neighbours of which some are white the range is not known, as highlights go far beyond; black hides little.
    """
    options = {"footprint": _AROUND, "mode": "nearest"}
    most, least = ndimage.maximum_filter(pixels, **options), ndimage.minimum_filter(pixels, **options)
    alone = STUCK + (most - least)
    is_known = ~is_clipped(most) | is_clipped(least)
    return (pixels > most + alone) | ((pixels < least - alone) & is_known)


def _edge(lines: np.ndarray) -> int:
    """How many first lines (n, length, c) have one colour, the same for all; 0 where all have it or too few."""
    first = lines[:1, :1]
    same = (np.abs(lines - first) <= FLAT).all((1, 2))
    count = len(lines) if same.all() else int(np.argmin(same))
    return count if THINNEST <= count < len(lines) // 2 else 0


def _frame(pixels: np.ndarray) -> tuple[int, int, int, int]:
    across = pixels.swapaxes(0, 1)
    return _edge(pixels), _edge(across[::-1]), _edge(pixels[::-1]), _edge(across)


def measure(pixels: np.ndarray) -> Validity:
    """Finds the pixels of an image that tell nothing of the scene.

    Args:
      pixels: (h, w, c) in [0, 1].
    """
    pixels = np.asarray(pixels, np.float32)
    (h, w, _), stuck, frame = pixels.shape, _stuck(pixels), _frame(pixels)
    mask = ~is_clipped(pixels) & ~stuck
    top, right, bottom, left = frame
    inner = np.zeros((h, w, 1), bool)
    inner[top : h - bottom, left : w - right] = True
    return Validity(mask & inner, stuck, frame)


def mend(pixels: np.ndarray, stuck: np.ndarray) -> np.ndarray:
    """An image whose stuck values are the medians of what surrounds them.

    Args:
      pixels: (h, w, c).
      stuck: (h, w, c) bool.
    """
    if not stuck.any():
        return pixels
    return np.where(stuck, ndimage.median_filter(pixels, footprint=_AROUND, mode="nearest"), pixels)
