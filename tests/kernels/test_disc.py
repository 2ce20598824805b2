import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.disc import disc_kernel
from blindsr_jax.kernels.family import load_family, sample_kernels


@pytest.mark.parametrize("name", ["disc", "impulse"])
@pytest.mark.parametrize("scale, place", [(1, "aligned"), (2, "release"), (3, "aligned"), (4, "aligned")])
def test_they_are_centred_kernels(name, scale, place):
    family = load_family(name, scale=scale, kernel_center=place)
    kernels = sample_kernels(jax.random.key(0), family, 50)
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, rtol=1e-5)
    assert kernels.min() >= 0
    centers = np.array([geometry.center_of_mass(k) for k in kernels])
    np.testing.assert_allclose(centers, geometry.center(kernels.shape[-1], scale, place), atol=1e-4)


def test_a_disc_is_as_wide_as_its_radius_says():
    for radius in (2.0, 3.5, 5.0):
        kernel = disc_kernel(jnp.float32(radius), kernel_size=15, center=7.0)
        # A quarter of the square of the radius, and a little for the edge and the pixels.
        np.testing.assert_allclose(geometry.covariance(kernel)[0, 0], radius**2 / 4 + 1 / 6, rtol=0.05)


def test_discs_vanish_without_a_jump():
    for center in (3.0, 3.5):
        small, point = (disc_kernel(jnp.float32(r), kernel_size=8, center=center) for r in (1e-3, 0.0))
        np.testing.assert_allclose(small, point, atol=1e-2)
        np.testing.assert_allclose(np.sort(np.asarray(point).ravel())[-1], 1 if center == 3.0 else 0.25, rtol=1e-5)


def test_impulses_are_narrower_than_wide_gaussians():
    wide = load_family("gaussian", scale=4, variance_range="wide")
    narrow = load_family("impulse", scale=4)
    spread = [float(geometry.covariance(f.render(f.sample(jax.random.key(1))))[0, 0]) for f in (narrow, wide)]
    assert spread[0] < spread[1]
    assert narrow.name == "impulse" and wide.name == "gaussian"


@pytest.mark.parametrize("options", [{"radius_range": "large"}, {"radius_range": (3, 2)}])
def test_ranges_that_cannot_be(options):
    with pytest.raises(ValueError, match="radius"):
        load_family("disc", scale=2, **options)
