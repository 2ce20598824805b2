import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from blindsr_jax.kernels import geometry, x4_from_x2
from tests.golden import load

SCALES = range(1, 9)


MOVE = jax.jit(geometry.move_center)


def random_kernel(seed, *shape):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("i", range(8))
def test_shift_matches_released_kernels(i, precision):
    dtype, tolerance = precision
    golden = load("01_kernel_shift")
    kernel = jnp.asarray(golden[f"in_{i}"], dtype)
    scale = int(golden[f"sf_{i}"])
    com = jax.jit(geometry.center_of_mass)(kernel)
    np.testing.assert_allclose(com, golden[f"com_{i}"], atol=10 * tolerance)
    target = (np.array(kernel.shape) - scale) / 2
    moved = MOVE(kernel, target)
    assert moved.dtype == dtype
    np.testing.assert_allclose(moved, golden[f"fkp_{i}"], rtol=0, atol=tolerance)
    moved = MOVE(kernel, np.array([3.25, 5.5]))
    np.testing.assert_allclose(moved, golden[f"move_{i}"], rtol=0, atol=tolerance)


def test_shift_of_an_impulse(precision):
    dtype, tolerance = precision
    golden = load("01_kernel_shift")
    moved = geometry.move_center(jnp.asarray(golden["impulse_in"], dtype), 4.5)
    np.testing.assert_allclose(moved, golden["impulse_fkp_sf2"], rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(7, 7), (8, 11), (2, 3)])
@pytest.mark.parametrize("offset", [(0.3, -1.7), (-2.5, 0.0), (1.0, 4.25), (30.0, 0.5)])
def test_shift_is_scipys(shape, offset):
    kernel = random_kernel(0, *shape).astype(np.float64)
    with jax.enable_x64(True):
        moved = jax.jit(geometry.shift)(kernel, np.array(offset))
    np.testing.assert_allclose(moved, scipy.ndimage.shift(kernel, offset, order=3), rtol=0, atol=1e-12)


def test_shift_of_zero_is_the_identity_and_integers_are_accepted():
    kernel = np.arange(25).reshape(5, 5)
    np.testing.assert_allclose(geometry.shift(kernel, 0), kernel, atol=1e-5)


def test_shift_gradient_in_the_offset():
    kernel, probe = (random_kernel(i, 9, 9).astype(np.float64) for i in (1, 2))
    with jax.enable_x64(True):
        value = jax.jit(lambda offset: jnp.sum(geometry.shift(kernel, offset) * probe))
        at, eps = np.array([0.3, -0.6]), 1e-6
        gradient = jax.grad(value)(at)
        numeric = [(value(at + eps * e) - value(at - eps * e)) / (2 * eps) for e in np.eye(2)]
    np.testing.assert_allclose(gradient, np.stack(numeric), rtol=1e-6)


def test_sizes_and_centers():
    assert [geometry.default_kernel_size(s) for s in (1, 2, 3, 4, 5, 8)] == [7, 11, 15, 19, 21, 21]
    assert [geometry.center(k, s, "release") for k, s in ((11, 2), (15, 3), (19, 4), (21, 8))] == [4.5, 6, 7.5, 6.5]
    for scale in SCALES:
        size = geometry.default_kernel_size(scale)
        release, aligned = (geometry.center(size, scale, c) for c in geometry.CENTERS)
        assert aligned - release == scale - 1
        assert release + aligned == size - 1  # mirror images
        assert geometry.window(scale, None, "aligned") == (size, aligned, release)


@pytest.mark.parametrize(
    "call",
    [
        lambda: geometry.center(11, 2, "middle"),
        lambda: geometry.center(3, 4, "release"),
        lambda: geometry.window(2, 10, "release"),
        lambda: geometry.window(0, 7, "release"),
        lambda: geometry.resize(jnp.ones((5, 5)), 4),
        lambda: geometry.convert_center(jnp.ones((5, 5)), 2, "release", "x"),
    ],
)
def test_bad_geometry_is_refused(call):
    with pytest.raises(ValueError):
        call()


def test_moments_of_a_known_kernel():
    kernel = np.zeros((5, 7))
    kernel[1, 2] = kernel[3, 2] = kernel[2, 1] = kernel[2, 3] = 0.25
    kernel[2, 1] = kernel[2, 3] = 0.5
    np.testing.assert_allclose(geometry.center_of_mass(kernel), [2, 2], atol=1e-6)
    np.testing.assert_allclose(geometry.covariance(kernel), [[1 / 3, 0], [0, 2 / 3]], atol=1e-6)
    tilted = np.diag([1.0, 1.0, 1.0])
    np.testing.assert_allclose(geometry.covariance(tilted), np.full((2, 2), 2 / 3), atol=1e-6)


def test_flip_twice_normalize_and_resize():
    kernel = random_kernel(3, 7, 7) - 0.2
    np.testing.assert_array_equal(geometry.flip(geometry.flip(kernel)), kernel)
    assert float(geometry.normalize(kernel).sum()) == pytest.approx(1)
    clipped = geometry.normalize(kernel, clip=True)
    assert float(clipped.min()) == 0
    assert float(clipped.sum()) == pytest.approx(1)
    grown = geometry.resize(kernel, 11)
    np.testing.assert_array_equal(grown[2:9, 2:9], kernel)
    np.testing.assert_array_equal(geometry.resize(grown, 7), kernel)
    np.testing.assert_array_equal(geometry.resize(kernel, 3), kernel[2:5, 2:5])


@pytest.mark.parametrize("scale", SCALES)
def test_convert_center_round_trip(scale):
    size = geometry.default_kernel_size(scale)
    kernel = np.zeros((size, size), np.float32)
    kernel[: size - scale + 1, : size - scale + 1] = random_kernel(4, size - scale + 1, size - scale + 1)
    there = geometry.convert_center(kernel, scale, "release", "aligned")
    step = geometry.center_of_mass(there) - geometry.center_of_mass(kernel)
    np.testing.assert_allclose(step, scale - 1, atol=1e-5)
    np.testing.assert_array_equal(geometry.convert_center(there, scale, "aligned", "release"), kernel)
    np.testing.assert_array_equal(geometry.convert_center(kernel, scale, "release", "release"), kernel)


def test_analytic_x4_matches_kernelgan(precision):
    dtype, tolerance = precision
    golden = load("01_kernels_analytic_x4")
    make = jax.jit(x4_from_x2.analytic_x4_kernel)
    made = jax.vmap(make)(jnp.asarray(golden["kernel_x2"], dtype))
    np.testing.assert_allclose(made, golden["analytic_x4"], rtol=0, atol=tolerance)
    made = make(jnp.asarray(golden["arbitrary_13"], dtype))
    np.testing.assert_allclose(made, golden["analytic_of_13"], rtol=0, atol=tolerance)
    shifted = geometry.move_center(jnp.asarray(golden["analytic_x4"][0], dtype), 8.5)
    np.testing.assert_allclose(shifted, golden["analytic_x4_shifted"][0], rtol=0, atol=tolerance)
