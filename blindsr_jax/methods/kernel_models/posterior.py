"""Markov chains over the latents of a kernel prior, under the learned evidence of the LR image and the current image.

The target is prior * evidence * exp(-count / 2 * error / noise variance): the learned evidence of `inference.evidence`,
and the mean squared LR residual of the current image through the quadratic form. Before the image knows anything, the
chains are at draws of the learned posterior.
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging import data_quadratic
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import data_loss
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import chains, evidence
from blindsr_jax.kernels.family import KernelFamily, check_draws
from blindsr_jax.methods import learned
from blindsr_jax.methods.interfaces import KernelInfo, KernelModel, StepContext, Weights

GIVES = ("mean", "best")
REPORTS = ("chain_accepted", "chain_rhat", "chain_size")
_HISTORY = 32  # steps of the chains that R-hat and effective size are of
_LARGEST_RHAT = 10.0  # that is told: chains that do not move at all have none
_NEAR = 0.1  # a given start weighs draws by their squared distance, in units of this share of the smallest one

_LEAST_DISTANCE = 1e-9


class PosteriorState(NamedTuple):
    """Where the chains are."""

    chains: chains.State
    seen: evidence.Observation  # of the LR image
    kernel: jax.Array  # (k, k), what they amount to
    widths: jax.Array  # (_HISTORY, C) of their kernels in the last steps, px; the newest is the last
    accepted: jax.Array  # () share of the moves of the last round that were accepted


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    learned: learned.Settings
    family: KernelFamily
    num_chains: int
    num_draws: int
    rounds: int
    every: int
    freeze_steps: int
    data_count: float
    error_floor: float
    evidence_weight: float
    gives: str


def build(
    spec: Spec,
    *,
    family: KernelFamily,
    num_chains: Annotated[int, rules.whole(2, 4096)] = 32,
    num_draws: Annotated[int, rules.DRAWS] = 2048,
    rounds: Annotated[int, rules.whole(1, 1000)] = 4,
    every: Annotated[int, rules.STEPS] = 5,
    freeze_steps: Annotated[int, rules.STEPS_FROM_0] = 0,
    data_count: Annotated[float, rules.WEIGHT] = 20.0,
    error_floor: Annotated[float, rules.above(0, 1e6)] = 1e-4,
    evidence_weight: Annotated[float, rules.WEIGHT] = 1.0,
    gives: Annotated[str, rules.choice(*GIVES)] = "mean",
) -> KernelModel:
    """A kernel half that samples.

    Args:
      spec: the problem's static part; scales 1 to 4, of which there is a network.
      family: the prior, from `config.prior`.
      num_chains: that run side by side.
      num_draws: of the prior, from which the chains' starts are chosen by the learned evidence, or by their distance
        to a given kernel.
      rounds: steps of each chain in a step that moves them.
      every: steps of the solve from one such step to the next.
      freeze_steps: steps of the solve before the chains move.
      data_count: how many independent LR entries the current image is worth: far fewer than it has, as its own error
        is the same under all kernels.
      error_floor: the smallest noise variance. It is inferred, as the smallest error of a chain's kernel, but never
        below this or the noise that was measured.
      evidence_weight: of the learned evidence, which is divided by its fitted temperature.
      gives: the 'mean' of the chains' kernels, or the 'best', that of the largest density.

    Raises:
      ValueError: there is no network for the scale, or too many draws.
    """
    check_draws("num_draws", num_draws, spec.kernel_size)
    known, arrays = learned.load(spec, num_draws=64)  # its own draws play no part
    settings = Settings(
        learned=known,
        family=family,
        num_chains=num_chains,
        num_draws=num_draws,
        rounds=rounds,
        every=every,
        freeze_steps=freeze_steps,
        data_count=data_count,
        error_floor=error_floor,
        evidence_weight=evidence_weight,
        gives=gives,
    )
    return KernelModel(partial(_init, settings), partial(_step, settings), Weights(arrays.params), REPORTS)


def _log_evidence(settings: Settings, params: Any, seen: evidence.Observation, kernels: jax.Array) -> jax.Array:
    """(n,) of kernels (n, k, k) of the problem, tempered and weighed."""
    network = settings.learned.network
    moved = evidence.to_network(kernels, settings.learned.spec, network.kernel_size)
    found = evidence.log_evidence(params, seen, moved, network=network).astype(kernels.dtype)
    return settings.evidence_weight / settings.learned.temperature * found


def _kernels(settings: Settings, state: chains.State) -> jax.Array:
    """(C, k, k)."""
    return jax.vmap(settings.family.render)(jax.tree.map(lambda x: x[0], state.point.latent))


def _summary(settings: Settings, state: chains.State, kernels: jax.Array) -> jax.Array:
    """The kernel (k, k) that the chains amount to."""
    if settings.gives == "mean":
        return jnp.mean(kernels, 0)
    return kernels[jnp.argmax(state.point.log_likelihood[0])]


def _init(settings: Settings, key: jax.Array, problem: Problem, kernel: Any, params: Any) -> PosteriorState:
    windows = learned.windows_of(settings.learned, problem)
    seen = evidence.look(params, windows, network=settings.learned.network)

    def nearness(kernels):
        distance = jnp.sum((kernels - jnp.asarray(kernel, kernels.dtype)[None]) ** 2, (1, 2))
        return -distance / (_NEAR * jnp.maximum(jnp.min(distance), _LEAST_DISTANCE))

    likelihood = partial(_log_evidence, settings, params, seen) if kernel is None else nearness
    state = chains.build(settings.family, likelihood).init(key, settings.num_chains, settings.num_draws)
    kernels = _kernels(settings, state)
    dtype = problem.lr.dtype
    widths = jnp.broadcast_to(evidence.shapes(kernels).width[None], (_HISTORY, settings.num_chains)).astype(dtype)
    return PosteriorState(state, seen, _summary(settings, state, kernels).astype(dtype), widths, jnp.zeros((), dtype))


def _move(
    settings: Settings, key: jax.Array, state: PosteriorState, image: jax.Array, problem: Problem, params: Any
) -> PosteriorState:
    """Some steps of all chains under the current image."""
    dtype = problem.lr.dtype
    term = data_quadratic.quadratic(image, state.kernel, problem)
    best = jnp.min(data_quadratic.errors(term, _kernels(settings, state.chains).astype(dtype)))
    variance = jnp.maximum(jnp.maximum(best, jnp.square(problem.known_noise)), settings.error_floor)

    def log_likelihood(kernels):
        data = data_quadratic.errors(term, kernels.astype(dtype)).astype(kernels.dtype) / variance.astype(kernels.dtype)
        return _log_evidence(settings, params, state.seen, kernels) - settings.data_count / 2 * data

    made = chains.build(settings.family, log_likelihood)

    def body(now, step_key):
        now, info = made.step(step_key, now)
        width = evidence.shapes(_kernels(settings, now)).width.astype(dtype)
        accepted = jnp.maximum(info.local, info.nudged)[0].astype(dtype)
        return now, (width, accepted)

    keys = jax.random.split(key, settings.rounds)
    moved, (widths, accepted) = jax.lax.scan(body, made.renew(state.chains), keys)
    kernel = _summary(settings, moved, _kernels(settings, moved)).astype(dtype)
    history = jnp.concatenate([state.widths, widths])[-_HISTORY:]
    return PosteriorState(moved, state.seen, kernel, history, jnp.mean(accepted))


def _step(
    settings: Settings,
    key: jax.Array,
    state: PosteriorState,
    image: jax.Array,
    problem: Problem,
    context: StepContext,
    params: Any,
):
    # The same for all images of a batch, so vmap keeps the choice.
    due = (context.step >= settings.freeze_steps) & (context.step % settings.every == 0)
    state = jax.lax.cond(due, lambda s: _move(settings, key, s, image, problem, params), lambda s: s, state)
    prediction = degrade(image, state.kernel, scale=problem.spec.scale, boundary=problem.spec.boundary)
    loss = data_loss(prediction, problem.seen(prediction), context.use_ssim)
    return state, state.kernel, KernelInfo(loss, _report(settings, state))


def _report(settings: Settings, state: PosteriorState) -> dict[str, jax.Array]:
    """How well the chains mix: finite, also where they have not moved."""
    rhat = jnp.nan_to_num(chains.split_rhat(state.widths), nan=_LARGEST_RHAT, posinf=_LARGEST_RHAT)
    size = chains.effective_size(state.widths) / (_HISTORY * settings.num_chains)
    told = state.accepted, jnp.minimum(rhat, _LARGEST_RHAT), jnp.clip(jnp.nan_to_num(size), 0, 1)
    return dict(zip(REPORTS, told, strict=True))
