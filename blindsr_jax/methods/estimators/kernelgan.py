"""KernelGAN: the kernel under which the LR image, once more downsampled, looks like itself (Bell-Kligler et al. 2019).

A linear generator downsamples crops of the LR image by two; a discriminator sees 7 x 7 patches and tells them from
those of the LR image. The generator is one convolution (networks.kernelgan), whose kernel is the estimate.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging.degradation import correlate
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference.optimizers import promoting
from blindsr_jax.inference.self_similarity import Candidates, mean_kernels
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.kernels.placement import soft_threshold
from blindsr_jax.methods.estimators import base, crops, gan_losses
from blindsr_jax.methods.estimators.base import SIZE, SMALLEST_SIDE
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.methods.kernel_models.base import round_kernel
from blindsr_jax.networks.kernelgan import Discriminator, implied_kernel, init_generator

CENTER = 6.5  # (k + s) / 2 - 1: what comes out lies over what went in
_STEADY = 3  # steps near the bicubic image before its weight falls
_DISCRIMINATOR = Discriminator()
_ADAM = promoting(optax.scale_by_adam(b1=0.5, b2=0.999))  # for both


class LossWeights(NamedTuple):
    """The weights of the generator's losses that change."""

    bicubic: jax.Array  # ()
    center: jax.Array  # ()
    sparsity: jax.Array  # ()
    near: jax.Array  # () int32, steps in a row near the bicubic image, up to 3; 3 stays


class GanState(NamedTuple):
    """State of the adversarial training."""

    generator: tuple[jax.Array, ...]  # (n, n, ci, co) a layer
    discriminator: Mapping[str, Any]  # 'params' and 'spectral'
    opts: tuple[optax.OptState, optax.OptState]  # of both
    loss_weights: LossWeights
    tables: tuple[jax.Array, jax.Array]  # of crops.crop_tables
    anchor: jax.Array | None  # (SIZE, SIZE), the kernel that the generator is drawn to
    correction: jax.Array | None  # (k, k) of base.unexplained


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    candidates: Candidates | None  # kernels among which the anchor is sought; None does without it
    anchor_weight: float  # weight of the squared distance from the anchor
    learning_rate: float  # of both networks
    decay_every: int  # steps between two falls of it
    crop: int  # LR pixels
    near: float  # mean squared difference of values in [-1, 1]
    sum_weight: float
    sparsity_weight: float
    num_kept: int | None  # entries of the kernel; None only cuts off what is negative
    noise_std: tuple[float, float]  # on real and on generated crops, of values in [-1, 1]
    recolour: bool
    legacy: bool


def initial_loss_weights(dtype: jnp.dtype) -> LossWeights:
    """Until the image is near the bicubic one, that counts most; centre and sparsity do not count."""
    zero = jnp.zeros((), dtype)
    return LossWeights(zero + 5, zero, zero, jnp.int32(0))


def next_loss_weights(
    loss_weights: LossWeights, bicubic: jax.Array, i: jax.Array, *, near: float, sparsity: float = 5.0, every: int = 200
) -> LossWeights:
    """What the weights are after step `i`.

    Once three steps in a row were near the bicubic image, its weight falls to a hundredth in each step divisible by
    `every`, down to 5e-6; as soon as it is below 5e-3, centre and sparsity count.

    Args:
      loss_weights: of step `i`.
      bicubic: () of `gan_losses.bicubic_loss`.
      i: () int32, from 0.
      near: what counts as near.
      sparsity: its weight from then on.
      every: see above.
    """
    steady = loss_weights.near >= _STEADY
    count = jnp.where(steady, loss_weights.near, jnp.where((bicubic < near) & (i > 0), loss_weights.near + 1, 0))
    falls = steady & (i % every == 0)
    weight = jnp.where(falls, jnp.maximum(loss_weights.bicubic / 100, 5e-6), loss_weights.bicubic)
    late = weight < 5e-3
    return LossWeights(
        weight, jnp.where(late, 1, loss_weights.center), jnp.where(late, sparsity, loss_weights.sparsity), count
    )


def generator_loss(
    weights: tuple[jax.Array, ...],
    discriminator: Callable,
    crop: jax.Array,
    loss_weights: LossWeights,
    *,
    sum_weight: float = 0.5,
    anchor: jax.Array | None = None,
    anchor_weight: float = 0.0,
    legacy: bool = False,
) -> tuple[jax.Array, tuple]:
    """The generator's loss.

    Args:
      weights: of the generator.
      discriminator: (h, w, 3) in [-1, 1] -> (map of [0, 1], anything).
      crop: (H, W, 3) in [-1, 1].
      loss_weights: weights of the losses that change.
      sum_weight: of the kernel's sum.
      anchor: (SIZE, SIZE) a kernel whose image takes the place of the bicubic one, or None.
      anchor_weight: weight of the squared distance from it.
      legacy: see `gan_losses.halve`.

    Returns:
      The loss, and a tuple: the adversarial part of it, the bicubic loss, the kernel's part, the small image and what
      else the discriminator gave.
    """
    kernel = implied_kernel(weights)
    small = correlate(crop, kernel, scale=2)
    judged, aux = discriminator(small)
    gan = gan_losses.gan_loss(judged, True)
    if anchor is None:
        bicubic = gan_losses.bicubic_loss(small, crop, legacy=legacy)
    else:
        bicubic = mse(small, correlate(crop, anchor, scale=2))
    shape = sum_weight * gan_losses.sum_loss(kernel) + 0.5 * gan_losses.boundary_loss(kernel)
    shape = shape + loss_weights.center * gan_losses.center_loss(kernel, CENTER)
    shape = shape + loss_weights.sparsity * gan_losses.sparsity_loss(kernel)
    if anchor is not None:
        shape = shape + anchor_weight * jnp.sum((kernel - anchor) ** 2)
    return gan + loss_weights.bicubic * bicubic + shape, (gan, bicubic, shape, small, aux)


def build(
    spec: Spec,
    *,
    family: KernelFamily | None = None,
    num_steps: Annotated[int, rules.STEPS] = 1200,
    anchor_weight: Annotated[float, rules.WEIGHT] = 1000.0,
    learning_rate: Annotated[float, rules.RATE] = 6e-4,
    decay_every: Annotated[int, rules.STEPS] = 400,
    crop: Annotated[int, rules.whole(SMALLEST_SIDE, 4096)] = 48,
    near: Annotated[float, rules.number(0, 4)] = 0.02,
    sum_weight: Annotated[float, rules.WEIGHT] = 5.0,
    sparsity_weight: Annotated[float, rules.WEIGHT] = 5.0,
    num_kept: Annotated[int | None, rules.optional(rules.whole(1, SIZE**2))] = None,
    noise_std: Annotated[tuple[float, float], rules.pair(rules.NOISE)] = (2 / 255, 2 / 255),
    recolour: bool = True,
    legacy: bool = False,
) -> Solver:
    """One step is one step of the generator and one of the discriminator, each on one crop.

    Beyond the paper, the generator is drawn to the kernel of `inference.self_similarity`: alone, adversarial training
    finds the width of a blur only roughly and its direction hardly in images of some 60 pixels, and adds noise to the
    kernel.

    The release has 3000 steps, learning_rate 2e-4, decay_every 750, crop 64, near 0.4, sum_weight 0.5, anchor_weight 0,
    num_kept 40, noise_std (2 / 255, 1 / 255) and recolour False; with that sum_weight some kernels vanish, and smaller
    crops, recoloured, keep the discriminator from knowing a small image by heart.

    Args:
      spec: the problem's static part; scale 2 or 4.
      family: where the kernels come from among which the anchor is sought, `config.prior`.
      num_steps: of the solve, about 3 `decay_every`.
      anchor_weight: of the anchor; 0 does without it.
      learning_rate: of Adam with beta 0.5 and 0.999, for both.
      decay_every: steps after which the learning rate falls to a tenth, three times at most.
      crop: side of the generator's crops, in LR pixels; smaller where the image is.
      near: mean squared difference, of values in [-1, 1], that counts as near the bicubic image. The release has its
        larger one for three colours that it sums by mistake.
      sum_weight: of the loss that keeps the kernel's sum at 1.
      sparsity_weight: of the sparsity of the kernel, once it counts.
      num_kept: entries of the kernel that survive a last thresholding at least, which takes noise off and narrows wide
        kernels; None only cuts off what is negative.
      noise_std: of the noise on real and on generated crops, of values in [-1, 1].
      recolour: see `crops.recolour`.
      legacy: the release's bicubic loss and gradient map, with their mistakes.

    Raises:
      ValueError: another scale, crops too small, or an anchor weight without a family.
    """
    base.check_scale("kernelgan", spec)
    base.check_anchor_weight("kernelgan", anchor_weight, family)
    if crop < SMALLEST_SIDE:
        raise ValueError(f"the estimator 'kernelgan' has crop {crop}, expected at least {SMALLEST_SIDE}")
    settings = Settings(
        spec=spec,
        candidates=base.candidates(family, spec) if anchor_weight else None,
        anchor_weight=anchor_weight,
        learning_rate=learning_rate,
        decay_every=decay_every,
        crop=crop,
        near=near,
        sum_weight=sum_weight,
        sparsity_weight=sparsity_weight,
        num_kept=num_kept,
        noise_std=noise_std,
        recolour=recolour,
        legacy=legacy,
    )
    side = base.smallest_canvas(spec, SMALLEST_SIDE)
    return Solver(partial(_init, settings), partial(_step, settings), side, num_steps=num_steps)


def _sides(settings: Settings, problem: Problem) -> tuple[int, int]:
    """Side of the crops that the generator gets, and of what it makes of them."""
    side = base.crop_side(problem.lr.shape, settings.crop)
    return side, (side - SIZE) // 2 + 1


def _judge(params: Any, spectral: Any, x: jax.Array) -> tuple[jax.Array, Any]:
    """The discriminator's map of an image, and its new spectral state."""
    judged, changed = _DISCRIMINATOR.apply({"params": params, "spectral": spectral}, x, mutable=["spectral"])
    return judged, changed["spectral"]


def _descend(settings: Settings, params: Any, grads: Any, opt: optax.OptState, i: jax.Array) -> tuple[Any, Any]:
    """One step of Adam, whose rate falls as `build` says."""
    rate = settings.learning_rate * 0.1 ** jnp.minimum(i // settings.decay_every, 3).astype(float)
    updates, opt = _ADAM.update(grads, opt)
    return jax.tree.map(lambda p, u: p - rate.astype(u.dtype) * u, params, updates), opt


def _init(settings: Settings, key: jax.Array, problem: Problem, kernel: jax.Array | None = None) -> State:
    del kernel
    spec = settings.spec
    image = base.colour(problem.lr)
    side, small = _sides(settings, problem)
    keys = jax.random.split(key)
    weights = init_generator(keys[0], image.dtype)
    variables = _DISCRIMINATOR.init(keys[1], jnp.zeros((small, small, 3), image.dtype))
    opts = _ADAM.init(weights), _ADAM.init(variables["params"])
    tables = crops.crop_tables(image, side, small, legacy=settings.legacy)
    anchor = correction = None
    if settings.candidates is not None:
        estimate, anchor = mean_kernels(image, settings.candidates)
        correction = base.unexplained(estimate, anchor, spec)
    state = GanState(weights, variables, opts, initial_loss_weights(image.dtype), tables, anchor, correction)
    return State((), state, jnp.zeros(problem.canvas_shape, image.dtype), round_kernel(spec, image.dtype))


def _discriminator_loss(params: Any, spectral: Any, real: jax.Array, fake: jax.Array) -> tuple[jax.Array, Any]:
    on_real, changed = _judge(params, spectral, real)
    on_fake, changed = _judge(params, changed, fake)
    return (gan_losses.gan_loss(on_real, True) + gan_losses.gan_loss(on_fake, False)) / 2, changed


def _estimate(settings: Settings, weights: tuple[jax.Array, ...], correction: jax.Array | None) -> jax.Array:
    """The kernel (k, k) of the problem that a generator stands for."""
    kernel, num_kept = implied_kernel(weights), settings.num_kept
    kernel = jnp.maximum(kernel, 0) if num_kept is None else soft_threshold(kernel, num_kept)
    return (
        base.finish(kernel, settings.spec) if correction is None else base.carry_over(kernel, correction, settings.spec)
    )


def _step(settings: Settings, key: jax.Array, state: State, problem: Problem, i: jax.Array) -> tuple[State, dict]:
    gan, image = state.kernel_state, 2 * base.colour(problem.lr) - 1
    side, small = _sides(settings, problem)
    keys = jax.random.split(jax.random.fold_in(key, i), 7)
    large = crops.draw_crops(keys[0], image, gan.tables[0], side, 1)[0]
    real = crops.draw_crops(keys[1], image, gan.tables[1], small, 1)[0]
    params, spectral = gan.discriminator["params"], gan.discriminator["spectral"]

    (_, (loss, bicubic, shape, fake, spectral)), grads = jax.value_and_grad(generator_loss, has_aux=True)(
        gan.generator,
        partial(_judge, params, spectral),
        large,
        gan.loss_weights,
        sum_weight=settings.sum_weight,
        anchor=gan.anchor,
        anchor_weight=settings.anchor_weight,
        legacy=settings.legacy,
    )
    generator, g_opt = _descend(settings, gan.generator, grads, gan.opts[0], i)
    real, fake = (
        x + std * jax.random.normal(k, x.shape, x.dtype)
        for x, std, k in zip((real, fake), settings.noise_std, keys[2:4], strict=True)
    )
    if settings.recolour:
        real, fake = crops.recolour(keys[5], real), crops.recolour(keys[6], fake)
    grads, spectral = jax.grad(_discriminator_loss, has_aux=True)(params, spectral, real, fake)
    params, d_opt = _descend(settings, params, grads, gan.opts[1], i)

    loss_weights = next_loss_weights(
        gan.loss_weights, bicubic, i, near=settings.near, sparsity=settings.sparsity_weight
    )
    variables = {"params": params, "spectral": spectral}
    changed = GanState(generator, variables, (g_opt, d_opt), loss_weights, gan.tables, gan.anchor, gan.correction)
    estimate = _estimate(settings, generator, gan.correction)
    return State((), changed, state.image, estimate), {"loss": loss, "residual": bicubic, "kernel_loss": shape}
