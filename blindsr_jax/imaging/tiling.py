"""Tiles: where they begin so that they cover an image, and the eight symmetries of a square one."""

import itertools
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


def take(image: jax.Array, corner: jax.Array, size: tuple[int, int]) -> jax.Array:
    """The part (a, b, ...) of an image (h, w, ...) whose first pixel is at a traced corner (2,) int32."""
    rest = image.shape[2:]
    return jax.lax.dynamic_slice(image, (*corner, *(0,) * len(rest)), (*size, *rest))


def corners(rows: Any, columns: Any) -> jax.Array:
    """The first pixels (n, 2) int32 of parts that begin in some rows and columns."""
    return jnp.asarray(list(itertools.product(rows, columns)), jnp.int32)


def cut(image: Any, size: int) -> Any:
    """Tiles (n, min(h, size), min(w, size), c) that cover an image (h, w, c) of NumPy or JAX; some overlap others."""
    h, w, _ = image.shape
    sides, places = (min(h, size), min(w, size)), (starts(h, size), starts(w, size))
    if isinstance(image, np.ndarray):
        return np.stack([image[i : i + sides[0], j : j + sides[1]] for i, j in itertools.product(*places)])
    return jax.vmap(lambda corner: take(image, corner, sides))(corners(*places))  # does not grow with their number


def turn(x: jax.Array, index: jax.Array) -> jax.Array:
    """One of the eight symmetries of the square; where H and W differ, one of the four that keep the shape.

    Args:
      x: (H, W, C).
      index: 0 ... 7.
    """
    x = jnp.where(index & 1, x[::-1], x)
    x = jnp.where(index & 2, x[:, ::-1], x)
    return jnp.where(index & 4, jnp.swapaxes(x, 0, 1), x) if x.shape[0] == x.shape[1] else x
