"""The learned posterior over kernels of `inference.evidence`, loaded for a problem: networks, draws, and what they say.

It serves the estimator `posterior`, and it judges the kernels of all other methods: `believe`.
"""

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.problem import Belief, Problem, Spec, make_spec
from blindsr_jax.inference import evidence
from blindsr_jax.inference.windows import best
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.kernels.pool import draw_pool
from blindsr_jax.methods import families
from blindsr_jax.networks.evidence import Evidence
from blindsr_jax.weights import evidence as trained

NUM_DRAWS = 4096  # of the prior: more gain nothing (docs/posterior.md)
NUM_WINDOWS = 16
_LOADING = threading.Lock()
_SHOWN = evidence.LEVELS.index(0.8)  # the interval that is told


class Settings(NamedTuple):
    """What stays the same; hashable."""

    spec: Spec
    network: Evidence
    window: int
    num_windows: int
    temperature: float
    families: tuple[str, ...]


class Arrays(NamedTuple):
    """What programs get as an argument."""

    params: Any
    prior: evidence.Prior
    described: tuple[jax.Array, jax.Array]  # what the kernel tower says of the draws


class Learned(NamedTuple):
    """A posterior that can be asked."""

    settings: Settings
    arrays: Arrays


def load(
    spec: Spec,
    *,
    weights: str | os.PathLike | None = None,
    num_windows: int = NUM_WINDOWS,
    num_draws: int = NUM_DRAWS,
) -> Learned:
    """The posterior for a problem; the same for the same arguments.

    Args:
      spec: of the problem; its scale chooses the network.
      weights: a .npz file of launch/train_evidence.py, None for the shipped network.
      num_windows: of an image that are looked at, those that show most.
      num_draws: of the network's prior, the support of the posterior.

    Raises:
      ValueError: there is no network for the scale, or it does not say which prior it was trained on.
    """
    with _LOADING:  # who comes while another thread loads waits for it
        return _load(spec, weights, num_windows, num_draws)


@cache  # by place: an argument that is left out is the same as its default
def _load(spec: Spec, weights: str | os.PathLike | None, num_windows: int, num_draws: int) -> Learned:
    model = trained.load(weights, spec.scale)
    config = model.config(weights)
    own = make_spec(scale=spec.scale, kernel_size=model.kernel_size, kernel_center="release")
    pool = draw_pool(jax.random.key(0), families.build_family(config["prior"], own), num_draws)
    prior = evidence.make_prior(*pool)
    network, params = model.network(), jax.device_put(model.params)
    temperature = float(model.note.get("temperature", 1.0))
    settings = Settings(spec, network, model.window, num_windows, temperature, tuple(model.families))
    return Learned(settings, Arrays(params, prior, _describe(network, params, prior.kernels)))


@partial(jax.jit, static_argnums=0)
def _describe(network: Evidence, params: Any, kernels: jax.Array) -> tuple[jax.Array, jax.Array]:
    return network.apply(params, kernels, method="describe")


def windows_of(settings: Settings, problem: Problem) -> jax.Array:
    """The windows (n, a, b, 3) of an LR image that are looked at."""
    problem = problem.in_colours()
    return best(problem.lr, settings.window, settings.num_windows, problem.mask)


def ask(settings: Settings, arrays: Arrays, windows: jax.Array) -> evidence.Posterior:
    """The posterior of an LR image, over the draws; kernels are those of the network's window and centre."""
    return conclude(settings, arrays, evidence.look(arrays.params, windows, network=settings.network))


def conclude(settings: Settings, arrays: Arrays, seen: evidence.Observation) -> evidence.Posterior:
    """The posterior of what was seen, see `ask`."""
    scores = evidence.score(seen.embedding, *arrays.described, seen.strength)
    number = len(settings.families)
    return evidence.posterior(scores, arrays.prior, num_families=number, temperature=settings.temperature)


def placed(settings: Settings, kernel: jax.Array) -> jax.Array:
    """Values (k, k) in the window of a network where the problem has them; the sum is not restored."""
    spec = settings.spec
    return placement.convert(kernel, spec.scale, "release", spec.kernel_center, spec.kernel_size)


def around(settings: Settings, arrays: Arrays, found: evidence.Posterior, kernel: jax.Array) -> Belief:
    """What a posterior says, and how sure it is of a kernel (k, k) of the problem, whoever found it."""
    families = {name: found.families[i] for i, name in enumerate(settings.families)}
    width, direction = (jnp.stack([x.center, x.low[_SHOWN], x.high[_SHOWN]]) for x in (found.width, found.direction))
    sure = evidence.confidence(kernel, found.weights, arrays.prior)
    return Belief(sure, families, width, direction, placed(settings, found.kernel_std))


_windows_of = jax.jit(windows_of, static_argnums=0)


@partial(jax.jit, static_argnums=0)
def _believe(settings: Settings, arrays: Arrays, windows: jax.Array, kernel: jax.Array) -> Belief:
    return around(settings, arrays, ask(settings, arrays, windows), kernel)


def believe(learned: Learned, problem: Problem, kernel: jax.Array) -> Belief:
    """What is known of the kernel of an LR image, and how sure it is that it is `kernel`.

    Args:
      learned: of `load`.
      problem: one LR image.
      kernel: (k, k), of any method, in the problem's size and centre.
    """
    settings, arrays = learned
    return _believe(settings, arrays, _windows_of(settings, problem), kernel)


_look = jax.jit(
    lambda settings, params, windows: evidence.look(params, windows, network=settings.network), static_argnums=0
)


@partial(jax.jit, static_argnums=0)
def _believe_seen(settings: Settings, arrays: Arrays, seen: evidence.Observation, kernel: jax.Array) -> Belief:
    return around(settings, arrays, conclude(settings, arrays, seen), kernel)


def look_together(learned: Learned, problems: Iterable[Problem]) -> evidence.Observation | None:
    """What several LR images with one kernel show, see `evidence.together`; None where there is no image."""
    settings, arrays = learned
    seen = [_look(settings, arrays.params, _windows_of(settings, problem)) for problem in problems]
    return evidence.together(jax.tree.map(lambda *x: jnp.stack(x), *seen)) if seen else None


def believe_together(learned: Learned, problems: Iterable[Problem], kernel: jax.Array) -> Belief | None:
    """As `believe`, of the one kernel of several LR images; None where there is no image."""
    seen = look_together(learned, problems)
    return None if seen is None else _believe_seen(*learned, seen, kernel)


def common_kernel(learned: Learned, problems: Iterable[Problem]) -> jax.Array | None:
    """The mean (k, k) under the posterior of several LR images with one kernel; None where there is no image."""
    seen = look_together(learned, problems)
    return None if seen is None else normal_kernel(learned.settings, conclude(*learned, seen))


def normal_kernel(settings: Settings, found: evidence.Posterior) -> jax.Array:
    """The mean kernel of a posterior, (k, k) of the problem, sum 1."""
    return geometry.normalize(placed(settings, found.kernel_mean))


def prepare(spec: Spec) -> None:
    """Loads what `judge` needs, and compiles its program for all but small images: beside the first solve, say."""
    settings, arrays = load(spec)
    side, k = settings.window, spec.kernel_size
    jax.block_until_ready(
        _believe(settings, arrays, jnp.zeros((settings.num_windows, side, side, 3)), jnp.full((k, k), 1 / k**2))
    )


def judge(spec: Spec) -> Callable[[Problem, jax.Array], Belief] | None:
    """`Solver.believe` for a problem; it loads at its first image. None where no network is shipped for the scale."""
    if f"evidence_x{spec.scale}" not in trained.shipped():
        return None
    return lambda problem, kernel: believe(load(spec), problem, kernel)
