"""Families of blur kernels: one interface, mixtures, drawing many, finding a family by name.

A family is a module `blindsr_jax/kernels/NAME.py` with a function
`family(*, scale, kernel_size=None, kernel_center='release', **options) -> KernelFamily`; nothing needs registering.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Latent = Any  # a pytree
_ALIASES = {"motion": "trajectory"}
# Below this many draws per member the shares of a mixture are drawn at random rather than fixed.
_STRATIFY_FROM = 16
MOST_ENTRIES = 2**29  # of the random kernels of a solver: 2 GiB


class KernelFamily(NamedTuple):
    """A distribution over kernels, for ONE kernel (use vmap for many). Hashable, so it can be a static argument."""

    name: str
    sample: Callable[[jax.Array], Latent]  # key -> latent
    render: Callable[[Latent], jax.Array]  # latent -> (k, k), unit sum
    log_prior: Callable[[Latent], jax.Array]  # latent -> (), log density, -inf outside the support
    members: tuple = ()  # of a mixture: the families
    weights: tuple = ()  # of a mixture: their probabilities
    # (key, latent, size) -> latent: a move of a size in (0, 1] that is reversible under the prior; None: there is none
    nudge: Callable[[jax.Array, Latent, jax.Array], Latent] | None = None


class MixtureLatent(NamedTuple):
    """Which member is meant, and a latent for every member (only the member's own counts)."""

    index: jax.Array  # () integer
    members: tuple


def mixture(families: Sequence[KernelFamily], weights: Sequence[float] | None = None) -> KernelFamily:
    """Mixture of families with kernels of one size; weights need not sum to 1, None means equal ones.

    The log prior is the log weight of the member plus the member's own.

    Raises:
      ValueError: without families, or where the weights do not fit them, are negative or are all 0.
    """
    families = tuple(families)
    weights = (1.0,) * len(families) if weights is None else tuple(float(w) for w in weights)
    if not families or len(weights) != len(families) or min(weights) < 0 or sum(weights) <= 0:
        raise ValueError(f"need one non-negative weight per family, not all 0; got {weights} for {len(families)}")
    return _mixture(families, tuple(w / sum(weights) for w in weights))


@functools.lru_cache(maxsize=64)
def _mixture(families: tuple, weights: tuple) -> KernelFamily:
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)

    def sample(key):
        pick, *keys = jax.random.split(key, len(families) + 1)
        index = jax.random.categorical(pick, jnp.asarray(log_weights, jnp.result_type(float)))
        return MixtureLatent(index, tuple(f.sample(k) for f, k in zip(families, keys, strict=True)))

    def render(latent):
        branches = [lambda members, i=i, f=f: f.render(members[i]) for i, f in enumerate(families)]
        return jax.lax.switch(latent.index, branches, latent.members)

    def log_prior(latent):
        branches = [lambda members, i=i, f=f: f.log_prior(members[i]) for i, f in enumerate(families)]
        value = jax.lax.switch(latent.index, branches, latent.members)
        return value + jnp.asarray(log_weights, value.dtype)[latent.index]

    def nudge(key, latent, size):
        parts = zip(jax.random.split(key, len(families)), families, latent.members, strict=True)
        return latent._replace(members=tuple(m if f.nudge is None else f.nudge(k, m, size) for k, f, m in parts))

    name = "mixture(" + ", ".join(f.name for f in families) + ")"
    can_nudge = any(f.nudge is not None for f in families)
    return KernelFamily(name, sample, render, log_prior, families, weights, nudge if can_nudge else None)


def check_draws(option: str, num: int, kernel_size: int) -> None:
    """Refuses more random kernels than can be held at once; for whoever takes their number from a config.

    Raises:
      ValueError: there are more than `MOST_ENTRIES` entries.
    """
    most = MOST_ENTRIES // kernel_size**2
    if num > most:
        raise ValueError(f"{option} is {num}, expected at most {most} kernels of {kernel_size} x {kernel_size}")


@functools.partial(jax.jit, static_argnames=("family", "num", "batch_size"))
def sample_kernels(key: jax.Array, family: KernelFamily, num: int, *, batch_size: int = 512) -> jax.Array:
    """Draws `num` kernels (num, k, k) in one compiled call, `batch_size` at a time to bound the memory.

    From a mixture, 16 or more draws per member are stratified: each member gives its share of `num` (rounded) in
    random order, so that no kernel is rendered for nothing. Fewer are drawn independently.
    """
    return _draw(key, family, num, batch_size)


def _draw(key, family, num, batch_size):
    if not family.members or num < _STRATIFY_FROM * len(family.members):
        draw = lambda k: family.render(family.sample(k))  # noqa: E731
        return jax.lax.map(draw, jax.random.split(key, num), batch_size=batch_size)
    order, *keys = jax.random.split(key, len(family.members) + 1)
    parts = zip(keys, family.members, _shares(num, family.weights), strict=True)
    kernels = jnp.concatenate([_draw(k, member, share, batch_size) for k, member, share in parts if share])
    return jax.random.permutation(order, kernels)


def _shares(num: int, weights: tuple) -> list[int]:
    """Whole numbers that sum to `num`, as close to the weights as can be (largest remainders)."""
    exact = [num * w for w in weights]
    shares = [int(x) for x in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: num - sum(shares)]:
        shares[i] += 1
    return shares


def family_names() -> tuple[str, ...]:
    """All names that `find_family` knows, in alphabetical order."""
    found = [n for n in _module_names() if callable(getattr(_import(n), "family", None))]
    return tuple(sorted(found + list(_ALIASES)))


def find_family(name: str) -> Callable[..., KernelFamily]:
    """The function `family` of module `blindsr_jax.kernels.NAME` ('motion' stands for 'trajectory').

    Raises:
      ValueError: where there is no such family; the message lists those there are.
    """
    module = _ALIASES.get(name, name)
    build = getattr(_import(module), "family", None) if module in _module_names() else None
    if not callable(build):
        raise ValueError(f"unknown kernel family {name!r}; known: {', '.join(family_names())}")
    return build


def load_family(name: str, **options) -> KernelFamily:
    """Builds a family; raises ValueError as `find_family` does."""
    return find_family(name)(**options)


def cached(build: Callable[..., KernelFamily]) -> Callable[..., KernelFamily]:
    """Makes a `family` function return the same object for the same options, so that nothing compiles twice."""
    remember = functools.lru_cache(maxsize=64)(build)

    @functools.wraps(build)
    def family(**options):
        return remember(**{k: tuple(v) if isinstance(v, list | np.ndarray) else v for k, v in options.items()})

    return family


def check_range(name: str, bounds: Sequence[float], *, minimum: float = 0.0) -> tuple[float, float]:
    """Returns `bounds` as floats (low, high).

    Raises:
      ValueError: unless minimum <= low <= high.
    """
    low, high = (float(b) for b in bounds)
    if not minimum <= low <= high:
        raise ValueError(f"{name} must be (low, high) with {minimum} <= low <= high, got {bounds}")
    return low, high


def uniform_box(key: jax.Array, lows: Sequence[float], highs: Sequence[float]) -> jax.Array:
    """Draws (n,) independent U(low, high), one for each pair, in the default float type."""
    lows, highs = (jnp.asarray(bounds, jnp.result_type(float)) for bounds in (lows, highs))
    return jax.random.uniform(key, lows.shape, minval=lows, maxval=highs)


def uniform_log_density(value: jax.Array, low: float, high: float) -> jax.Array:
    """Log density of U(low, high), elementwise; -inf outside, and 0 at the single value where low == high."""
    density = -float(np.log(high - low)) if high > low else 0.0
    return jnp.where((value >= low) & (value <= high), jnp.full_like(value, density), -jnp.inf)


def crank_nicolson(key: jax.Array, normals: jax.Array, size: jax.Array) -> jax.Array:
    """Standard normal values after a preconditioned Crank-Nicolson move of a size () in (0, 1] (Cotter et al. 2013).

    It is reversible under their density for any number of them; size 1 draws them anew.
    """
    return jnp.sqrt(1 - size**2) * normals + size * jax.random.normal(key, normals.shape, normals.dtype)


def crank_nicolson_uniform(key: jax.Array, values: jax.Array, size: jax.Array) -> jax.Array:
    """Likewise, values that are uniform between 0 and 1: their normal quantiles are moved."""
    edge = float(jnp.finfo(values.dtype).eps)
    normals = jax.scipy.special.ndtri(jnp.clip(values, edge, 1 - edge))
    return jax.scipy.stats.norm.cdf(crank_nicolson(key, normals, size))


def _module_names() -> list[str]:
    package = importlib.import_module(__package__)
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


def _import(name: str):
    return importlib.import_module(f"{__package__}.{name}")
