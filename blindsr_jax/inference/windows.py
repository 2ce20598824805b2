"""Windows of an image that tell most of its blur."""

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.tiling import cut


@jax.jit
def information(windows: jax.Array) -> jax.Array:
    """How much windows (n, a, b, c) tell of a blur: detail in all directions, clipped pixels counting as none, (n,)."""
    gray = jnp.mean(windows, -1)
    is_clipped = jnp.any((windows <= 0.5 / 255) | (windows >= 254.5 / 255), -1)
    down, across = jnp.diff(gray, axis=1)[..., :, :-1], jnp.diff(gray, axis=2)[..., :-1, :]
    hidden = is_clipped[..., :-1, :-1] | is_clipped[..., 1:, :-1] | is_clipped[..., :-1, 1:]
    down, across = jnp.where(hidden, 0, down), jnp.where(hidden, 0, across)
    a, b, c = (jnp.mean(x * y, (-2, -1)) for x, y in ((down, down), (down, across), (across, across)))
    return (a + c) / 2 - jnp.sqrt(jnp.square(a - c) / 4 + jnp.square(b))  # the smaller eigenvalue


def best(image: jax.Array, side: int, number: int) -> jax.Array:
    """The windows of `cut` that tell most of a blur, at most `number` of them."""
    windows = cut(image, side)
    if len(windows) <= number:
        return windows
    chosen = jax.lax.top_k(information(windows), number)[1]
    return windows[chosen]
