"""Discs and straight lines are found in the power spectrum of an image; other blurs are left as they were estimated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.inference.shape_search import can_search, search
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.disc import disc_kernel
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.kernels.line import segment_kernel
from tests.kernels import moments

SIDE, SIZE = 160, 21


@functools.cache
def scene():
    """A random field with the power spectrum of photographs."""
    rng, side = np.random.default_rng(0), 2 * SIDE
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(side, side))) / np.maximum(f, 1 / side)).real
    return (0.5 + 0.15 * field / field.std()).astype(np.float32)[..., None]


def kernel_of(name, spec):
    place = {"kernel_size": SIZE, "center": geometry.center(SIZE, spec.scale, spec.kernel_center)}
    return {
        "disc": lambda: disc_kernel(jnp.float32(3.4), **place),
        "line": lambda: segment_kernel(jnp.float32(10.5), jnp.float32(0.7), **place),
        "gaussian": lambda: gaussian_kernel(jnp.float32([3.0, 3.0]), jnp.float32(0), **place),
    }[name]()


def estimate(name, spec):
    """A Gaussian that is too wide, round or long as the blur is."""
    variances = jnp.float32([15.0, 4.0] if name == "line" else [4.0, 4.0])
    center = geometry.center(SIZE, spec.scale, spec.kernel_center)
    return gaussian_kernel(variances, jnp.float32(0.7), kernel_size=SIZE, center=center)


@functools.cache
def compiled(scale):
    spec = make_spec(scale=scale, kernel_size=SIZE)
    return spec, jax.jit(lambda lr, kernel, mask=None: search(lr, kernel, spec, mask))


@pytest.mark.parametrize("scale, name", [(1, "disc"), (1, "line"), (1, "gaussian"), (2, "disc")])
def test_a_shape_is_found_from_a_wrong_kernel_and_a_gaussian_is_none(scale, name):
    spec, run = compiled(scale)
    true, wrong = kernel_of(name, spec), estimate(name, spec)
    lr = jnp.round(255 * degrade(scene(), true, scale=scale, boundary="valid")) / 255
    found = run(lr, wrong)
    assert (bool(found.is_disc), bool(found.is_line)) == (name == "disc", name == "line")
    if name == "gaussian":
        np.testing.assert_array_equal(found.kernel, wrong)
        return
    covariances = [np.asarray(geometry.covariance(k)) for k in (found.kernel, true)]
    np.testing.assert_allclose(*covariances, atol=0.05 * np.trace(covariances[1]))
    np.testing.assert_allclose(*(moments.mean(np.asarray(k)[None]) for k in (found.kernel, true)), atol=1e-3)


@pytest.mark.parametrize("name, other", [("disc", "line"), ("line", "disc")])
def test_what_is_found_has_the_roundness_of_the_estimate(name, other):
    spec, run = compiled(1)
    found = run(degrade(scene(), kernel_of(name, spec), scale=1, boundary="valid"), estimate(other, spec))
    assert not found.is_disc and not found.is_line


def test_an_estimate_that_is_a_disc_already_need_not_be_beaten():
    spec, _ = compiled(1)
    true = kernel_of("disc", spec)
    lr = jnp.round(255 * degrade(scene(), true, scale=1, boundary="valid")) / 255
    run = jax.jit(lambda probability: search(lr, true, spec, disc_probability=probability))
    assert [bool(run(probability).is_disc) for probability in (0.4, 0.6)] == [False, True]


def test_an_image_of_which_much_is_hidden_tells_nothing():
    spec, run = compiled(1)
    lr = degrade(scene(), kernel_of("disc", spec), scale=1, boundary="valid")
    every, wrong = jnp.ones(lr.shape, bool), kernel_of("gaussian", spec)
    found = run(lr, wrong, every.at[:40].set(False))
    assert not found.is_disc and not found.is_line
    assert run(lr, wrong, every.at[:20].set(False)).is_disc  # a few clipped lights are in most photographs


def test_a_kernel_has_to_fit_into_a_block_of_the_spectrum():
    assert can_search(make_spec(scale=1, kernel_size=21), (21, 40, 3))
    assert not can_search(make_spec(scale=1, kernel_size=21), (20, 40, 3))
