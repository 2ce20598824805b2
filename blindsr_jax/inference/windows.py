"""Windows that cover an image, for networks that look at a part at a time."""

import jax
import jax.numpy as jnp
import numpy as np


def starts(length: int, side: int) -> list[int]:
    """Where windows of `side` begin that cover `length` evenly, with the least overlap."""
    number = -(-length // side)
    return [int(round(x)) for x in np.linspace(0, max(length - side, 0), number)]


def cut(image: jax.Array, side: int) -> jax.Array:
    """Windows (n, min(h, side), min(w, side), c) that cover an image (h, w, c); those at the edges overlap others."""
    h, w, _ = image.shape
    rows, columns = min(h, side), min(w, side)
    return jnp.stack([image[i : i + rows, j : j + columns] for i in starts(h, side) for j in starts(w, side)])
