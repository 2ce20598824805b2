"""Floating-point operations of a network, counted from the shapes of its layers.

XLA's own count is of the program that it made: the body of a loop once, and the work that it wastes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from blindsr_jax.networks.layers import Conv
from blindsr_jax.solvers.jaxprs import inner_jaxprs


class ConvCall(NamedTuple):
    """One use of a convolution layer."""

    layer: Conv
    shape: tuple[int, ...]  # (H, W, Ci), of its input
    dtype: Any


def _product(sizes, axes) -> int:
    return math.prod(sizes[axis] for axis in axes)


def _convolution(equation: Any) -> int:
    kernel, out = equation.invars[1].aval.shape, equation.outvars[0].aval.shape
    features = kernel[equation.params["dimension_numbers"].rhs_spec[0]]  # of all groups
    return 2 * math.prod(out) * math.prod(kernel) // features


def _product_of_matrices(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    return 2 * math.prod(equation.outvars[0].aval.shape) * _product(equation.invars[0].aval.shape, contracted)


def count(jaxpr: Any) -> int:
    """Twice the multiplications and additions of the convolutions and matrix products of a program.

    The body of a scan counts once a round, of branches the dearest counts, the body of a while loop counts once.
    """
    total = 0
    for equation in jaxpr.eqns:
        name, inside = equation.primitive.name, [count(inner) for inner in inner_jaxprs(equation)]
        if name == "conv_general_dilated":
            total += _convolution(equation)
        elif name == "dot_general":
            total += _product_of_matrices(equation)
        elif name == "cond":
            total += max(inside)
        else:
            total += equation.params.get("length", 1) * sum(inside) if name == "scan" else sum(inside)
    return total


def _plain(layer: Conv, x: jax.Array) -> jax.Array:
    """What a layer computes, as the one operation that `count` knows, in whatever form the layer would compute it."""
    kernel = jnp.zeros((layer.size, layer.size, x.shape[-1], layer.features), x.dtype)
    strides, layout = (layer.stride, layer.stride), ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x[None], kernel, strides, "SAME", dimension_numbers=layout)[0]


def _trace(forward: Callable, *args: Any) -> tuple[Any, list[ConvCall]]:
    """The program of a function of Flax modules, with plain convolutions; and its convolution layers, in order."""
    calls = []

    def replace(method, layer_args, options, context):
        if not isinstance(context.module, Conv) or context.method_name != "__call__":
            return method(*layer_args, **options)
        x = layer_args[0]
        calls.append(ConvCall(context.module.clone(parent=None, name=None), x.shape, x.dtype))
        return _plain(context.module, x)

    with nn.intercept_methods(replace):
        # A new function, which jax has not traced before.
        jaxpr = jax.make_jaxpr(lambda *inputs: forward(*inputs))(*args).jaxpr
    return jaxpr, calls


def training_flops(forward: Callable, *args: Any) -> int:
    """Operations of a forward and a backward pass: three times those of the forward pass, its two gradients included.

    A convolution layer counts by its shape, in whatever form it is computed: a form that multiplies less is faster, it
    does not do less.

    Args:
      forward: the function, without its gradient; nothing is run.
      *args: arrays, or their shapes as `jax.eval_shape` gives them.
    """
    return 3 * count(_trace(forward, *args)[0])


def conv_calls(forward: Callable, *args: Any) -> list[ConvCall]:
    """The convolution layers that a function of Flax modules uses, in order; nothing is run."""
    return _trace(forward, *args)[1]
