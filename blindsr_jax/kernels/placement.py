"""From a raw estimate to a kernel: noise off, centre in place (KernelGAN, Bell-Kligler et al. 2019)."""

import functools
import math

import jax
import jax.numpy as jnp

from blindsr_jax.kernels import geometry

_SHARE = 0.75  # of the value that is taken off


def soft_threshold(kernel: jax.Array, num_kept: int = 40) -> jax.Array:
    """Takes off three quarters of the largest value but `num_kept`, cuts off what is negative, divides by the sum.

    Args:
      kernel: (k, k).
      num_kept: at least so many entries stay positive, if they were.

    Returns:
      (k, k); sums to 1 if any entry stays.
    """
    order = min(num_kept + 1, kernel.size)
    threshold = _SHARE * jax.lax.top_k(kernel.reshape(-1), order)[0][-1]
    kernel = jnp.clip(kernel - threshold, 0, 100)
    total = kernel.sum()
    return kernel / jnp.where(total > 0, total, 1)


def convert(kernel: jax.Array, scale: int, source: str, target: str, size: int) -> jax.Array:
    """Moves a kernel from one centre convention to the other by whole pixels, and pads or crops it about its centre.

    Args:
      kernel: (k, k), k odd.
      scale: of the problem.
      source: its convention, of `geometry.CENTERS`.
      target: that of the result.
      size: of the result, odd.

    Returns:
      (size, size); the sum is not restored where something is cropped.
    """
    room = max(size, kernel.shape[0])  # the centre moves where nothing is lost
    moved = geometry.convert_center(geometry.resize(kernel, room), scale, source, target)
    return geometry.resize(moved, size)


@functools.partial(jax.jit, static_argnames=("center", "size"))
def fit(kernel: jax.Array, *, center: float, size: int) -> tuple[jax.Array, jax.Array]:
    """Moves a kernel's centre of mass once, without negative values, and says what falls outside.

    Args:
      kernel: (k, k), k odd, with a positive part.
      center: where the centre of mass of the whole kernel shall be, in pixels of the result.
      size: of the result, odd.

    Returns:
      (size, size), sum 1, and the share of the kernel that is outside, ().
    """
    room = 2 * max(kernel.shape[0], size) + 1  # wherever its centre is now
    middle = (room - 1) / 2 + center - (size - 1) / 2
    moved = geometry.move_center(geometry.resize(jnp.maximum(kernel, 0), room), middle)
    moved = geometry.normalize(moved, clip=True)
    inside = geometry.resize(moved, size)
    return geometry.normalize(inside), 1 - inside.sum()


def place(kernel: jax.Array, center: float, size: int) -> jax.Array:
    """Moves a kernel's centre of mass, and pads or crops it; nothing is lost that has room in the result.

    Args:
      kernel: (k, k), k odd, with a positive sum.
      center: where the centre of mass shall be, in pixels of the result.
      size: of the result, odd.

    Returns:
      (size, size), not negative, sum 1.
    """
    k = kernel.shape[0]
    offset = center - (size - 1) / 2  # of the centre from the middle pixel
    room = max(size, k) + 2 * math.ceil(abs(offset) + 1)
    kernel = geometry.resize(kernel, room)

    def cut(step):
        return geometry.normalize(geometry.resize(geometry.shift(kernel, step), size), clip=True)

    step = (room - 1) / 2 + offset - geometry.center_of_mass(kernel)
    # Once more: what does not fit in moves the centre of the rest.
    return cut(step + center - geometry.center_of_mass(cut(step)))
