"""What JPEG compression does to an image, in jax.numpy: rounded cosine coefficients, without the bit stream.

Full chroma resolution (4:4:4) and the example tables of the standard (ITU-T T.81, annex K) with the usual scaling by a
quality. For making training data; rounding has no useful gradient.
"""

import jax
import jax.numpy as jnp
import numpy as np

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
_INDEX = np.arange(8)
_DCT = np.cos(np.pi * (2 * _INDEX[None, :] + 1) * _INDEX[:, None] / 16) * np.where(_INDEX, 0.5, 8**-0.5)[:, None]


def tables(quality: jax.Array) -> jax.Array:
    """Steps of the coefficients (3, 8, 8), whole numbers from 1 to 255, for a quality () from 1 to 100."""
    base = jnp.asarray(np.stack([_LUMA, _CHROMA, _CHROMA]), jnp.int32)
    quality = jnp.clip(jnp.asarray(quality, jnp.int32), 1, 100)
    percent = jnp.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return jnp.clip((base * percent + 50) // 100, 1, 255)


def compress(image: jax.Array, quality: jax.Array) -> jax.Array:
    """An image after JPEG compression.

    Args:
      image: (H, W, 3) in [0, 1], any size; blocks that it does not fill are padded by repeating its border.
      quality: () whole number from 1 to 100, as encoders name it.

    Returns:
      (H, W, 3) in [0, 1], of the dtype of `image`.
    """
    h, w, _ = image.shape
    dtype = image.dtype
    ycc, dct = jnp.asarray(_YCC, dtype), jnp.asarray(_DCT, dtype)
    x = 255 * jnp.pad(image, ((0, -h % 8), (0, -w % 8), (0, 0)), mode="edge")
    offset = jnp.asarray([128, 0, 0], dtype)
    x = jnp.round(jnp.matmul(x, ycc.T, precision="highest")) - offset  # codecs pass whole numbers on
    blocks = x.reshape(x.shape[0] // 8, 8, x.shape[1] // 8, 8, 3)
    steps = tables(quality).astype(dtype)
    coefficients = jnp.einsum("ui,aibjc,vj->abcuv", dct, blocks, dct, precision="highest")
    coefficients = jnp.round(coefficients / steps) * steps
    x = jnp.einsum("ui,abcuv,vj->aibjc", dct, coefficients, dct, precision="highest").reshape(x.shape)
    x = jnp.clip(jnp.round(x), -128, 127) + offset
    rgb = jnp.matmul(x, jnp.asarray(np.linalg.inv(_YCC), dtype).T, precision="highest")
    return jnp.clip(jnp.round(rgb) / 255, 0, 1)[:h, :w]
