"""Kernels that are drawn before a training."""

import jax
import numpy as np

from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family, mixture
from blindsr_jax.kernels.pool import draw_pool
from blindsr_jax.training import kernel_pool

SPEC = make_spec(scale=3, kernel_size=11)


def family(weights):
    place = {"scale": SPEC.scale, "kernel_size": SPEC.kernel_size, "kernel_center": SPEC.kernel_center}
    return mixture([load_family(name, **place) for name in ("gaussian", "line", "disc")], weights)


def test_members_have_their_shares():
    pool = draw_pool(jax.random.key(0), family((1, 0, 0.001)), 40)
    assert pool.kernels.shape == (41, 11, 11)
    np.testing.assert_array_equal(np.bincount(pool.categories, minlength=3), [40, 0, 1])
    single = draw_pool(jax.random.key(0), load_family("disc", scale=2), 7)
    assert single.kernels.shape == (7, 11, 11) and not single.categories.any()


def test_a_kernel_comes_with_its_category():
    pool = draw_pool(jax.random.key(1), family((1, 1, 1)), 30)
    kernels, categories = jax.vmap(lambda key: kernel_pool.pick(key, pool))(jax.random.split(jax.random.key(2), 64))
    assert set(np.unique(categories)) == {0, 1, 2}
    for kernel, category in zip(kernels, categories, strict=True):
        place = np.flatnonzero((np.asarray(pool.kernels) == np.asarray(kernel)).all((1, 2)))
        assert category in np.asarray(pool.categories)[place]


def test_the_pool_of_the_validation_is_another_one():
    first, second = kernel_pool.draw_two({"seed": 3, "kernel_pool": 12}, family((1, 1, 1)))
    assert not np.array_equal(first.kernels, second.kernels)
    again, _ = kernel_pool.draw_two({"seed": 3, "kernel_pool": 12}, family((1, 1, 1)))
    np.testing.assert_array_equal(first.kernels, again.kernels)


def test_a_share_moves_to_the_other_centre():
    pool = draw_pool(jax.random.key(4), family((1, 0, 1)), 60)
    moved = kernel_pool.recenter(jax.random.key(5), pool, SPEC, 0.5)
    centers = np.array([geometry.center_of_mass(k) for k in moved.kernels])
    aligned, release = (geometry.center(11, 3, name) for name in ("aligned", "release"))
    is_aligned = np.abs(centers - aligned).max(1) < 0.3
    assert 0.25 < is_aligned.mean() < 0.75
    np.testing.assert_allclose(centers[~is_aligned], release, atol=0.3)
