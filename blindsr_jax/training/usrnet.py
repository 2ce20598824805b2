"""Training of USRNet: examples made on the device from sharp images, and scores on a fixed set.

A step has examples of one scale. What scales have in common, the denoiser above all, is compiled once: their images lie
in frames of one size.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.evaluation.metrics import mean_psnr
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.imaging.proximal import solve_data
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.kernels.pool import Pool
from blindsr_jax.networks.usrnet import COLOURS, USRNet, first_image
from blindsr_jax.training.corruption import Corruption, corrupt, draw_gray, to_gray
from blindsr_jax.training.engine import Task
from blindsr_jax.training.kernel_pool import pick
from blindsr_jax.training.patches import random_patch
from blindsr_jax.training.synthesis import map_each

_VALIDATION_KEY = 2024
_FIRST_WEIGHT = -4.6  # the softplus of it is 0.01: a data step that counts from the start
_NOISE_GAIN = 20.0  # noise levels are small numbers: with usual first weights the network would hear little of them


class Example(NamedTuple):
    """One training example, or with a leading axis many."""

    sharp: jax.Array  # (H, W, 3), an image or a canvas
    lr: jax.Array  # (h, w, 3)
    kernel: jax.Array  # (k, k), the one that the network is shown
    noise_std: jax.Array  # ()


class Settings(NamedTuple):
    """How examples of one scale are made; hashable."""

    spec: Spec
    family: KernelFamily
    side: int  # of the sharp image over the LR image, in pixels; a rest of the scale is cut off
    corruption: Corruption = Corruption()
    clean: float = 0.5  # share of the examples that are rounded only and come with the true kernel
    wrong_kernel: float = 1.0  # share of the others whose kernel is not the true one
    kernel_error: float = 0.0  # largest share of another kernel in such a one

    @property
    def lr_side(self) -> int:
        """Side of the LR images."""
        return self.side // self.spec.scale

    @property
    def patch(self) -> int:
        """Side of the sharp patches that examples are made of."""
        return self.spec.canvas_shape((self.lr_side, self.lr_side, COLOURS))[0]


def synthesize(keys: jax.Array, pieces: jax.Array, pool: Pool, settings: Settings) -> Example:
    """Examples of one scale; each depends on its key alone.

    Args:
      keys: (n,) typed PRNG keys.
      pieces: (m, p, p, 3) uint8 of `training.patches.cut`, p at least `settings.patch`.
      pool: where kernels come from.
      settings: how they are made.

    Returns:
      The examples, with a leading axis n.
    """
    keys = jnp.moveaxis(jax.vmap(lambda key: jax.random.split(key, 7))(keys), 1, 0)
    patch_keys, kernel_keys, gray_keys, clean_keys, noise_keys, other_keys, share_keys = keys
    draw_patch = jax.vmap(lambda key: random_patch(key, pieces, settings.patch))
    grays = jax.vmap(lambda key: draw_gray(key, settings.corruption))(gray_keys)
    sharp = jax.vmap(to_gray)(draw_patch(patch_keys), grays)
    draw = jax.vmap(lambda key: pick(key, pool)[0].astype(sharp.dtype))
    kernels = shown = draw(kernel_keys)
    clean = jax.vmap(lambda key: jax.random.bernoulli(key, settings.clean))(clean_keys)
    if settings.kernel_error:
        luck, shares = jnp.moveaxis(jax.vmap(lambda key: jax.random.uniform(key, (2,), sharp.dtype))(share_keys), 1, 0)
        shares = jnp.where(clean | (luck >= settings.wrong_kernel), 0, settings.kernel_error * shares)
        shown = kernels + shares[:, None, None] * (draw(other_keys) - kernels)

    def reduce(example):
        image, kernel, key, gray, is_clean = example
        lr = degrade(image, kernel, scale=settings.spec.scale, boundary=settings.spec.boundary)
        return corrupt(key, lr, gray, settings.corruption, is_clean)

    examples = map_each(reduce, (sharp, kernels, noise_keys, grays, clean))
    return Example(sharp, examples.lr, shown, examples.noise_std)


class Frames(NamedTuple):
    """Examples of one scale in frames that those of any scale fit into: the corner of each array counts."""

    examples: Example
    first: jax.Array  # (n, P, P, 3), the image that the network starts from
    index: jax.Array  # () which scale


def _grow(x: jax.Array, side: int) -> jax.Array:
    """(n, a, b, ...) -> (n, side, side, ...), the border repeated."""
    rest = [(0, 0)] * (x.ndim - 3)
    return jnp.pad(x, [(0, 0), (0, side - x.shape[1]), (0, side - x.shape[2]), *rest], mode="edge")


def frame(examples: Example, index: int, scales: tuple[Settings, ...]) -> Frames:
    """Puts examples of the scale `index` into frames."""
    room, lr_room = max(s.patch for s in scales), max(s.lr_side for s in scales)
    kernel_room = max(s.spec.kernel_size for s in scales)
    first = _grow(first_image(examples.lr, scales[index].spec), room)
    examples = Example(
        _grow(examples.sharp, room),
        _grow(examples.lr, lr_room),
        _grow(examples.kernel, kernel_room),
        examples.noise_std,
    )
    return Frames(examples, first, jnp.int32(index))


def restore(network: USRNet, params: Any, frames: Frames, scales: tuple[Settings, ...]) -> jax.Array:
    """The network's images or canvases in frames (n, P, P, 3)."""

    def solve(settings, image, weight):
        spec, c, h = settings.spec, settings.patch, settings.lr_side
        examples, room, k = frames.examples, image.shape[1], spec.kernel_size
        data_step = jax.vmap(partial(solve_data, spec=spec, num_iterations=network.data_iterations))
        return _grow(data_step(image[:, :c, :c], examples.lr[:, :h, :h], examples.kernel[:, :k, :k], weight), room)

    def data_step(image, weight):
        return jax.lax.switch(frames.index, [partial(solve, settings) for settings in scales], image, weight)

    scale = jnp.asarray([settings.spec.scale for settings in scales], frames.first.dtype)[frames.index]
    return network.apply(params, frames.first, data_step, frames.examples.noise_std, scale, method="refine")


def over_lr(images: jax.Array, settings: Settings) -> jax.Array:
    """The part of images or canvases in frames that lies over the LR images: (n, s h, s w, 3)."""
    return settings.spec.crop(
        images[:, : settings.patch, : settings.patch], (settings.lr_side, settings.lr_side, COLOURS)
    )


def first_guess(params: Any) -> Any:
    """Random parameters changed so that the network starts as data steps with a denoiser that does nothing.

    A denoiser without folds has no path around it; a short training would be spent on learning to pass its input on.
    There the first channels of its outer level carry the image, and what the inner levels add starts at zero.
    """
    parts = {name: dict(part) for name, part in params["params"].items()}
    bias, tail = parts["h"]["mlp.4"]["bias"], parts["p"]["m_tail"]["kernel"]
    parts["h"]["mlp.0"] = parts["h"]["mlp.0"] | {"kernel": parts["h"]["mlp.0"]["kernel"].at[0].multiply(_NOISE_GAIN)}
    parts["h"]["mlp.4"] = parts["h"]["mlp.4"] | {"bias": bias.at[: len(bias) // 2].set(_FIRST_WEIGHT)}
    if tail.shape[-1] > COLOURS:
        parts["p"]["m_tail"] = {"kernel": jnp.zeros_like(tail)}
        return {"params": parts}
    colours, head = jnp.arange(COLOURS), parts["p"]["m_head"]["kernel"]
    parts["p"]["m_head"] = {"kernel": head.at[..., :COLOURS].set(0).at[1, 1, colours, colours].set(1)}
    parts["p"]["m_tail"] = {"kernel": jnp.zeros_like(tail).at[1, 1, colours, colours].set(1)}
    if "m_up1.0" in parts["p"]:
        parts["p"]["m_up1.0"] = {"kernel": jnp.zeros_like(parts["p"]["m_up1.0"]["kernel"])}
    return {"params": parts}


def make_task(network: USRNet, scales: tuple[Settings, ...], *, start: Any = None) -> Task:
    """The task: the mean absolute error over the LR image, each step at one scale drawn at random (L1, as the paper).

    Its data are (pieces, pools), one pool a scale.

    Args:
      network: of any size.
      scales: how examples are made, one entry a scale.
      start: parameters to start from; None for random ones.
    """

    def init(key):
        if start is not None:
            return jax.device_put(start)
        spec, k = scales[0].spec, scales[0].spec.kernel_size
        lr, kernel, noise = jnp.zeros((1, k, k, COLOURS)), jnp.ones((1, k, k)) / k**2, jnp.zeros(1)
        params = network.init(key, lr, kernel, noise, spec=spec)
        return first_guess(params)

    def draw(index, keys, pieces, pools):
        return frame(synthesize(keys, pieces, pools[index], scales[index]), index, scales)

    def distance(settings, found, sharp):
        return jnp.mean(jnp.abs(over_lr(found, settings) - over_lr(sharp, settings)))

    def loss(params, keys, data):
        index = jax.random.randint(jax.random.fold_in(keys[0], 0), (), 0, len(scales))
        frames = jax.lax.switch(index, [partial(draw, i) for i in range(len(scales))], keys, *data)
        found = restore(network, params, frames, scales)
        return jax.lax.switch(index, [partial(distance, s) for s in scales], found, frames.examples.sharp), {}

    return Task(init, loss)


class Validation:
    """Fixed examples of each scale, the same for each training on this data."""

    def __init__(
        self,
        network: USRNet,
        pieces: jax.Array,
        pools: tuple[Pool, ...],
        scales: tuple[Settings, ...],
        *,
        number: int,
    ):
        """Makes `number` examples a scale; `baseline` are the scores of the nearest-neighbour enlargement."""
        keys, self._scales = jax.random.split(jax.random.key(_VALIDATION_KEY), number), scales

        def make(pair):
            index, pool = pair
            draw = jax.jit(lambda pool: frame(synthesize(keys, pieces, pool, scales[index]), index, scales))
            return draw(pool)

        with ThreadPoolExecutor() as threads:  # most of the time goes into compiling
            self._sets = list(threads.map(make, enumerate(pools)))
        self._restore = jax.jit(lambda params, frames: restore(network, params, frames, scales))
        self.baseline = self._score([frames.first for frames in self._sets])

    def _score(self, images: list[jax.Array]) -> Mapping[str, float]:
        found = {}
        for settings, frames, image in zip(self._scales, self._sets, images, strict=True):
            pair = (np.asarray(over_lr(x, settings)) for x in (image, frames.examples.sharp))
            found[f"psnr_x{settings.spec.scale}"] = mean_psnr(*pair)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores."""
        return tuple(self.baseline)

    def scores(self, params: Any) -> Mapping[str, float]:
        """Mean PSNR in dB of each scale."""
        return self._score([self._restore(params, frames) for frames in self._sets])

    def sheet(self, params: Any) -> np.ndarray:
        """The first example of each scale, enlarged, restored and sharp, as one picture (rows, columns, 3)."""
        rows = []
        for settings, frames in zip(self._scales, self._sets, strict=True):
            images = (frames.first, self._restore(params, frames), frames.examples.sharp)
            rows.append(np.concatenate([np.asarray(over_lr(x[:1], settings))[0] for x in images], 1))
        side = max(row.shape[1] for row in rows)
        return np.concatenate([np.pad(row, ((0, 0), (0, side - row.shape[1]), (0, 0))) for row in rows])
