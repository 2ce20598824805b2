"""Training of a denoising UNet on patches of images (Ho et al. 2020; learned variance: Nichol & Dhariwal 2021)."""

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.diffusion import denoiser
from blindsr_jax.networks.unet import UNet, UNetConfig, multiple
from blindsr_jax.training import patches
from blindsr_jax.training.engine import Task

VARIANCE_WEIGHT = 1e-3  # of the variational bound beside the squared error


def _gaussian_kl(mean1, log_var1, mean2, log_var2):
    """KL divergence of two Gaussians, entry by entry, in nats."""
    return 0.5 * (log_var2 - log_var1 - 1 + jnp.exp(log_var1 - log_var2) + (mean1 - mean2) ** 2 * jnp.exp(-log_var2))


def variational_bound(clean: jax.Array, x_t: jax.Array, eps: jax.Array, fraction: jax.Array, t: jax.Array) -> jax.Array:
    """What trains the variance: KL of the true and the predicted step, whose mean is a constant here, mean in nats.

    Args:
      clean: (N, H, W, C) in [-1, 1].
      x_t: the same with noise.
      eps: predicted noise.
      fraction: (N, H, W, C), the network's second half: -1 is the posterior's variance, 1 that of a forward step.
      t: (N,) int.
    """
    kept = denoiser.alphas_cumprod()
    before = np.append(1.0, kept[:-1])
    beta = 1 - kept / before
    variance = beta * (1 - before) / (1 - kept)
    variance[0] = variance[1]  # of the last step, which has none; it stands in a logarithm
    kept, before, beta, variance = (
        jnp.asarray(table, x_t.dtype)[t][:, None, None, None] for table in (kept, before, beta, variance)
    )

    def mean(x):
        return beta * jnp.sqrt(before) / (1 - kept) * x + (1 - before) * jnp.sqrt(1 - beta) / (1 - kept) * x_t

    guess = jax.lax.stop_gradient((x_t - jnp.sqrt(1 - kept) * eps) / jnp.sqrt(kept))
    share = (fraction + 1) / 2
    log_variance = share * jnp.log(beta) + (1 - share) * jnp.log(variance)
    return jnp.mean(_gaussian_kl(mean(clean), jnp.log(variance), mean(guess), log_variance))


def make_task(config: UNetConfig, *, patch_size: int, time_power: float = 1.0) -> Task:
    """What `training.engine` trains; its data are `patches.cut` pieces.

    The loss is the squared error of the noise; with 2 x in_channels outputs, plus the variational bound.

    Args:
      config: of the network.
      patch_size: side of the training patches, a multiple of `multiple(config)`.
      time_power: times are 1000 u^power with u uniform; above 1 they favour little noise.

    Raises:
      ValueError: a patch size that does not fit the network.
    """
    if patch_size % multiple(config):
        raise ValueError(f"config.patch_size is {patch_size}, expected a multiple of {multiple(config)}")
    net, channels = UNet(config), config.in_channels

    def init(key):
        x = jnp.zeros((1, patch_size, patch_size, channels), jnp.float32)
        return net.init(key, x, jnp.zeros(1, x.dtype))["params"]

    def sample(key, pieces):
        patch_key, time_key, noise_key = jax.random.split(key, 3)
        clean = denoiser.to_network(patches.random_patch(patch_key, pieces, patch_size))
        t = (denoiser.NUM_TIMES * jax.random.uniform(time_key) ** time_power).astype(jnp.int32)
        return clean, jnp.minimum(t, denoiser.NUM_TIMES - 1), jax.random.normal(noise_key, clean.shape, clean.dtype)

    def loss(params, keys, pieces):
        clean, t, noise = jax.vmap(sample, (0, None))(keys, pieces)
        kept = jnp.asarray(denoiser.alphas_cumprod(), clean.dtype)[t][:, None, None, None]
        x_t = jnp.sqrt(kept) * clean + jnp.sqrt(1 - kept) * noise
        out = net.apply({"params": params}, x_t, t.astype(clean.dtype))
        error = jnp.mean((out[..., :channels] - noise) ** 2)
        if out.shape[-1] == channels:
            return error, {}
        bound = variational_bound(clean, x_t, out[..., :channels], out[..., channels:], t)
        return error + VARIANCE_WEIGHT * denoiser.NUM_TIMES * bound, {"error": error, "bound": bound}

    return Task(init, loss)
