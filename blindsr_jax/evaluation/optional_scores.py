"""Scores that a table has where they are asked for: PSNR after registration, and perceptual ones of other packages.

The perceptual ones need no download beyond the packages of the extra `perceptual`: SSIMULACRA 2 (Sneyers et al.; higher
is better, 100 for equal images) and FLIP (Andersson et al. 2020; lower is better, 0 for equal images).
"""

import importlib
import itertools
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import PIL.Image

from blindsr_jax.evaluation import metrics

_MOST_SHIFT = 3  # pixels, of a registration

Score = Callable[[np.ndarray, np.ndarray], float]  # (H, W, 1 or 3) in [0, 1] and the true image -> a number


def registered_psnr_y(sr: np.ndarray, hr: np.ndarray) -> float:
    """The best PSNR of the luma over shifts of up to 3 whole pixels; a border of 3 pixels is left out.

    An image that is right but for its place scores low without it. Shifts by parts of a pixel are not tried: an
    interpolation takes noise away, 1.4 dB of noise of 0.05 in a test, and so would be taken for a registration.

    Args:
      sr: (H, W, 3 or 1) in [0, 1], sides of at least 7.
      hr: the true image, of the same size.
    """
    sr, hr = metrics.luma(sr), metrics.luma(hr)
    inner = (slice(_MOST_SHIFT, -_MOST_SHIFT),) * 2
    shifts = itertools.product(range(-_MOST_SHIFT, _MOST_SHIFT + 1), repeat=2)
    return max(metrics.psnr(np.roll(sr, shift, (0, 1))[inner], hr[inner]) for shift in shifts)


def _colours(image: np.ndarray) -> np.ndarray:
    return np.broadcast_to(image, (*image.shape[:2], 3))


def _png(image: np.ndarray) -> BytesIO:
    data = BytesIO()
    PIL.Image.fromarray(np.rint(255 * _colours(image)).astype(np.uint8)).save(data, "PNG")
    return BytesIO(data.getvalue())


def ssimulacra2(sr: np.ndarray, hr: np.ndarray) -> float:
    """SSIMULACRA 2 of two images (H, W, 3 or 1) in [0, 1], at 8 bits; raises ImportError where it is not installed."""
    package = importlib.import_module("ssimulacra2")
    return float(package.compute_ssimulacra2(_png(hr), _png(sr)))


def flip(sr: np.ndarray, hr: np.ndarray) -> float:
    """Mean FLIP error of two images (H, W, 3 or 1) in [0, 1], at 67 pixels per degree of the visual field.

    Raises:
      ImportError: it is not installed.
    """
    package = importlib.import_module("flip_evaluator")
    images = (np.ascontiguousarray(_colours(image), np.float32) for image in (hr, sr))
    return float(package.evaluate(*images, "LDR", applyMagma=False)[1])


SCORES: dict[str, Score] = {"registered_psnr_y": registered_psnr_y, "ssimulacra2": ssimulacra2, "flip": flip}
_PACKAGES = {"ssimulacra2": "ssimulacra2", "flip": "flip_evaluator"}


def missing(names: Sequence[str]) -> list[str]:
    """Those of some scores whose package is not installed."""
    found = []
    for name in names:
        try:
            importlib.import_module(_PACKAGES.get(name, "numpy"))
        except ImportError:
            found.append(name)
    return found


def score(names: Sequence[str], sr: np.ndarray, hr: np.ndarray, *, border: int) -> dict[str, float]:
    """Some of SCORES of an image.

    Args:
      names: which.
      sr: (H, W, 3 or 1) in [0, 1].
      hr: the true image, of the same size.
      border: pixels left out on every side.
    """
    inner = tuple(slice(border, n - border) for n in sr.shape[:2])
    return {name: SCORES[name](sr[inner], hr[inner]) for name in names}
