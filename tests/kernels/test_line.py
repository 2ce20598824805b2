import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels import geometry, line
from tests.golden import load
from tests.kernels import moments


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_released_lines_match(scale):
    golden = load("01_kernels_motion_dipdkp")
    angles, lengths, kernels = (golden[f"{n}_x{scale}"] for n in ("theta", "lens", "kernel"))

    def make(angles, quantized):
        one = lambda a, n: line.line_kernel(  # noqa: E731
            a, n, kernel_size=4 * scale + 3, scale=scale, quantized=quantized
        )
        return jax.jit(jax.vmap(one))(angles, jnp.asarray(lengths, angles.dtype))

    with jax.enable_x64(True):
        np.testing.assert_allclose(make(jnp.asarray(angles), True), kernels, rtol=0, atol=1e-12)
        np.testing.assert_allclose(make(jnp.asarray(angles), False), kernels, rtol=0, atol=0.0071)
    # In float32 a coordinate can round to the neighbouring 1/32 pixel.
    np.testing.assert_allclose(make(jnp.asarray(angles, jnp.float32), True), kernels, rtol=0, atol=0.0071)


@pytest.mark.parametrize("kernel_center", geometry.CENTERS)
@pytest.mark.parametrize("scale", range(1, 9))
def test_laws(scale, kernel_center):
    size, center, half_width = geometry.window(scale, None, kernel_center)
    lengths, angles = np.meshgrid([0.0, 0.7, half_width, 2 * half_width], [0.0, 0.5, np.pi / 2, 2.4])
    make = jax.jit(jax.vmap(lambda n, a: line.segment_kernel(n, a, kernel_size=size, center=center)))
    kernels = np.asarray(make(lengths.ravel(), angles.ravel()))
    assert kernels.min() >= 0
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(moments.mean(kernels), center, atol=1e-5)


def test_segment_has_the_covariance_of_a_line():
    length, angle = 12.0, 0.6
    kernel = line.segment_kernel(np.float32(length), angle, kernel_size=19, center=7.5)
    along = np.array([-np.sin(angle), np.cos(angle)])  # counter-clockwise: rows decrease
    wanted = length**2 / 12 * np.outer(along, along) + np.eye(2) / 6  # 1/6: the four-pixel splat
    np.testing.assert_allclose(geometry.covariance(kernel), wanted, atol=0.06)


def test_both_variants_turn_the_same_way():
    released = line.line_kernel(30.0, 5, kernel_size=15, scale=3)
    segment = line.segment_kernel(np.float32(11.0), np.pi / 6, kernel_size=15, center=6.0)
    assert float(jnp.sum(released * segment) / jnp.linalg.norm(released) / jnp.linalg.norm(segment)) > 0.95


@pytest.mark.parametrize("kernel_center", geometry.CENTERS)
def test_families(kernel_center):
    for options, volume in (({}, 9 * np.pi), ({"release": True}, 360)):
        family = line.family(scale=4, kernel_center=kernel_center, **options)
        latent = family.sample(jax.random.key(2))
        assert float(family.log_prior(latent)) == pytest.approx(-np.log(volume), rel=1e-5)
        assert float(family.log_prior(latent._replace(angle=latent.angle - 400))) == -np.inf
        center = geometry.center(19, 4, kernel_center)
        com = geometry.center_of_mass(family.render(latent))
        np.testing.assert_allclose(com, center, atol=0.9 if options else 1e-5)


def test_refusals():
    with pytest.raises(ValueError, match="fit"):
        line.family(scale=4, length_range=(3.0, 16.0))
    with pytest.raises(ValueError, match="release"):
        line.family(scale=4, length_range=(3.0, 6.0), release=True)
