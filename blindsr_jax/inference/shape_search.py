"""Whether a blur is a disc or a straight line, and which: the power spectrum of an LR image tells it nearly exactly.

The response of a disc (defocus) or of a straight line (motion) has zeros, whose places are those of its radius, or of
its length and angle. Candidates are compared by the evidence of `spectrum`, which looks for them in all frequencies at
once; a coarse grid comes first, then a finer one about its best. A Gaussian has no zeros, and a photograph's own
spectrum may look as if it were blurred by another one, so that Gaussians take part for comparison only. Camera shake is
neither: what is found has to be of the width and roundness of an estimate that was made otherwise.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.problem import Spec
from blindsr_jax.inference import spectrum
from blindsr_jax.inference.windows import best
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.disc import disc_kernel
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.kernels.line import segment_kernel

LEAST_BLOCK = 64  # LR pixels
WINDOWS = 12  # of the image, of twice the width of a block of the spectrum
MARGIN = 0.05  # mean log likelihood of a frequency by which a shape has to win
LIKELY = 0.5  # probability of a disc, above which an estimate is taken as one
# Of a shape along its longest axis by the estimate: networks make narrow blurs wider; a scene that repeats itself, as
# facades do, looks as if it were moved by its period.
NARROWEST, WIDEST = 0.5, 1.25
# Above WIDE pixels an estimate may be of a defocus that its network is too small for.
WIDE, WIDEST_OF_WIDE = 1.8, 2.0
ROUND = 0.75  # standard deviation of the estimate along its shortest axis by that along its longest; lines have less
MOST_HIDDEN = 0.1  # share of the pixels that may be clipped, stuck or of a frame: up to 0.09 did not disturb the search
_DISC_STEPS = 0.25, 0.05  # of the coarse grid of radii: pixels, share of the radius; the larger one counts
_LINE_STEPS = 1.0, 0.12  # likewise of lengths
_ANGLE_STEP = np.pi / 24
_FINE = np.linspace(-0.75, 0.75, 7)  # steps of the coarse grid


class Found(NamedTuple):
    """What explains an image best."""

    kernel: jax.Array  # (k, k)
    is_disc: jax.Array  # () bool
    is_line: jax.Array  # () bool; neither: `kernel` is the one that was given


def can_search(spec: Spec, lr_shape: tuple[int, ...]) -> bool:
    """Whether an LR image (h, w, c) is large enough for kernels of the problem."""
    return spec.scale * _block(spec, lr_shape) >= spec.kernel_size


def _block(spec: Spec, lr_shape: tuple[int, ...]) -> int:
    """Side of the blocks of the spectrum in LR pixels: wide enough to tell zeros apart."""
    return spectrum.block_size(lr_shape, spec.scale, spec.kernel_size, least=LEAST_BLOCK)


def _grid(low: float, high: float, steps: tuple[float, float]) -> np.ndarray:
    values = []
    while low <= high:
        values.append(low)
        low += max(steps[0], steps[1] * low)
    return np.asarray(values)


def _discs(half_width: float) -> tuple[np.ndarray, Callable]:
    """Radii (n, 1), and the finer grid (m, 1) about one of them."""

    def about(radius):
        step = jnp.maximum(_DISC_STEPS[0], _DISC_STEPS[1] * radius)
        return radius[None] + step[None] * jnp.asarray(_FINE[:, None], radius.dtype)

    return _grid(1.5, half_width, _DISC_STEPS)[:, None], about


def _lines(half_width: float) -> tuple[np.ndarray, Callable]:
    """Lengths and angles (n, 2), and the finer grid (m, 2) about one of them."""
    lengths, angles = _grid(3, 2 * half_width, _LINE_STEPS), np.arange(0, np.pi, _ANGLE_STEP)
    fine = np.stack(np.meshgrid(_FINE, _FINE[1:-1]), -1).reshape(-1, 2)

    def about(line):
        step = jnp.stack([jnp.maximum(_LINE_STEPS[0], _LINE_STEPS[1] * line[0]), jnp.asarray(_ANGLE_STEP, line.dtype)])
        found = line[None] + step[None] * jnp.asarray(fine, line.dtype)
        return found.at[:, 0].set(jnp.minimum(found[:, 0], 2 * half_width))

    return np.stack(np.meshgrid(lengths, angles), -1).reshape(-1, 2), about


def _gaussians(half_width: float, inner: float) -> np.ndarray:
    """Variances and angles (n, 3); those that fit in an inner window do not depend on the whole one."""
    deviations, angles = np.geomspace(0.4, inner / 2, 9), np.arange(6) * np.pi / 6
    if half_width > inner:
        deviations = np.concatenate([deviations, np.geomspace(inner, half_width, 4)[1:] / 2])
    narrow = [(d**2, (d / 2.5) ** 2, a) for d in deviations[3:] for a in angles]
    return np.asarray([(d**2, d**2, 0) for d in deviations] + narrow)


def search(
    lr: jax.Array,
    kernel: jax.Array,
    spec: Spec,
    mask: jax.Array | None = None,
    *,
    disc_probability: jax.Array | float = 0.0,
    line_size: int | None = None,
) -> Found:
    """The disc or line that explains an LR image better than any Gaussian and a given kernel do, else that kernel.

    Args:
      lr: (h, w, c) in [0, 1], large enough, see `can_search`.
      kernel: (k, k), an estimate, for instance of a network.
      spec: the problem's static part.
      mask: (h, w, c) bool, where `lr` counts; None: everywhere.
      disc_probability: () that the estimate was made with. Above LIKELY a disc has to be better than Gaussians only:
        the estimate is then one of a disc too, of another radius or smeared, with zeros of its own.
      line_size: of the window that lines have to fit in; None for that of the kernel. Waves and stripes look like long
        lines.
    """
    k, s, dtype = spec.kernel_size, spec.scale, lr.dtype
    n, center = _block(spec, lr.shape), geometry.center(k, s, spec.kernel_center)
    half_width = float(min(center, k - 1 - center))
    of_lines = half_width - max(k - (line_size or k), 0) / 2
    power = jnp.mean(jax.lax.map(partial(spectrum.mean_power, size=n), best(lr, 2 * n, WINDOWS, mask)), 0)

    def score(kernels):
        return jax.nn.logsumexp(spectrum.by_slope(kernels, power, s) / n**2, -1)

    def disc(values):
        return disc_kernel(values[0], kernel_size=k, center=center)

    def line(values):
        return segment_kernel(values[0], values[1], kernel_size=k, center=center)

    def gaussian(values):
        return gaussian_kernel(values[:2], values[2], kernel_size=k, center=center)

    variances = jnp.linalg.eigvalsh(geometry.covariance(kernel))
    shortest, longest = jnp.sqrt(jnp.maximum(variances, 1e-6))
    is_round = shortest > ROUND * longest
    widest = jnp.where(is_round & (longest > WIDE), WIDEST_OF_WIDE, WIDEST) * longest

    def top(render, grid, deviation, is_possible):
        """The best kernel of a grid and what it scores; the standard deviation grows with the first of the values."""
        values, about = jnp.asarray(grid[0], dtype), grid[1]
        chosen = values[jnp.argmax(score(jax.vmap(render)(values)))]
        width = deviation * chosen[0]
        fits = is_possible & (width < widest) & (width > NARROWEST * longest)
        kernels = jax.vmap(render)(about(chosen))
        scores = score(kernels)
        return kernels[jnp.argmax(scores)], jnp.where(fits, jnp.max(scores), -jnp.inf)

    others = jnp.concatenate([kernel[None], jax.vmap(gaussian)(jnp.asarray(_gaussians(half_width, of_lines), dtype))])
    rivals = score(others)
    least = jnp.max(rivals) + MARGIN
    least_of_disc = jnp.where(disc_probability > LIKELY, jnp.max(rivals[1:]), least)
    a, of_disc = top(disc, _discs(half_width), 1 / 2, is_round)
    b, of_line = top(line, _lines(of_lines), 12**-0.5, ~is_round)
    is_disc, is_line = (of_disc > least_of_disc) & (of_disc >= of_line), (of_line > least) & (of_line > of_disc)
    if mask is not None:
        is_seen = jnp.mean(~jnp.all(mask, -1)) <= MOST_HIDDEN
        is_disc, is_line = is_disc & is_seen, is_line & is_seen
    return Found(jnp.where(is_disc, a, jnp.where(is_line, b, kernel)), is_disc, is_line)
