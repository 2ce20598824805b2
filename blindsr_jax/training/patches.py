"""Training images on the device: square pieces of one size, from which random patches are cut inside the program."""

from collections.abc import Iterable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.tiling import starts, turn

LARGEST_PIECE = 512
_REST = 0.05  # of a piece: what an image has beyond whole pieces is left out where it is less


def cut(images: Iterable[np.ndarray], *, least: int) -> np.ndarray:
    """Cuts images into square pieces of one size that cover them but for a few pixels.

    Args:
      images: (H, W, 1 or 3) in [0, 1], or uint8 each.
      least: the smallest side that is of use; smaller images are left out.

    Returns:
      (m, p, p, 3) uint8, p the smaller of 512 and the smallest side left.

    Raises:
      ValueError: no image is large enough.
    """
    full = [x if x.dtype == np.uint8 else np.round(255 * np.clip(x, 0, 1)).astype(np.uint8) for x in images]
    full = [np.broadcast_to(x, (*x.shape[:2], 3)) for x in full if min(x.shape[:2]) >= least]
    if not full:
        raise ValueError(f"no image has sides of at least {least} pixels")
    size = min(LARGEST_PIECE, min(min(x.shape[:2]) for x in full))
    sides = [[starts(n, size, rest=_REST) for n in x.shape[:2]] for x in full]
    places = [(x, i, j) for x, (rows, columns) in zip(full, sides, strict=True) for i in rows for j in columns]
    return np.stack([x[i : i + size, j : j + size] for x, i, j in places])


@partial(jax.jit, static_argnames="size")
def random_patch(key: jax.Array, pieces: jax.Array, size: int) -> jax.Array:
    """A random patch, turned and mirrored at random.

    Args:
      key: typed PRNG key; the patch depends on it alone.
      pieces: (m, p, p, 3) uint8 of `cut`.
      size: of its side, at most p.

    Returns:
      (size, size, 3) float32 in [0, 1].
    """
    piece_key, place_key, turn_key = jax.random.split(key, 3)
    piece = jax.random.randint(piece_key, (), 0, pieces.shape[0])
    row, column = jax.random.randint(place_key, (2,), 0, pieces.shape[1] - size + 1)
    patch = jax.lax.dynamic_slice(pieces, (piece, row, column, 0), (1, size, size, 3))[0]
    return turn(patch.astype(jnp.float32) / 255, jax.random.randint(turn_key, (), 0, 8))
