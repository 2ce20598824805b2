"""LR images made from sharp ones for tests and benchmarks: what is cut, blurred, disturbed and rounded."""

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging import degradation
from blindsr_jax.imaging.problem import Spec


def crop_to_grid(pixels: np.ndarray, spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """The HR image that lies over a whole number of LR pixels, and the canvas that the LR image is made from.

    Args:
      pixels: (H, W, C), both sides at least the kernel's size and the scale.
      spec: the problem's static part.

    Returns:
      (s h, s w, C) and that, or for 'valid' (s h + k - s, s w + k - s, C).
    """
    s = spec.scale
    h, w = (n // s * s for n in pixels.shape[:2])
    if spec.boundary == "circular":
        return pixels[:h, :w], pixels[:h, :w]
    margin = spec.kernel_size - s
    h, w = ((n - margin) // s * s for n in pixels.shape[:2])
    canvas = pixels[: h + margin, : w + margin]
    return spec.crop(canvas, (h // s, w // s, 1)), canvas


def middle(pixels: np.ndarray, side: int) -> np.ndarray:
    """The middle (side, side, C) of an image (H, W, C), offset rounded down; raises ValueError where it is smaller."""
    h, w, _ = pixels.shape
    if min(h, w) < side:
        raise ValueError(f"{w} x {h} pixels, sides of at least {side} were expected")
    top, left = (h - side) // 2, (w - side) // 2
    return pixels[top : top + side, left : left + side]


def make_lr(
    canvas: np.ndarray,
    kernel: jax.Array,
    spec: Spec,
    *,
    noise_key: jax.Array | None = None,
    noise_std: float = 0.0,
    truncate: bool = False,
) -> np.ndarray:
    """The LR image of a canvas.

    Args:
      canvas: as `crop_to_grid` makes it, in [0, 1].
      kernel: (k, k).
      spec: the problem's static part.
      noise_key: typed PRNG key; needed where there is noise.
      noise_std: of white noise, on the [0, 1] scale; the image is then clipped.
      truncate: to 8 bits, as the releases do; otherwise whoever writes the image rounds it.

    Returns:
      (h, w, C).
    """
    lr = degradation.degrade(jnp.asarray(canvas), kernel, scale=spec.scale, boundary=spec.boundary)
    if noise_std:
        lr = degradation.add_noise(noise_key, lr, noise_std)
    lr = np.asarray(lr)
    return np.floor(255 * np.clip(lr, 0, 1)) / 255 if truncate else lr
