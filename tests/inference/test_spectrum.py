from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.inference import spectrum
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.kernels.line import segment_kernel

mean_power = jax.jit(spectrum.mean_power, static_argnums=1)
log_evidence = jax.jit(spectrum.log_evidence)
blurred = jax.jit(degrade, static_argnames=("scale", "boundary"))


@partial(jax.jit, static_argnums=(1, 2))
def natural_field(key, size, slope=2.0):
    """A Gaussian field with the spectrum 1 / |f|^slope, scaled into [0, 1]."""
    f = np.fft.fftfreq(size)
    radius = np.maximum(np.hypot(*np.meshgrid(f, f)), 1 / size)
    decay = jnp.asarray(radius ** (slope / 2), jnp.complex64)
    field = jnp.fft.ifft2(jnp.fft.fft2(jax.random.normal(key, (size, size))) / decay).real
    return ((field - field.min()) / (field.max() - field.min())).astype(jnp.float32)[..., None]


def segments(lengths, angles, spec):
    grid = [(length, angle) for length in lengths for angle in angles]
    draw = partial(segment_kernel, kernel_size=spec.kernel_size, center=spec.center)
    long, turned = np.array(grid, np.float32).T
    return jax.jit(jax.vmap(draw))(long, np.deg2rad(turned)), grid


@pytest.mark.parametrize("scale, true", [(1, (15, 30)), (2, (9, 120))])
def test_evidence_finds_length_and_angle_of_motion(scale, true):
    spec = make_spec(scale=scale, kernel_size=19 if scale == 1 else 13)
    image = natural_field(jax.random.key(0), 192)
    lengths = (3, 6, 9, 12, 15) if scale == 1 else (3, 6, 9)
    kernels, grid = segments(lengths, (0, 30, 60, 90, 120, 150), spec)
    lr = blurred(image, kernels[grid.index(true)], scale=scale, boundary="valid")
    lr = jnp.round(255 * lr) / 255
    evidence = log_evidence(kernels, Problem(lr, spec))
    assert grid[int(jnp.argmax(evidence))] == true


def test_a_sharp_image_is_not_called_blurred():
    spec = make_spec(scale=1, kernel_size=19)
    kernels, grid = segments((1, 7, 15), (0, 90), spec)
    image = natural_field(jax.random.key(1), 128)
    evidence = log_evidence(kernels, Problem(image, spec))
    assert grid[int(jnp.argmax(evidence))][0] == 1


def test_white_noise_has_its_variance_at_every_frequency():
    noise = 0.1 * jax.random.normal(jax.random.key(2), (256, 256, 1))
    power = mean_power(noise, 32)
    assert power.shape == (32, 32)
    np.testing.assert_allclose(jnp.mean(power[2:-2, 2:-2]), 0.01, rtol=0.05)


def test_small_images_are_one_block():
    assert spectrum.block_size((20, 31, 3), 2, 11) == 20
    assert jnp.isfinite(mean_power(jnp.ones((20, 31, 3)), 20)).all()


@pytest.mark.parametrize("slope", [1.6, 2.9])
def test_the_slope_of_the_scene_need_not_be_known(slope):
    """A Gaussian field with a flat or a steep spectrum: the width of the blur is found all the same."""
    spec = make_spec(scale=2, kernel_size=13)
    widths = (1.0, 2.0, 4.0, 8.0)
    kernels = jnp.stack(
        [gaussian_kernel(jnp.full(2, v), jnp.zeros(()), kernel_size=13, center=spec.center) for v in widths]
    )
    lr = blurred(natural_field(jax.random.key(3), 192, slope), kernels[2], scale=2, boundary="valid")
    evidence = log_evidence(kernels, Problem(jnp.round(255 * lr) / 255, spec))
    assert widths[int(jnp.argmax(evidence))] == 4
