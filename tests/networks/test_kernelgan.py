from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.conv import conv2d
from blindsr_jax.imaging.degradation import correlate
from blindsr_jax.networks import kernelgan
from tests import golden
from tests.methods.estimators import released

implied_kernel = jax.jit(kernelgan.implied_kernel)


def stacked(weights, x):
    """The generator layer by layer: each colour (H, W) of (H, W, C) alone, the last layer with stride 2."""
    x = x.transpose(2, 0, 1)[..., None]
    for w in weights[:-1]:
        x = conv2d(x, w, method="xla")
    return conv2d(x, weights[-1], 2, method="xla")[..., 0].transpose(1, 2, 0)


def implied(weights, x):
    return correlate(x, kernelgan.implied_kernel(weights), scale=2)


def test_one_kernel_equals_the_stack_in_values_and_gradients():
    """The whole point of the implied kernel: nothing about the training differs, in float64 to rounding."""
    with jax.enable_x64(True):
        weights = jax.jit(lambda key: kernelgan.init_generator(key, jnp.float64, channels=6))(jax.random.key(0))
        weights = tuple(10 * w for w in weights)
        x = jax.random.normal(jax.random.key(1), (24, 22, 3), jnp.float64)
        dy = jax.random.normal(jax.random.key(2), (6, 5, 3), jnp.float64)

        @jax.jit
        def run(weights):
            results = []
            for function in (stacked, implied):
                y, pull = jax.vjp(lambda w: function(w, x), weights)  # noqa: B023
                results.append((y, pull(dy)[0]))
            return results

        (y, grads), (found_y, found_grads) = run(weights)
        np.testing.assert_allclose(found_y, y, rtol=1e-11, atol=1e-13)
        for a, b in zip(found_grads, grads, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * np.abs(b).max())
        assert implied_kernel(weights).shape == (13, 13)


def test_generator_starts_at_almost_nothing():
    weights = jax.jit(lambda key: kernelgan.init_generator(key, jnp.float32))(jax.random.key(0))
    assert sum(w.size for w in weights) == 150_656
    np.testing.assert_allclose(weights[1].std(), 0.1 * (2 / (25 * 128)) ** 0.5, rtol=0.02)
    assert float(jnp.abs(implied_kernel(weights)).max()) < 1e-5


@pytest.mark.parametrize("wide", [True, False])
def test_generator_and_discriminator_equal_the_vectors(wide):
    vectors = golden.load("10_kernelgan_nets")
    with jax.enable_x64(wide):
        dtype = jnp.float64 if wide else jnp.float32
        weights = released.generator(vectors, dtype)
        kernel = implied_kernel(weights)
        np.testing.assert_allclose(kernel, vectors["curr_k_original"], atol=1e-7)
        np.testing.assert_allclose(kernel[::-1, ::-1], vectors["curr_k_fkp"], atol=1e-7)
        g_input = released.image(vectors["g_input"], dtype)
        np.testing.assert_allclose(
            correlate(g_input, kernel, scale=2), released.image(vectors["g_output"], dtype), atol=1e-5
        )
        variables = released.discriminator(vectors, dtype)
        judged, moved = jax.jit(partial(kernelgan.Discriminator().apply, mutable=["spectral"]))(
            variables, released.image(vectors["d_input"], dtype)
        )
        np.testing.assert_allclose(judged, vectors["d_output_train"][0, 0], atol=2e-5)
        after = released.discriminator(vectors, dtype, "D_after")["spectral"]
        for name, u in after.items():
            np.testing.assert_allclose(moved["spectral"][name]["u"], u["u"], atol=2e-6, err_msg=name)


def test_networks_have_the_released_sizes():
    shapes = jax.eval_shape(kernelgan.Discriminator().init, jax.random.key(0), jnp.zeros((26, 26, 3)))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == 30_977
    shapes = jax.eval_shape(kernelgan.PatchCritic().init, jax.random.key(0), jnp.zeros((2, 27, 27, 3)))
    assert sum(x.size for x in jax.tree.leaves(shapes["params"])) == 29_185


def test_spectral_norm_converges_to_the_largest_singular_value():
    w = jax.random.normal(jax.random.key(0), (3, 3, 2, 5))
    u = jnp.ones(5)
    normalise = jax.jit(kernelgan.spectral_norm)
    for _ in range(100):
        scaled, u = normalise(w, u)
    largest = np.linalg.svd(np.asarray(w).reshape(18, 5))[1][0]
    np.testing.assert_allclose(scaled, w / largest, rtol=1e-5, atol=1e-7)
