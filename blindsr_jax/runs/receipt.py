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
    program is compiled and little memory is taken. Where parts of the image have kernels of their own, that of a pixel
    lies between those of the middles of the parts around it.

    Args:
      lr: (h, w, c) in [0, 1].
      image: (s h, s w, c) in [0, 1], or levels (uint8 or uint16).
      kernel: (k, k), cross-correlation convention, or (rows, columns, k, k), those of equal parts of the image.
      scale: s.

    Returns:
      (h', w', c) with h' <= h, w' <= w, about the middle of the LR image; None where no pixel counts.
    """
    kernels = np.asarray(kernel, np.float32)[..., ::-1, ::-1]
    kernels = kernels if kernels.ndim == 4 else kernels[None, None]
    k = kernels.shape[-1]
    p = (k - 1) // 2
    first = -(-p // scale)  # s i - p >= 0
    h, w = ((n - k + p) // scale + 1 - first for n in image.shape[:2])  # s i - p + k <= n
    if h < 1 or w < 1:
        return None
    down, across = (
        _shares(n, m)[:, first : first + x] for n, m, x in zip(kernels.shape, lr.shape, (h, w), strict=False)
    )
    found, step = np.empty((h, w, lr.shape[2]), np.float32), max(1, _STRIP // (scale**2 * w))
    for top, colour in itertools.product(range(0, h, step), range(lr.shape[2])):
        bottom = min(top + step, h)
        rows = slice(scale * (first + top) - p, scale * (first + bottom - 1) - p + k)
        seen = io.to_floats(image[rows, scale * first - p :, colour]).astype(np.float32)
        blurred = _blur(seen, kernels, (down[:, top:bottom], across), scale)
        found[top:bottom, :, colour] = lr[first + top : first + bottom, first : first + w, colour] - blurred
    return found


def _shares(parts: int, length: int) -> np.ndarray:
    """(parts, length): how much of the kernel at each LR pixel is that of each part along an axis; 1 in sum."""
    place = np.clip((np.arange(length) + 0.5) / length * parts - 0.5, 0, parts - 1)
    return np.maximum(0, 1 - np.abs(place - np.arange(parts)[:, None])).astype(np.float32)


def _blur(seen: np.ndarray, kernels: np.ndarray, shares: tuple[np.ndarray, np.ndarray], scale: int) -> np.ndarray:
    """A strip under the kernels of its parts, sampled: (h, w); a part is blurred only where it has a share."""
    down, across = shares
    blurred, k = np.zeros((down.shape[1], across.shape[1]), np.float32), kernels.shape[-1]
    for row, column in np.ndindex(kernels.shape[:2]):
        places = np.flatnonzero(across[column])
        if not len(places) or not down[row].any():
            continue
        left, right = places[0], places[-1] + 1
        part = seen[:, scale * left : scale * (right - 1) + k]
        part = signal.oaconvolve(part, kernels[row, column], mode="valid")[::scale, ::scale]
        blurred[:, left:right] += down[row][:, None] * across[column, left:right] * part
    return blurred


def rms(values: np.ndarray) -> float:
    """Root of the mean square of a residual, in 255ths."""
    return 255 * float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
