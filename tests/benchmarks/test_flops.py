"""Operations counted from shapes, whatever the form of the program."""

import jax
import jax.numpy as jnp
from jax import lax

from blindsr_jax.benchmarks import flops
from blindsr_jax.imaging.conv import conv2d
from blindsr_jax.networks.skip import SkipNet


def counted(function, *shapes):
    return flops.count(jax.make_jaxpr(function)(*(jnp.zeros(shape) for shape in shapes)).jaxpr)


def test_products_and_convolutions():
    assert counted(jnp.matmul, (5, 3, 4), (5, 4, 7)) == 2 * 5 * 3 * 4 * 7
    # 8 x 10 becomes 3 x 4 under a 3 x 3 window at stride 2; through a function with gradients of its own.
    assert counted(lambda x, w: conv2d(x, w, 2), (1, 8, 10, 5), (3, 3, 5, 6)) == 2 * 3 * 4 * 9 * 5 * 6
    layout = ("NHWC", "HWIO", "NHWC")

    def grouped(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout, feature_group_count=2)

    assert counted(grouped, (1, 4, 4, 6), (3, 3, 3, 8)) == 2 * 16 * 9 * 3 * 8


def test_loops_and_branches():
    def loop(x):
        return lax.scan(lambda c, _: (c @ c, None), x, length=7)[0]

    def branch(x):
        return lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x)

    assert counted(loop, (3, 3)) == 7 * 2 * 27
    assert counted(jax.jit(branch), (3, 3)) == 2 * 2 * 27


def test_the_released_network_has_its_known_number_of_operations():
    net, noise = SkipNet(), jax.ShapeDtypeStruct((256, 256, 3), jnp.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), noise)

    def forward(params, noise):
        return jax.vjp(lambda p: net.apply(p, noise), params)[0]

    giga_macs = flops.training_flops(forward, params, noise) / 2 / 3 / 1e9
    assert round(giga_macs, 1) == 20.1  # of a forward pass, docs: 128 channels at 256 x 256
    calls = flops.conv_calls(forward, params, noise)
    assert calls[0].shape == (256, 256, 3) and calls[0].layer.stride == 2 and calls[-1].layer.features == 3
    assert len(calls) == 38
