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
