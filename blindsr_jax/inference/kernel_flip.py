"""Is a kernel turned by 180 degrees? A file may hold it as a true convolution, which explains another image.

A kernel and the turned one have the same power spectrum: they leave the same error in any LR image, and a Gaussian
prior cannot tell them apart. Total variation can: natural images have sparse edges, and the image restored with the
wrong kernel has rings and double edges that cost more.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import adjoint, correlate
from blindsr_jax.imaging.problem import Problem, Spec
from blindsr_jax.imaging.resize import imresize
from blindsr_jax.kernels import geometry

MARGIN = 0.002
_LEAST_ENERGY = 1e-6  # of both: that of the rounding to 8 bits; what is below says nothing
_WEIGHT = 2.5e-4  # of the total variation beside half the squared error
_ROUNDING = 5e-3  # differences below this are smoothed over
_REWEIGHTINGS, _ITERATIONS = 8, 15
_LARGEST = 256  # side of the image that is looked at


class FlipTest(NamedTuple):
    """What was found; scores are energies, the lower the better."""

    score_given: float
    score_flipped: float
    verdict: str  # 'given', 'flipped' or 'cannot tell'


def flipped(kernel: jax.Array, spec: Spec) -> jax.Array:
    """The kernel (k, k) turned by 180 degrees, with its centre where the spec has it, unit sum."""
    other = {"release": "aligned", "aligned": "release"}[spec.kernel_center]
    turned = geometry.convert_center(geometry.flip(kernel), spec.scale, other, spec.kernel_center)
    return geometry.normalize(turned)


def turn(kernel: jax.Array, spec: Spec) -> jax.Array:
    """A true convolution's kernel (k, k) as the cross-correlation kernel that is meant, unit sum.

    Turned about its middle it means the same blur; where that takes a centre away from the spec's, as in files that are
    turned but centred as if they were not, the kernel is moved back.
    """
    choices = geometry.normalize(geometry.flip(kernel)), flipped(kernel, spec)
    return min(choices, key=lambda k: float(jnp.abs(geometry.center_of_mass(k) - spec.center).max()))


def _differences(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.diff(x, axis=0), jnp.diff(x, axis=1)


def _lengths(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Smoothed absolute differences."""
    return tuple(jnp.sqrt(d**2 + _ROUNDING**2) for d in _differences(x))


def _start(lr: jax.Array, spec: Spec) -> jax.Array:
    """The cubic enlargement on the canvas of 'valid'. A start beside its place would favour one of the two kernels."""
    s = spec.scale
    before = round(spec.center - (s - 1) / 2)
    after = spec.kernel_size - s - before
    margin = max(before, after, 0) // s + 1
    large = imresize(jnp.pad(lr, ((margin, margin), (margin, margin), (0, 0)), mode="edge"), s)
    rows, columns = (slice(s * margin - before, s * margin + s * n + after) for n in lr.shape[:2])
    return large[rows, columns]


@partial(jax.jit, static_argnames="spec")
def energy(lr: jax.Array, kernel: jax.Array, *, spec: Spec) -> jax.Array:
    """The least |A x - y|^2 / 2 + weight TV(x), a pixel of the LR image, found by reweighted least squares.

    Args:
      lr: (h, w, c), whose canvas is taken to be that of the boundary 'valid'.
      kernel: (k, k).
      spec: the problem's static part.

    Returns:
      ().
    """

    def blur(x):
        return correlate(x, kernel, scale=spec.scale)

    start = _start(lr, spec)
    back = partial(adjoint, kernel=kernel, scale=spec.scale, boundary="valid", image_shape=start.shape)
    unsplit = jax.linear_transpose(_differences, start)

    def reweight(x, _):
        slopes = [_WEIGHT / length for length in _lengths(x)]

        def system(v):
            weighted = tuple(w * d for w, d in zip(slopes, _differences(v), strict=True))
            return back(blur(v)) + unsplit(weighted)[0]

        return jax.scipy.sparse.linalg.cg(system, back(lr), x0=x, tol=0, maxiter=_ITERATIONS)[0], None

    x, _ = jax.lax.scan(reweight, start, length=_REWEIGHTINGS)
    variation = sum(jnp.sum(length - _ROUNDING) for length in _lengths(x))
    return (jnp.sum((blur(x) - lr) ** 2) / 2 + _WEIGHT * variation) / lr.size


def _busiest(lr: jax.Array, side: int) -> jax.Array:
    """The part (at most side x side) of a gray image (h, w, 1) with the largest sum of absolute differences."""
    shape = tuple(min(side, n) for n in lr.shape[:2])
    if shape == lr.shape[:2]:
        return lr
    down, right = jnp.gradient(lr[..., 0])
    total = jnp.pad(jnp.cumsum(jnp.cumsum(jnp.abs(down) + jnp.abs(right), 0), 1), ((1, 0), (1, 0)))
    rows = total[shape[0] :] - total[: -shape[0]]
    sums = rows[:, shape[1] :] - rows[:, : -shape[1]]
    top, left = jnp.unravel_index(jnp.argmax(sums), sums.shape)
    return jax.lax.dynamic_slice(lr, (top, left, 0), (*shape, 1))


def flip_test(problem: Problem, kernel: jax.Array) -> FlipTest:
    """Whether a kernel explains an LR image better as it is or turned by 180 degrees.

    Args:
      problem: one LR image (h, w, c) and its spec; of a large image the part with the most texture is looked at.
      kernel: (k, k), taken to be a cross-correlation kernel, centred as the spec says.

    Returns:
      The energies of both, and the verdict: 'cannot tell' where they differ by less than `MARGIN` of their sum, as
      those of a symmetric kernel do.

    Raises:
      ValueError: a kernel of another size than the spec's.
    """
    spec = problem.spec
    kernel = jnp.asarray(kernel, problem.lr.dtype)
    if kernel.shape != (spec.kernel_size, spec.kernel_size):
        raise ValueError(f"the kernel has shape {kernel.shape}, expected {spec.kernel_size} x {spec.kernel_size}")
    gray = _busiest(jnp.mean(problem.lr, -1, keepdims=True), max(_LARGEST // spec.scale, 1))
    given, turned = (float(energy(gray, k, spec=spec)) for k in (kernel, flipped(kernel, spec)))
    difference = (turned - given) / max(given + turned, _LEAST_ENERGY)
    verdict = "cannot tell"
    if abs(difference) > MARGIN:
        verdict = "given" if difference > 0 else "flipped"
    return FlipTest(given, turned, verdict)
