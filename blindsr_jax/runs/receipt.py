"""The receipt of a result: whether the degradation leads from it back to the LR image that it was found from."""

import itertools

import numpy as np
from scipy import signal

from blindsr_jax import io

_STRIP = 2**20  # pixels of the result that are blurred at once: images may be large


def residual(lr: np.ndarray, image: np.ndarray, kernel: np.ndarray, *, scale: int) -> np.ndarray | None:
    """The LR image less the result, blurred and sampled again: lr - (k * x) downsampled by s.

    Only pixels whose kernel lies within the result count, as what lies outside of it is not known. It is the sum of
    `imaging.degradation` in NumPy, one colour and strip after another, so that no
    program is compiled and little memory is taken.

    Args:
      lr: (h, w, c) in [0, 1].
      image: (s h, s w, c) in [0, 1], or levels (uint8 or uint16).
      kernel: (k, k), cross-correlation convention.
      scale: s.

    Returns:
      (h', w', c) with h' <= h, w' <= w, about the middle of the LR image; None where no pixel counts.
    """
    k = len(kernel)
    p = (k - 1) // 2
    first = -(-p // scale)  # s i - p >= 0
    h, w = ((n - k + p) // scale + 1 - first for n in image.shape[:2])  # s i - p + k <= n
    if h < 1 or w < 1:
        return None
    flipped = np.asarray(kernel, np.float32)[::-1, ::-1]
    found, step = np.empty((h, w, lr.shape[2]), np.float32), max(1, _STRIP // (scale**2 * w))
    for top, colour in itertools.product(range(0, h, step), range(lr.shape[2])):
        bottom = min(top + step, h)
        rows = slice(scale * (first + top) - p, scale * (first + bottom - 1) - p + k)
        seen = io.to_floats(image[rows, scale * first - p :, colour]).astype(np.float32)
        blurred = signal.oaconvolve(seen, flipped, mode="valid")[::scale, ::scale][:, :w]
        found[top:bottom, :, colour] = lr[first + top : first + bottom, first : first + w, colour] - blurred
    return found


def rms(values: np.ndarray) -> float:
    """Root of the mean square of a residual, in 255ths."""
    return 255 * float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
