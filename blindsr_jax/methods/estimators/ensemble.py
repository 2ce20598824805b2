"""The mean of two kernels: KENet's, and that of the learned posterior in turn with the image.

The two networks err apart: on most images their mean is nearer to the truth than either. Each has the say that the
posterior gives it, so that a kernel that one of them alone can believe moves the other little (docs/posterior.md).
"""

import os
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference.blur_evidence import axis_variance, is_sampling
from blindsr_jax.inference.evidence import confidence
from blindsr_jax.inference.shape_search import can_search
from blindsr_jax.methods.estimators import alternating, doubt, kenet
from blindsr_jax.methods.interfaces import Solver, State, Weights, silent_trace
from blindsr_jax.networks.kenet import SMALLEST_SIDE

LEAST = 0.5  # added to the confidence in each kernel: where the posterior believes neither, both count alike
UNKNOWN = 0.05  # a kernel that is less probable under the posterior is restored with care:
CARE = 6.0  # the doubt that is told beside that of the families, in 1/255
CAREFUL = "the posterior knows no kernel that fits the image, so it was sharpened with care"
LINE = 0.2  # a straight line that the spectrum shows is taken where one of both gives lines as much


class Settings(NamedTuple):
    """Those of both."""

    kenet: kenet.Settings
    alternating: alternating.Settings


class Arrays(NamedTuple):
    """What the program gets as an argument."""

    kenet: Any
    alternating: alternating.Arrays


class Findings(NamedTuple):
    """What both say beside the kernel."""

    kenet: kenet.Findings
    families: jax.Array  # (F,) the probability of each family under the posterior
    confidence: jax.Array  # () that the kernel is right; 1 of one that the posterior cannot judge


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = "wide",
    window: Annotated[int | None, rules.optional(rules.whole(SMALLEST_SIDE, 4096))] = 96,
    num_windows: Annotated[int | None, rules.optional(rules.whole(1, 4096))] = 32,
    kernel_map: tuple[int, int] | None = None,
    reductions: Annotated[int, rules.whole(1, 8)] = 3,
    shapes: bool = True,
    evidence: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    denoiser: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
) -> Solver:
    """The estimator; its one step does all the work. `State.kernel_state` of the result is its `Findings`.

    A kernel that KENet found in a smaller image is wider than the posterior knows, and is taken as it is. Those of
    `kernel_map` are KENet's.

    Args:
      spec: the problem's static part; the kernel comes in its size and with its centre.
      weights: as `window`, `num_windows`, `kernel_map`, `reductions` and `shapes` an option of `kenet`.
      window: see `weights`.
      num_windows: see `weights`.
      kernel_map: see `weights`.
      reductions: see `weights`.
      shapes: see `weights`; asked of KENet's kernel, which what it finds has to be better than.
      evidence: the `weights` of `alternating`.
      denoiser: an option of `alternating`.

    Raises:
      ValueError: there is no network for the scale, or an option is out of range.
    """
    first, params = kenet.load(
        spec,
        weights=weights,
        window=window,
        num_windows=num_windows,
        kernel_map=kernel_map,
        reductions=reductions,
        shapes=shapes,
    )
    second, arrays = alternating.load(spec, weights=evidence, denoiser=denoiser)
    settings = Settings(first, second)
    return Solver(
        partial(_init, settings),
        partial(_step, settings),
        kenet.smallest_side(first),
        weights=Weights(Arrays(params, arrays)),
        num_steps=1,
        uses_noise=True,
        uses_mask=True,
        restorer_noise=partial(_restorer_noise, settings),
        explain=partial(_explain, settings),
    )


def _init(settings: Settings, key: Any, problem: Problem, kernel: Any = None, weights: Any = None) -> State:
    start = kenet.init(settings.kenet, key, problem, kernel, weights)
    known, dtype = len(settings.alternating.start.families), problem.lr.dtype
    findings = Findings(start.kernel_state, jnp.full((known,), 1 / known, dtype), jnp.ones((), dtype))
    return start._replace(kernel_state=findings)


def _step(
    settings: Settings, key: Any, state: State, problem: Problem, i: Any, weights: Arrays
) -> tuple[State, dict[str, jax.Array]]:
    del key, i
    problem, dtype = problem.in_colours(), problem.lr.dtype
    first, belief = kenet.estimate(settings.kenet, problem, weights.kenet)
    second, found = alternating.estimate(settings.alternating, problem, weights.alternating)
    prior = weights.alternating.evidence.prior

    def sure(kernel):
        return confidence(kernel, found.weights, prior).astype(dtype)

    own, other = LEAST + sure(first), LEAST + sure(second)
    is_wide = belief.reduction > 1
    kernel = jnp.where(is_wide, first, (own * first + other * second) / (own + other))
    findings = Findings(belief, found.families.astype(dtype), jnp.where(is_wide, 1, sure(kernel)))
    if settings.kenet.shapes and can_search(settings.kenet.spec, problem.lr.shape):
        kernel, findings = _shaped(settings, problem, first, kernel, findings)
    kernels = kenet.estimate_map(settings.kenet, problem, weights.kenet)
    return state._replace(kernel_state=findings, kernel=kernel, kernel_map=kernels), silent_trace(dtype)


def _shaped(
    settings: Settings, problem: Problem, first: jax.Array, kernel: jax.Array, findings: Findings
) -> tuple[jax.Array, Findings]:
    """A disc or line that explains the spectrum better than KENet's kernel in place of the kernel of both."""
    belief, names = findings.kenet, settings.alternating.start.families
    shape = kenet.find_shape(settings.kenet, problem, first, belief)
    of_kenet = doubt.probability(("line",), settings.kenet.families, belief.probabilities)
    of_posterior = doubt.probability(("line",), names, findings.families)
    is_likely = (jnp.maximum(of_kenet, of_posterior) >= LINE) | (belief.reduction > 1)
    shape = shape._replace(is_line=shape.is_line & is_likely)
    is_found = shape.is_disc | shape.is_line
    families = doubt.after_search(shape, names, findings.families)
    certain = jnp.where(is_found, 1, findings.confidence)
    findings = Findings(kenet.after_search(settings.kenet, shape, belief), families, certain)
    return jnp.where(is_found, shape.kernel, kernel), findings


def _restorer_noise(settings: Settings, state: State, problem: Problem) -> jax.Array:
    """The noise of a problem, and the mean of what both leave in doubt; of a smaller image's kernel, KENet's alone."""
    findings, spec = state.kernel_state, settings.kenet.spec
    own = kenet.own_doubt(doubt.doubts_of(settings.kenet.families, spec.scale), findings.kenet)
    other = doubt.expected(findings.families, alternating.doubts_of(settings.alternating))
    mean = jnp.where(findings.kenet.reduction > 1, own, (own + other) / 2)
    care = jnp.where(findings.confidence < UNKNOWN, CARE, 0.0)
    return doubt.told(problem.noise_std, jnp.hypot(mean, care)).astype(problem.lr.dtype)


def _explain(settings: Settings, state: State) -> str:
    findings = state.kernel_state
    is_blurred = not is_sampling(axis_variance(state.kernel), settings.kenet.spec)
    careful = CAREFUL if is_blurred and float(findings.confidence) < UNKNOWN else ""
    return "; ".join(filter(None, (kenet.explain(settings.kenet, state.kernel, findings.kenet), careful)))
