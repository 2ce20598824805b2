"""Training data of KENet, made on the device: a sharp crop is turned, blurred with a drawn kernel, and reduced.

Kernels are centred as 'release' says. The crop reaches (k - s) pixels beyond the LR patch, so that a patch has no
border of its own making.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.degradation import degrade
from blindsr_jax.kenet.jpeg import compress
from blindsr_jax.kernels.family import KernelFamily, MixtureLatent


class Sample(NamedTuple):
    """What the network sees and what it is to say, of one patch or (with a leading axis) of many."""

    lr: jax.Array  # (h, w, 3) in [0, 1]
    kernel: jax.Array  # (k, k), unit sum
    category: jax.Array  # () int32, which member of the mixture


class Settings(NamedTuple):
    """How LR patches are made; hashable."""

    scale: int
    noise_max: float = 0.0  # the noise of a patch has a standard deviation of U(0, noise_max), on the [0, 1] scale
    jpeg_quality: tuple[int, int] | None = None  # (low, high), one drawn for each patch; None: no compression
    quantize: bool = True  # to the 256 levels of a file


def crop_side(lr_side: int, scale: int, kernel_size: int) -> int:
    """Side of the sharp crop that an LR patch is made of: s h + k - s."""
    return scale * lr_side + kernel_size - scale


def turn(key: jax.Array, image: jax.Array) -> jax.Array:
    """One of the eight turns and flips of a square (H, H, C)."""
    flips = jax.random.bernoulli(key, 0.5, (3,))
    image = jnp.where(flips[0], image[::-1], image)
    image = jnp.where(flips[1], image[:, ::-1], image)
    return jnp.where(flips[2], image.swapaxes(0, 1), image)


def draw_kernel(key: jax.Array, family: KernelFamily) -> tuple[jax.Array, jax.Array]:
    """A kernel (k, k) and its category (): the member of a mixture, 0 for a single family."""
    latent = family.sample(key)
    category = latent.index.astype(jnp.int32) if isinstance(latent, MixtureLatent) else jnp.int32(0)
    return family.render(latent), category


def category_names(family: KernelFamily) -> tuple[str, ...]:
    """The names behind the categories of `draw_kernel`."""
    return tuple(member.name for member in family.members) or (family.name,)


def make_lr(key: jax.Array, image: jax.Array, kernel: jax.Array, settings: Settings) -> jax.Array:
    """Blurs and reduces a sharp crop (s h + k - s, s w + k - s, 3), then noise, JPEG and rounding as settings say."""
    noise_key, level_key, jpeg_key = jax.random.split(key, 3)
    lr = degrade(image, kernel, scale=settings.scale, boundary="valid")
    if settings.noise_max:
        level = jax.random.uniform(level_key, (), lr.dtype, 0, settings.noise_max)
        lr = lr + level * jax.random.normal(noise_key, lr.shape, lr.dtype)
    lr = jnp.clip(lr, 0, 1)
    if settings.jpeg_quality is not None:
        low, high = settings.jpeg_quality
        lr = compress(lr, jax.random.randint(jpeg_key, (), low, high + 1))
    return jnp.round(255 * lr) / 255 if settings.quantize else lr


def synthesize(key: jax.Array, crop: jax.Array, family: KernelFamily, settings: Settings) -> Sample:
    """One training example.

    Args:
      key: typed PRNG key.
      crop: (H, H, 3) sharp, float in [0, 1] or uint8; H as `crop_side` says.
      family: where kernels come from; a mixture gives categories.
      settings: what happens to the patch.

    Returns:
      The example.
    """
    turn_key, kernel_key, lr_key = jax.random.split(key, 3)
    kernel, category = draw_kernel(kernel_key, family)
    crop = crop.astype(kernel.dtype) / 255 if crop.dtype == jnp.uint8 else crop
    lr = make_lr(lr_key, turn(turn_key, crop), kernel, settings)
    return Sample(lr, kernel, category)


def synthesize_batch(key: jax.Array, crops: jax.Array, family: KernelFamily, settings: Settings) -> Sample:
    """One example from each of (n, H, H, 3), see `synthesize`; the i-th depends on the key, i and its crop only."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(crops.shape[0]))
    return jax.vmap(lambda k, crop: synthesize(k, crop, family, settings))(keys, crops)
