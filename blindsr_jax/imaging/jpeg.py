"""What JPEG compression does to an image, in jax.numpy: rounded cosine coefficients, without the bit stream.

Full or half chroma resolution (4:4:4, 4:2:0) and the example tables of the standard (ITU-T T.81, annex K) with the
usual scaling by a quality. For making training data; rounding has no useful gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.resize import upsample

_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
# Rows: Y, Cb, Cr of full-range RGB (JFIF).
_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
GRAY_WEIGHTS = _YCC[0]  # the weights of red, green and blue in the luminance
_INDEX = np.arange(8)
_DCT = np.cos(np.pi * (2 * _INDEX[None, :] + 1) * _INDEX[:, None] / 16) * np.where(_INDEX, 0.5, 8**-0.5)[:, None]


def tables(quality: jax.Array) -> jax.Array:
    """Steps of the coefficients (3, 8, 8), whole numbers from 1 to 255, for a quality () from 1 to 100."""
    base = jnp.asarray(np.stack([_LUMA, _CHROMA, _CHROMA]), jnp.int32)
    quality = jnp.clip(jnp.asarray(quality, jnp.int32), 1, 100)
    percent = jnp.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return jnp.clip((base * percent + 50) // 100, 1, 255)


def _code(planes: jax.Array, steps: jax.Array) -> jax.Array:
    """Planes (H, W, C) around 0, sides multiples of 8, with coefficients rounded to multiples of steps (C, 8, 8)."""
    dct = jnp.asarray(_DCT, planes.dtype)
    blocks = planes.reshape(planes.shape[0] // 8, 8, planes.shape[1] // 8, 8, planes.shape[2])
    coefficients = jnp.einsum("ui,aibjc,vj->abcuv", dct, blocks, dct, precision="highest")
    coefficients = jnp.round(coefficients / steps[None, None]) * steps[None, None]
    planes = jnp.einsum("ui,abcuv,vj->aibjc", dct, coefficients, dct, precision="highest").reshape(planes.shape)
    return jnp.clip(jnp.round(planes), -128, 127)


def _halve(planes: jax.Array) -> jax.Array:
    """Means of 2 x 2 pixels, rounded: (H, W, C) -> (H / 2, W / 2, C)."""
    h, w, c = planes.shape
    return jnp.round(planes.reshape(h // 2, 2, w // 2, 2, c).mean((1, 3)))


def compress(image: jax.Array, quality: jax.Array, *, subsample: jax.Array | bool = False) -> jax.Array:
    """An image after JPEG compression.

    Args:
      image: (H, W, 3) in [0, 1], any size; blocks that it does not fill are padded by repeating its border.
      quality: () whole number from 1 to 100, as encoders name it.
      subsample: () whether the colours are kept at half resolution, as most encoders do.

    Returns:
      (H, W, 3) in [0, 1], of the dtype of `image`.
    """
    h, w, _ = image.shape
    dtype = image.dtype
    ycc, offset = jnp.asarray(_YCC, dtype), jnp.asarray([[[128, 0, 0]]], dtype)
    x = 255 * jnp.pad(image, ((0, -h % 16), (0, -w % 16), (0, 0)), mode="edge")
    x = jnp.round(jnp.matmul(x, ycc.T, precision="highest")) - offset  # codecs pass whole numbers on
    steps = tables(quality).astype(dtype)
    luma, chroma = _code(x[..., :1], steps[:1]), _code(x[..., 1:], steps[1:])
    if subsample is not False:
        chroma = jnp.where(subsample, jnp.round(upsample(_code(_halve(x[..., 1:]), steps[1:]))), chroma)
    x = jnp.concatenate([luma, chroma], -1) + offset
    rgb = jnp.matmul(x, jnp.asarray(np.linalg.inv(_YCC), dtype).T, precision="highest")
    return jnp.clip(jnp.round(rgb) / 255, 0, 1)[:h, :w]
