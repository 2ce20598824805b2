"""The data step: the image that explains the LR image and stays near a prior image.

    argmin_x |A x - y|^2 + weight |x - prior|^2,   A = blur and downsampling of `degradation.degrade`

Solved in the dual form, x = prior + A^T u with (A A^T + weight) u = y - A prior. The primal form (Zhang et al. 2020,
eq. 7) divides by the weight, which is about 1e-6 in USRNet and costs float32 all its digits. A splits into s * s
correlations on the LR grid, one for each sub-grid of the image, so that only real transforms of the LR image's size are
needed, and A A^T is the sum of their squares. Nothing here runs in less than float32.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from blindsr_jax.imaging.degradation import adjoint, degrade
from blindsr_jax.imaging.problem import Spec

NUM_ITERATIONS = 30  # exact in float32 at x2 to x4 where it was tried; x1 with a weight of 1e-6 took 100


class _Blur(NamedTuple):
    """A on a periodic image of (s h, s w), or on a canvas in it: the transform of each sub-grid of the kernel."""

    spectra: jax.Array  # (s, s, h, w // 2 + 1) complex
    grid: tuple[int, int]  # (h, w)

    @property
    def gram(self) -> jax.Array:
        """(h, w // 2 + 1): the eigenvalues of A A^T, not negative."""
        return jnp.sum(jnp.real(self.spectra) ** 2 + jnp.imag(self.spectra) ** 2, (0, 1))


def _fold(x: jax.Array, size: int, axis: int) -> jax.Array:
    """Sums what a period of `size` brings together."""
    x = jnp.pad(x, [(0, -n % size if i == axis else 0) for i, n in enumerate(x.shape)])
    return x.reshape(*x.shape[:axis], -1, size, *x.shape[axis + 1 :]).sum(axis)


def _blur(kernel: jax.Array, scale: int, grid: tuple[int, int], reach: int) -> _Blur:
    """A whose LR pixel i reads from the image's position s i - reach on, modulo the period."""
    first = -(-reach // scale)  # LR pixels
    before = scale * first - reach
    after = -(before + kernel.shape[0]) % scale
    taps = _split(jnp.pad(kernel, ((before, after), (before, after)))[..., None], scale)[:, :, 0]
    taps = _fold(_fold(taps, grid[0], 2), grid[1], 3)
    return _Blur(jnp.fft.rfft2(jnp.roll(taps, (-first, -first), (2, 3))), grid)


def _split(image: jax.Array, scale: int) -> jax.Array:
    """(s h, s w, C) -> (s, s, C, h, w), the sub-grids; padded with zeros to whole LR pixels."""
    h, w, c = image.shape
    image = jnp.pad(image, ((0, -h % scale), (0, -w % scale), (0, 0)))
    return image.reshape(-(-h // scale), scale, -(-w // scale), scale, c).transpose(1, 3, 4, 0, 2)


def _join(grids: jax.Array) -> jax.Array:
    """(s, s, C, h, w) -> (s h, s w, C)."""
    s, _, c, h, w = grids.shape
    return grids.transpose(3, 0, 4, 1, 2).reshape(s * h, s * w, c)


def _forward(blur: _Blur, image: jax.Array) -> jax.Array:
    """A image, as the transform of each colour: (C, h, w // 2 + 1)."""
    grids = jnp.fft.rfft2(_split(image, blur.spectra.shape[0]))
    return jnp.sum(jnp.conj(blur.spectra)[:, :, None] * grids, (0, 1))


def _transpose(blur: _Blur, lr: jax.Array) -> jax.Array:
    """A^T of an LR image given as the transform of each colour: (s h, s w, C)."""
    return _join(jnp.fft.irfft2(blur.spectra[:, :, None] * lr[None, None], blur.grid))


def _wide(*arrays: jax.Array) -> tuple[jax.Array, ...]:
    """All in one precision, float32 at least."""
    dtype = jnp.float64 if any(jnp.result_type(x) == jnp.float64 for x in arrays) else jnp.float32
    return tuple(jnp.asarray(x, dtype) for x in arrays)


def closed_form(
    prior: jax.Array, lr: jax.Array, kernel: jax.Array, weight: jax.Array | float, *, scale: int
) -> jax.Array:
    """The exact minimiser for the boundary 'circular' (Zhao et al. 2016; Zhang et al. 2020, eq. 7).

    Args:
      prior: (s h, s w, C).
      lr: (h, w, C).
      kernel: (k, k), cross-correlation convention.
      weight: (), above 0.
      scale: s.

    Returns:
      (s h, s w, C), float32 or the wider precision of the arguments.
    """
    prior, lr, kernel, weight = _wide(prior, lr, kernel, weight)
    blur = _blur(kernel, scale, lr.shape[:2], (kernel.shape[0] - 1) // 2)
    residual = jnp.fft.rfft2(lr.transpose(2, 0, 1)) - _forward(blur, prior)
    return prior + _transpose(blur, residual / (blur.gram + weight)[None].astype(residual.dtype))


def conjugate_gradients(
    prior: jax.Array,
    lr: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    *,
    spec: Spec,
    num_iterations: int = NUM_ITERATIONS,
    mask: jax.Array | None = None,
) -> jax.Array:
    """The same minimiser for either boundary, by conjugate gradients.

    For 'valid', A A^T is a Toeplitz matrix on the LR grid; it is applied by transforms of a padded grid and
    preconditioned by its periodic neighbour, whose inverse is one division a frequency (Chan & Ng 1996).

    Args:
      prior: (H, W, C), the image or canvas, see `Spec.canvas_shape`.
      lr: (h, w, C).
      kernel: (k, k), cross-correlation convention.
      weight: (), above 0.
      spec: the problem's static part.
      num_iterations: of conjugate gradients, each four transforms of an LR image.
      mask: (h, w, C) bool, where `lr` counts; None: everywhere.

    Returns:
      (H, W, C), float32 or the wider precision of the arguments.
    """
    prior, lr, kernel, weight = _wide(prior, lr, kernel, weight)
    (h, w), (height, width) = lr.shape[:2], prior.shape[:2]
    reach = (kernel.shape[0] - 1) // 2
    near = _blur(kernel, spec.scale, (h, w), reach)
    grid = (-(-height // spec.scale), -(-width // spec.scale))
    blur = near if spec.boundary == "circular" else _blur(kernel, spec.scale, grid, 0)

    def hide(u):
        return u if mask is None else jnp.where(mask.transpose(2, 0, 1), u, 0)

    def filtered(u, response, shape):
        spectrum = jnp.fft.rfft2(u, shape)
        return hide(jnp.fft.irfft2(response[None].astype(spectrum.dtype) * spectrum, shape)[:, :h, :w])

    def system(u):  # on what is not hidden; so is all that is made from it
        return filtered(u, blur.gram, blur.grid) + weight * u

    def precondition(r):
        return filtered(r, 1 / (near.gram + weight), near.grid)

    def dot(a, b):
        return jnp.sum(jnp.sum(a * b, -1, keepdims=True), -2, keepdims=True)

    def solve(matvec, residual):
        def body(carry, _):
            u, r, direction, size = carry
            image = matvec(direction)
            moves = size > floor  # what is below is rounding, and would grow
            length = jnp.where(moves, size / jnp.where(moves, dot(direction, image), 1), 0)
            u, r = u + length * direction, r - length * image
            z = precondition(r)
            new_size = dot(r, z)
            direction = z + jnp.where(moves, new_size / jnp.where(moves, size, 1), 0) * direction
            return (u, r, direction, new_size), None

        direction = precondition(residual)
        size = dot(residual, direction)
        floor = jnp.finfo(size.dtype).eps ** 2 * size
        start = (jnp.zeros_like(residual), residual, direction, size)
        return jax.lax.scan(body, start, length=num_iterations)[0][0]

    blurred = jnp.fft.irfft2(_forward(blur, prior), blur.grid)[:, :h, :w]
    # Its gradients are solutions too; through the iterations they would lose all digits.
    u = jax.lax.custom_linear_solve(system, hide(lr.transpose(2, 0, 1) - blurred), solve, symmetric=True)
    return prior + _transpose(blur, jnp.fft.rfft2(u, blur.grid))[:height, :width]


def gradient_step(
    prior: jax.Array, lr: jax.Array, kernel: jax.Array, step_size: jax.Array | float, *, spec: Spec
) -> jax.Array:
    """One step down the gradient of |A x - y|^2 from the prior (Yang et al. 2024, eq. 23).

    Args:
      prior: (H, W, C), the image or canvas.
      lr: (h, w, C).
      kernel: (k, k), cross-correlation convention.
      step_size: (); the data term falls for sure below s * s over the square of the sum of |kernel|, as no eigenvalue
        of A^T A is above that square.
      spec: the problem's static part.

    Returns:
      (H, W, C).
    """
    prior, lr, kernel, step_size = _wide(prior, lr, kernel, step_size)
    residual = lr - degrade(prior, kernel, scale=spec.scale, boundary=spec.boundary)
    back = adjoint(residual, kernel, scale=spec.scale, boundary=spec.boundary, image_shape=prior.shape)
    return prior + 2 * step_size * back


def solve_data(
    prior: jax.Array,
    lr: jax.Array,
    kernel: jax.Array,
    weight: jax.Array | float,
    *,
    spec: Spec,
    num_iterations: int = NUM_ITERATIONS,
    mask: jax.Array | None = None,
) -> jax.Array:
    """The minimiser for the boundary of `spec`: `closed_form` for 'circular', else or under a mask by iterations."""
    if spec.boundary == "circular" and mask is None:
        return closed_form(prior, lr, kernel, weight, scale=spec.scale)
    options = {"spec": spec, "num_iterations": num_iterations, "mask": mask}
    return conjugate_gradients(prior, lr, kernel, weight, **options)
