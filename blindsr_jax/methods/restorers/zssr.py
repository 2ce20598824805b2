"""ZSSR: a small network learns from one LR image how to undo its own blur (Shocher et al. 2018).

The LR image is blurred and downsampled once more with the given kernel, and the network learns the way back; then it
takes the step from the LR image to the unknown one. As used after KernelGAN (Bell-Kligler et al. 2019).
"""

from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from blindsr_jax.config import rules
from blindsr_jax.imaging import tiling
from blindsr_jax.imaging.conv import METHODS
from blindsr_jax.imaging.degradation import add_noise, correlate, degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.imaging.resize import imresize
from blindsr_jax.inference.optimizers import promoting
from blindsr_jax.methods.interfaces import Solver, State
from blindsr_jax.methods.restorers import base
from blindsr_jax.methods.restorers.cubic import enlarge, offset
from blindsr_jax.networks.zssr import ZssrNet, in_strips

_RECORD_EVERY, _RECORDS = 50, 5  # the reconstruction error, and how many of them the line is fitted to
_CHECK_EVERY, _REST, _SMALLEST_RATE = 60, 256, 9e-6
_STRIP = 2**18  # pixels of an image that the network takes at once
_ADAM = promoting(optax.scale_by_adam())


class Rate(NamedTuple):
    """The learning rate and what it depends on."""

    value: jax.Array  # ()
    records: jax.Array  # (5,), the last reconstruction errors
    changed: jax.Array  # () int32, the step of its last change


class ZssrState(NamedTuple):
    """State of the network."""

    params: Any
    opt: optax.OptState
    rate: Rate
    importance: jax.Array  # (h, w), weights of the loss
    loss: jax.Array  # () of the last step


class Settings(NamedTuple):
    """What stays the same during a solve; see `build`."""

    spec: Spec
    network: ZssrNet
    num_steps: int  # the last of them makes the image
    side: int  # of a patch, LR pixels
    learning_rate: float  # of Adam, at first
    noise_std: float  # on blurred patches, on the [0, 1] scale
    back_projections: int
    augment: bool  # turn and mirror patches


def importance(lr: jax.Array) -> jax.Array:
    """Weights of the loss, higher near edges: mean gradients of the gray image over 5 x 5 pixels.

    Args:
      lr: (h, w, c) in [0, 1], at least 2 x 2.

    Returns:
      (h, w), mean 1, zero in a frame of 3 pixels (fewer in an image below 8 x 8); all 1 for a flat image.
    """
    luma = jnp.asarray((0.299, 0.587, 0.114) if lr.shape[-1] == 3 else (1 / lr.shape[-1],) * lr.shape[-1], lr.dtype)
    down, right = jnp.gradient(jnp.sum(lr * luma[None, None], -1))
    # The root has no finite slope at zero; no gradient goes through here.
    size = jnp.pad(jnp.sqrt(down**2 + right**2), 2)
    h, w = lr.shape[:2]
    total = sum(size[i : i + h, j : j + w] for i in range(5) for j in range(5))
    frame = min(3, (min(h, w) - 1) // 2)
    total = jnp.pad(total[frame : h - frame, frame : w - frame], frame)
    mean = jnp.mean(total)
    return jnp.where(mean > 1e-8, total / jnp.maximum(mean, 1e-8), 1)


def next_rate(rate: Rate, i: jax.Array) -> Rate:
    """A tenth of the rate where a line through the last errors no longer falls, by its own standard deviation.

    Looked at every 60 steps, and not within 256 steps of the last change.

    Args:
      rate: with the records that step `i` leaves.
      i: () int32, number of the step.
    """
    n, y = _RECORDS, rate.records
    x = _RECORD_EVERY * (jnp.arange(n, dtype=y.dtype) - (n - 1) / 2)
    slope = jnp.sum(x * y) / jnp.sum(x**2)
    rest = y - jnp.mean(y) - slope * x
    deviation = jnp.sqrt(jnp.sum(rest**2) / (n - 2) / jnp.sum(x**2))
    lower = ((i + 1) % _CHECK_EVERY == 0) & (i - rate.changed > _REST) & (-1.5 * slope < deviation)
    value = jnp.where(lower, rate.value / 10, rate.value)
    return Rate(value, y, jnp.where(lower, i, rate.changed))


class _Patch(NamedTuple):
    """Where a patch of the LR image lies, and how it is turned."""

    top: jax.Array
    left: jax.Array
    turn: jax.Array  # of `tiling.turn`


def _pair(image: jax.Array, kernel: jax.Array, spec: Spec, shape: tuple[int, int], patch: _Patch):
    """A patch, and its own LR version; the image goes on mirrored beyond its borders.

    Args:
      image: (h, w, c).
      kernel: (k, k).
      spec: the problem's static part.
      shape: height and width of the patch, multiples of the scale.
      patch: where it is.

    Returns:
      (*shape, c), and a version smaller by the scale, whose pixels lie over those of the patch.
    """
    s, k = spec.scale, spec.kernel_size
    wide = jnp.pad(image, ((k, k), (k, k), (0, 0)), mode="symmetric")
    size = (*(n + 2 * k for n in shape), image.shape[-1])
    part = tiling.turn(
        jax.lax.dynamic_slice(wide, (patch.top, patch.left, jnp.zeros_like(patch.top)), size), patch.turn
    )
    first = k - offset(spec)
    context = part[first : first + shape[0] + k - s, first : first + shape[1] + k - s]
    return part[k:-k, k:-k], correlate(context, kernel, scale=s)


def build(
    spec: Spec,
    *,
    num_steps: Annotated[int, rules.STEPS] = 1000,
    channels: Annotated[int, rules.whole(1, 1024)] = 32,
    layers: Annotated[int, rules.whole(1, 64)] = 8,
    side: Annotated[int, rules.whole(2, 4096)] = 128,
    learning_rate: Annotated[float, rules.RATE] = 1e-3,
    noise_std: Annotated[float, rules.NOISE] = 0.0,
    back_projections: Annotated[int, rules.whole(0, 64)] = 4,
    augment: bool = True,
    conv: Annotated[str, rules.choice(*METHODS)] = "auto",
) -> Solver:
    """One step is one step of Adam on one random patch of the LR image.

    The release has 64 channels and 3000 steps, and goes to x4 in two stages, x2 first; here the network learns any
    scale directly with the kernel of that scale. The image is computed at the last step (before, the canvas is the
    cubic enlargement). When the learning rate has fallen three times, the remaining steps do nothing; in a batch they
    still take their time.

    Args:
      spec: the problem's static part.
      num_steps: steps of the solve, the last of which makes the image.
      channels: of the network's maps.
      layers: of the network.
      side: of the patches, in LR pixels; smaller where the image is.
      learning_rate: of Adam, at first.
      noise_std: of the noise added to blurred patches, for a noisy LR image (the release: 0.0125).
      back_projections: times that the image is corrected by the enlarged error of its LR version; 0 for an LR image
        that the kernel and the downsampling do not explain, such as a compressed photograph.
      augment: turn and mirror patches at random. The release does not; but an LR image of 40 to 70 pixels is learned
        by heart at x4 without it, and then comes out hardly better than its cubic enlargement, or worse.
      conv: form of the convolutions, see `imaging.conv`.

    Raises:
      ValueError: fewer than 1 step or layer, or a patch that is smaller than two pixels of its own LR version.
    """
    for name, value, least in (("num_steps", num_steps, 1), ("layers", layers, 1), ("side", side, 2 * spec.scale)):
        if value < least:
            raise ValueError(f"the restorer zssr has {name} {value}, expected at least {least}")
    settings = Settings(
        spec=spec,
        network=ZssrNet(channels, layers, conv),
        num_steps=num_steps,
        side=side,
        learning_rate=learning_rate,
        noise_std=noise_std,
        back_projections=back_projections,
        augment=augment,
    )
    smallest = spec.canvas_shape((2 * spec.scale, 2 * spec.scale, 1))[0]
    init, step = partial(_init, settings), partial(_step, settings)
    return Solver(init, step, smallest, num_steps=num_steps, has_fixed_steps=True)


def _apply(settings: Settings, params: Any, image: jax.Array) -> jax.Array:
    """The network on an image of any size."""
    network = settings.network
    rows = max(_STRIP // image.shape[1] - 2 * network.layers, 1)
    return in_strips(lambda x: network.apply(params, x), image, rows=rows, halo=network.layers)


def _draw(settings: Settings, key: jax.Array, lr: jax.Array, kernel: jax.Array, weights: jax.Array):
    """A random patch, what the network gets for it, and the weights of its loss (height, width, 1)."""
    s = settings.spec.scale
    shape = tuple(min(settings.side, n) // s * s for n in lr.shape[:2])
    place_key, turn_key, noise_key = jax.random.split(key, 3)
    room = jnp.asarray([n - m + 1 for n, m in zip(lr.shape, shape, strict=False)])
    top, left = jax.random.randint(place_key, (2,), 0, room)
    turn = jax.random.randint(turn_key, (), 0, 8) if settings.augment else jnp.int32(0)
    father, son = _pair(lr, kernel, settings.spec, shape, _Patch(top, left, turn))
    son = add_noise(noise_key, son, settings.noise_std) if settings.noise_std else jnp.clip(son, 0, 1)
    weights = jax.lax.dynamic_slice(weights, (top, left), shape)[..., None]
    return father, imresize(son, s), tiling.turn(weights, turn)


def _reconstruction(settings: Settings, params: Any, lr: jax.Array, kernel: jax.Array) -> jax.Array:
    """How badly the LR image comes back from its own LR version."""
    s = settings.spec.scale
    shape = tuple(n // s * s for n in lr.shape[:2])
    whole, son = _pair(lr, kernel, settings.spec, shape, _Patch(*jnp.zeros(3, jnp.int32)))
    return mse(_apply(settings, params, imresize(son, s)), whole)


def _restore(settings: Settings, params: Any, lr: jax.Array, kernel: jax.Array) -> jax.Array:
    """The canvas."""
    spec = settings.spec
    # The zeros that the network sees beyond what it is given stay outside the canvas.
    border = settings.network.layers
    x = _apply(settings, params, enlarge(lr, spec, border=border))[border:-border, border:-border]
    x = jnp.clip(x, 0, 1)
    for _ in range(settings.back_projections):
        error = lr - degrade(x, kernel, scale=spec.scale, boundary=spec.boundary)
        x = jnp.clip(x + enlarge(error, spec), 0, 1)
    return x


def _init(settings: Settings, key: jax.Array, problem: Problem, kernel: jax.Array | None = None) -> State:
    kernel = base.require_kernel("zssr", kernel, problem)
    lr = problem.lr
    params = settings.network.init(key, jnp.zeros((3, 3, lr.shape[-1]), lr.dtype))
    rate = Rate(jnp.asarray(settings.learning_rate, lr.dtype), jnp.zeros(_RECORDS, lr.dtype), jnp.int32(0))
    image = ZssrState(params, _ADAM.init(params), rate, importance(lr), jnp.zeros((), lr.dtype))
    return State(image, (), enlarge(lr, settings.spec), kernel)


def _train(
    settings: Settings, key: jax.Array, image: ZssrState, lr: jax.Array, kernel: jax.Array, i: jax.Array
) -> ZssrState:
    father, given, weights = _draw(settings, key, lr, kernel, image.importance)

    def loss_of(params):
        return jnp.mean(jnp.abs(settings.network.apply(params, given) - father) * weights)

    loss, grads = jax.value_and_grad(loss_of)(image.params)
    updates, opt = _ADAM.update(grads, image.opt)
    params = jax.tree.map(lambda p, u: p - image.rate.value * u, image.params, updates)

    def record():
        return jnp.append(image.rate.records[1:], _reconstruction(settings, params, lr, kernel))

    records = jax.lax.cond(i % _RECORD_EVERY == 0, record, lambda: image.rate.records)
    return ZssrState(params, opt, next_rate(image.rate._replace(records=records), i), image.importance, loss)


def _step(settings: Settings, key: jax.Array, state: State, problem: Problem, i: jax.Array) -> tuple[State, dict]:
    lr, kernel, image = problem.lr, state.kernel, state.image_state
    key = jax.random.fold_in(key, i)
    stopped = image.rate.value < _SMALLEST_RATE
    image = jax.lax.cond(stopped, lambda: image, lambda: _train(settings, key, image, lr, kernel, i))
    last = i == settings.num_steps - 1
    canvas = jax.lax.cond(last, lambda: _restore(settings, image.params, lr, kernel), lambda: state.image)
    trace = {"loss": image.loss, "residual": image.rate.records[-1], "kernel_loss": jnp.zeros((), lr.dtype)}
    return State(image, (), canvas, kernel), trace
