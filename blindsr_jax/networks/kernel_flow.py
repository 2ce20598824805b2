"""The FKP flow (Liang et al. 2021, sec. 3.2) in plain jax.numpy: masked affine couplings and batch normalisation.

A kernel (k, k) becomes a vector v of D = k * k logits ("flow space"), and the flow maps v to a code u that is standard
normal for kernels of the training distribution. Five blocks, each a coupling and a batch normalisation with running
statistics; the mask, a checkerboard over the kernel, alternates from block to block. Functions take one vector (D,) and
broadcast over leading axes. Matrix products are of full precision: the code of a kernel is sensitive.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

ALPHA = 1e-6  # keeps the logits of empty pixels finite
DEQUANTIZATION = 720  # training adds U(0, 1) / 720 to kernels that are divided by the normalization
EPSILON = 1e-5  # of the batch normalisation
NUM_BLOCKS = 5


class Mlp(NamedTuple):
    """Three affine layers of each block; leading axis: the blocks."""

    w0: jax.Array  # (B, D, h)
    b0: jax.Array  # (B, h)
    w1: jax.Array  # (B, h, h)
    b1: jax.Array  # (B, h)
    w2: jax.Array  # (B, h, D)
    b2: jax.Array  # (B, D)


class FlowParams(NamedTuple):
    """What training moves by gradients."""

    log_scale: Mlp  # with tanh
    shift: Mlp  # with ReLU
    log_gamma: jax.Array  # (B, D)
    beta: jax.Array  # (B, D)


class FlowStats(NamedTuple):
    """Running statistics of the batch normalisations."""

    mean: jax.Array  # (B, D)
    variance: jax.Array  # (B, D)


class Flow(NamedTuple):
    """A flow; arrays only, so it can pass through jit."""

    params: FlowParams
    stats: FlowStats
    normalization: jax.Array  # (), an entry of a kernel is divided by it


def hidden_size(scale: int) -> int:
    """Hidden units of the released flows: 15, 20, 25 for x2, x3, x4."""
    return min(5 * (scale + 1), 25)


def kernel_size(flow: Flow) -> int:
    """k of a flow's kernels."""
    return math.isqrt(flow.stats.mean.shape[-1])


def masks(num_blocks: int, size: int) -> np.ndarray:
    """(B, D) bool, true where a coupling passes its input through and conditions on it."""
    odd = np.arange(size) % 2 == 1
    return np.stack([odd if block % 2 == 0 else ~odd for block in range(num_blocks)])


def init(key: jax.Array, size: int, hidden: int, *, num_blocks: int = NUM_BLOCKS) -> tuple[FlowParams, FlowStats]:
    """Random weights as PyTorch draws them; the shift networks start as copies of the scale networks (release).

    Args:
      key: typed PRNG key.
      size: D.
      hidden: units of the hidden layers.
      num_blocks: B.
    """
    dtype = jnp.result_type(float)
    shapes = [(size, hidden), (hidden,), (hidden, hidden), (hidden,), (hidden, size), (size,)]
    fans = [size, size, hidden, hidden, hidden, hidden]

    def draw(k, shape, fan):
        return jax.random.uniform(k, (num_blocks, *shape), dtype, -(fan**-0.5), fan**-0.5)

    mlp = Mlp(*map(draw, jax.random.split(key, len(shapes)), shapes, fans))
    zeros = jnp.zeros((num_blocks, size), dtype)
    return FlowParams(mlp, mlp, zeros, zeros), FlowStats(zeros, zeros + 1)


def apply_mlp(mlp: Mlp, x: jax.Array, activation: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """The network of one block, no leading axis on its weights: (..., D) -> (..., D)."""

    def affine(x, w, b):
        return jnp.matmul(x, w, precision="highest") + jax.lax.broadcast_to_rank(b, x.ndim)

    x = activation(affine(x, mlp.w0, mlp.b0))
    return affine(activation(affine(x, mlp.w1, mlp.b1)), mlp.w2, mlp.b2)


def conditioner(params: FlowParams, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Log scale and shift of one block's coupling, from its masked input (..., D)."""
    return apply_mlp(params.log_scale, x, jnp.tanh), apply_mlp(params.shift, x, jax.nn.relu)


def _blocks(flow: Flow, like: jax.Array):
    """Parameters, statistics and masks of all blocks, the vectors among them with the axes of `like` (..., D)."""
    mask = jnp.asarray(masks(*flow.stats.mean.shape))
    blocks = jax.tree.map(lambda x: x.astype(like.dtype), (flow.params, flow.stats)) + (mask,)
    axes = tuple(range(1, like.ndim))
    return jax.tree.map(lambda x: jnp.expand_dims(x, axes) if x.ndim == 2 else x, blocks)


def encode(flow: Flow, v: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Flow space to code.

    Args:
      flow: trained weights.
      v: (..., D), see `to_flow_space`.

    Returns:
      The code (..., D) and log |det du/dv| (...).
    """

    def step(carry, block):
        v, log_det = carry
        params, stats, mask = block
        log_scale, shift = conditioner(params, jnp.where(mask, v, 0))
        v = jnp.where(mask, v, (v - shift) * jnp.exp(-log_scale))
        log_det = log_det - jnp.sum(jnp.where(mask, 0, log_scale), -1)
        variance = stats.variance + EPSILON
        v = jnp.exp(params.log_gamma) * (v - stats.mean) / jnp.sqrt(variance) + params.beta
        return (v, log_det + jnp.sum(params.log_gamma - 0.5 * jnp.log(variance))), None

    return jax.lax.scan(step, (v, jnp.zeros_like(v[..., 0])), _blocks(flow, v))[0]


def decode(flow: Flow, u: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Code to flow space, the inverse of `encode`: (..., D) -> (..., D) and log |det dv/du| (...)."""

    def step(carry, block):
        u, log_det = carry
        params, stats, mask = block
        variance = stats.variance + EPSILON
        u = (u - params.beta) * jnp.exp(-params.log_gamma) * jnp.sqrt(variance) + stats.mean
        log_det = log_det - jnp.sum(params.log_gamma - 0.5 * jnp.log(variance))
        log_scale, shift = conditioner(params, jnp.where(mask, u, 0))
        u = jnp.where(mask, u, u * jnp.exp(log_scale) + shift)
        return (u, log_det + jnp.sum(jnp.where(mask, 0, log_scale), -1)), None

    return jax.lax.scan(step, (u, jnp.zeros_like(u[..., 0])), _blocks(flow, u), reverse=True)[0]


def log_prob(flow: Flow, v: jax.Array) -> jax.Array:
    """Log density (...) of vectors (..., D) of flow space."""
    u, log_det = encode(flow, v)
    return jnp.sum(jax.scipy.stats.norm.logpdf(u), -1) + log_det


def _share(kernel: jax.Array, normalization: jax.Array, noise: jax.Array | float) -> jax.Array:
    """What an entry is of the largest possible one, dequantised, strictly between 0 and 1."""
    share = jnp.clip(kernel / normalization, 0, 1) + noise / DEQUANTIZATION
    return ALPHA + (1 - 2 * ALPHA) * jnp.minimum(share, 1)


def to_flow_space(kernel: jax.Array, normalization: jax.Array, noise: jax.Array | float = 0.5) -> jax.Array:
    """Kernels to logits (FKP's preprocessing).

    Args:
      kernel: (..., k, k); negative entries count as 0, entries above `normalization` as that.
      normalization: (), above the largest entry of any kernel.
      noise: U(0, 1) draws of the kernels' shape that dequantise; the default is their mean.

    Returns:
      (..., D), row by row.
    """
    share = _share(kernel, normalization, noise)
    return (jnp.log(share) - jnp.log1p(-share)).reshape(*kernel.shape[:-2], -1)


def kernel_log_prob(flow: Flow, kernel: jax.Array) -> jax.Array:
    """Log density (...) over the entries of kernels (..., k, k): comparable between flows of one kernel size.

    `log_prob` is a density over logits, which depend on the flow's normalization. Tests compare shipped flows by it.
    """
    share = _share(kernel, flow.normalization, 0.5)
    slope = (1 - 2 * ALPHA) / flow.normalization / (share * (1 - share))
    return log_prob(flow, to_flow_space(kernel, flow.normalization)) + jnp.sum(jnp.log(slope), (-2, -1))


def pedestal(normalization: jax.Array) -> jax.Array:
    """What dequantisation adds to an entry of a kernel on average."""
    return normalization / (2 * DEQUANTIZATION)


def to_kernel(v: jax.Array, normalization: jax.Array) -> jax.Array:
    """Logits (..., D) to kernels (..., k, k) as the release does: not normalised, sums of 0.6 to 1.25.

    The `pedestal` is not taken off either.
    """
    size = math.isqrt(v.shape[-1])
    kernel = normalization * (jax.nn.sigmoid(v) - ALPHA) / (1 - 2 * ALPHA)
    return kernel.reshape(*v.shape[:-1], size, size)
