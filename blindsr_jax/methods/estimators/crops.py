"""Where KernelGAN cuts its crops: the more edges a place has, the likelier (Bell-Kligler et al. 2019)."""

import jax
import jax.numpy as jnp
from jax import lax

from blindsr_jax.imaging.resize import imresize

_GRAY = (0.299, 0.587, 0.114)
_SHARE = 0.97  # of the pixels count as flat in each direction
_FRAME = 5  # pixels at the border that count as flat


def _gradient(x: jax.Array, axis: int) -> jax.Array:
    """Central differences, one-sided at both ends."""
    n = x.shape[axis]
    index = jnp.arange(n)
    after, before = jnp.minimum(index + 1, n - 1), jnp.maximum(index - 1, 0)
    shape = [-1 if a == axis else 1 for a in range(2)]
    step = jnp.reshape(after - before, shape).astype(x.dtype)
    return (jnp.take(x, after, axis) - jnp.take(x, before, axis)) / step


def _box_sum(x: jax.Array, size: int) -> jax.Array:
    """Sums (h, w) over windows of `size`, from pixel i - size // 2 on, zeros outside."""

    def band(n, dtype):
        distance = jnp.arange(n)[None, :] - jnp.arange(n)[:, None]
        return ((distance >= -(size // 2)) & (distance < size - size // 2)).astype(dtype)

    rows, cols = (band(n, x.dtype) for n in x.shape)
    return jnp.linalg.multi_dot([rows, x, cols.T], precision="highest")


def _without_frame(x: jax.Array, width: int) -> jax.Array:
    rows, cols = ((jnp.arange(n) >= width) & (jnp.arange(n) < n - width) for n in x.shape)
    return jnp.where(rows[:, None] & cols[None, :], x, 0)


def _strongest(x: jax.Array) -> jax.Array:
    """What is above the 97th percentile, cut off at the next larger value: almost 0 or 1 value."""
    values = jnp.sort(x.reshape(-1))
    index = int(_SHARE * values.size)
    low, high = values[index], values[min(index + 1, values.size - 1)]
    high = jnp.where(high > low, high, low + 1e-5)
    return jnp.clip(x, low, high) - low


def _share(x: jax.Array) -> jax.Array:
    """Divided by its sum; zeros stay zeros."""
    total = x.sum()
    return x / jnp.where(total > 0, total, 1)


def gradient_map(image: jax.Array, *, legacy: bool = False) -> jax.Array:
    """How much edge there is around each pixel, with mean 1.

    The sum of where the strongest horizontal gradients are, the strongest vertical ones and the strongest of any
    direction, averaged over 5 x 5 pixels.

    Args:
      image: (h, w, 3) in [0, 1].
      legacy: take the gradients of any direction as they are, as the release does; it finds the strongest ones, and
        leaves them unused.

    Returns:
      (h, w), not negative.
    """
    gray = sum(weight * image[..., i] for i, weight in enumerate(_GRAY))
    rows, cols = _gradient(gray, 0), _gradient(gray, 1)
    parts = [_without_frame(x, _FRAME) for x in (jnp.abs(cols), jnp.abs(rows), jnp.sqrt(rows**2 + cols**2))]
    total = sum(_share(x if legacy and i == 2 else _strongest(x)) for i, x in enumerate(parts))
    blurred = _box_sum(total, 5) / 25
    mean = jnp.mean(blurred)
    return blurred / jnp.where(mean > 0, mean, 1)


def probability_map(edges: jax.Array, crop: int) -> jax.Array:
    """The probability that a crop is cut around a pixel.

    Args:
      edges: (h, w) of `gradient_map`.
      crop: side of the crops.

    Returns:
      (h, w), sum 1: in proportion to the edges inside half the crop, 0 where the crop would leave the image, and the
      same everywhere where nothing else is left.
    """
    half = crop // 2
    density = _without_frame(_box_sum(edges, half) / half**2, half)
    total = density.sum()
    return jnp.where(total > 0, density / jnp.where(total > 0, total, 1), 1 / density.size)


def crop_tables(image: jax.Array, large: int, small: int, *, legacy: bool = False) -> tuple[jax.Array, jax.Array]:
    """Cumulative probabilities (h * w,), row by row, of the large crops for a generator and the small, real ones.

    The large ones look for what has edges at half the size, as that is what the generator makes of them.

    Args:
      image: (h, w, 3) in [0, 1], h and w even.
      large: side of the large crops.
      small: side of the small crops.
      legacy: see `gradient_map`.
    """
    coarse = gradient_map(imresize(image, 0.5), legacy=legacy)
    coarse = jnp.repeat(jnp.repeat(coarse, 2, 0), 2, 1)
    maps = probability_map(coarse, large), probability_map(gradient_map(image, legacy=legacy), small)
    return tuple(jnp.cumsum(p.reshape(-1)) for p in maps)


def draw_crops(key: jax.Array, image: jax.Array, table: jax.Array, size: int, num: int) -> jax.Array:
    """Random crops, whose corners are at even rows and columns.

    Args:
      key: typed PRNG key.
      image: (h, w, c).
      table: (h * w,) of `crop_tables`.
      size: of a crop.
      num: how many.

    Returns:
      (num, size, size, c).
    """
    h, w, c = image.shape
    place = jax.random.uniform(key, (num,), table.dtype) * table[-1]
    index = jnp.minimum(jnp.searchsorted(table, place, side="right"), h * w - 1)

    def cut(i):
        corner = [jnp.clip(x - size // 2, 0, n - size) // 2 * 2 for x, n in ((i // w, h), (i % w, w))]
        return lax.dynamic_slice(image, (*corner, jnp.zeros_like(i)), (size, size, c))

    return jax.vmap(cut)(index)


def recolour(key: jax.Array, x: jax.Array) -> jax.Array:
    """Turns the colours (..., C) of an image about 0 by a random orthogonal matrix.

    A blur commutes with it, so what a discriminator may learn of the blur is left, and what it may know by heart of
    one small image is not (the idea: Zhao et al. 2020, differentiable augmentation).
    """
    turn = jax.random.orthogonal(key, x.shape[-1], dtype=x.dtype)
    return jnp.matmul(x, turn, precision="highest")
