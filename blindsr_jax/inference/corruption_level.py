"""What a restorer is told of the noise in an image: noise and compression as one standard deviation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from blindsr_jax.inference import jpeg_quality, noise_level
from blindsr_jax.inference.noise_level import NoiseLevel

# The level, in 1/255, that served best at a quality (docs/photographs.md: the shipped networks on images made for it).
QUALITIES = (20, 40, 60, 75, 85, 90, 95, 97, 98, 100)
LEVELS = (9.0, 6.5, 5.5, 4.5, 3.7, 2.8, 1.8, 1.0, 0.7, 0.0)
# Of the measured noise, what served best, after the rounding to 8 bits is taken off.
SHARE = 0.85


class Corruption(NamedTuple):
    """What was measured in an image."""

    noise: NoiseLevel | None  # None: too little of the image tells
    jpeg_quality: int | None  # of the file, else of the pixels; None: not compressed
    noise_std: float  # standard deviation on the [0, 1] scale that a restorer is told


def measure(pixels: np.ndarray, *, jpeg_steps: Sequence[int] | None = None) -> Corruption:
    """Noise and compression of an image.

    Args:
      pixels: (h, w, c) in [0, 1].
      jpeg_steps: of the JPEG file that the pixels come from, see `io.Image`.
    """
    pixels = np.asarray(pixels, np.float32)
    noise = noise_level.estimate(pixels)
    if jpeg_steps is None:
        quality = jpeg_quality.from_pixels(pixels)
    else:
        quality = jpeg_quality.from_table(jpeg_steps)
    found = 0.0 if noise is None else SHARE * max(noise.std - noise_level.ROUNDING, 0.0)
    compressed = 0.0 if quality is None else float(np.interp(quality, QUALITIES, LEVELS)) / 255
    return Corruption(noise, quality, float(np.hypot(found, compressed)))
