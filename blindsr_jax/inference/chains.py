"""Markov chains over the latents of a kernel family, many at once and at several temperatures (parallel tempering).

A step: each chain tries a local move (a random walk, or a Langevin proposal; Roberts & Tweedie 1996), then a small move
that keeps the prior where the family has one (`KernelFamily.nudge`, preconditioned Crank-Nicolson: camera shake has a
thousand latents, in which no walk gets far), then a draw of the prior, which also changes the member of a mixture, and
then chains of neighbouring temperatures may swap (Geyer 1991). The target at inverse temperature b is
prior * likelihood^b; the kernels of b = 1 are the posterior's.

    chains = build(family, log_likelihood, betas=(1.0, 0.3, 0.1))
    state = chains.init(key, 256)
    state, info = chains.step(key, state)
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.kernels.family import KernelFamily

_SMALLEST_STEP = 0.02  # of the largest: the size of a move is drawn anew, so that narrow targets are moved in too
_LEAST_SPREAD = 1e-12  # of a parameter that the prior does not vary
_DRAWS = 256  # of the prior, from which the spread of each parameter is taken


class Point(NamedTuple):
    """Where chains are."""

    latent: Any  # leaves (T, C, ...)
    log_prior: jax.Array  # (T, C)
    log_likelihood: jax.Array  # (T, C)


class State(NamedTuple):
    """What the next step needs."""

    point: Point
    spread: Any  # of each parameter under the prior, leaves without the first two axes
    number: jax.Array  # () int32, steps so far


class Info(NamedTuple):
    """How a step went: shares of what was accepted."""

    local: jax.Array  # (T,)
    nudged: jax.Array  # (T,) of the small moves that keep the prior; 0 for a family without
    fresh: jax.Array  # (T,) of the draws of the prior
    swaps: jax.Array  # () of the swaps that were tried; 0 for one temperature


class Chains(NamedTuple):
    """Pure functions on a State.

    init: `(key, num_chains, num_draws=None) -> State`. Without `num_draws` the chains start at draws of the prior; with
      it, at some of so many draws, chosen in proportion to their likelihood (the same may be chosen more than once).
    step: `(key, State) -> (State, Info)`.
    renew: `State -> State`, for chains that go on under another likelihood than that of their last step.
    """

    init: Callable[..., State]
    step: Callable[[jax.Array, State], tuple[State, Info]]
    renew: Callable[[State], State]


def _is_moved(x: jax.Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _choose(accept: jax.Array, new: Any, old: Any) -> Any:
    """Leaves (T, C, ...) of `new` where `accept` (T, C), else of `old`."""
    return jax.tree.map(lambda a, b: jnp.where(accept.reshape(accept.shape + (1,) * (a.ndim - 2)), a, b), new, old)


def _noise(key: jax.Array, latent: Any) -> Any:
    leaves, structure = jax.tree.flatten(latent)
    keys = jax.random.split(key, len(leaves))
    draw = [jax.random.normal(k, x.shape, x.dtype) if _is_moved(x) else x for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, draw)


def _square(tree: Any) -> jax.Array:
    """Sum (T, C) of squares over all float leaves (T, C, ...)."""
    leaves = [x for x in jax.tree.leaves(tree) if _is_moved(x)]
    return sum(jnp.sum(jnp.square(x).reshape(*x.shape[:2], -1), -1) for x in leaves)


class Target(NamedTuple):
    """What the chains are for; see `build`."""

    family: KernelFamily
    log_likelihood: Callable[[jax.Array], jax.Array]
    betas: tuple[float, ...]
    step_size: float
    uses_gradient: bool

    def beta(self, dtype: Any) -> jax.Array:
        """(T, 1)."""
        return jnp.asarray(self.betas, dtype)[:, None]

    def at(self, latent: Any) -> Point:
        """The point of latents with leaves (T, C, ...)."""
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), latent)
        shape = jax.tree.leaves(latent)[0].shape[:2]
        prior = jax.vmap(self.family.log_prior)(flat).reshape(shape)
        return Point(latent, prior, self.log_likelihood(jax.vmap(self.family.render)(flat)).reshape(shape))

    def draws(self, key: jax.Array, num_chains: int) -> Any:
        """Draws of the prior, leaves (T, C, ...)."""
        latent = jax.vmap(self.family.sample)(jax.random.split(key, len(self.betas) * num_chains))
        return jax.tree.map(lambda x: x.reshape(len(self.betas), num_chains, *x.shape[1:]), latent)


def build(
    family: KernelFamily,
    log_likelihood: Callable[[jax.Array], jax.Array],
    *,
    betas: Sequence[float] = (1.0,),
    step_size: float = 0.5,
    uses_gradient: bool = False,
) -> Chains:
    """Chains for a family and a likelihood.

    Args:
      family: any; whole numbers in its latents, such as the member of a mixture, change with draws of the prior only.
      log_likelihood: (n, k, k) -> (n,), but for a constant.
      betas: (T,) inverse temperatures in falling order, the first is 1.
      step_size: the largest local step, in standard deviations of a parameter under the prior.
      uses_gradient: whether local moves follow the gradient of the target (MALA) or none (random walk).

    Raises:
      ValueError: `betas` is not as described.
    """
    temper = np.asarray(betas, float)
    if temper.ndim != 1 or not len(temper) or temper[0] != 1 or (np.diff(temper) >= 0).any() or temper[-1] < 0:
        raise ValueError(f"betas is {tuple(betas)}, expected numbers that fall from 1 and are not below 0")
    target = Target(family, log_likelihood, tuple(temper.tolist()), step_size, uses_gradient)
    return Chains(partial(_init, target), partial(_step, target), partial(_renew, target))


def _init(target: Target, key: jax.Array, num_chains: int, num_draws: int | None = None) -> State:
    first, second = jax.random.split(key)
    many = jax.vmap(target.family.sample)(jax.random.split(second, num_draws or _DRAWS))
    spread = jax.tree.map(lambda x: jnp.std(x, 0) if _is_moved(x) else jnp.zeros(x.shape[1:], x.dtype), many)
    if num_draws is None:
        return State(target.at(target.draws(first, num_chains)), spread, jnp.int32(0))
    likelihood = target.log_likelihood(jax.vmap(target.family.render)(many))
    logits = target.beta(likelihood.dtype) * likelihood[None]
    chosen = jax.random.categorical(first, logits[:, None], shape=(len(target.betas), num_chains))
    return State(target.at(jax.tree.map(lambda x: x[chosen], many)), spread, jnp.int32(0))


def _renew(target: Target, state: State) -> State:
    return state._replace(point=target.at(state.point.latent))


def _step(target: Target, key: jax.Array, state: State) -> tuple[State, Info]:
    local_key, nudge_key, fresh_key, swap_key = jax.random.split(key, 4)
    point, moved = _local(target, local_key, state.point, state.spread)
    nudged = jnp.zeros_like(moved)
    if target.family.nudge is not None:
        point, nudged = _nudge(target, nudge_key, point)
    point, renewed = _fresh(target, fresh_key, point)
    swaps = jnp.zeros((), moved.dtype)
    if len(target.betas) > 1:
        point, swaps = _swap(target, swap_key, point, state.number % 2)
    return State(point, state.spread, state.number + 1), Info(moved, nudged, renewed, swaps)


def _accepted(key: jax.Array, gain: jax.Array, new: Point, point: Point) -> tuple[Point, jax.Array]:
    """Metropolis and Hastings' choice; a gain (T, C) that is no number loses."""
    accept = jnp.log(jax.random.uniform(key, gain.shape, gain.dtype)) < gain
    return _choose(accept, new, point), jnp.mean(accept, 1, dtype=gain.dtype)


def _slope(target: Target, latent: Any) -> Any:
    """The gradient of the target in the float leaves; 0 where it is no number."""
    leaves, structure = jax.tree.flatten(latent)
    floats = [i for i, x in enumerate(leaves) if _is_moved(x)]

    def total(values):
        whole = list(leaves)
        for i, x in zip(floats, values, strict=True):
            whole[i] = x
        point = target.at(jax.tree.unflatten(structure, whole))
        value = point.log_prior + target.beta(point.log_likelihood.dtype) * point.log_likelihood
        return jnp.sum(jnp.where(jnp.isfinite(value), value, 0))

    found = [jnp.zeros_like(x) for x in leaves]
    for i, x in zip(floats, jax.grad(total)([leaves[i] for i in floats]), strict=True):
        found[i] = jnp.nan_to_num(x)
    return jax.tree.unflatten(structure, found)


def _scaled(values: Any, size: jax.Array, spread: Any, power: int = 1) -> Any:
    """Float leaves (T, C, ...) times a size (T, C) and the spread of each parameter, to a power; others are 0."""

    def scale(x, s):
        if not _is_moved(x):
            return jnp.zeros_like(x)
        wide = size.reshape(*size.shape, *(1,) * (x.ndim - 2)).astype(x.dtype)
        return x * (wide * jnp.maximum(s, _LEAST_SPREAD)[None, None]) ** power

    return jax.tree.map(scale, values, spread)


def _local(target: Target, key: jax.Array, point: Point, spread: Any) -> tuple[Point, jax.Array]:
    """A random walk, or a Langevin proposal."""
    size_key, noise_key, accept_key = jax.random.split(key, 3)
    dtype = point.log_prior.dtype
    size = target.step_size * _sizes(size_key, point.log_prior)

    def ahead(latent):
        slope = _slope(target, latent)
        return jax.tree.map(lambda x, d: x + d / 2 if _is_moved(x) else x, latent, _scaled(slope, size, spread, 2))

    noise = _noise(noise_key, point.latent)
    start = ahead(point.latent) if target.uses_gradient else point.latent
    new = target.at(jax.tree.map(jnp.add, start, _scaled(noise, size, spread)))
    gain = new.log_prior - point.log_prior + target.beta(dtype) * (new.log_likelihood - point.log_likelihood)
    if target.uses_gradient:  # what noise would lead back
        way = jax.tree.map(jnp.subtract, point.latent, ahead(new.latent))
        gain = gain + (_square(noise) - _square(_scaled(way, size, spread, -1))) / 2
    return _accepted(accept_key, gain, new, point)


def _sizes(key: jax.Array, like: jax.Array) -> jax.Array:
    """Sizes (T, C) of moves, from 1 down to _SMALLEST_STEP."""
    return jnp.exp(jax.random.uniform(key, like.shape, like.dtype, np.log(_SMALLEST_STEP), 0.0))


def _keeps_prior(target: Target, key: jax.Array, new: Point, point: Point) -> tuple[Point, jax.Array]:
    """The choice where a move is reversible under the prior: the likelihood alone decides."""
    gain = target.beta(point.log_prior.dtype) * (new.log_likelihood - point.log_likelihood)
    return _accepted(key, gain, new, point)


def _nudge(target: Target, key: jax.Array, point: Point) -> tuple[Point, jax.Array]:
    """The family's own small move."""
    size_key, move_key, accept_key = jax.random.split(key, 3)
    size = _sizes(size_key, point.log_prior)
    keys = jax.random.split(move_key, size.shape)
    new = target.at(jax.vmap(jax.vmap(target.family.nudge))(keys, point.latent, size))
    return _keeps_prior(target, accept_key, new, point)


def _fresh(target: Target, key: jax.Array, point: Point) -> tuple[Point, jax.Array]:
    """A draw of the prior."""
    draw_key, accept_key = jax.random.split(key)
    new = target.at(target.draws(draw_key, point.log_prior.shape[1]))
    return _keeps_prior(target, accept_key, new, point)


def _swap(target: Target, key: jax.Array, point: Point, parity: jax.Array) -> tuple[Point, jax.Array]:
    """Swaps of the temperatures 2 i + parity and the next."""
    number = len(target.betas)
    index = jnp.arange(number)
    partner = jnp.where((index - parity) % 2 == 0, index + 1, index - 1)
    is_pair = (partner >= 0) & (partner < number)
    partner = jnp.where(is_pair, partner, index)
    other = jax.tree.map(lambda x: x[partner], point)
    beta = target.beta(point.log_prior.dtype)
    gain = (beta - beta[partner]) * (other.log_likelihood - point.log_likelihood)  # the same for both of a pair
    chance = jax.random.uniform(key, gain.shape, gain.dtype)[jnp.minimum(index, partner)]
    accept = (jnp.log(chance) < gain) & is_pair[:, None]
    pairs = jnp.maximum(jnp.sum(is_pair), 1).astype(gain.dtype)
    return _choose(accept, other, point), jnp.sum(jnp.mean(accept, 1, dtype=gain.dtype)) / pairs


def split_rhat(values: jax.Array) -> jax.Array:
    """Split R-hat () of a quantity (n, C) over n steps of C chains; near 1 where they agree (Gelman et al. 2013)."""
    half = len(values) // 2
    parts = jnp.concatenate([values[:half], values[half : 2 * half]], 1)
    within = jnp.mean(jnp.var(parts, 0, ddof=1))
    between = jnp.var(jnp.mean(parts, 0), ddof=1)
    return jnp.sqrt((half - 1) / half + between / within)


def effective_size(values: jax.Array) -> jax.Array:
    """How many independent draws () a quantity (n, C) over n steps of C chains is worth (Geyer 1992)."""
    n, chains = values.shape
    centred = values - jnp.mean(values)
    power = jnp.abs(jnp.fft.rfft(centred, 2 * n, 0)) ** 2
    lags = jnp.mean(jnp.fft.irfft(power, 2 * n, 0)[:n], 1)
    share = lags / lags[0]
    pairs = share[0 : n - 1 : 2][: n // 2] + share[1:n:2][: n // 2]
    kept = jnp.cumprod((pairs > 0).astype(values.dtype)) * pairs
    return n * chains / jnp.maximum(2 * jnp.sum(kept) - 1, 1 / (n * chains))
