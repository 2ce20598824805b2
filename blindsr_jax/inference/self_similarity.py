"""Evidence from one LR image: under the right kernel, a smaller version of it looks like itself.

Small patches of a natural image come back at other sizes (Michaeli & Irani 2013; the principle of KernelGAN). Here the
logarithm of the power spectrum stands for the patches, and random kernels are weighed by how well it comes back.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import correlate
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, sample_kernels
from blindsr_jax.networks.kenet import autocorrelation, log_spectrum

REACH = 5  # lags of the autocorrelation, in pixels of the smaller image
STEP = 2  # the LR image is made smaller by it
TEMPERATURE = 0.7  # the best of those tried on 20 crops of BSDS500 (docs/estimators.md)
_AT_ONCE = 64  # kernels


def smaller(kernels: jax.Array, spec: Spec, size: int) -> jax.Array:
    """Kernels that make an image smaller by two, such that doing it log2(scale) times is what the given ones do.

    Covariances of blurs add up, each further one counting four times: the width shrinks by the root of
    (4^n - 1) / 3 for a scale of 2^n.

    Args:
      kernels: (n, k, k) of the problem, centred as the spec says.
      spec: the problem's static part.
      size: of the result, odd.

    Returns:
      (n, size, size), centred as 'aligned' at scale 2, sums 1.
    """
    factor = (3 / (spec.scale**2 - 1)) ** 0.5
    # Pixel centres lie at halves here.
    move = geometry.center(size, STEP, "aligned") + 0.5 - factor * (spec.center + 0.5)
    place = jnp.full(2, factor), jnp.full(2, move)
    shape = (size, size)

    def shrink(kernel):
        found = jax.image.scale_and_translate(kernel, shape, (0, 1), *place, "linear", antialias=factor < 1)
        return geometry.normalize(found, clip=True)

    return jax.lax.map(shrink, kernels, batch_size=_AT_ONCE)


class Candidates(NamedTuple):
    """Random kernels of a problem, and what each is between an image and its smaller version."""

    kernels: jax.Array  # (n, k, k), of the problem
    smaller: jax.Array  # (n, m, m), for making images smaller by two, centred as 'aligned'


def draw_candidates(key: jax.Array, family: KernelFamily, spec: Spec, *, size: int, num: int = 1024) -> Candidates:
    """Draws `num` kernels; `size` is that of the smaller ones, odd."""
    kernels = sample_kernels(key, family, num)
    return Candidates(kernels, smaller(kernels, spec, size))


def distances(lr: jax.Array, kernels: jax.Array, *, reach: int = REACH) -> jax.Array:
    """How far the log spectrum of an LR image is from that of its own smaller version under each kernel.

    Args:
      lr: (h, w, c), sides of at least the kernels' size and 16 pixels more.
      kernels: (n, m, m), for making images smaller by two.
      reach: of the spectrum, see `networks.kenet.log_spectrum`.

    Returns:
      (n,): mean squared differences over the frequencies.
    """
    gray = jnp.mean(lr, -1, keepdims=True)

    def spectrum(image):
        return log_spectrum(autocorrelation(image[None], reach), reach)[0]

    own = spectrum(gray)

    def distance(kernel):
        return jnp.mean((spectrum(correlate(gray, kernel, scale=STEP)) - own) ** 2)

    return jax.lax.map(distance, kernels, batch_size=_AT_ONCE)


def weigh(found: jax.Array, temperature: float = TEMPERATURE) -> jax.Array:
    """Weights (n,), sum 1, of kernels by their distances (n,); the temperature is in units of the smallest one."""
    least = jnp.maximum(jnp.min(found), 1e-12)  # of two equal spectra
    return jax.nn.softmax(-found / (temperature * least))


def mean_kernels(
    lr: jax.Array, candidates: Candidates, *, temperature: float = TEMPERATURE
) -> tuple[jax.Array, jax.Array]:
    """The candidates' means under their weights: the kernel of the problem (k, k), and the smaller one (m, m)."""
    weights = weigh(distances(lr, candidates.smaller.astype(lr.dtype)), temperature)
    return tuple(jnp.tensordot(weights, kernels.astype(lr.dtype), 1) for kernels in candidates)
