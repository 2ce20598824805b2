"""Whether there is a blur, and whether a kernel can be that of an image."""

import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.inference.blur_evidence import Blur, judge
from blindsr_jax.kernels import gaussian


def noise_image(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random((*shape, 3)), jnp.float32)


def kernel(spec, variance):
    return gaussian.gaussian_kernel(
        jnp.full(2, variance), jnp.asarray(0.0), kernel_size=spec.kernel_size, center=spec.center
    )


def verdict(lr, k, spec):
    return Blur(int(judge(lr, k, spec).verdict))


@pytest.mark.parametrize("scale, variance", [(1, 2.0), (2, 1.5), (4, 4.0)])
def test_a_blur_is_found_in_an_image_that_has_it(scale, variance):
    spec = make_spec(scale=scale, kernel_size=21)
    blur = kernel(spec, variance)
    lr = degrade(noise_image(spec.canvas_shape((48, 48, 3))), blur, scale=scale, boundary="valid")
    assert verdict(lr, blur, spec) is Blur.FOUND


def test_a_kernel_that_suppresses_what_the_image_has_is_not_its_own():
    spec = make_spec(scale=1, kernel_size=21)
    assert verdict(noise_image((64, 64)), kernel(spec, 6.0), spec) is Blur.IMPOSSIBLE


def test_noise_that_is_told_is_no_reason_to_doubt_a_kernel():
    spec = make_spec(scale=1, kernel_size=21)
    blur = kernel(spec, 4.0)
    lr = degrade(noise_image(spec.canvas_shape((320, 320, 3))), blur, scale=1, boundary="valid")
    noisy = lr + 0.02 * jnp.asarray(np.random.default_rng(1).normal(size=(320, 320, 1)), jnp.float32)
    assert Blur(int(judge(noisy, blur, spec).verdict)) is Blur.IMPOSSIBLE
    assert Blur(int(judge(noisy, blur, spec, 0.02).verdict)) is Blur.FOUND


@pytest.mark.parametrize("axes", [(0,), (0, 1)])
def test_stripes_and_points_of_single_pixels_are_not_made_up(axes):
    spec = make_spec(scale=2)
    lr = sum(np.indices((48, 48))[axis] for axis in axes) % 2 * 0.6 + 0.2
    assert verdict(jnp.asarray(lr[..., None], jnp.float32), kernel(spec, 1.0), spec) is Blur.IMPOSSIBLE


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_a_point_is_no_blur(scale):
    spec = make_spec(scale=scale, kernel_size=21)
    assert verdict(noise_image((64, 64)), kernel(spec, 0.02), spec) is Blur.NONE


def test_an_image_without_detail_shows_no_blur():
    spec = make_spec(scale=2)
    judged = judge(jnp.full((32, 32, 3), 0.4), kernel(spec, 1.5), spec)
    assert Blur(int(judged.verdict)) is Blur.UNSEEN and judged.suppressed == 0


def test_each_verdict_but_the_good_one_has_a_sentence():
    assert [bool(blur.sentence(2)) for blur in Blur] == [False, True, True, True]
    assert Blur.NONE.sentence(1).endswith("the result is the input")
    assert Blur.NONE.sentence(2).endswith("the result is the enlargement")
