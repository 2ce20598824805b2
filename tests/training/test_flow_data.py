import jax
import numpy as np
import pytest

from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family
from blindsr_jax.training import flow_data


@pytest.mark.parametrize("scale, size, normalization", [(2, 4624, 0.2335), (3, 10000, 0.31311)])
def test_the_grid_of_the_release(scale, size, normalization):
    grid = np.asarray(flow_data.gaussian_grid(scale, 4 * scale + 3))
    assert len(grid) == size
    np.testing.assert_allclose(grid.sum((1, 2)), 1, rtol=1e-5)
    assert grid.max() < normalization
    made = flow_data.gaussian(load_family("gaussian", scale=scale), scale, 4 * scale + 3)
    np.testing.assert_allclose(flow_data.choose_normalization(made), normalization, atol=1e-5)


def test_own_kernels_are_centred_and_fitted():
    line = np.zeros((9, 9))
    line[1, 2:7] = 0.2
    found = flow_data.prepare(line, 2, 11)
    assert found.shape == (11, 11) and found.min() >= 0
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(found), 4.5, atol=0.05)
    with pytest.raises(ValueError, match="fall outside a window of 3"):
        flow_data.prepare(line, 2, 3)


def test_smoothing_adds_a_variance():
    kernel = np.zeros((1, 15, 15), np.float32)
    kernel[0, 7, 5:9] = 0.25
    found = flow_data.smooth(kernel, 0.8)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(found[0]), [7, 6.5], atol=1e-3)
    grown = geometry.covariance(found[0]) - geometry.covariance(kernel[0])
    np.testing.assert_allclose(grown, 0.64 * np.eye(2), atol=5e-3)


def test_own_kernels_are_held_out():
    kernels = np.arange(25.0)[:, None, None] * np.ones((25, 3, 3))
    found = flow_data.from_kernels(kernels)
    held_out = set(np.asarray(found.validation())[:, 0, 0])
    drawn = set(np.asarray(found.draw(jax.random.key(0), 400))[:, 0, 0])
    assert held_out == {0, 10, 20} and drawn == set(range(25)) - held_out
    with pytest.raises(ValueError, match="1 kernels were found, at least 2 were expected"):
        flow_data.from_kernels(kernels[:1])
