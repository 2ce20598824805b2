"""3 x 3 convolutions by minimal filtering: Winograd's F(4 x 4, 3 x 3), Lavin & Gray 2016.

A tile of 4 x 4 outputs comes from 6 x 6 inputs through 36 products instead of 144. Tiles, weights and outputs are
transformed by small fixed matrices; in between stand 36 matrix products over the channels, which is also the form that
weights of one image each keep under vmap. Rounding errors are about ten times those of the plain sum.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SIDE = 4  # outputs of a tile, on each axis
_POINTS = SIDE + 2


def _matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Transforms of inputs (6, 6), weights (6, 3) and outputs (4, 6), from Cook and Toom's interpolation.

    The products are values of two polynomials at 0, the square roots of 1/2 and 2 with either sign, and infinity. With
    these points rounding is a half (root mean square) to a quarter (largest) of what the usual 0, 1, 2 give.
    """
    points = np.array([0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)])
    others = [np.delete(points, i) for i in range(len(points))]
    inputs = np.zeros((_POINTS, _POINTS))
    inputs[:-1, :-1] = [np.poly(roots)[::-1] for roots in others]
    inputs[-1] = np.poly(points)[::-1]
    factor = [np.prod(point - roots) for point, roots in zip(points, others, strict=True)]
    weights = np.vstack([np.vander(points, 3, increasing=True) / np.array(factor)[:, None], [0, 0, 1]])
    outputs = np.vstack([np.vander(points, SIDE, increasing=True), np.eye(SIDE)[-1]]).T
    return tuple(np.round(matrix, 15) for matrix in (inputs, weights, outputs))


_INPUT, _WEIGHT, _OUTPUT = _matrices()


def _of_scalars(matrix: np.ndarray, dtype) -> jax.Array:
    """A constant matrix that a traced program makes itself: an array would be copied per image in a branch under vmap,
    which `custom_vmap` refuses.
    """
    return jnp.stack([jnp.full((), c, dtype) for c in matrix.ravel().tolist()]).reshape(matrix.shape)


def _combine(matrix: np.ndarray, parts: list[jax.Array], axis: int) -> jax.Array:
    """matrix @ parts, as sums of arrays, stacked along a new axis.

    The barrier has each transform computed once: XLA would else repeat it in every consumer.
    """
    rows = []
    for row in matrix:
        terms = [part if c == 1 else part * np.asarray(c, part.dtype) for c, part in zip(row, parts, strict=True) if c]
        rows.append(sum(terms[1:], terms[0]))
    return lax.optimization_barrier(jnp.stack(rows, axis))


def _tiles(height: int, width: int) -> tuple[int, int]:
    return -(-height // SIDE), -(-width // SIDE)


def _transform_input(x: jax.Array) -> jax.Array:
    """(N, H, W, C) -> (36, N * tiles, C)."""
    n, h, w, c = x.shape
    rows, columns = _tiles(h - 2, w - 2)
    x = jnp.pad(x, ((0, 0), (0, SIDE * rows + 2 - h), (0, SIDE * columns + 2 - w), (0, 0)))
    last_row, last_column = SIDE * (rows - 1) + 1, SIDE * (columns - 1) + 1
    x = _combine(_INPUT, [x[:, i : i + last_row : SIDE] for i in range(_POINTS)], 0)
    x = _combine(_INPUT, [x[:, :, :, i : i + last_column : SIDE] for i in range(_POINTS)], 1)
    return x.reshape(_POINTS**2, n * rows * columns, c)


def _transform_weight(w: jax.Array) -> jax.Array:
    """(3, 3, Ci, Co) -> (36, Ci, Co)."""
    matrix = _of_scalars(_WEIGHT, w.dtype)
    return jnp.einsum("ai,bj,ijcd->abcd", matrix, matrix, w, precision="highest").reshape(_POINTS**2, *w.shape[2:])


def _transform_output(m: jax.Array, n: int, height: int, width: int) -> jax.Array:
    """(36, N * tiles, C) -> (N, height, width, C)."""
    rows, columns = _tiles(height, width)
    m = m.reshape(_POINTS, _POINTS, n, rows, columns, -1)
    m = _combine(_OUTPUT, [m[:, i] for i in range(_POINTS)], 4)
    m = _combine(_OUTPUT, [m[i] for i in range(_POINTS)], 2)
    return m.reshape(n, SIDE * rows, SIDE * columns, -1)[:, :height, :width]


def _transform_gradient(dy: jax.Array) -> jax.Array:
    """The transpose of `_transform_output`: (N, height, width, C) -> (36, N * tiles, C)."""
    n, height, width, c = dy.shape
    rows, columns = _tiles(height, width)
    dy = jnp.pad(dy, ((0, 0), (0, SIDE * rows - height), (0, SIDE * columns - width), (0, 0)))
    dy = dy.reshape(n, rows, SIDE, columns, SIDE, c)
    dy = _combine(_OUTPUT.T, [dy[:, :, i] for i in range(SIDE)], 0)
    dy = _combine(_OUTPUT.T, [dy[:, :, :, :, i] for i in range(SIDE)], 1)
    return dy.reshape(_POINTS**2, n * rows * columns, c)


def _forward(x: jax.Array, w: jax.Array) -> jax.Array:
    n, h, wd, _ = x.shape
    products = jnp.matmul(_transform_input(x), _transform_weight(w), precision="highest")
    return _transform_output(products, n, h - 2, wd - 2)


@jax.custom_vjp
def winograd(x: jax.Array, w: jax.Array) -> jax.Array:
    """VALID cross-correlation with stride 1; always in the full precision of its inputs, which should be 32 or 64 bits.

    Args:
      x: (N, H, W, Ci).
      w: (3, 3, Ci, Co).

    Returns:
      (N, H - 2, W - 2, Co).
    """
    return _forward(x, w)


def _backward(residuals, dy):
    x, w = residuals
    dx = _forward(jnp.pad(dy, ((0, 0), (2, 2), (2, 2), (0, 0))), jnp.swapaxes(w[::-1, ::-1], 2, 3))
    tiles, slopes = _transform_input(x), _transform_gradient(dy)  # the tiles again: keeping them would take 2.25 x
    matrix = _of_scalars(_WEIGHT, w.dtype)
    dw = jnp.matmul(jnp.swapaxes(tiles, 1, 2), slopes, precision="highest")
    dw = dw.reshape(_POINTS, _POINTS, *w.shape[2:])
    return dx, jnp.einsum("ai,bj,abcd->ijcd", matrix, matrix, dw, precision="highest")


winograd.defvjp(lambda x, w: (_forward(x, w), (x, w)), _backward)
