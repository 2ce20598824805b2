"""Tiles: where they begin so that they cover an image, and the eight symmetries of a square one."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def starts(length: int, size: int, *, overlap: int = 0, rest: float = 0.0) -> list[int]:
    """Where the fewest tiles begin that cover a side evenly; a tile that is longer than the side begins at 0.

    Args:
      length: of the side, in pixels.
      size: of a tile.
      overlap: at least so many pixels are shared by neighbours.
      rest: share of a tile that may stay uncovered where another tile would be needed for it; neighbours then overlap
        less, or not at all.
    """
    number = max(math.ceil((length - overlap) / max(size - overlap, 1) - rest), 1)
    return np.linspace(0, max(length - size, 0), number).round().astype(int).tolist()


def cut(image: Any, size: int) -> Any:
    """Tiles (n, min(h, size), min(w, size), c) that cover an image (h, w, c) of NumPy or JAX; some overlap others."""
    h, w, _ = image.shape
    rows, columns = min(h, size), min(w, size)
    stack = np.stack if isinstance(image, np.ndarray) else jnp.stack
    return stack([image[i : i + rows, j : j + columns] for i in starts(h, size) for j in starts(w, size)])


def turn(x: jax.Array, index: jax.Array) -> jax.Array:
    """One of the eight symmetries of the square; where H and W differ, one of the four that keep the shape.

    Args:
      x: (H, W, C).
      index: 0 ... 7.
    """
    x = jnp.where(index & 1, x[::-1], x)
    x = jnp.where(index & 2, x[:, ::-1], x)
    return jnp.where(index & 4, jnp.swapaxes(x, 0, 1), x) if x.shape[0] == x.shape[1] else x
