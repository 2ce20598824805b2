import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from blindsr_jax.networks.conv import conv2d


def plain(x, w, stride):
    return lax.conv_general_dilated(x, w, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("shape", [(9, 11), (8, 8), (10, 7)])
@pytest.mark.parametrize("size, stride", [(1, 1), (3, 1), (3, 2), (5, 3)])
def test_values_and_gradients_equal_the_plain_convolution(size, stride, shape):
    with jax.enable_x64(True):
        keys = jax.random.split(jax.random.key(0), 3)
        x = jax.random.normal(keys[0], (2, *shape, 3))
        w = jax.random.normal(keys[1], (size, size, 3, 4))
        out, pull = jax.vjp(lambda x, w: conv2d(x, w, stride), x, w)
        expected, pull_plain = jax.vjp(lambda x, w: plain(x, w, stride), x, w)
        np.testing.assert_allclose(out, expected, atol=1e-12)
        dy = jax.random.normal(keys[2], out.shape)
        for found, wanted in zip(pull(dy), pull_plain(dy), strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_a_network_per_image_under_vmap():
    keys = jax.random.split(jax.random.key(1), 2)
    x = jax.random.normal(keys[0], (3, 1, 8, 8, 2))
    w = jax.random.normal(keys[1], (3, 3, 3, 2, 4))
    stacked = jnp.stack([conv2d(a, b) for a, b in zip(x, w, strict=True)])
    np.testing.assert_allclose(jax.vmap(conv2d)(x, w), stacked, rtol=1e-4, atol=1e-4)
