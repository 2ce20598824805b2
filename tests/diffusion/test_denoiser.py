"""The denoiser: its range, its noise levels, tiles without seams."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.diffusion import denoiser
from tests import tiny_prior


def test_the_ranges_are_each_others_inverse():
    x = jnp.linspace(-0.2, 1.2, 7)
    np.testing.assert_allclose(denoiser.from_network(denoiser.to_network(x)), x, atol=1e-6)
    assert denoiser.to_network(jnp.zeros(())) == -1 and denoiser.from_network(jnp.ones(())) == 1


@pytest.mark.parametrize("time", [0, 3, 200, 998])
def test_the_time_of_a_noise_level(time):
    kept = denoiser.alphas_cumprod()[time]
    np.testing.assert_allclose(denoiser.time_of(np.sqrt((1 - kept) / kept) / 2), time, atol=1e-2)


def test_a_denoiser_that_sees_no_noise_changes_nothing():
    params = jax.tree.map(jnp.zeros_like, tiny_prior.params())
    noisy = jnp.asarray(np.random.default_rng(1).uniform(-0.1, 1.1, (2, 9, 11, 3)), jnp.float32)
    denoise = jax.jit(denoiser.denoise, static_argnums=0)
    np.testing.assert_allclose(denoise(tiny_prior.CONFIG, params, noisy, 0.1), noisy, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (16, 8)])
def test_images_of_any_size(shape):
    x = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    t = jax.ShapeDtypeStruct((1,), jnp.float32)
    assert jax.eval_shape(lambda x, t: denoiser.noise_of(tiny_prior.CONFIG, tiny_prior.params(), x, t), x, t) == x


def test_tiles_of_a_local_function_give_the_whole():
    """A pointwise function commutes with cutting: what the blending adds must be nothing."""
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 45, 61, 3)), jnp.float32)
    found = denoiser.tiled(lambda tile: tile**2 - 1, x, tile=20, overlap=6)
    np.testing.assert_allclose(found, x**2 - 1, atol=1e-6)


def test_tiles_that_disagree_leave_no_seam():
    """Each tile adds its own constant: the blend may not jump anywhere by more than the ramp allows."""
    seen = []

    def function(tile):
        seen.append(tile.shape)
        return jnp.ones_like(tile) * tile[:, :1, :1, :1]  # the value of its corner: tiles disagree by far

    x = jnp.broadcast_to(jnp.arange(60.0)[None, None, :, None], (1, 24, 60, 3))
    found = np.asarray(denoiser.tiled(function, x, tile=24, overlap=12))
    assert set(seen) == {(1, 24, 24, 3)}
    jumps = np.abs(np.diff(found[0, 0, :, 0]))
    assert found.max() - found.min() > 35  # the tiles do disagree
    assert jumps.max() < 18 / 12 * 1.5  # two neighbours differ by 18 at most, over the 12 pixels that they share


def test_a_small_image_is_not_cut():
    x = jnp.ones((1, 10, 12, 3))
    shapes = []
    denoiser.tiled(lambda tile: shapes.append(tile.shape) or tile, x, tile=64, overlap=8)
    assert shapes == [x.shape]
