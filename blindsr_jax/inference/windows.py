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
    h, w, _ = image.shape
    corners = tiling.corners(tiling.starts(h, side), tiling.starts(w, side))
    if len(corners) <= number:
        return tiling.cut(image, side)

    def window(corner, image=image):
        return tiling.take(image, corner, (min(h, side), min(w, side)))

    def tells(corner):
        counts = None if mask is None else window(corner, mask)[None]
        return information(window(corner)[None], counts)[0]

    told = jax.lax.map(tells, corners, batch_size=_AT_ONCE)
    return jax.vmap(window)(corners[jax.lax.top_k(told, number)[1]])
