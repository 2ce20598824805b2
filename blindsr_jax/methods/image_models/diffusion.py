"""Diffusion: the image is drawn step by step from noise by a trained denoiser, and held to the LR image (Diff-DKP).

Yang et al. 2024 describe a vanilla DDPM whose clean image is refined by the data at each step. What the network thinks
is the sharp image goes to the kernel half; under the kernel that it names the image is refined, and noise that fits the
next step is added. Images are in [0, 1] here; the network's range is known to `diffusion.prior` alone.
"""

import functools
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.diffusion import denoiser, steps
from blindsr_jax.diffusion.schedule import NUM_STEPS, Schedule, make_schedule
from blindsr_jax.imaging import proximal
from blindsr_jax.imaging.degradation import adjoint, degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.interfaces import ImageInfo, ImageModel, StepContext, Weights
from blindsr_jax.networks.unet import UNetConfig
from blindsr_jax.weights import diffusion as diffusion_weights

DATA = ("exact", "gradient")
_SMALLEST_SIDE = 16


class DiffusionState(NamedTuple):
    """Samples on their way down the chain."""

    x: jax.Array  # (m, H, W, 3) in [-1, 1] and noisy
    index: jax.Array  # () int32, where in the chain they stand


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    network: UNetConfig
    chain: Schedule
    method: str  # of steps.METHODS
    eta: float  # of DDIM
    data: str  # of DATA
    weight: float | None  # of the data step; None weighs the noise
    noise_std: float  # on the [0, 1] scale
    step_size: float  # of 'gradient', in the largest that is safe
    iterations: int  # of conjugate gradients
    samples: int
    label: int | None
    tile: int  # px
    overlap: int  # px


@functools.cache
def _load(name: str):
    """Config and weights of a prior; one object a name, so that programs are shared."""
    config, params = diffusion_weights.load(name)
    return config, Weights(jax.tree.map(jnp.asarray, params))


def _first_guess(lr: jax.Array, spec: Spec, shape: tuple[int, ...]) -> jax.Array:
    """The LR image enlarged through a narrow Gaussian at the kernel's place: right for either centre and boundary."""
    variance = jnp.full(2, (0.5 * spec.scale) ** 2, lr.dtype)
    kernel = gaussian_kernel(variance, jnp.zeros((), lr.dtype), kernel_size=spec.kernel_size, center=spec.center)
    spread = functools.partial(
        adjoint, kernel=kernel, scale=spec.scale, boundary=spec.boundary, image_shape=(*shape[:2], lr.shape[-1])
    )
    # Far from all samples of a canvas the weights vanish: there it is the mean colour.
    floor = 1e-3 / spec.scale**2
    return (spread(lr) + floor * lr.mean((0, 1))) / (spread(jnp.ones_like(lr)) + floor)


def build(
    spec: Spec,
    *,
    num_steps: int,
    weights: Annotated[str, rules.FILE] = "small",
    first_time: Annotated[int, rules.whole(1, NUM_STEPS - 1)] = NUM_STEPS - 1,
    method: Annotated[str, rules.choice(*steps.METHODS)] = "ddpm",
    eta: Annotated[float, rules.number(0, 1)] = 1.0,
    data: Annotated[str, rules.choice(*DATA)] = "exact",
    weight: Annotated[float | None, rules.optional(rules.above(0, 1e9))] = None,
    noise_std: Annotated[float, rules.above(0, 1)] = 0.01,
    step_size: Annotated[float, rules.above(0, 10)] = 1.0,
    iterations: Annotated[int, rules.whole(1, 1000)] = 20,
    samples: Annotated[int, rules.whole(1, 1024)] = 1,
    label: Annotated[int | None, rules.optional(rules.whole(0, 10**6))] = None,
    tile: Annotated[int, rules.whole(_SMALLEST_SIDE, 4096)] = 256,
    overlap: Annotated[int, rules.whole(0, 4095)] = 64,
) -> ImageModel:
    """A diffusion image half.

    Args:
      spec: the problem's static part.
      num_steps: of the chain, which is also that of the solve.
      weights: a shipped prior, or a .npz file of launch/train_diffusion.py or launch/convert.py.
      first_time: where the chain begins, of 999; below that it begins at the enlarged LR image with noise.
      method: 'ddpm' draws each step from its posterior, 'ddim' keeps 1 - eta of the noise.
      eta: of DDIM.
      data: how the sharp image is refined: 'exact' minimises |y - A x|^2 + w |x - x0|^2 (a closed form for 'circular',
        conjugate gradients for 'valid'), 'gradient' takes one step down |y - A x|^2 (the paper's eq. 23).
      weight: w; None weighs the LR image's noise against that of the step, noise_std^2 / var(x0).
      noise_std: what the LR image's noise and an imperfect kernel make of the residual, on the scale of [0, 1].
      step_size: of 'gradient', in the largest that is safe, s^2 / 2.
      iterations: of conjugate gradients.
      samples: drawn side by side under one kernel; their mean is the result, their standard deviation its uncertainty.
      label: class for a network that has classes.
      tile: side of the tiles, in pixels, that a larger canvas is cut into.
      overlap: of neighbouring tiles, which are blended.

    Raises:
      ValueError: an unknown choice, or weights that cannot be used; one sentence.
    """
    for name, value, known in (("data", data, DATA), ("method", method, steps.METHODS)):
        if value not in known:
            raise ValueError(f"config.image.{name} is {value!r}, expected one of {', '.join(known)}")
    if not noise_std > 0:
        raise ValueError(f"config.image.noise_std is {noise_std!r}, expected a number above 0")
    if num_steps > first_time:
        raise ValueError(f"num_steps is {num_steps}, expected at most config.image.first_time = {first_time}")
    if 2 * overlap > tile:  # many tiles that are hardly new
        raise ValueError(f"config.image.overlap is {overlap}, expected at most half of config.image.tile = {tile}")
    network, arrays = _load(weights)
    if label is not None and not (network.num_classes and 0 <= label < network.num_classes):
        raise ValueError(f"config.image.label is {label}, expected None or a class of the {network.num_classes or 0}")
    settings = Settings(
        spec=spec,
        network=network,
        chain=make_schedule(kept=np.linspace(0, first_time, num_steps).round().astype(int)),
        method=method,
        eta=eta,
        data=data,
        weight=weight,
        noise_std=noise_std,
        step_size=step_size,
        iterations=iterations,
        samples=samples,
        label=label,
        tile=tile,
        overlap=overlap,
    )
    functions = (functools.partial(function, settings) for function in (_init, _predict, _update))
    return ImageModel(*functions, _SMALLEST_SIDE, arrays, samples > 1, num_steps)


def _init(settings: Settings, key: jax.Array, problem: Problem) -> DiffusionState:
    h, w, _ = problem.canvas_shape
    lr = jnp.broadcast_to(problem.lr, (*problem.lr.shape[:2], 3))
    guess = denoiser.to_network(_first_guess(lr, settings.spec, problem.canvas_shape))
    noise = jax.random.normal(key, (settings.samples, h, w, 3), lr.dtype)
    top = jnp.int32(settings.chain.num_steps - 1)
    return DiffusionState(steps.q_sample(settings.chain, top, guess, noise), top)


def _predict(settings: Settings, state: DiffusionState, problem: Problem, params: Any) -> tuple[jax.Array, jax.Array]:
    """The image (H, W, c) that the network sees, and each sample's, (m, H, W, 3) in [0, 1]."""
    chain, samples, label = settings.chain, settings.samples, settings.label
    t = steps.times(chain, state.index, samples, state.x.dtype)
    labels = None if label is None else jnp.full(samples, label)

    def noise_of(x):
        return denoiser.noise_of(settings.network, params, x, t, labels)

    eps = denoiser.tiled(noise_of, state.x, tile=settings.tile, overlap=settings.overlap)
    clean = denoiser.from_network(jnp.clip(steps.predict_x0(chain, state.index, state.x, eps), -1, 1))
    return _colours(clean.mean(0), problem), clean


def _refine(settings: Settings, clean: jax.Array, lr: jax.Array, kernel: jax.Array, index: jax.Array) -> jax.Array:
    """A sharp image (H, W, 3) held to the LR image, at a step of the chain."""
    spec, weight = settings.spec, settings.weight
    if settings.data == "gradient":
        return proximal.gradient_step(clean, lr, kernel, settings.step_size * spec.scale**2 / 2, spec=spec)
    std = jnp.asarray(settings.chain.sqrt_recipm1_alphas_cumprod, lr.dtype)[index] / 2
    w = (settings.noise_std / std) ** 2 if weight is None else weight
    return proximal.solve_data(clean, lr, kernel, w, spec=spec, num_iterations=settings.iterations)


def _update(
    settings: Settings,
    key: jax.Array,
    state: DiffusionState,
    image: jax.Array,
    clean: jax.Array,
    kernel: jax.Array,
    problem: Problem,
    context: StepContext,
) -> tuple[DiffusionState, ImageInfo]:
    del image, context
    spec = settings.spec
    lr = jnp.broadcast_to(problem.lr, (*problem.lr.shape[:2], 3))
    refined = jax.vmap(lambda x: _refine(settings, x, lr, kernel, state.index))(clean).astype(clean.dtype)
    noise = jax.random.normal(key, refined.shape, refined.dtype)
    is_ddim = settings.method == "ddim"
    move = functools.partial(steps.ddim_step, eta=settings.eta) if is_ddim else steps.ddpm_step
    x = move(settings.chain, state.index, state.x, denoiser.to_network(refined), noise)
    estimate = _colours(refined.mean(0), problem)
    residual = mse(degrade(estimate, kernel, scale=spec.scale, boundary=spec.boundary), problem.lr)
    image_std = jnp.sqrt(refined.var(0, ddof=1).mean(-1)) if settings.samples > 1 else None
    return DiffusionState(x, state.index - 1), ImageInfo(residual, residual, estimate, image_std)


def _colours(x: jax.Array, problem: Problem) -> jax.Array:
    """Gray problems are solved as colours that are all equal: (H, W, 3) to the problem's channels."""
    return x if problem.lr.shape[-1] == 3 else x.mean(-1, keepdims=True)
