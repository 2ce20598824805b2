"""Training data of KENet, made on the device: a sharp crop is turned, blurred with a drawn kernel, and reduced.

Kernels are centred as 'release' says. The crop reaches (k - s) pixels beyond the LR patch, so that a patch has no
border of its own making.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.kernels.family import KernelFamily, sample_kernels
from blindsr_jax.kernels.pool import Pool
from blindsr_jax.training.corruption import Corruption, corrupt, draw_gray, to_gray
from blindsr_jax.training.kernel_pool import pick
from blindsr_jax.training.patches import random_patch


class Sample(NamedTuple):
    """What the network sees and what it is to say, of one patch or (with a leading axis) of many."""

    lr: jax.Array  # (h, w, 3) in [0, 1]
    kernel: jax.Array  # (k, k), unit sum
    category: jax.Array  # () int32, which member of the mixture


def map_each(function: Callable[[Any], Any], examples: Any) -> Any:
    """A function of one example on each of many, which have a leading axis.

    One after another on a CPU: together, the windows of all crops do not fit its cache (26 times the time at x4).
    """
    return jax.lax.map(function, examples) if jax.default_backend() == "cpu" else jax.vmap(function)(examples)


class Settings(NamedTuple):
    """How LR patches are made; hashable."""

    scale: int
    lr_side: int = 64
    corruption: Corruption = Corruption()


def crop_side(lr_side: int, scale: int, kernel_size: int) -> int:
    """Side of the sharp crop that an LR patch is made of: s h + k - s."""
    return scale * lr_side + kernel_size - scale


def category_names(family: KernelFamily) -> tuple[str, ...]:
    """The names behind the categories of `synthesize`."""
    return tuple(member.name for member in family.members) or (family.name,)


def make_lr(key: jax.Array, image: jax.Array, kernel: jax.Array, settings: Settings) -> jax.Array:
    """Blurs and reduces a sharp crop (s h + k - s, s w + k - s, 3), and spoils it as settings say."""
    gray_key, key = jax.random.split(key)
    gray = draw_gray(gray_key, settings.corruption)
    lr = degrade(image, kernel, scale=settings.scale, boundary="valid")
    return corrupt(key, to_gray(lr, gray), gray, settings.corruption).lr


def synthesize(keys: jax.Array, pieces: jax.Array, pool: Pool, settings: Settings) -> Sample:
    """Training examples; each depends on its key alone.

    Args:
      keys: (n,) typed PRNG keys.
      pieces: (m, p, p, 3) uint8 of `training.patches.cut`, p at least `crop_side`; a crop is turned and mirrored
        before it is blurred, so that its kernel needs no turning.
      pool: where kernels come from; a mixture's gives categories.
      settings: what happens to a patch.

    Returns:
      The examples, with a leading axis n.
    """
    crop_keys, kernel_keys, lr_keys = jnp.moveaxis(jax.vmap(lambda key: jax.random.split(key, 3))(keys), 1, 0)
    kernels, categories = jax.vmap(lambda key: pick(key, pool))(kernel_keys)
    side = crop_side(settings.lr_side, settings.scale, kernels.shape[-1])
    crops = jax.vmap(lambda key: random_patch(key, pieces, side))(crop_keys).astype(kernels.dtype)

    def reduce(key_crop_kernel):
        return make_lr(*key_crop_kernel, settings)

    return Sample(map_each(reduce, (lr_keys, crops, kernels)), kernels, categories)


def mean_kernels(key: jax.Array, family: KernelFamily, *, num: int = 2048) -> jax.Array:
    """The mean kernel of each category over draws, (number of categories, k, k): the guess without an image."""
    members = family.members or (family,)
    return jnp.stack([jnp.mean(sample_kernels(key, member, num), 0) for member in members])
