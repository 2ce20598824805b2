"""Random-trajectory motion kernels: camera shake (Boracchi & Foi 2012; process of DeblurGAN, Kupyn et al. 2018).

A point moves at constant speed; its direction is perturbed at random, pulled back to the start, and now and then
reversed by an impulse. The path is then scaled to a wanted blur, centred and splatted into the kernel's window.
"""

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import (
    KernelFamily,
    cached,
    check_range,
    crank_nicolson,
    crank_nicolson_uniform,
    uniform_box,
    uniform_log_density,
)

# The reference process: 2000 steps and a restlessness drawn from these values. Its path length in pixels decides how
# strong the pull is: at 60 (DeblurGAN, for a canvas of 64) most paths curl into clover leaves; at 10, half the window
# of a x4 kernel, they are streaks with a bend or a loop.
_REFERENCE_POINTS, _REFERENCE_LENGTH = 2000, 10.0
ANXIETY = (0.001, 0.002, 0.003, 0.005, 0.007, 0.008, 0.009, 0.01)
_MAX_PULL, _MAX_IMPULSE, _MAX_NOISE = 0.7, 0.2, 10.0
_SPLAT_VARIANCE = 1 / 6  # what the four-pixel splat adds to the variance on each axis, on average


class TrajectoryLatent(NamedTuple):
    """One trajectory: a deterministic function of these."""

    major_variance: jax.Array  # () px^2, larger eigenvalue of the kernel's covariance
    level: jax.Array  # () integer index into ANXIETY
    pull: jax.Array  # () in [0, 0.7], centripetal strength
    impulse: jax.Array  # () in [0, 0.2], rate of impulses
    noise: jax.Array  # () in [0, 10], strength of the Gaussian perturbation
    angle: jax.Array  # () in [0, 2 pi], first direction
    chances: jax.Array  # (num_points,) in [0, 1]: is there an impulse?
    turns: jax.Array  # (num_points,) in [0, 1]: where the impulse points
    normals: jax.Array  # (num_points, 2) standard normal


def trajectory(latent: TrajectoryLatent) -> jax.Array:
    """Path (num_points, 2) = (row, column) of the reference process, 10 pixels long, from (0, 0).

    With fewer points than the 2000 of the reference, the chance of an impulse and the pull per step grow in
    proportion and the Gaussian perturbation with the root, so that paths look alike for any number of points.
    """
    num = latent.chances.shape[0]
    step, ratio = _REFERENCE_LENGTH / num, _REFERENCE_POINTS / num
    anxiety = jnp.asarray(ANXIETY, latent.angle.dtype)[latent.level]

    def advance(carry, random):
        position, direction = carry
        chance, turn, normal = random
        # An impulse of twice the speed and roughly the opposite direction.
        cos, sin = jnp.cos(np.pi + turn - 0.5), jnp.sin(np.pi + turn - 0.5)
        kick = 2 * jnp.stack([cos * direction[0] - sin * direction[1], sin * direction[0] + cos * direction[1]])
        kick = jnp.where(chance < latent.impulse * anxiety * ratio, kick, 0)
        force = latent.noise * np.sqrt(ratio).item() * normal - latent.pull * ratio * position
        direction = direction + kick + anxiety * force
        direction = direction / jnp.maximum(jnp.sqrt(jnp.sum(direction**2)), 1e-6)
        position = position + step * direction
        return (position, direction), position

    first = jnp.stack([jnp.sin(latent.angle), jnp.cos(latent.angle)])
    _, path = jax.lax.scan(advance, (jnp.zeros_like(first), first), (latent.chances, latent.turns, latent.normals))
    return path


def fit_path(path: jax.Array, major_variance: jax.Array, *, half_width: float) -> jax.Array:
    """Scales a path (n, 2) about its mean, which becomes (0, 0), so that its splat has the major variance (px^2).

    A path that would reach further than `half_width` pixels from its mean on either axis is made smaller until it
    fits, so that no mass leaves the window and the centre of mass stays exact; its major variance is then lower.
    """
    path = path - path.mean(axis=0, keepdims=True)
    moments = jnp.matmul(path.T, path, precision="highest") / path.shape[0]
    half_difference = (moments[0, 0] - moments[1, 1]) / 2
    major = (moments[0, 0] + moments[1, 1]) / 2 + jnp.sqrt(half_difference**2 + moments[0, 1] ** 2)
    wanted = jnp.sqrt(jnp.maximum(major_variance - _SPLAT_VARIANCE, 0) / jnp.maximum(major, 1e-6))
    return path * jnp.minimum(wanted, half_width / jnp.maximum(jnp.abs(path).max(), 1e-6))


def default_variance_range(scale: int, half_width: float) -> tuple[float, float]:
    """Default range of the major variance, px^2: (0.25 s, 1.2 min(2.5 s, 10)), capped by what the window holds.

    The cap is the variance of a straight line one pixel shorter than the window.
    """
    high = min(1.2 * min(2.5 * scale, 10.0), max(2 * half_width - 1, 1.0) ** 2 / 12)
    return min(0.25 * scale, high), high


def wide_variance_range(scale: int, half_width: float) -> tuple[float, float]:
    """From half the default's lowest major variance to all that the window holds, px^2."""
    high = max(2 * half_width - 1, 1.0) ** 2 / 12
    return min(0.125 * scale, high), high


@cached
def family(
    *,
    scale: int,
    kernel_size: int | None = None,
    kernel_center: str = "release",
    major_variance_range: Annotated[Sequence[float] | str | None, rules.span(rules.VARIANCE, "wide")] = None,
    num_points: Annotated[int, rules.whole(32, 10**5)] = 256,
) -> KernelFamily:
    """Camera-shake kernels with a uniform major variance, exactly centred (Boracchi & Foi 2012; Kupyn et al. 2018).

    Args:
      scale: s.
      kernel_size: odd k, None for `geometry.default_kernel_size`.
      kernel_center: 'release' or 'aligned'.
      major_variance_range: (low, high) px^2 of the larger eigenvalue of the kernel's covariance, None for
        `default_variance_range`, 'wide' for `wide_variance_range`. Paths that do not fit the window are made smaller,
        see `fit_path`.
      num_points: points of a trajectory.

    Raises:
      ValueError: on an even size, an unknown centre, an empty range or fewer than 32 points.
    """
    window = geometry.window(scale, kernel_size, kernel_center)
    if major_variance_range is None or isinstance(major_variance_range, str):
        named = {None: default_variance_range, "wide": wide_variance_range}
        if major_variance_range not in named:
            raise ValueError(f"major_variance_range is {major_variance_range!r}, expected (low, high) or 'wide'")
        major_variance_range = named[major_variance_range](scale, window.half_width)
    low, high = check_range("major_variance_range", major_variance_range)
    if num_points < 32:
        raise ValueError(f"num_points must be at least 32, got {num_points}")

    def sample(key):
        first, second, third = jax.random.split(key, 3)
        highs = (high, len(ANXIETY), _MAX_PULL, _MAX_IMPULSE, _MAX_NOISE, 2 * np.pi)
        major_variance, level, *rates, angle = uniform_box(first, (low, 0, 0, 0, 0, 0), highs)
        level = jnp.minimum(level.astype(jnp.int32), len(ANXIETY) - 1)
        chances, turns = jax.random.uniform(second, (2, num_points))
        normals = jax.random.normal(third, (num_points, 2))
        return TrajectoryLatent(major_variance, level, *rates, angle, chances, turns, normals)

    def render(latent):
        path = fit_path(trajectory(latent), latent.major_variance, half_width=window.half_width)
        return geometry.splat(path + window.center, window.size)

    def log_prior(latent):
        boxes = (
            (latent.major_variance, low, high),
            (latent.pull, 0.0, _MAX_PULL),
            (latent.impulse, 0.0, _MAX_IMPULSE),
            (latent.noise, 0.0, _MAX_NOISE),
            (latent.angle, 0.0, 2 * np.pi),
            (latent.chances, 0.0, 1.0),
            (latent.turns, 0.0, 1.0),
        )
        value = sum(uniform_log_density(*box).sum() for box in boxes)
        value = value + jax.scipy.stats.norm.logpdf(latent.normals).sum()
        known = (latent.level >= 0) & (latent.level < len(ANXIETY))
        return jnp.where(known, value - float(np.log(len(ANXIETY))), -jnp.inf)

    boxes = {"major_variance": (low, high), "pull": (0.0, _MAX_PULL), "impulse": (0.0, _MAX_IMPULSE)}
    boxes |= {"noise": (0.0, _MAX_NOISE), "angle": (0.0, 2 * np.pi)}

    def nudge(key, latent, size):
        first, second = jax.random.split(key)
        names, points, dtype = tuple(boxes), latent.chances.shape[0], latent.chances.dtype
        starts, widths = (
            jnp.asarray(x, dtype) for x in zip(*((a, max(b - a, 1e-12)) for a, b in boxes.values()), strict=True)
        )
        scalars = (jnp.stack([getattr(latent, name) for name in names]) - starts) / widths
        # Together: each draw of random numbers takes a second to compile.
        ranks = crank_nicolson_uniform(first, jnp.concatenate([scalars, latent.chances, latent.turns]), size)
        scalars, chances, turns = jnp.split(ranks, [len(names), len(names) + points])
        moved = dict(zip(names, jnp.clip(starts + widths * scalars, starts, starts + widths), strict=True))
        normals = crank_nicolson(second, latent.normals, size)
        return latent._replace(**moved, chances=chances, turns=turns, normals=normals)

    return KernelFamily("trajectory", sample, render, log_prior, nudge=nudge)
