"""Kernel for x4 from a kernel for x2: two degradations in a row (KernelGAN, Bell-Kligler et al. 2019)."""

import jax
import jax.numpy as jnp


def analytic_x4_kernel(kernel: jax.Array) -> jax.Array:
    """Kernel that degrades by 4 at once as `kernel` does by 2 twice: K4[n, m] = sum K[r, c] K[n - 2 r, m - 2 c].

    The full result has 3 k - 2 pixels on each side; k // 2 are cropped all around. A centre at (k - 2) / 2 becomes
    one at (size - 4) / 2, so the 'release' convention is kept.

    Args:
      kernel: float array (k, k), k odd.

    Returns:
      Array (3 k - 2 - 2 (k // 2),) * 2 of unit sum: 21 for k = 11, 25 for k = 13.
    """
    size = kernel.shape[0]
    crop, full = size // 2, 3 * size - 2
    dilated = jnp.zeros((2 * size - 1,) * 2, kernel.dtype).at[::2, ::2].set(kernel)
    # A correlation with the flipped kernel on a padded image is the full convolution.
    result = jax.lax.conv_general_dilated(
        dilated[None, None], kernel[None, None, ::-1, ::-1], (1, 1), [(size - 1,) * 2] * 2, precision="highest"
    )[0, 0]
    result = result[crop : full - crop, crop : full - crop]
    return result / result.sum()
