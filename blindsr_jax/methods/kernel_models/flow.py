"""The flow-based kernel prior: the unknown is a code on a sphere, a trained flow makes a kernel of it.

FKP, Liang et al. 2021 (DIP-FKP). The flow is the plain jax.numpy one: distrax is needed for training only.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import langevin, spectrum, sphere
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.kernels.family import check_draws
from blindsr_jax.methods.interfaces import KernelModel
from blindsr_jax.methods.kernel_models.base import DescentState, check_start, descent
from blindsr_jax.networks import kernel_flow
from blindsr_jax.weights import flow as flow_weights

STARTS = ("random", "mean", "spectrum")


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    flow: kernel_flow.Flow
    optimizer: optax.GradientTransformationExtraArgs  # of the code
    radius: float  # of the sphere that the code lies on
    normalize: bool  # kernels sum to 1
    start: str  # of STARTS
    num_starts: int  # codes that a start is chosen from


def build(
    spec: Spec,
    *,
    weights: Annotated[str, rules.FILE] = "gaussian",
    learning_rate: Annotated[float, rules.RATE] = 0.5,
    radius: Annotated[float | None, rules.optional(rules.above(0, 1e6))] = None,
    freeze_steps: Annotated[int, rules.STEPS_FROM_0] = 76,
    normalize: bool = True,
    start: Annotated[str, rules.choice(*STARTS)] = "random",
    num_starts: Annotated[int, rules.DRAWS] = 256,
    langevin_temperature: langevin.Temperature = 0.0,
    cooling_steps: langevin.CoolingSteps = None,
) -> KernelModel:
    """A flow half; learning rate, radius and freeze are those of the release.

    Args:
      spec: the problem's static part. Kernels of another size than the flow's are padded or cropped about their centre.
      weights: a kernel family, for the shipped flow of that family and scale, or the .npz file of a flow.
      learning_rate: of Adam on the code.
      radius: of the sphere; None is k - 1 with the flow's k.
      freeze_steps: steps of the solve before the code moves; in the release it first moves in step 77.
      normalize: take off what dequantisation added on average, then divide by the sum. The release does neither: its
        kernels sum to 0.6 to 1.25, of which the pedestal is 0.04 at x4, enough to widen a kernel by a square pixel.
      start: 'random' takes one random code, 'mean' the one of several whose kernel is nearest to their mean (the
        release chose a seed with such a kernel), 'spectrum' the one that explains the power spectrum of the LR image
        best.
      num_starts: how many codes 'mean' and 'spectrum' look at.
      langevin_temperature: of the noise that makes a sampler of the descent, in units of the loss; 0 adds none. See
        `langevin.noisy_adam`.
      cooling_steps: steps over which it falls to 0; None keeps it.

    Raises:
      ValueError: there is no such flow, an unknown start, or too many codes.
    """
    check_start(start, STARTS)
    check_draws("num_starts", num_starts, spec.kernel_size)
    flow = flow_weights.load(weights, spec.scale)
    radius = kernel_flow.kernel_size(flow) - 1.0 if radius is None else radius
    adam = langevin.noisy_adam(learning_rate, temperature=langevin_temperature, cooling_steps=cooling_steps)
    settings = Settings(
        spec=spec,
        flow=flow,
        optimizer=sphere.on_sphere(adam, radius, delay=freeze_steps),
        radius=radius,
        normalize=normalize,
        start=start,
        num_starts=num_starts,
    )
    return KernelModel(partial(_init, settings), descent(spec, partial(_render, settings), settings.optimizer))


def _render(settings: Settings, code: jax.Array) -> jax.Array:
    """The kernel (k, k) of the problem that a code (D,) stands for."""
    spec = settings.spec
    v, _ = kernel_flow.decode(settings.flow, code)
    normalization = jnp.asarray(settings.flow.normalization, code.dtype)
    kernel = kernel_flow.to_kernel(v, normalization)
    if settings.normalize:
        kernel = jax.nn.relu(kernel - kernel_flow.pedestal(normalization))
    kernel = placement.convert(kernel, spec.scale, "release", spec.kernel_center, spec.kernel_size)
    return geometry.normalize(kernel) if settings.normalize else kernel


def _choose(settings: Settings, key: jax.Array, problem: Problem) -> jax.Array:
    """The code (D,) to start from, before it is projected."""
    start, size = settings.start, kernel_flow.kernel_size(settings.flow)
    num = 1 if start == "random" else settings.num_starts
    codes = sphere.project(jax.random.normal(key, (num, size**2), problem.lr.dtype), settings.radius)
    if start == "random":
        return codes[0]
    kernels = jax.lax.map(lambda code: geometry.normalize(_render(settings, code)), codes, batch_size=32)
    if start == "spectrum":
        return codes[jnp.argmax(spectrum.log_prior(kernels, problem))]
    return codes[jnp.argmin(jnp.sum((kernels - jnp.mean(kernels, 0, keepdims=True)) ** 2, (1, 2)))]


def _encode(settings: Settings, kernel: jax.Array) -> jax.Array:
    """The code (D,) of a kernel (k, k) of the problem."""
    spec, flow = settings.spec, settings.flow
    kernel = placement.convert(kernel, spec.scale, spec.kernel_center, "release", kernel_flow.kernel_size(flow))
    normalization = jnp.asarray(flow.normalization, kernel.dtype)
    return kernel_flow.encode(flow, kernel_flow.to_flow_space(geometry.normalize(kernel), normalization))[0]


def _init(settings: Settings, key: jax.Array, problem: Problem, kernel: jax.Array | None) -> DescentState:
    if kernel is None:
        code = _choose(settings, key, problem)
    else:
        code = _encode(settings, jnp.asarray(kernel, problem.lr.dtype))
    code = sphere.project(code, settings.radius)
    return DescentState(code, settings.optimizer.init(code))
