"""The one convolution everybody uses, in the form that is fastest where it runs; it stands below all the package.

Algorithms (`METHODS`), all with the same numbers up to rounding:
  xla: XLA's convolution and its automatic gradients. Inside a scan these are about 30 times slower on XLA:CPU than
    outside (the odd layouts of a gradient fall to a naive loop there); on an accelerator they are the vendor's.
  direct: XLA's convolution, gradients written as convolutions that are fast everywhere.
  winograd: a quarter of the multiplications, 3 x 3 with stride 1 only.
  im2col: all taps side by side, one matrix product; takes kh * kw times the memory of its input.
  kn2row: one matrix product per tap, summed.

Under vmap over the weights (a network per image) 'xla' and 'direct' become grouped convolutions, which are slow
everywhere they were measured; the others become batched matrix products.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap

from blindsr_jax.imaging import conv_tuning
from blindsr_jax.imaging.winograd import winograd

METHODS = ("auto", "xla", "direct", "winograd", "im2col", "kn2row")
_LAYOUT = ("NHWC", "HWIO", "NHWC")
_SMALLEST_MAP = 48 * 48  # positions


def choose(backend: str, x: jax.Array, w: jax.Array, stride: int, *, per_image: bool) -> str:
    """The form that 'auto' takes where `conv_tuning` knows none; what was measured, and how: docs/performance.md.

    Args:
      backend: of `jax.default_backend()`.
      x: (N, H, W, Ci), or its shape and dtype.
      w: (kh, kw, Ci, Co), likewise.
      stride: the same on both axes.
      per_image: whether each image has its own weights under vmap.
    """
    if backend == "cpu":
        has_form = w.shape[:2] == (3, 3) and stride == 1 and w.dtype.itemsize >= 4
        # On smaller maps there is little to win, and each such layer adds one second to the compilation.
        if has_form and min(w.shape[2:]) >= 8 and x.shape[0] * x.shape[1] * x.shape[2] >= _SMALLEST_MAP:
            return "winograd"
        return "im2col" if per_image else "direct"
    return "im2col" if per_image else "xla"


def _window(x: jax.Array, i: int, j: int, rows: int, columns: int, stride: int) -> jax.Array:
    return x[:, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride]


def _windows(x: jax.Array, w: jax.Array, stride: int) -> list[jax.Array]:
    """The samples that each tap reads: kh * kw arrays (N, rows, columns, Ci)."""
    kh, kw = w.shape[:2]
    rows, columns = ((n - k) // stride + 1 for n, k in zip(x.shape[1:3], (kh, kw), strict=True))
    return [_window(x, i, j, rows, columns, stride) for i in range(kh) for j in range(kw)]


def _im2col(x, w, stride, precision):
    return jnp.matmul(jnp.concatenate(_windows(x, w, stride), -1), w.reshape(-1, w.shape[-1]), precision=precision)


def _kn2row(x, w, stride, precision):
    taps = w.reshape(-1, *w.shape[2:])
    return sum(jnp.matmul(a, b, precision=precision) for a, b in zip(_windows(x, w, stride), taps, strict=True))


def _xla(x, w, stride, precision, padding="VALID", dilation=1):
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        padding,
        lhs_dilation=(dilation, dilation),
        dimension_numbers=_LAYOUT,
        precision=precision,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _direct(x, w, stride, precision):
    return _xla(x, w, stride, precision)


def _direct_backward(stride, precision, residuals, dy):
    x, w = residuals
    kh, kw, ci, co = w.shape
    n, h, wd, _ = x.shape
    rows, cols = ((m - 1) * stride + 1 for m in dy.shape[1:3])
    flipped = jnp.swapaxes(w[::-1, ::-1], 2, 3)
    dx = _xla(dy, flipped, 1, precision, ((kh - 1, h - rows), (kw - 1, wd - cols)), stride)
    if kh == kw == 1:
        x = x[:, :rows:stride, :cols:stride].reshape(-1, ci)
        return dx, jnp.matmul(x.T, dy.reshape(-1, co), precision=precision).reshape(w.shape)
    # Channels as the batch and dy as one large kernel: at 32 channels half the time of a matrix product per tap.
    dw = lax.conv_general_dilated(
        x[:, : kh - 1 + rows, : kw - 1 + cols].transpose(3, 1, 2, 0),
        dy.transpose(1, 2, 0, 3),
        (1, 1),
        "VALID",
        rhs_dilation=(stride, stride),
        dimension_numbers=_LAYOUT,
        precision=precision,
    )
    return dx, dw.transpose(1, 2, 0, 3)


_direct.defvjp(lambda x, w, stride, precision: (_xla(x, w, stride, precision), (x, w)), _direct_backward)


def _convolve(method, x, w, stride, precision):
    if method == "winograd" and w.shape[:2] == (3, 3) and stride == 1:
        return winograd(x, w)
    # Where Winograd's form does not exist, 'winograd' is its nearest relative.
    forms = {"xla": _xla, "direct": _direct, "im2col": _im2col, "kn2row": _kn2row, "winograd": _im2col}
    return {**forms, conv_tuning.ONE_BY_ONE: _xla}[method](x, w, stride, precision)


def _batchable(function, form):
    """A function (x, w, ..., method) that vmap runs in the form for so many images with weights of their own.

    `form(x, w, images)` is a method of METHODS, or ONE_BY_ONE; 0 images where they share their weights.
    """
    call = custom_vmap(lambda x, w, *rest: function(x, w, *rest, method=form(x, w, 0)))

    @call.def_vmap
    def rule(axis_size, in_batched, *args):
        one = [jax.ShapeDtypeStruct(a.shape[is_in:], a.dtype) for a, is_in in zip(args, in_batched, strict=True)]
        method = form(*one[:2], axis_size if in_batched[1] else 0)
        each = functools.partial(function, method=method)
        if method == conv_tuning.ONE_BY_ONE:
            stacks = [a if is_in else jnp.stack([a] * axis_size) for a, is_in in zip(args, in_batched, strict=True)]
            out = lax.map(lambda image: each(*image), tuple(stacks))
        else:
            out = jax.vmap(each, [0 if is_in else None for is_in in in_batched])(*args)
        return out, jax.tree.map(lambda _: True, out)

    return call


@functools.cache
def _adaptive(stride: int, precision: str):
    """'auto': chooses anew where vmap batches it. The choice must stand inside the gradient's two halves."""

    def run(method, x, w):
        return _convolve(method, x, w, stride, precision)

    def form(x, w, images):
        layer = conv_tuning.Layer(x.shape, w.shape, stride, x.dtype.name, precision, images)
        fastest = conv_tuning.best(layer, run)
        return fastest or choose(jax.default_backend(), x, w, stride, per_image=images > 0)

    def both_gradients(x, w, dy, method):
        return jax.vjp(functools.partial(run, method), x, w)[1](dy)

    forward = _batchable(lambda x, w, method: run(method, x, w), form)
    backward = _batchable(both_gradients, form)
    conv = jax.custom_vjp(forward)
    conv.defvjp(lambda x, w: (forward(x, w), (x, w)), lambda residuals, dy: backward(*residuals, dy))
    return conv


def conv2d(
    x: jax.Array, w: jax.Array, stride: int = 1, *, method: str = "auto", precision: str = "highest"
) -> jax.Array:
    """VALID cross-correlation, fast under grad, inside a scan and under vmap over images with a network each.

    First derivatives only, but for the methods 'xla', 'im2col' and 'kn2row'. To train one network on many images give
    them as N: under vmap each would get its own gradient of the weights.

    Args:
      x: (N, H, W, Ci).
      w: (kh, kw, Ci, Co).
      stride: the same on both axes.
      method: one of METHODS.
      precision: of the products of float32 numbers, as jax names it: 'highest', or 'tensorfloat32' for a GPU.

    Returns:
      (N, (H - kh) // stride + 1, (W - kw) // stride + 1, Co).

    Raises:
      ValueError: an unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"the convolution's method is {method!r}, expected one of {', '.join(METHODS)}")
    if method == "auto":
        return _adaptive(stride, precision)(x, w)
    return _convolve(method, x, w, stride, precision)
