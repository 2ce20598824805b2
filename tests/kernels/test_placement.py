import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels import geometry, placement
from blindsr_jax.kernels.gaussian import gaussian_kernel
from tests import golden

soft_threshold = jax.jit(placement.soft_threshold, static_argnums=1)
move_center = jax.jit(geometry.move_center)


@pytest.fixture(scope="module")
def vectors():
    return golden.load("01_kernel_postprocess")


@pytest.mark.parametrize("case", range(4))
def test_thresholding_and_shift_equal_the_vectors(vectors, case):
    kernel, kept = jnp.asarray(vectors[f"in_{case}"]), int(vectors[f"n_{case}"])
    size = kernel.shape[0]
    found = soft_threshold(kernel, kept)
    np.testing.assert_allclose(found, vectors[f"zeroized_{case}"], atol=1e-6)
    moved = move_center(found, (size - 2) / 2)
    np.testing.assert_allclose(moved, vectors[f"fkp_post_sf2_{case}"], atol=1e-6)
    padded = vectors[f"kgan_post_{case}"]
    middle = (len(padded) - 1) / 2 + 0.5  # the release's target, an aligned centre
    moved = move_center(jax.jit(geometry.resize, static_argnums=1)(found, len(padded)), middle)
    np.testing.assert_allclose(moved, padded, atol=1e-6)


def test_cropped_kernels_of_the_fkp_release(vectors):
    for case in range(2):
        kept = soft_threshold(jnp.asarray(vectors[f"in_{case}"])[:-2, :-2], int(vectors[f"n_{case}"]))
        np.testing.assert_allclose(move_center(kept, 4.5), vectors[f"fkp_post_crop2_{case}"], atol=1e-6)


def test_thresholding_of_empty_and_small_kernels():
    assert not np.asarray(soft_threshold(jnp.zeros((13, 13)))).any()
    np.testing.assert_allclose(soft_threshold(jnp.ones((3, 3))), np.full((3, 3), 1 / 9), rtol=1e-6)


@pytest.mark.parametrize("size, center", [(11, 5.5), (17, 7.5), (9, 3.5)])
def test_placed_kernels_have_their_centre_size_and_sum(size, center):
    """A Gaussian moved by whole and half pixels is the Gaussian drawn there, also where its tails are cropped."""
    variances, angle = jnp.array([2.0, 1.2]), jnp.array(0.5)
    kernel = gaussian_kernel(variances, angle, kernel_size=13, center=6.5)
    found = jax.jit(placement.place, static_argnums=(1, 2))(kernel, center, size)
    assert found.shape == (size, size) and float(found.min()) >= 0
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(found), center, atol=0.01)
    np.testing.assert_allclose(found, gaussian_kernel(variances, angle, kernel_size=size, center=center), atol=2e-3)
