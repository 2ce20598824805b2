"""Steps of the two processes of a diffusion model on a respaced chain, and sampling with them.

An image is any array in [-1, 1]; `i` is the index in the respaced chain, a scalar, or (N,) for N images at once.
(Ho et al. 2020; Song et al. 2021 for DDIM; Dhariwal & Nichol 2021 for guidance; Lugmayr et al. 2022 for jumps.)
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.diffusion.schedule import Schedule, moves

METHODS = ("ddpm", "ddim")


def _at(table: np.ndarray, i: jax.Array, like: jax.Array) -> jax.Array:
    """Entries of a table in the precision of `like`, shaped to multiply it."""
    entries = jnp.asarray(table, like.dtype)[i]
    return entries.reshape(entries.shape + (1,) * (like.ndim - entries.ndim))


def times(schedule: Schedule, i: jax.Array, count: int, dtype: jnp.dtype) -> jax.Array:
    """What the network is told for an index: the time in the whole chain, (count,)."""
    return jnp.full((count,), jnp.asarray(schedule.timestep_map, dtype)[i])


def q_sample(schedule: Schedule, i: jax.Array, x0: jax.Array, noise: jax.Array) -> jax.Array:
    """x_i given x_0: sqrt(a) x_0 + sqrt(1 - a) noise, with a = alphas_cumprod[i]."""
    level = schedule.alphas_cumprod
    return _at(np.sqrt(level), i, x0) * x0 + _at(np.sqrt(1 - level), i, x0) * noise


def predict_x0(schedule: Schedule, i: jax.Array, x: jax.Array, eps: jax.Array) -> jax.Array:
    """x_0 given x_i and the noise in it, not clipped."""
    scale, share = schedule.sqrt_recip_alphas_cumprod, schedule.sqrt_recipm1_alphas_cumprod
    return _at(scale, i, x) * x - _at(share, i, x) * eps


def predict_eps(schedule: Schedule, i: jax.Array, x: jax.Array, x0: jax.Array) -> jax.Array:
    """The noise in x_i given x_0; inverse of `predict_x0`."""
    scale, share = schedule.sqrt_recip_alphas_cumprod, schedule.sqrt_recipm1_alphas_cumprod
    return (_at(scale, i, x) * x - x0) / _at(share, i, x)


def posterior_mean_variance(
    schedule: Schedule, i: jax.Array, x: jax.Array, x0: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean (of the shape of `x`) and variance of x_(i-1) given x_i and x_0; at i = 0 these are x_0 and 0."""
    mean = _at(schedule.posterior_mean_coef1, i, x) * x0 + _at(schedule.posterior_mean_coef2, i, x) * x
    return mean, _at(schedule.posterior_variance, i, x)


def learned_log_variance(schedule: Schedule, i: jax.Array, v: jax.Array) -> jax.Array:
    """The log variance that a network names (Nichol & Dhariwal 2021, eq. 15).

    Args:
      schedule: the chain.
      i: index.
      v: the second half of the network's channels: -1 is the posterior variance, 1 is beta; not clipped.
    """
    share = (v + 1) / 2
    low, high = schedule.posterior_log_variance_clipped, np.log(schedule.betas)
    return share * _at(high, i, v) + (1 - share) * _at(low, i, v)


def guided_mean(mean: jax.Array, variance: jax.Array, gradient: jax.Array, *, scale: float = 1.0) -> jax.Array:
    """The mean of a DDPM step moved by the gradient of log p(y | x_i) (Dhariwal & Nichol 2021, algorithm 1)."""
    return mean + scale * variance * gradient


def guided_eps(
    schedule: Schedule, i: jax.Array, eps: jax.Array, gradient: jax.Array, *, scale: float = 1.0
) -> jax.Array:
    """The noise of a DDIM step moved by the gradient of log p(y | x_i) (Dhariwal & Nichol 2021, algorithm 2)."""
    return eps - scale * _at(np.sqrt(1 - schedule.alphas_cumprod), i, eps) * gradient


def ddpm_step(
    schedule: Schedule,
    i: jax.Array,
    x: jax.Array,
    x0: jax.Array,
    noise: jax.Array,
    *,
    log_variance: jax.Array | None = None,
    gradient: jax.Array | None = None,
) -> jax.Array:
    """x_(i-1), drawn from its posterior.

    Args:
      schedule: the chain.
      i: index; no noise is added at 0.
      x: x_i.
      x0: what x_0 is thought to be.
      noise: standard normal, of the shape of `x`.
      log_variance: of `learned_log_variance`; the posterior variance where absent.
      gradient: of log p(y | x_i), times its scale, for guidance.
    """
    mean, variance = posterior_mean_variance(schedule, i, x, x0)
    if log_variance is not None:
        variance = jnp.exp(log_variance)
    if gradient is not None:
        mean = guided_mean(mean, variance, gradient)
    adds = _at(np.arange(schedule.num_steps) > 0, i, x)
    return mean + adds * jnp.sqrt(variance) * noise


def ddim_step(
    schedule: Schedule, i: jax.Array, x: jax.Array, x0: jax.Array, noise: jax.Array, *, eta: float = 0.0
) -> jax.Array:
    """x_(i-1) by the implicit process (Song et al. 2021, eq. 12 and 16).

    Args:
      schedule: the chain.
      i: index; at 0 the result is `x0`.
      x: x_i.
      x0: what x_0 is thought to be.
      noise: standard normal, of the shape of `x`; unused by eta 0.
      eta: share of noise that is drawn anew: 0 none, 1 the posterior variance.
    """
    before = schedule.alphas_cumprod_prev
    std = eta * np.sqrt(schedule.posterior_variance)
    along = np.sqrt(np.maximum(1 - before - std**2, 0))
    mean = _at(np.sqrt(before), i, x) * x0 + _at(along, i, x) * predict_eps(schedule, i, x, x0)
    return mean + _at(std, i, x) * noise if eta else mean


def undo(schedule: Schedule, i: jax.Array, x: jax.Array, noise: jax.Array) -> jax.Array:
    """x_i given x_(i-1): one step of the forward process, which a jump takes to go back up."""
    return _at(np.sqrt(1 - schedule.betas), i, x) * x + _at(np.sqrt(schedule.betas), i, x) * noise


def split_output(output: jax.Array, channels: int) -> tuple[jax.Array, jax.Array | None]:
    """The noise (..., channels) and the variance's share, or None, that a network gave."""
    return output[..., :channels], output[..., channels:] if output.shape[-1] > channels else None


def _normal(keys: jax.Array, move: jax.Array, like: jax.Array) -> jax.Array:
    """One draw for each image."""
    draw = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, move), like.shape[1:], like.dtype))
    return draw(keys)


def sample(
    key: jax.Array,
    denoise: Callable[[jax.Array, jax.Array], jax.Array],
    schedule: Schedule,
    shape: tuple[int, ...],
    *,
    method: str = "ddpm",
    eta: float = 0.0,
    clip: bool = True,
    walk: list[int] | None = None,
    guidance: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    dtype: jnp.dtype = jnp.float32,
) -> jax.Array:
    """Images from nothing but noise, as one scan; an image does not depend on how many there are.

    For tests: parity of the chain with the released code, and its laws. A solve has the data between two steps.

    Args:
      key: PRNG key.
      denoise: (x (N, ..., C), t (N,)) to the noise in x, (N, ..., C), or to twice as many channels, with a learned
        variance that 'ddpm' uses.
      schedule: the chain.
      shape: (N, ..., C).
      method: of METHODS.
      eta: of `ddim_step`.
      clip: whether each x_0 is clipped to [-1, 1].
      walk: of `schedule.schedule_jump`; straight down where absent.
      guidance: (x, t) to the gradient of log p(y | x), times its scale.
      dtype: of the images.

    Returns:
      Array of `shape`, in [-1, 1] up to what clipping allows.

    Raises:
      ValueError: an unknown method, or a walk beyond the chain.
    """
    if method not in METHODS:
        raise ValueError(f"the method is {method!r}, expected one of {', '.join(METHODS)}")
    walk = [*range(schedule.num_steps - 1, -2, -1)] if walk is None else walk
    if walk[0] != schedule.num_steps - 1 or max(walk) > walk[0] or walk[-1] != -1:
        raise ValueError(f"the walk must go from {schedule.num_steps - 1}, the top of the chain, to -1")
    keys = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.arange(shape[0]))

    def down(x, i, noise):
        t = times(schedule, i, shape[0], dtype)
        eps, v = split_output(denoise(x, t), shape[-1])
        gradient = None if guidance is None else guidance(x, t)
        if method == "ddim" and gradient is not None:
            eps = guided_eps(schedule, i, eps, gradient)
        x0 = predict_x0(schedule, i, x, eps.astype(dtype))
        x0 = jnp.clip(x0, -1, 1) if clip else x0
        if method == "ddim":
            return ddim_step(schedule, i, x, x0, noise, eta=eta)
        log_variance = None if v is None else learned_log_variance(schedule, i, v.astype(dtype))
        return ddpm_step(schedule, i, x, x0, noise, log_variance=log_variance, gradient=gradient)

    def body(x, move):
        number, i, forward = move
        noise = _normal(keys, number, x)
        return jax.lax.cond(forward, lambda: undo(schedule, i, x, noise), lambda: down(x, i, noise)), None

    index, forward = moves(walk)
    start = _normal(keys, 0, jnp.zeros(shape, dtype))
    return jax.lax.scan(body, start, (jnp.arange(1, len(index) + 1), jnp.asarray(index), jnp.asarray(forward)))[0]
