"""KernelGAN-FKP: KernelGAN's game, the kernel being made by a trained flow (Liang et al. 2021, sec. 4.2).

The generator's only unknown is the flow's code, on a sphere; the discriminator is a critic of patches, with a gradient
penalty (Gulrajani et al. 2017).
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging.degradation import correlate
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference import sphere
from blindsr_jax.inference.self_similarity import mean_kernels
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.kernels.placement import place
from blindsr_jax.methods.estimators import base, crops, gan_losses
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.methods.kernel_models.base import round_kernel
from blindsr_jax.networks import kernel_flow
from blindsr_jax.networks.kernelgan import PatchCritic
from blindsr_jax.weights import flow as flow_weights

NUM_STEPS = 100  # the release: 1000 at x2, 4000 at x4
REACH = 11  # of the critic
_PENALTY = 0.1


class GameState(NamedTuple):
    """State of the game."""

    code: jax.Array  # (D,)
    critic: Any
    opts: tuple[optax.OptState, optax.OptState]  # of both
    tables: tuple[jax.Array, jax.Array]  # of crops.crop_tables
    first: jax.Array | None  # (m, m), the kernel that the code's is drawn to


def shrink(fathers: jax.Array, kernel: jax.Array) -> jax.Array:
    """The generator: VALID correlation of crops (N, H, W, C) with a kernel (k, k), every second sample."""
    n, h, w, c = fathers.shape
    flat = jnp.moveaxis(fathers, 0, 2).reshape(h, w, n * c)
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
    smooth = critic.clone(method="stack")  # has second derivatives
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
    pull: Annotated[float, rules.WEIGHT] = 100.0,
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

    Meant for about 100 steps. The release makes 1000 at x2 and 4000 at x4, with batch 64, crop 64, both rates 5e-4 and
    recolour False; its three steps of the code share one gradient by mistake, and its one start is a seed that was
    chosen for a smooth kernel.

    Args:
      spec: the problem's static part; scale 2 or 4. The flow is always one for x2.
      family: where the kernels come from among which the first one is sought, `config.prior`.
      pull: weight of the squared distance from it; 0 does without it.
      weights: a kernel family, for its shipped flow, or the .npz file of a flow.
      batch: crops of each kind in a step.
      moves: see above.
      crop: side of the generator's crops, in LR pixels; smaller where the image is.
      code_rate: of Adam with beta 0.5 and 0.999, for the code.
      critic_rate: for the critic.
      radius: of the sphere; None is k - 1 with the flow's k.
      per_pixel: see `gan_losses.gradient_penalty`.
      normalize: kernels sum to 1 and lose what dequantisation added; the release does neither.
      num_starts: the code starts as the one, of so many random ones, whose kernel is nearest to the first one. Without
        a pull that is a round Gaussian as wide as FKP's kernels of the problem's scale are on average; at x4, most
        kernels of the flow are too wide.
      recolour: see `crops.recolour`.

    Raises:
      ValueError: another scale, no such flow, crops too small, or a pull without a family; one sentence.
    """
    base.check_scale("kernelgan_fkp", spec)
    base.check_pull("kernelgan_fkp", pull, family)
    flow = flow_weights.load(weights, 2)
    size = kernel_flow.kernel_size(flow)
    smallest = 2 * (REACH - 1) + size + 1
    if crop < smallest or batch < 1 or moves < 1:
        raise ValueError(
            f"the estimator 'kernelgan_fkp' has crop {crop}, batch {batch} and moves {moves}, expected at least "
            f"{smallest}, 1 and 1"
        )
    radius = size - 1.0 if radius is None else radius
    candidates = base.candidates(family, spec) if pull else None
    critic = PatchCritic()
    code_adam = sphere.on_sphere(optax.adam(code_rate, b1=0.5, b2=0.999), radius)
    critic_adam = optax.adam(critic_rate, b1=0.5, b2=0.999)

    def sides(lr_shape):
        side = base.crop_side(lr_shape, crop)
        return side, (side - size) // 2 + 1

    def find_first(image):
        if candidates is None:
            return None
        return place(mean_kernels(image, candidates)[1], geometry.center(size, 2, "release"), size)

    def first_code(key, first, dtype):
        codes = sphere.project(jax.random.normal(key, (num_starts, size**2), dtype), radius)

        def distance(code):
            kernel = flow_kernel(flow, code)
            if first is None:
                return jnp.sum((base.finish(kernel, spec) - round_kernel(spec, dtype)) ** 2)
            return jnp.sum((kernel - first) ** 2)

        return codes[jnp.argmin(jax.lax.map(distance, codes, batch_size=32))]

    def augment(key, x):
        # The critic takes [0, 1] for [-1, 1].
        return crops.recolour(key, x - 0.5) + 0.5 if recolour else x

    def init(key, problem: Problem, kernel=None):
        del kernel
        image = base.colour(problem.lr)
        side, small = sides(problem.lr.shape)
        keys = jax.random.split(key)
        first = find_first(image)
        code = first_code(keys[0], first, image.dtype)
        params = critic.init(keys[1], jnp.zeros((1, small, small, 3), image.dtype))
        opts = code_adam.init(code), critic_adam.init(params)
        state = GameState(code, params, opts, crops.crop_tables(image, side, small), first)
        return State((), state, jnp.zeros(problem.canvas_shape, image.dtype), round_kernel(spec, image.dtype))

    def train_critic(key, params, opt, real, fake):
        def body(carry, key):
            params, opt = carry
            mix = jax.random.uniform(key, (), real.dtype)
            grads, told = jax.grad(critic_loss, has_aux=True)(params, critic, real, fake, mix, per_pixel=per_pixel)
            updates, opt = critic_adam.update(grads, opt, params)
            return (optax.apply_updates(params, updates), opt), told

        carry, told = jax.lax.scan(body, (params, opt), jax.random.split(key, moves))
        return *carry, jax.tree.map(lambda x: x[-1], told)

    def train_code(key, code, opt, params, fathers, first):
        def loss_of(code):
            kernel = flow_kernel(flow, code, normalize=normalize)
            value = jnp.mean(critic.apply(params, augment(key, shrink(fathers, kernel))))
            return -value if first is None else pull * jnp.sum((kernel - first) ** 2) - value

        def body(carry, _):
            code, opt = carry
            updates, opt = code_adam.update(jax.grad(loss_of)(code), opt, code)
            return (optax.apply_updates(code, updates), opt), None

        return jax.lax.scan(body, (code, opt), length=moves)[0]

    def step(key, state: State, problem: Problem, i):
        game, image = state.kernel_state, base.colour(problem.lr)
        side, small = sides(problem.lr.shape)
        keys = jax.random.split(jax.random.fold_in(key, i), 6)
        fathers = crops.draw_crops(keys[0], image, game.tables[0], side, batch)
        real = crops.draw_crops(keys[1], image, game.tables[1], small, batch)
        real = augment(keys[3], real)
        fake = augment(keys[4], shrink(fathers, flow_kernel(flow, game.code, normalize=normalize)))
        params, critic_opt, (gap, penalty) = train_critic(keys[2], game.critic, game.opts[1], real, fake)
        code, code_opt = train_code(keys[5], game.code, game.opts[0], params, fathers, game.first)
        estimate = base.finish(flow_kernel(flow, code), spec)
        moved = GameState(code, params, (code_opt, critic_opt), game.tables, game.first)
        trace = {"loss": gap, "residual": penalty, "kernel_loss": jnp.zeros((), image.dtype)}
        return State((), moved, state.image, estimate), trace

    return Solver(init, step, base.smallest_canvas(spec, smallest))
