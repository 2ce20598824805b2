"""KernelGAN-FKP: KernelGAN where the kernel is made by a trained flow (Liang et al. 2021, sec. 4.2).

The generator's only unknown is the flow's code, on a sphere; the discriminator is a critic of patches, with a gradient
penalty (Gulrajani et al. 2017).
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging.degradation import correlate
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import sphere
from blindsr_jax.inference.optimizers import promoting
from blindsr_jax.inference.self_similarity import Candidates, mean_kernels
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.kernels.placement import place
from blindsr_jax.methods.estimators import base, crops, gan_losses
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.methods.kernel_models.base import round_kernel
from blindsr_jax.networks import kernel_flow
from blindsr_jax.networks.kernelgan import PatchCritic
from blindsr_jax.weights import flow as flow_weights

REACH = 11  # of the critic
_PENALTY = 0.1
_CRITIC = PatchCritic()


class GanState(NamedTuple):
    """State of the adversarial training."""

    code: jax.Array  # (D,)
    critic: Any
    opts: tuple[optax.OptState, optax.OptState]  # of both
    tables: tuple[jax.Array, jax.Array]  # of crops.crop_tables
    anchor: jax.Array | None  # (m, m), the kernel that the code's is drawn to


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    flow: kernel_flow.Flow  # for x2
    candidates: Candidates | None  # kernels among which the anchor is sought; None does without it
    anchor_weight: float  # weight of the squared distance from the anchor
    batch: int  # crops of each kind
    moves: int  # steps of the critic, and of the code, in one step
    crop: int  # LR pixels
    code_adam: optax.GradientTransformation
    critic_adam: optax.GradientTransformation
    radius: float  # of the sphere that the code lies on
    per_pixel: bool  # how the gradient penalty is taken
    normalize: bool  # kernels sum to 1
    num_starts: int  # random codes that a start is chosen from
    recolour: bool

    @property
    def size(self) -> int:
        """Of the flow's kernels."""
        return kernel_flow.kernel_size(self.flow)


def shrink(large: jax.Array, kernel: jax.Array) -> jax.Array:
    """The generator: VALID correlation of crops (N, H, W, C) with a kernel (k, k), every second sample."""
    n, h, w, c = large.shape
    flat = jnp.moveaxis(large, 0, 2).reshape(h, w, n * c)
    small = correlate(flat, kernel, scale=2)
    return jnp.moveaxis(small.reshape(*small.shape[:2], n, c), 2, 0)


def critic_loss(
    params: Any, critic: PatchCritic, real: jax.Array, fake: jax.Array, mix: jax.Array, *, per_pixel: bool = True
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    """Wasserstein loss of the critic with a gradient penalty.

    Args:
      params: variables of the critic.
      critic: the module.
      real: (N, h, w, C) crops of the LR image.
      fake: (N, h, w, C) of the generator.
      mix: () the share of the real ones where the gradient is looked at.
      per_pixel: see `gan_losses.gradient_penalty`.

    Returns:
      The loss, and a pair: how much higher the critic values real crops, and the penalty.
    """
    smooth = critic.clone(method="im2col")  # has second derivatives
    gap = jnp.mean(critic.apply(params, real)) - jnp.mean(critic.apply(params, fake))
    middle = mix * real + (1 - mix) * fake
    axis = -1 if per_pixel else None
    penalty = gan_losses.gradient_penalty(lambda x: smooth.apply(params, x), middle, axis=axis)
    return _PENALTY * penalty - gap, (gap, penalty)


def flow_kernel(flow: kernel_flow.Flow, code: jax.Array, *, normalize: bool = True) -> jax.Array:
    """Kernel (k, k) of a code (k * k,), without what dequantisation added and of unit sum unless `normalize` is off."""
    v, _ = kernel_flow.decode(flow, code)
    normalization = jnp.asarray(flow.normalization, code.dtype)
    kernel = kernel_flow.to_kernel(v, normalization)
    return geometry.normalize(kernel - kernel_flow.pedestal(normalization), clip=True) if normalize else kernel


def build(
    spec: Spec,
    *,
    family: KernelFamily | None = None,
    num_steps: Annotated[int, rules.STEPS] = 100,
    anchor_weight: Annotated[float, rules.WEIGHT] = 100.0,
    weights: Annotated[str, rules.FILE] = "gaussian",
    batch: Annotated[int, rules.whole(1, 1024)] = 4,
    moves: Annotated[int, rules.whole(1, 1000)] = 3,
    crop: Annotated[int, rules.whole(1, 4096)] = 48,
    code_rate: Annotated[float, rules.RATE] = 1e-3,
    critic_rate: Annotated[float, rules.RATE] = 5e-4,
    radius: Annotated[float | None, rules.optional(rules.above(0, 1e6))] = None,
    per_pixel: bool = True,
    normalize: bool = True,
    num_starts: Annotated[int, rules.DRAWS] = 256,
    recolour: bool = True,
) -> Solver:
    """One step is `moves` steps of the critic and then as many of the code, all on one batch of crops.

    Beyond the paper, the code starts near the kernel of `inference.self_similarity` and is drawn to it, as in
    `estimators.kernelgan`.

    The release makes 1000 steps at x2 and 4000 at x4, with batch 64, crop 64, both rates 5e-4 and
    recolour False; its three steps of the code share one gradient by mistake, and its one start is a seed that was
    chosen for a smooth kernel.

    Args:
      spec: the problem's static part; scale 2 or 4. The flow is always one for x2.
      family: where the kernels come from among which the anchor is sought, `config.prior`.
      num_steps: of the solve.
      anchor_weight: weight of the squared distance from it; 0 does without it.
      weights: a kernel family, for its shipped flow, or the .npz file of a flow.
      batch: crops of each kind in a step.
      moves: see above.
      crop: side of the generator's crops, in LR pixels; smaller where the image is.
      code_rate: of Adam with beta 0.5 and 0.999, for the code.
      critic_rate: for the critic.
      radius: of the sphere; None is k - 1 with the flow's k.
      per_pixel: see `gan_losses.gradient_penalty`.
      normalize: kernels sum to 1 and lose what dequantisation added; the release does neither.
      num_starts: the code starts as the one, of so many random ones, whose kernel is nearest to the anchor. Without
        an anchor that is a round Gaussian as wide as FKP's kernels of the problem's scale are on average; at x4, most
        kernels of the flow are too wide.
      recolour: see `crops.recolour`.

    Raises:
      ValueError: another scale, no such flow, crops too small, or an anchor weight without a family.
    """
    base.check_scale("kernelgan_fkp", spec)
    base.check_anchor_weight("kernelgan_fkp", anchor_weight, family)
    flow = flow_weights.load(weights, 2)
    size = kernel_flow.kernel_size(flow)
    smallest = 2 * (REACH - 1) + size + 1
    if crop < smallest or batch < 1 or moves < 1:
        raise ValueError(
            f"the estimator 'kernelgan_fkp' has crop {crop}, batch {batch} and moves {moves}, expected at least "
            f"{smallest}, 1 and 1"
        )
    radius = size - 1.0 if radius is None else radius
    settings = Settings(
        spec=spec,
        flow=flow,
        candidates=base.candidates(family, spec) if anchor_weight else None,
        anchor_weight=anchor_weight,
        batch=batch,
        moves=moves,
        crop=crop,
        code_adam=sphere.on_sphere(promoting(optax.adam(code_rate, b1=0.5, b2=0.999)), radius),
        critic_adam=promoting(optax.adam(critic_rate, b1=0.5, b2=0.999)),
        radius=radius,
        per_pixel=per_pixel,
        normalize=normalize,
        num_starts=num_starts,
        recolour=recolour,
    )
    side = base.smallest_canvas(spec, smallest)
    return Solver(partial(_init, settings), partial(_step, settings), side, num_steps=num_steps)


def _sides(settings: Settings, lr_shape: tuple[int, ...]) -> tuple[int, int]:
    """Side of the crops that the generator gets, and of what it makes of them."""
    side = base.crop_side(lr_shape, settings.crop)
    return side, (side - settings.size) // 2 + 1


def _anchor(settings: Settings, image: jax.Array) -> jax.Array | None:
    """The kernel (m, m) that the code's is drawn to."""
    if settings.candidates is None:
        return None
    size = settings.size
    return place(mean_kernels(image, settings.candidates)[1], geometry.center(size, 2, "release"), size)


def _initial_code(settings: Settings, key: jax.Array, anchor: jax.Array | None, dtype: jnp.dtype) -> jax.Array:
    """The random code (D,) whose kernel is nearest to the anchor, or to a round Gaussian."""
    spec = settings.spec
    codes = jax.random.normal(key, (settings.num_starts, settings.size**2), dtype)
    codes = sphere.project(codes, settings.radius)

    def distance(code):
        kernel = flow_kernel(settings.flow, code)
        if anchor is None:
            return jnp.sum((base.finish(kernel, spec) - round_kernel(spec, dtype)) ** 2)
        return jnp.sum((kernel - anchor) ** 2)

    return codes[jnp.argmin(jax.lax.map(distance, codes, batch_size=32))]


def _augment(settings: Settings, key: jax.Array, x: jax.Array) -> jax.Array:
    # The critic takes [0, 1] for [-1, 1].
    return crops.recolour(key, x - 0.5) + 0.5 if settings.recolour else x


def _init(settings: Settings, key: jax.Array, problem: Problem, kernel: jax.Array | None = None) -> State:
    del kernel
    image = base.colour(problem.lr)
    side, small = _sides(settings, problem.lr.shape)
    keys = jax.random.split(key)
    anchor = _anchor(settings, image)
    code = _initial_code(settings, keys[0], anchor, image.dtype)
    params = _CRITIC.init(keys[1], jnp.zeros((1, small, small, 3), image.dtype))
    opts = settings.code_adam.init(code), settings.critic_adam.init(params)
    state = GanState(code, params, opts, crops.crop_tables(image, side, small), anchor)
    return State((), state, jnp.zeros(problem.canvas_shape, image.dtype), round_kernel(settings.spec, image.dtype))


def _train_critic(
    settings: Settings, key: jax.Array, params: Any, opt: optax.OptState, real: jax.Array, fake: jax.Array
) -> tuple[Any, optax.OptState, tuple[jax.Array, jax.Array]]:
    """The critic and its optimiser after `moves` steps, and what the last one gave beside the loss."""

    def body(carry, key):
        params, opt = carry
        mix = jax.random.uniform(key, (), real.dtype)
        grads, aux = jax.grad(critic_loss, has_aux=True)(params, _CRITIC, real, fake, mix, per_pixel=settings.per_pixel)
        updates, opt = settings.critic_adam.update(grads, opt, params)
        return (optax.apply_updates(params, updates), opt), aux

    carry, aux = jax.lax.scan(body, (params, opt), jax.random.split(key, settings.moves))
    return *carry, jax.tree.map(lambda x: x[-1], aux)


def _code_loss(
    settings: Settings, code: jax.Array, key: jax.Array, params: Any, large: jax.Array, anchor: jax.Array | None
) -> jax.Array:
    kernel = flow_kernel(settings.flow, code, normalize=settings.normalize)
    value = jnp.mean(_CRITIC.apply(params, _augment(settings, key, shrink(large, kernel))))
    return -value if anchor is None else settings.anchor_weight * jnp.sum((kernel - anchor) ** 2) - value


def _train_code(
    settings: Settings, key: jax.Array, gan: GanState, params: Any, large: jax.Array
) -> tuple[jax.Array, optax.OptState]:
    """The code and its optimiser after `moves` steps against a critic."""

    def body(carry, _):
        code, opt = carry
        grads = jax.grad(partial(_code_loss, settings))(code, key, params, large, gan.anchor)
        updates, opt = settings.code_adam.update(grads, opt, code)
        return (optax.apply_updates(code, updates), opt), None

    return jax.lax.scan(body, (gan.code, gan.opts[0]), length=settings.moves)[0]


def _step(settings: Settings, key: jax.Array, state: State, problem: Problem, i: jax.Array) -> tuple[State, dict]:
    gan, image, flow = state.kernel_state, base.colour(problem.lr), settings.flow
    side, small = _sides(settings, problem.lr.shape)
    keys = jax.random.split(jax.random.fold_in(key, i), 6)
    large = crops.draw_crops(keys[0], image, gan.tables[0], side, settings.batch)
    real = crops.draw_crops(keys[1], image, gan.tables[1], small, settings.batch)
    real = _augment(settings, keys[3], real)
    fake = _augment(settings, keys[4], shrink(large, flow_kernel(flow, gan.code, normalize=settings.normalize)))
    params, critic_opt, (gap, penalty) = _train_critic(settings, keys[2], gan.critic, gan.opts[1], real, fake)
    code, code_opt = _train_code(settings, keys[5], gan, params, large)
    estimate = base.finish(flow_kernel(flow, code), settings.spec)
    changed = GanState(code, params, (code_opt, critic_opt), gan.tables, gan.anchor)
    trace = {"loss": gap, "residual": penalty, "kernel_loss": jnp.zeros((), image.dtype)}
    return State((), changed, state.image, estimate), trace
