"""Diffusion: the image is drawn step by step from noise by a trained denoiser, and held to the LR image (Diff-DKP).

Yang et al. 2024 describe a vanilla DDPM whose clean image is refined by the data at each step. What the network thinks
is the sharp image goes to the kernel model; under the kernel that it names the image is refined, and noise that fits
the next step is added. Images are in [0, 1] here; the network's range is known to `diffusion.prior` alone.
"""

import functools
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.diffusion import denoiser, steps
from blindsr_jax.diffusion.schedule import NUM_STEPS, Schedule, jump_walk, make_schedule, moves
from blindsr_jax.imaging import proximal
from blindsr_jax.imaging.degradation import adjoint, degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.interfaces import ImageInfo, ImageModel, StepContext, Weights
from blindsr_jax.networks import classifier
from blindsr_jax.networks.classifier import ClassifierConfig
from blindsr_jax.networks.unet import UNetConfig
from blindsr_jax.weights import classifier as classifier_weights
from blindsr_jax.weights import diffusion as diffusion_weights

DATA = ("exact", "gradient")
_SMALLEST_SIDE = 16
_JUMP = 1  # folded into the key of a step for the noise of the steps up


class DiffusionState(NamedTuple):
    """Samples on their way down the chain."""

    x: jax.Array  # (m, H, W, 3) in [-1, 1] and noisy
    index: jax.Array  # () int32, how many steps come after the next one; -1 at the end


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    network: UNetConfig
    classifier: ClassifierConfig | None  # None: no guidance
    chain: Schedule
    levels: np.ndarray  # (num_steps,) int, by `DiffusionState.index`: where in the chain a step down begins
    climbs: np.ndarray | None  # (num_steps,) int, steps up after it; None: there are no jumps
    method: str  # of steps.METHODS
    eta: float  # of DDIM
    data: str  # of DATA
    weight: float | None  # of the data step; None weighs the noise
    noise_std: float  # on the [0, 1] scale
    step_size: float  # of 'gradient', in the largest that is safe
    iterations: int  # of conjugate gradients
    samples: int
    label: int | None
    guidance_scale: float
    guidance_class: int | None
    tile: int  # px
    overlap: int  # px


class Prediction(NamedTuple):
    """What the networks say of the samples at a step."""

    clean: jax.Array  # (m, H, W, 3) in [0, 1]
    gradient: jax.Array | None  # (m, H, W, 3), of the log probability of the class, for 'ddpm'


@functools.cache
def _load(name: str, classifier: str | None):
    """Configs and weights of a prior and of a classifier; one object per pair, so that programs are shared."""
    config, params = diffusion_weights.load(name)
    judge, judge_params = (None, None) if classifier is None else classifier_weights.read(classifier)
    return config, judge, Weights(jax.device_put((params, judge_params)))


def _first_guess(lr: jax.Array, spec: Spec, shape: tuple[int, ...]) -> jax.Array:
    """The LR image enlarged through a narrow Gaussian at the kernel's place: right for either centre and boundary."""
    variance = jnp.full(2, (0.5 * spec.scale) ** 2, lr.dtype)
    kernel = gaussian_kernel(variance, jnp.zeros((), lr.dtype), kernel_size=spec.kernel_size, center=spec.center)
    enlarged = functools.partial(
        adjoint, kernel=kernel, scale=spec.scale, boundary=spec.boundary, image_shape=(*shape[:2], lr.shape[-1])
    )
    # Far from all samples of a canvas the weights vanish: there it is the mean colour.
    floor = 1e-3 / spec.scale**2
    return (enlarged(lr) + floor * lr.mean((0, 1), keepdims=True)) / (enlarged(jnp.ones_like(lr)) + floor)


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
    guidance_weights: Annotated[str | None, rules.optional(rules.FILE)] = None,
    guidance_scale: Annotated[float, rules.number(0, 1e6)] = 0.0,
    guidance_class: Annotated[int | None, rules.optional(rules.whole(0, 10**6))] = None,
    jump_length: Annotated[int, rules.whole(1, NUM_STEPS)] = 10,
    jump_count: Annotated[int, rules.whole(1, 1000)] = 1,
    tile: Annotated[int, rules.whole(_SMALLEST_SIDE, 4096)] = 256,
    overlap: Annotated[int, rules.whole(0, 4095)] = 64,
) -> ImageModel:
    """A diffusion image model.

    Args:
      spec: the problem's static part.
      num_steps: of the chain, which is also that of the solve.
      weights: a shipped prior, or a .npz file of launch/train_diffusion.py or launch/convert.py.
      first_time: where the chain begins, of 999; below that it begins at the enlarged LR image with noise.
      method: 'ddpm' draws each step from its posterior, 'ddim' keeps 1 - eta of the noise.
      eta: of DDIM.
      data: how the sharp image is refined: 'exact' minimises |y - A x|^2 + w |x - x0|^2 (a closed form for 'circular',
        conjugate gradients for 'valid'), 'gradient' takes one step down |y - A x|^2 (the paper's eq. 23).
      weight: w; None weighs what the residual is made of against the noise of the step, both as variances:
        (noise_std^2 + noise_std^2 of the problem) / var(x0).
      noise_std: what an imperfect kernel makes of the residual, beside the problem's noise, on the scale of [0, 1].
      step_size: of 'gradient', in the largest that is safe, s^2 / 2.
      iterations: of conjugate gradients.
      samples: drawn side by side under one kernel; their mean is the result, their standard deviation its uncertainty.
      label: class for a network that has classes.
      guidance_weights: of a classifier of noisy images, a .npz file of launch/convert.py.
      guidance_scale: how strongly it draws the image to a class (Dhariwal & Nichol 2021); 0 is off.
      guidance_class: that class; needed with a scale above 0, as the weights are.
      jump_length: how far the chain goes back up in a jump, which harmonises image and data (Lugmayr et al. 2022).
      jump_count: how often each stretch of that length is walked down; 1 is off. With jumps the chain has fewer levels,
        so that the solve keeps its number of steps.
      tile: side of the tiles, in pixels, that a larger canvas is cut into.
      overlap: of neighbouring tiles, which are blended.

    Raises:
      ValueError: an unknown choice, or weights that cannot be used.
    """
    _check(data=data, method=method, noise_std=noise_std, tile=tile, overlap=overlap)
    guidance = (guidance_weights, guidance_class) if guidance_scale else None
    network, judge, arrays = _load_checked(weights, label, guidance)
    chain, levels, climbs = _make_walk(num_steps, first_time, jump_length, jump_count)
    settings = Settings(
        spec=spec,
        network=network,
        classifier=judge,
        chain=chain,
        levels=levels,
        climbs=climbs,
        method=method,
        eta=eta,
        data=data,
        weight=weight,
        noise_std=noise_std,
        step_size=step_size,
        iterations=iterations,
        samples=samples,
        label=label,
        guidance_scale=guidance_scale,
        guidance_class=guidance_class,
        tile=tile,
        overlap=overlap,
    )
    functions = (functools.partial(function, settings) for function in (_init, _predict, _update))
    return ImageModel(*functions, _SMALLEST_SIDE, arrays, samples > 1, num_steps, weight is None and data == "exact")


def _check(*, data: str, method: str, noise_std: float, tile: int, overlap: int) -> None:
    for name, value, known in (("data", data, DATA), ("method", method, steps.METHODS)):
        if value not in known:
            raise ValueError(f"config.image.{name} is {value!r}, expected one of {', '.join(known)}")
    if not noise_std > 0:
        raise ValueError(f"config.image.noise_std is {noise_std!r}, expected a number above 0")
    if 2 * overlap > tile:  # many tiles that are hardly new
        raise ValueError(f"config.image.overlap is {overlap}, expected at most half of config.image.tile = {tile}")


def _check_class(name: str, label: int | None, num_classes: int) -> None:
    if label is not None and not 0 <= label < num_classes:
        raise ValueError(f"config.image.{name} is {label}, expected a class of the {num_classes} of its network")


def _load_checked(weights: str, label: int | None, guidance: tuple[str | None, int | None] | None):
    """What `_load` gives, for a class that the prior has and guidance (weights, class) that its classifier has."""
    file, guidance_class = guidance or (None, None)
    for name, value in (("weights", file), ("class", guidance_class)):
        if guidance is not None and value is None:
            raise ValueError(f"config.image.guidance_{name} is None, expected a value with a guidance_scale above 0")
    network, judge, arrays = _load(weights, file)
    _check_class("label", label, network.num_classes or 0)
    if judge is not None:
        _check_class("guidance_class", guidance_class, judge.num_classes)
    return network, judge, arrays


def _make_walk(
    num_steps: int, first_time: int, jump_length: int, jump_count: int
) -> tuple[Schedule, np.ndarray, np.ndarray | None]:
    """The chain, and levels and climbs of `Settings`."""
    if num_steps > first_time:
        raise ValueError(f"num_steps is {num_steps}, expected at most config.image.first_time = {first_time}")
    index, is_up = moves(jump_walk(num_steps, jump_length=jump_length, jump_count=jump_count))
    (downs,) = np.nonzero(~is_up)
    levels, climbs = index[downs][::-1], (np.diff(downs, append=len(index)) - 1)[::-1]
    if jump_count > 1 and not climbs.any():
        raise ValueError(
            f"config.image.jump_count is {jump_count}, expected less with jump_length {jump_length} and num_steps "
            f"{num_steps}"
        )
    chain = make_schedule(kept=np.linspace(0, first_time, levels.max() + 1).round().astype(int))
    return chain, levels, climbs if jump_count > 1 else None


def _level(settings: Settings, state: DiffusionState) -> jax.Array:
    """Where in the chain the samples stand, () int32."""
    return state.index if settings.climbs is None else jnp.asarray(settings.levels)[state.index]


def _init(settings: Settings, key: jax.Array, problem: Problem) -> DiffusionState:
    h, w, _ = problem.canvas_shape
    lr = problem.in_colours().lr
    guess = denoiser.to_network(_first_guess(lr, settings.spec, problem.canvas_shape))
    noise = jax.random.normal(key, (settings.samples, h, w, 3), lr.dtype)
    top = jnp.int32(settings.chain.num_steps - 1)
    return DiffusionState(steps.q_sample(settings.chain, top, guess[None], noise), jnp.int32(len(settings.levels) - 1))


def _predict(settings: Settings, state: DiffusionState, problem: Problem, params: Any) -> tuple[jax.Array, Prediction]:
    """The image (H, W, c) that the networks see, and what they say of each sample."""
    chain, samples, label = settings.chain, settings.samples, settings.label
    params, judge_params = params
    index = _level(settings, state)
    t = steps.times(chain, index, samples, state.x.dtype)
    labels = None if label is None else jnp.full(samples, label)

    def noise_of(x):
        return denoiser.noise_of(settings.network, params, x, t, labels)

    eps = denoiser.tiled(noise_of, state.x, tile=settings.tile, overlap=settings.overlap)
    gradient = None if settings.classifier is None else _gradient(settings, judge_params, state.x, t)
    if gradient is not None and settings.method == "ddim":
        eps, gradient = steps.guided_eps(chain, index, eps, gradient), None
    clean = denoiser.from_network(jnp.clip(steps.predict_x0(chain, index, state.x, eps), -1, 1))
    return _colours(clean.mean(0), problem), Prediction(clean, gradient)


def _gradient(settings: Settings, params: Any, x: jax.Array, t: jax.Array) -> jax.Array:
    """The gradient of the log probability of the class at each sample, times the scale; of the shape of `x`."""
    config, labels = settings.classifier, jnp.full(settings.samples, settings.guidance_class)
    size = config.image_size

    def of_tile(x):
        h, w = x.shape[1:3]
        whole, pullback = jax.vjp(lambda x: jnp.pad(x, ((0, 0), (0, size - h), (0, size - w), (0, 0)), "symmetric"), x)
        return pullback(classifier.guidance(config, params, whole, t, labels).astype(x.dtype))[0]

    return settings.guidance_scale * denoiser.tiled(of_tile, x, tile=size, overlap=size // 4)


def _refine(settings: Settings, clean: jax.Array, problem: Problem, kernel: jax.Array, index: jax.Array) -> jax.Array:
    """A sharp image (H, W, 3) held to the LR image (h, w, 3), at a step of the chain."""
    spec, weight, lr = settings.spec, settings.weight, problem.lr
    if settings.data == "gradient":
        lr = problem.seen(degrade(clean, kernel, scale=spec.scale, boundary=spec.boundary))
        return proximal.gradient_step(clean, lr, kernel, settings.step_size * spec.scale**2 / 2, spec=spec)
    std = jnp.asarray(settings.chain.sqrt_recipm1_alphas_cumprod, lr.dtype)[index] / 2
    measured = 0.0 if problem.noise_std is None else problem.noise_std.astype(lr.dtype)
    w = (settings.noise_std**2 + measured**2) / std**2 if weight is None else weight
    options = {"spec": spec, "num_iterations": settings.iterations, "mask": problem.mask}
    return proximal.solve_data(clean, lr, kernel, w, **options)


def _update(
    settings: Settings,
    key: jax.Array,
    state: DiffusionState,
    image: jax.Array,
    prediction: Prediction,
    kernel: jax.Array,
    problem: Problem,
    context: StepContext,
) -> tuple[DiffusionState, ImageInfo]:
    del image, context
    spec, clean, index = settings.spec, prediction.clean, _level(settings, state)
    shown = problem.in_colours()
    refined = jax.vmap(lambda x: _refine(settings, x, shown, kernel, index))(clean).astype(clean.dtype)
    noise = jax.random.normal(key, refined.shape, refined.dtype)
    if settings.method == "ddim":
        move = functools.partial(steps.ddim_step, eta=settings.eta)
    else:
        move = functools.partial(steps.ddpm_step, gradient=prediction.gradient)
    x = move(settings.chain, index, state.x, denoiser.to_network(refined), noise)
    if settings.climbs is not None:
        x = _climb(settings, jax.random.fold_in(key, _JUMP), x, index, jnp.asarray(settings.climbs)[state.index])
    estimate = _colours(refined.mean(0), problem)
    blurred = degrade(estimate, kernel, scale=spec.scale, boundary=spec.boundary)
    residual = mse(blurred, problem.seen(blurred))
    image_std = jnp.sqrt(refined.var(0, ddof=1).mean(-1)) if settings.samples > 1 else None
    return DiffusionState(x, state.index - 1), ImageInfo(residual, residual, estimate, image_std)


def _climb(settings: Settings, key: jax.Array, x: jax.Array, first: jax.Array, count: jax.Array) -> jax.Array:
    """Samples (m, H, W, 3) after so many steps up, the first of which arrives at level `first`."""

    def up(j, x):
        noise = jax.random.normal(jax.random.fold_in(key, j), x.shape, x.dtype)
        return steps.undo(settings.chain, first + j, x, noise)

    return jax.lax.fori_loop(0, count, up, x)


def _colours(x: jax.Array, problem: Problem) -> jax.Array:
    """Gray problems are solved as colours that are all equal: (H, W, 3) to the problem's channels."""
    return x if problem.lr.shape[-1] == 3 else x.mean(-1, keepdims=True)
