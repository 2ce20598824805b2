import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels import gaussian, geometry, impulse
from blindsr_jax.kernels.family import sample_kernels
from tests.golden import load
from tests.kernels import moments

# Independent numbers: scale, variances, and the kernel's values by pixel at angle 0.7.
CHECKS = [
    (2, (1.5, 0.4), {(4, 4): 0.173346, (5, 5): 0.173346, (4, 5): 0.110347, (5, 4): 0.110346, (6, 3): 0.000764}),
    (3, (2.25, 0.6), {(6, 6): 0.136979, (6, 7): 0.085113, (7, 6): 0.076716, (8, 5): 0.002511}),
    (4, (3.0, 0.8), {(8, 8): 0.094362, (8, 9): 0.057929, (9, 8): 0.049571, (10, 7): 0.003529}),
]


@functools.partial(jax.jit, static_argnames=("dtype", "kernel_size", "scale"))
def release(params, dtype, **options):
    params = jnp.asarray(params, dtype)
    return gaussian.release_gaussian_kernel(params[:2], params[2], **options)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_release_kernels_match(scale, precision):
    dtype, tolerance = precision
    golden = load("01_kernels_gauss_shift")
    size = 4 * scale + 3
    params = np.concatenate([golden[f"params_x{scale}"], golden[f"noisy_params_x{scale}"][None]])
    noise = np.zeros((9, size, size))
    noise[8] = golden[f"noise_x{scale}"]
    make = jax.jit(jax.vmap(lambda p, n: release(p, dtype, kernel_size=size, scale=scale, noise=n)))
    made = make(params, noise)
    assert made.dtype == dtype
    np.testing.assert_allclose(made[:8], golden[f"kernel_x{scale}"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(made[8], golden[f"noisy_kernel_x{scale}"], rtol=0, atol=tolerance)


def test_release_random_stream(precision):
    golden = load("01_kernels_gauss_shift")
    for params, kernel in zip(golden["seed1_params_x4"], golden["seed1_kernel_x4"], strict=True):
        made = release(np.asarray(params), precision[0], kernel_size=19, scale=4)
        np.testing.assert_allclose(made, kernel, rtol=0, atol=precision[1])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_release_sampler_kernels_match(scale, precision):
    dtype, tolerance = precision
    golden = load("01_kernels_gauss_move")
    options = {"kernel_size": 4 * scale + 3, "scale": scale}
    for params, kernel in zip(golden[f"params_x{scale}"], golden[f"kernel_x{scale}"], strict=True):
        made = release(params, dtype, target=golden[f"move_x{scale}"], **options)
        np.testing.assert_allclose(made, kernel, rtol=0, atol=tolerance)
    made = release(golden[f"params_x{scale}"][4], dtype, target=golden[f"uneven_move_x{scale}"], **options)
    np.testing.assert_allclose(made, golden[f"uneven_kernel_x{scale}"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(gaussian.release_sampler_variance_range(scale), golden[f"range_x{scale}"])


@pytest.mark.parametrize(("scale", "variances", "values"), CHECKS)
def test_release_values(scale, variances, values):
    with jax.enable_x64(True):
        kernel = release(np.array([*variances, 0.7]), "float64", kernel_size=4 * scale + 3, scale=scale)
        np.testing.assert_allclose(geometry.center_of_mass(kernel), 4.5 + 1.5 * (scale - 2), atol=1e-5)
    kernel = np.asarray(kernel)
    for pixel, value in values.items():
        assert float(kernel[pixel]) == pytest.approx(value, abs=6e-7)
    assert float(kernel.max()) == pytest.approx(max(values.values()), abs=6e-7)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_analytic_kernel_is_close_to_the_released_one(scale):
    golden = load("01_kernels_gauss_shift")
    size = 4 * scale + 3
    for params, kernel in zip(golden[f"params_x{scale}"], golden[f"kernel_x{scale}"], strict=True):
        made = gaussian.gaussian_kernel(params[:2], params[2], kernel_size=size, center=(size - scale) / 2)
        assert -10 * np.log10(np.mean((made - kernel) ** 2)) > 68
        assert not np.any(made[size - scale + 1 :])


def test_angle_zero_puts_the_first_variance_on_columns():
    kernel = gaussian.gaussian_kernel(np.array([3.0, 1.0]), 0.0, kernel_size=31, center=15.0)
    np.testing.assert_allclose(geometry.covariance(kernel), np.diag([1.0, 3.0]), atol=1e-3)
    turned = gaussian.gaussian_kernel(np.array([3.0, 1.0]), np.pi / 4, kernel_size=31, center=15.0)
    assert float(geometry.covariance(turned)[0, 1]) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("kernel_center", geometry.CENTERS)
@pytest.mark.parametrize(("scale", "size"), [(s, None) for s in range(1, 9)] + [(1, 3), (1, 61), (4, 61)])
def test_laws(scale, size, kernel_center):
    size, center, _ = geometry.window(scale, size, kernel_center)
    variances = np.array([[1e-9, 1e-9], [0.0, 5.0], [0.01, 0.3], [2.0, 8.0], [400.0, 3.0]])
    make = jax.jit(jax.vmap(lambda v: gaussian.gaussian_kernel(v, 0.4, kernel_size=size, center=center)))
    kernels = np.asarray(make(variances))
    assert kernels.shape == (5, size, size)
    assert kernels.min() >= 0
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(moments.mean(kernels), center, atol=3e-5)


def test_narrow_release_kernels_are_finite():
    kernel = release(np.array([1e-5, 1e-5, 0.3]), "float32", kernel_size=11, scale=2)
    assert np.isfinite(kernel).all()


def test_gradients_are_finite():
    def loss(variances, angle):
        return gaussian.gaussian_kernel(variances, angle, kernel_size=11, center=4.5)[4, 5]

    for variances in (np.array([0.5, 2.0]), np.array([0.01, 0.01])):
        gradients = jax.jit(jax.grad(loss, argnums=(0, 1)))(variances, 0.3)
        assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("kernel_center", geometry.CENTERS)
def test_family(kernel_center):
    family = gaussian.family(scale=4, kernel_center=kernel_center)
    latent = family.sample(jax.random.key(0))
    volume = (10 - 0.7) ** 2 * np.pi
    assert float(family.log_prior(latent)) == pytest.approx(-np.log(volume), rel=1e-5)
    assert float(family.log_prior(latent._replace(angle=latent.angle + 4))) == -np.inf
    assert float(family.log_prior(latent._replace(variances=latent.variances + 10))) == -np.inf
    exact = gaussian.family(scale=4, kernel_center=kernel_center, exact_release=True)
    np.testing.assert_allclose(family.render(latent), exact.render(latent), atol=1e-3)


def test_the_wide_range_is_from_half_to_twice_the_data(scale=3):
    low, high = gaussian.data_variance_range(scale)
    assert gaussian.wide_variance_range(scale) == (low / 2, 2 * high)
    wide = gaussian.family(scale=scale, variance_range="wide")
    latents = jax.vmap(wide.sample)(jax.random.split(jax.random.key(0), 500))
    assert latents.variances.min() < low and latents.variances.max() > 1.8 * high


def test_family_refuses_bad_ranges():
    for bounds in ((3.0, 1.0), (-1.0, 2.0)):
        with pytest.raises(ValueError, match="variance_range"):
            gaussian.family(scale=2, variance_range=bounds)
    fixed = gaussian.family(scale=2, variance_range=(2.0, 2.0))
    assert np.isfinite(fixed.log_prior(fixed.sample(jax.random.key(0))))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_nearly_no_blur_stays_at_the_centre(scale):
    """A thin ridge between pixels once left only two distant ones that lay on it."""
    family = impulse.family(scale=scale, kernel_size=21)
    kernels = sample_kernels(jax.random.key(0), family, 4096)
    widths = np.asarray(jax.vmap(lambda k: jnp.sqrt(jnp.trace(geometry.covariance(k)) / 2))(kernels))
    assert widths.max() < 0.7
