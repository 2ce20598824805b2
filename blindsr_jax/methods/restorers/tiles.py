"""USRNet in overlapping tiles, for images of any size: one tile per step, told the noise that the image has.

Parts of an image may have their own kernels: those of a tile are interpolated at its middle. Where no blur was found,
or the kernel cannot be that of this image, the result is the cubic enlargement (at scale 1 the
image itself): a restorer that is given a wrong kernel does harm.
"""

import os
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.config import rules
from blindsr_jax.imaging import tiling
from blindsr_jax.imaging.conv import METHODS
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.inference.blur_evidence import Blur, Judgement, judge
from blindsr_jax.kernels import geometry
from blindsr_jax.methods.interfaces import Solver, State, Weights
from blindsr_jax.methods.restorers import base, usrnet
from blindsr_jax.methods.restorers.cubic import enlarge
from blindsr_jax.networks.layers import PRECISIONS, Compute
from blindsr_jax.networks.usrnet import USRNet
from blindsr_jax.weights import usrnet as usrnet_weights

TAKES_MAPS = True  # `init` takes kernels (rows, columns, k, k) of equal parts of the image too


class Settings(NamedTuple):
    """What `build` was given."""

    spec: Spec
    network: USRNet
    tile: int  # side in LR pixels
    overlap: int  # of neighbours, in LR pixels
    noise_std: float | None  # None: what the problem says
    flips: bool = False


class Tiles(NamedTuple):
    """Where tiles lie along one axis, and how much of each pixel is theirs."""

    starts: np.ndarray  # (n,) LR pixels
    shares: np.ndarray  # (n, s side) of the pixels of a tile, 1 in sum over the tiles at each pixel


def plan(length: int, side: int, overlap: int, scale: int) -> Tiles:
    """The fewest tiles of at most `side` LR pixels that cover an axis, no longer than they need to be.

    Neighbours fade into each other in the middle half of what they share: a tile knows too little near its own border.
    """
    number = len(tiling.starts(length, side, overlap=overlap))
    side = -(-(length + (number - 1) * overlap) // number)
    starts = np.asarray(tiling.starts(length, side, overlap=overlap), np.int32)
    place, unknown = np.arange(scale * side) + 0.5, scale * overlap / 4
    ramps, total = [], np.zeros(scale * length)
    for start in starts:
        first = place - unknown * (start > 0)
        last = place[::-1] - unknown * (start + side < length)
        ramps.append(np.clip(np.minimum(first, last), 0, scale * overlap))
        total[scale * start : scale * (start + side)] += ramps[-1]
    shares = [ramp / total[scale * a : scale * (a + side)] for ramp, a in zip(ramps, starts, strict=True)]
    return Tiles(starts, np.stack(shares))


class TilesState(NamedTuple):
    """What is known of the blur of the image."""

    judgement: Judgement  # of the mean kernel
    kernels: jax.Array  # (rows, columns, k, k), of equal parts of the image


def kernel_at(kernels: jax.Array, place: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The kernel (k, k) at a place, between those of the middles of parts of an image; constant beyond the outer ones.

    Args:
      kernels: (rows, columns, k, k), all with the same centre.
      place: two (), the share of the image's height above it and of its width to the left of it.
    """
    for share in place:  # the rows first, then what were the columns
        n = kernels.shape[0]
        position = jnp.clip(share * n - 0.5, 0, n - 1)
        first = jnp.minimum(position.astype(jnp.int32), max(n - 2, 0))
        rest = (position - first.astype(position.dtype)).astype(kernels.dtype)
        kernels = (1 - rest) * kernels[first] + rest * kernels[jnp.minimum(first + 1, n - 1)]
    return kernels


def _plans(settings: Settings, lr_shape: tuple[int, ...]) -> tuple[Tiles, Tiles]:
    scale = settings.spec.scale
    return tuple(plan(n, settings.tile, settings.overlap, scale) for n in lr_shape[-3:-1])


def num_tiles(settings: Settings, lr_shape: tuple[int, ...]) -> int:
    """Steps that an LR image (..., h, w, c) takes."""
    rows, columns = _plans(settings, lr_shape)
    return len(rows.starts) * len(columns.starts)


def _init(
    settings: Settings, key: Any, problem: Problem, kernel: jax.Array | None = None, weights: Any = None
) -> State:
    del key, weights
    kernel = base.require_kernel("tiles", kernel, problem)
    kernels = kernel if kernel.ndim == 4 else kernel[None, None]
    mean = jnp.mean(kernels, (0, 1))
    image = jnp.zeros(problem.canvas_shape, problem.lr.dtype)
    return State(TilesState(judge(problem.lr, mean, settings.spec, problem.known_noise), kernels), (), image, mean)


def _flip(x: jax.Array, flips: tuple[jax.Array, jax.Array]) -> jax.Array:
    """An image (h, w, ...) upside down, and left for right, where the two bool () say so."""
    x = jnp.where(flips[0], x[::-1], x)
    return jnp.where(flips[1], x[:, ::-1], x)


def _flip_kernel(kernel: jax.Array, flips: tuple[jax.Array, jax.Array], scale: int) -> jax.Array:
    """The kernel (k, k) of a flipped image; the part of a canvas over the LR image lies s - 1 pixels off its middle."""
    (down, across), moved = flips, scale - 1
    along_rows = jnp.pad(kernel[::-1], ((moved, 0), (0, 0)))[: len(kernel)]
    kernel = jnp.where(down, along_rows, kernel)
    along_columns = jnp.pad(kernel[:, ::-1], ((0, 0), (moved, 0)))[:, : len(kernel)]
    return geometry.normalize(jnp.where(across, along_columns, kernel))


def _restore(
    settings: Settings, weights: Any, problem: Problem, kernel: jax.Array, noise: jax.Array | float
) -> tuple[jax.Array, jax.Array]:
    """The image (s h, s w, c) of a tile, and its mean squared LR residual."""
    spec = problem.spec

    def restored(flips):
        lr, mask = jax.tree.map(partial(_flip, flips=flips), (problem.lr, problem.mask))
        own = _flip_kernel(kernel, flips, spec.scale)
        canvas, residual = usrnet.restore(settings.network, weights, Problem(lr, spec, mask=mask), own, noise)
        return _flip(spec.crop(canvas, lr.shape), flips), residual

    if not settings.flips:
        canvas, residual = usrnet.restore(settings.network, weights, problem, kernel, noise)
        return spec.crop(canvas, problem.lr.shape), residual
    both = jnp.asarray([False, True])
    found = jax.lax.map(restored, (jnp.repeat(both, 2), jnp.tile(both, 2)))
    return jax.tree.map(lambda x: jnp.mean(x, 0), found)


def _step(
    settings: Settings, key: Any, state: State, problem: Problem, i: jax.Array, weights: Any
) -> tuple[State, dict[str, jax.Array]]:
    """Adds one tile to the image. Steps beyond the last tile add nothing."""
    del key
    spec, lr = settings.spec, problem.lr
    rows, columns = _plans(settings, lr.shape)
    is_left = i < len(rows.starts) * len(columns.starts)
    row, column = jnp.where(is_left, i // len(columns.starts), 0), i % len(columns.starts)
    sides = tuple(len(x.shares[0]) // spec.scale for x in (rows, columns))
    corner = jnp.asarray(rows.starts)[row], jnp.asarray(columns.starts)[column]
    window, mask = (None if x is None else tiling.take(x, corner, sides) for x in (lr, problem.mask))

    def restored():
        noise = problem.known_noise if settings.noise_std is None else settings.noise_std
        middle = tuple((x.astype(float) + side / 2) / n for x, side, n in zip(corner, sides, lr.shape, strict=False))
        kernel = kernel_at(state.image_state.kernels, middle)
        image, residual = _restore(settings, weights, Problem(window, spec, mask=mask), kernel, noise)
        if mask is not None:  # what tells nothing is no more than enlarged: a frame, say, is not blurred
            hidden = jnp.repeat(jnp.repeat(~mask, spec.scale, 0), spec.scale, 1)
            image = jnp.where(hidden, enlarged()[0], image)
        return image, residual

    def enlarged():
        image = window if spec.scale == 1 else spec.crop(enlarge(window, spec), window.shape)
        return jnp.clip(image, 0, 1), jnp.zeros((), lr.dtype)

    # The whole image takes no part in the choice, so that it is added to where it lies: it may be large.
    has_blur = state.image_state.judgement.verdict == Blur.FOUND
    image, residual = jax.lax.cond(is_left & has_blur, restored, enlarged)
    down, across = (jnp.asarray(x.shares, lr.dtype)[j] for x, j in ((rows, row), (columns, column)))
    margin = (spec.kernel_size - 1) // 2  # of the canvas, see `Spec.crop`
    place = (*(spec.scale * x + margin for x in corner), 0)
    old = jax.lax.dynamic_slice(state.image, place, image.shape)
    new = old + jnp.where(is_left, down[:, None, None] * across[None, :, None] * image, 0)
    trace = {"loss": residual, "residual": residual, "kernel_loss": jnp.zeros((), lr.dtype)}
    return state._replace(image=jax.lax.dynamic_update_slice(state.image, new, place)), trace


def build(
    spec: Spec,
    *,
    weights: Annotated[str | os.PathLike | None, rules.optional(rules.FILE)] = None,
    noise_std: Annotated[float | None, rules.optional(rules.NOISE)] = None,
    tile: Annotated[int, rules.whole(48, 4096)] = 320,
    overlap: Annotated[int, rules.whole(8, 1024)] = 24,
    data_iterations: Annotated[int, rules.whole(1, 1000)] = 5,
    flips: bool = False,
    precision: Annotated[str, rules.choice(*PRECISIONS)] = "float32",
    conv: Annotated[str, rules.choice(*METHODS)] = "auto",
) -> Solver:
    """The restorer; each step restores one tile, and the number of steps is that of the tiles.

    Args:
      spec: the problem's static part; the boundary is 'valid'.
      weights: a .npz file of launch/convert.py or launch/train_usrnet.py; None for the shipped network that was trained
        with noise and JPEG.
      noise_std: of the noise in the LR image, on the [0, 1] scale; None for what the problem says, which the launches
        measure in each image.
      tile: side of a tile in LR pixels at most.
      overlap: how many LR pixels two neighbours share at least.
      data_iterations: of conjugate gradients in the data step.
      flips: whether the result is the mean of those of a tile and of its three mirror images, in four times the time
        (self-ensemble, Lim et al. 2017).
      precision: of the denoiser, one of `networks.layers.PRECISIONS`.
      conv: form of the convolutions, see `imaging.conv`.

    Raises:
      ValueError: there is no such network, or an option is out of range.
    """
    if spec.boundary != "valid":
        raise ValueError(
            f"the restorer 'tiles' cuts photographs, config.boundary is {spec.boundary!r}, expected 'valid'"
        )
    if not overlap < tile:
        raise ValueError(f"the restorer 'tiles' has overlap {overlap}, expected less than tile, which is {tile}")
    trained = usrnet_weights.load("wide" if weights is None else weights)
    network = USRNet(trained.config, Compute(conv, precision), data_iterations)
    settings = Settings(spec, network, tile, overlap, noise_std, flips)
    return Solver(
        partial(_init, settings),
        partial(_step, settings),
        1,
        weights=Weights(jax.device_put(trained.params)),
        steps_of=partial(num_tiles, settings),
        uses_noise=settings.noise_std is None,
        uses_mask=True,
        explain=lambda state: Blur(int(state.image_state.judgement.verdict)).sentence(spec.scale),
    )
