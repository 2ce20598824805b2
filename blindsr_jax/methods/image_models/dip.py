"""Deep image prior: the image is the output of an untrained network, fitted to one LR image.

Ulyanov et al. 2018; loss and settings of DIP-DKP (Yang et al. 2024).
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging.conv import METHODS
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import data_loss, hyper_laplacian, mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import langevin
from blindsr_jax.methods.interfaces import ImageInfo, ImageModel, StepContext
from blindsr_jax.networks.layers import PRECISIONS, Compute
from blindsr_jax.networks.skip import SkipNet, smallest_side


class DipState(NamedTuple):
    """State of the image network."""

    params: Any
    opt: optax.OptState
    noise: jax.Array  # (H, W, c), its fixed input


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    optimizer: optax.GradientTransformationExtraArgs
    channels: int
    skip_channels: int
    levels: int
    first_nonlocal: int  # first level with a non-local block
    gradient_weight: float  # of the hyper-Laplacian term
    compute: Compute  # form and precision of the network's products
    checkpoint: bool


def build(
    spec: Spec,
    *,
    channels: Annotated[int, rules.whole(2, 4096)] = 128,
    skip_channels: Annotated[int, rules.whole(1, 4096)] = 16,
    levels: Annotated[int, rules.whole(1, 10)] = 5,
    first_nonlocal: Annotated[int, rules.whole(0, 10)] = 2,
    learning_rate: Annotated[float, rules.RATE] = 5e-3,
    gradient_weight: Annotated[float, rules.WEIGHT] = 2e-4,
    conv: Annotated[str, rules.choice(*METHODS)] = "auto",
    precision: Annotated[str, rules.choice(*PRECISIONS)] = "float32",
    checkpoint: bool = False,
    langevin_temperature: langevin.Temperature = 0.0,
    cooling_steps: langevin.CoolingSteps = None,
) -> ImageModel:
    """A DIP image model; the defaults are those of the DIP-DKP release.

    Args:
      spec: the problem's static part.
      channels: of the network's maps.
      skip_channels: of its skip branches.
      levels: number of halvings.
      first_nonlocal: first level with a non-local block; `levels` for none.
      learning_rate: of Adam.
      gradient_weight: factor of the hyper-Laplacian term, which is divided by the number of LR entries.
      conv: form of the network's convolutions, see `imaging.conv`.
      precision: of the network's products, 'float32', 'tf32' (a GPU's) or 'bfloat16' (activations and weights as they
        are used); parameters, statistics, losses and all that concerns the kernel keep the precision of the problem.
      checkpoint: keep only what lies between the network's levels for the gradient, and compute the rest again. It
        saves nothing on a CPU, whose compiler finds that the same is computed twice and keeps it.
      langevin_temperature: of the noise that makes a sampler of the descent, in units of the loss; 0 adds none. See
        `langevin.noisy_adam`.
      cooling_steps: steps over which it falls to 0; None keeps it.

    Raises:
      ValueError: an unknown choice, or a form that bfloat16 is too coarse for.
    """
    compute = Compute(conv, precision)
    for name, value, known in (("conv", conv, METHODS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ValueError(f"config.image.{name} is {value!r}, expected one of {', '.join(known)}")
    if conv == "winograd" and precision == "bfloat16":
        raise ValueError("config.image.conv is 'winograd', expected another one with precision 'bfloat16'")
    settings = Settings(
        spec=spec,
        optimizer=langevin.noisy_adam(learning_rate, temperature=langevin_temperature, cooling_steps=cooling_steps),
        channels=channels,
        skip_channels=skip_channels,
        levels=levels,
        first_nonlocal=first_nonlocal,
        gradient_weight=gradient_weight,
        compute=compute,
        checkpoint=checkpoint,
    )
    return ImageModel(
        partial(_init, settings), partial(_predict, settings), partial(_update, settings), smallest_side(levels)
    )


def _network(settings: Settings, channels_out: int) -> SkipNet:
    s = settings
    return SkipNet(s.channels, s.skip_channels, s.levels, channels_out, s.first_nonlocal, s.compute, s.checkpoint)


def _init(settings: Settings, key: jax.Array, problem: Problem) -> DipState:
    noise_key, net_key = jax.random.split(key)
    noise = 0.1 * jax.random.uniform(noise_key, problem.canvas_shape, problem.lr.dtype)
    params = _network(settings, noise.shape[-1]).init(net_key, noise)
    return DipState(params, settings.optimizer.init(params), noise)


def _predict(settings: Settings, state: DipState, problem: Problem) -> tuple[jax.Array, Callable]:
    """The image (H, W, c), and the pullback of the network."""
    del problem
    return jax.vjp(lambda p: _network(settings, state.noise.shape[-1]).apply(p, state.noise), state.params)


def _update(
    settings: Settings,
    key: jax.Array,
    state: DipState,
    image: jax.Array,
    pullback: Callable,
    kernel: jax.Array,
    problem: Problem,
    context: StepContext,
) -> tuple[DipState, ImageInfo]:
    spec = settings.spec

    def loss_of(x):
        prediction = degrade(x, kernel, scale=spec.scale, boundary=spec.boundary)
        prior = settings.gradient_weight * hyper_laplacian(x) / problem.lr.size
        lr = problem.seen(prediction)
        return data_loss(prediction, lr, context.use_ssim) + prior, mse(prediction, lr)

    (loss, residual), image_grad = jax.value_and_grad(loss_of, has_aux=True)(image)
    updates, opt = settings.optimizer.update(pullback(image_grad)[0], state.opt, key=key)
    state = state._replace(params=optax.apply_updates(state.params, updates), opt=opt)
    return state, ImageInfo(loss, residual)
