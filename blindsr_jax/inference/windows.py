"""Windows of an image that tell most of its blur."""

import jax
import jax.numpy as jnp

from blindsr_jax.imaging import tiling
from blindsr_jax.inference.validity import is_clipped

_AT_ONCE = 16  # windows that are looked at together


@jax.jit
def information(windows: jax.Array, counts: jax.Array | None = None) -> jax.Array:
    """How much windows (n, a, b, c) tell of a blur: detail in all directions, (n,).

    Pixels that do not count, bool (n, a, b, c), show no detail; without that, those that are clipped.
    """
    gray = jnp.mean(windows, -1)
    if counts is None:
        counts = ~is_clipped(windows)
    is_hidden = ~jnp.all(counts, -1)
    down, across = jnp.diff(gray, axis=1)[..., :, :-1], jnp.diff(gray, axis=2)[..., :-1, :]
    hidden = is_hidden[..., :-1, :-1] | is_hidden[..., 1:, :-1] | is_hidden[..., :-1, 1:]
    down, across = jnp.where(hidden, 0, down), jnp.where(hidden, 0, across)
    a, b, c = (jnp.mean(x * y, (-2, -1)) for x, y in ((down, down), (down, across), (across, across)))
    return (a + c) / 2 - jnp.sqrt(jnp.square(a - c) / 4 + jnp.square(b))  # the smaller eigenvalue


def best_corners(image: jax.Array, side: int, number: int, mask: jax.Array | None = None) -> jax.Array:
    """Where the windows of `best` begin, (n, 2) int32."""
    h, w, _ = image.shape
    corners = tiling.corners(tiling.starts(h, side), tiling.starts(w, side))
    if len(corners) <= number:
        return corners
    size = min(h, side), min(w, side)

    def tells(corner):
        counts = None if mask is None else tiling.take(mask, corner, size)[None]
        return information(tiling.take(image, corner, size)[None], counts)[0]

    return corners[jax.lax.top_k(jax.lax.map(tells, corners, batch_size=_AT_ONCE), number)[1]]


def take_all(image: jax.Array, corners: jax.Array, side: int) -> jax.Array:
    """The windows (n, min(h, side), min(w, side), c) of an image (h, w, c) that begin at corners (n, 2)."""
    size = min(image.shape[0], side), min(image.shape[1], side)
    return jax.vmap(lambda corner: tiling.take(image, corner, size))(corners)


def best(image: jax.Array, side: int, number: int, mask: jax.Array | None = None) -> jax.Array:
    """The windows of an image that tell most of a blur, those with most information.

    The program does not grow with the image, and only a few windows of it are copied at once.

    Args:
      image: (h, w, c).
      side: of the windows in pixels; shorter where the image is.
      number: of windows at most.
      mask: (h, w, c) bool, see `Problem.mask`.

    Returns:
      (n, min(h, side), min(w, side), c): all windows that cover the image, in their order, or `number` of them.
    """
    return take_all(image, best_corners(image, side, number, mask), side)
