"""Colours under transparent pixels, which are arbitrary: replaced, so that nothing hidden bleeds into an edge."""

import numpy as np
import PIL.Image

from blindsr_jax.io.images import Image

_NOTE = "the colours of its transparent pixels were replaced by those of the visible ones around them"
_RELIABLE = 0.25  # alpha from which a colour counts in full: below, few levels of 8 bits are left of it


def _halve(x: np.ndarray) -> np.ndarray:
    """Sums over blocks of 2 x 2 pixels: (H, W, C) -> (ceil(H / 2), ceil(W / 2), C)."""
    h, w, channels = x.shape
    x = np.pad(x, ((0, h % 2), (0, w % 2), (0, 0)))
    return x.reshape((h + 1) // 2, 2, (w + 1) // 2, 2, channels).sum((1, 3))


def _double(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear enlargement by two, cut to a shape (H, W, C)."""
    size = 2 * x.shape[1], 2 * x.shape[0]
    planes = [PIL.Image.fromarray(plane).resize(size, PIL.Image.Resampling.BILINEAR) for plane in np.moveaxis(x, -1, 0)]
    return np.stack(planes, -1)[: shape[0], : shape[1]]


def _fill(weighted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Colours (H, W, C) of those multiplied by a weight (H, W, 1) in [0, 1]; gaps are filled from a smaller image."""
    if weight.min() >= 1 or weight.size == 1:
        return weighted / np.maximum(weight, 1e-6)
    total = _halve(weight)
    kept = np.minimum(total, 1)
    coarse = _fill(_halve(weighted) * kept / np.maximum(total, 1e-6), kept)
    return weighted + (1 - weight) * _double(coarse, weighted.shape)


def fill_hidden(image: Image) -> Image:
    """Replaces the colours of transparent pixels by means of the visible ones around, weighted by alpha.

    What a solver or an enlargement mixes is then visible everywhere. Alpha stays as it is.

    Args:
      image: of any kind.

    Returns:
      The same image where nothing is hidden or nothing is visible, else one with a note.
    """
    if image.alpha is None:
        return image
    weight = np.clip(image.alpha[..., None] / np.float32(_RELIABLE), 0, 1)
    if weight.min() >= 1 or weight.max() <= 0:
        return image
    pixels = np.clip(_fill(image.pixels * weight, weight), 0, 1).astype(np.float32)
    return image._replace(pixels=np.where(weight < 1, pixels, image.pixels), notes=(*image.notes, _NOTE))
