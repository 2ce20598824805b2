"""Kernel and image in turn: USRNet restores windows with the kernel, and the kernel is fitted to what it restored.

The start is the mean of the learned posterior, whose moments hold each later kernel (`inference.kernel_update`). USRNet
is told more noise than there is, less in each round: of an image that does not explain the LR image to the last digit,
the edges tell how the kernel must change.
"""

import os
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import kernel_update
from blindsr_jax.inference.evidence import Posterior, confidence
from blindsr_jax.inference.windows import best_corners, take_all
from blindsr_jax.kernels import geometry
from blindsr_jax.methods import learned
from blindsr_jax.methods.estimators import doubt, posterior
from blindsr_jax.methods.interfaces import Solver, State, Weights
from blindsr_jax.methods.restorers import usrnet
from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.usrnet import USRNet
from blindsr_jax.weights import usrnet as usrnet_weights

LEVELS = (20.0, 14.0, 10.0, 7.0, 5.0)  # of the noise that USRNet is told beside the measured one, in 1/255
NUM_WINDOWS = 2
SIDE = 256  # of a restored window in pixels of the result
DATA_ITERATIONS = 5
SHAPED = ("trajectory", "line")  # families whose shape two moments do not tell
LEAST = 0.3  # probability of SHAPED in sum, from which on the kernel is refined
DOUBT = 1 / 3  # of that which a family's own kernel leaves, see `doubt`
BELIEVED = 0.3  # a refined kernel is taken where it is at least so many times as probable as the mean


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    start: learned.Settings
    shapes: bool
    network: USRNet
    side: int  # of windows in LR pixels
    num_windows: int
    independent: float


class Arrays(NamedTuple):
    """What the program gets as an argument."""

    evidence: learned.Arrays
    denoiser: Any


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    denoiser: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    side: Annotated[int | None, rules.optional(rules.whole(32, 4096))] = None,
    num_windows: Annotated[int, rules.whole(1, 64)] = NUM_WINDOWS,
    independent: Annotated[float, rules.above(0, 1)] = kernel_update.INDEPENDENT,
    shapes: bool = False,
) -> Solver:
    """The estimator; its one step does all rounds. `State.kernel_state` is that of `posterior`.

    Args:
      spec: the problem's static part; the kernel comes in its size and with its centre.
      weights: a .npz file of launch/train_evidence.py; None for the shipped network of the scale.
      denoiser: a .npz file of launch/train_usrnet.py; None for the network of photographs.
      side: of the windows that are restored, in LR pixels; None for SIDE pixels of the result.
      num_windows: so many of them, those that show most.
      independent: share of the values of an image that it counts as, at scale 1, see `inference.kernel_update`.
      shapes: as that of `posterior`, asked of the kernel of the last round.

    Raises:
      ValueError: there is no network for the scale, or an option is out of range.
    """
    settings, arrays = load(
        spec,
        weights=weights,
        denoiser=denoiser,
        side=side,
        num_windows=num_windows,
        independent=independent,
        shapes=shapes,
    )
    return posterior.build(spec, weights=weights)._replace(
        step=partial(_step, settings),
        weights=Weights(arrays),
        common=None,
        uses_noise=True,
        uses_mask=True,
        restorer_noise=partial(posterior.restorer_noise, doubts_of(settings)),
    )


def load(
    spec: Spec,
    *,
    weights: str | os.PathLike | None = None,
    denoiser: str | os.PathLike | None = None,
    side: int | None = None,
    num_windows: int = NUM_WINDOWS,
    independent: float = kernel_update.INDEPENDENT,
    shapes: bool = False,
) -> tuple[Settings, Arrays]:
    """What stays the same, and what programs get; arguments and errors are those of `build`."""
    start, evidence = learned.load(spec, weights=weights)
    trained = usrnet_weights.load("wide" if denoiser is None else denoiser)
    network = USRNet(trained.config, Compute(), DATA_ITERATIONS)
    side = max(SIDE // spec.scale, 32) if side is None else side
    settings = Settings(start, shapes, network, side, num_windows, independent)
    return settings, Arrays(evidence, jax.device_put(trained.params))


def doubts_of(settings: Settings) -> tuple[float, ...]:
    """The doubt of each family that is left after the rounds, in 1/255, see `doubt`."""
    start = settings.start
    return tuple(DOUBT * own for own in doubt.doubts_of(start.families, start.spec.scale))


def _step(
    settings: Settings, key: Any, state: State, problem: Problem, i: Any, weights: Arrays
) -> tuple[State, dict[str, jax.Array]]:
    """As that of `posterior`, with the rounds between its kernel and the search for shapes."""
    del key, i
    kernel, found = estimate(settings, problem, weights)
    return posterior.concluded(settings.start, settings.shapes, state, problem, kernel, found.families)


def estimate(settings: Settings, problem: Problem, weights: Arrays) -> tuple[jax.Array, Posterior]:
    """The kernel (k, k) before the search for shapes, and the posterior."""
    start, (evidence, denoiser) = settings.start, weights
    found = learned.ask(start, evidence, learned.windows_of(start, problem))
    mean = learned.normal_kernel(start, found)

    def refined():
        kernel = _refined(settings, problem, evidence.prior.kernels, found.weights, denoiser).astype(mean.dtype)
        before, after = (confidence(x, found.weights, evidence.prior) for x in (mean, kernel))
        return jnp.where(after >= BELIEVED * before, kernel, mean)

    is_shaped = doubt.probability(SHAPED, start.families, found.families) >= LEAST
    return jax.lax.cond(is_shaped, refined, lambda: mean), found


def _refined(settings: Settings, problem: Problem, draws: jax.Array, shares: jax.Array, denoiser: Any) -> jax.Array:
    """The kernel (k, k) after all rounds, from draws (n, m, m) of the prior and their posterior shares (n,)."""
    size = min(settings.start.spec.kernel_size, draws.shape[-1])  # a larger window would hold zeros
    # A window of an image goes on beyond its border, whatever the image does.
    spec = settings.start.spec._replace(boundary="valid", kernel_size=size)
    inner = settings.start._replace(spec=spec)
    kernels = jax.vmap(lambda kernel: geometry.normalize(learned.placed(inner, kernel)))(draws)
    prior = kernel_update.moments(kernels, shares)

    shown = problem.in_colours()
    corners = best_corners(shown.lr, settings.side, settings.num_windows, shown.mask)
    windows, masks = (x if x is None else take_all(x, corners, settings.side) for x in (shown.lr, shown.mask))

    def turn(kernel, level):
        noise_std = jnp.hypot(problem.known_noise, level)

        def explain(window):
            part = Problem(window[0], spec, mask=window[1])
            canvas, _ = usrnet.restore(settings.network, denoiser, part, kernel, noise_std)
            return kernel_update.gradient_quadratic(jnp.mean(canvas, -1, keepdims=True), kernel, part.in_gray())

        terms = jax.tree.map(lambda x: jnp.sum(x, 0), jax.lax.map(explain, (windows, masks)))
        number = settings.independent * terms.count / spec.scale**2
        found = kernel_update.most_likely(terms._replace(reference=kernel), prior, number)
        return found.astype(kernel.dtype), None

    levels = jnp.asarray(LEVELS, problem.lr.dtype) / 255
    return geometry.resize(jax.lax.scan(turn, prior.mean, levels)[0], settings.start.spec.kernel_size)
