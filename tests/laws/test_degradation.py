"""Laws of the degradation in float64, for scales 1 to 8, both boundaries and both centres."""

import functools

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import degradation
from blindsr_jax.imaging.losses import hyper_laplacian, mse, ssim
from blindsr_jax.kernels import geometry
from tests.laws.law import arrays, kernels, law, scenes

CLOSE = {"rtol": 0, "atol": 1e-12}


@pytest.fixture(autouse=True)
def precision():
    with jax.enable_x64(True):
        yield


@functools.partial(jax.jit, static_argnums=2)
def forward(image, kernel, spec):
    return degradation.degrade(image, kernel, scale=spec.scale, boundary=spec.boundary)


@functools.partial(jax.jit, static_argnums=(2, 3))
def adjoint(lr, kernel, spec, image_shape):
    return degradation.adjoint(lr, kernel, scale=spec.scale, boundary=spec.boundary, image_shape=image_shape)


def degrade(image, kernel, spec):
    return np.asarray(forward(jnp.asarray(image), jnp.asarray(kernel), spec))


@law(few=8, scene=scenes(), gain=st.floats(-4, 4), offset=st.floats(-1, 1))
def test_range_constants_brightness_and_grays_pass_through_a_kernel_of_unit_sum(scene, gain, offset):
    spec, image, kernel, shape = scene
    lr = degrade(image, kernel, spec)
    assert lr.shape == shape and image.min() - 1e-12 <= lr.min() and lr.max() <= image.max() + 1e-12
    np.testing.assert_allclose(degrade(0 * image + 0.3, kernel, spec), 0.3, **CLOSE)
    np.testing.assert_allclose(degrade(gain * image + offset, kernel, spec), gain * lr + offset, **CLOSE)
    gray = degrade(image[..., [0] * shape[2]], kernel, spec)
    np.testing.assert_allclose(gray, lr[..., [0] * shape[2]], **CLOSE)


@law(few=6, scene=scenes(), data=st.data())
def test_a_transposed_scene_is_the_transposed_image_and_the_adjoint_the_transpose(scene, data):
    spec, image, kernel, shape = scene
    found, lr = degrade(image, kernel, spec), data.draw(arrays(*shape, low=-1))
    turned = degrade(image.swapaxes(0, 1), kernel.T, spec).swapaxes(0, 1)
    np.testing.assert_allclose(turned, found, **CLOSE)
    back = adjoint(jnp.asarray(lr), jnp.asarray(kernel), spec, image.shape)
    np.testing.assert_allclose(np.vdot(found, lr), np.vdot(image, back), rtol=1e-9, atol=1e-9)


@law(scene=scenes(), data=st.data())
def test_a_converted_kernel_explains_the_image_that_is_moved_with_it(scene, data):
    spec, image, _, _ = scene
    step = spec.scale - 1
    if spec.boundary == "valid" or spec.kernel_size <= 2 * step:
        return
    kernel = data.draw(kernels(spec.kernel_size, margin=step))
    moved = geometry.convert_center(jnp.asarray(kernel), spec.scale, "release", "aligned")
    image_moved = np.roll(image, (-step, -step), (0, 1))
    np.testing.assert_allclose(degrade(image, moved, spec), degrade(image_moved, kernel, spec), **CLOSE)
    back = geometry.convert_center(moved, spec.scale, "aligned", "release")
    np.testing.assert_array_equal(back, kernel)


@jax.jit
def losses(a, b):
    pairs = [(a, b), (b, a), (a, a)]
    return [ssim(*pair) for pair in pairs], [mse(*pair) for pair in pairs], [hyper_laplacian(x) for x in (a, 1 - a)]


@law(few=4, shape=st.tuples(*[st.integers(2, 14)] * 2, st.sampled_from((1, 3))), data=st.data())
def test_losses_of_equal_images_of_swapped_ones_and_of_turned_ones(shape, data):
    a, b = (jnp.asarray(data.draw(arrays(*shape))) for _ in range(2))
    similar, squares, sparse = losses(a, b)
    np.testing.assert_allclose(similar[0], similar[1], rtol=1e-9)
    np.testing.assert_allclose(similar[2], 1, rtol=1e-9)
    assert similar[0] <= 1 + 1e-9 and squares[2] == 0 <= squares[0] == squares[1]
    np.testing.assert_allclose(sparse[0], sparse[1], rtol=1e-9)
    turned = losses(a.swapaxes(0, 1), b.swapaxes(0, 1))
    np.testing.assert_allclose(turned[0], similar, rtol=1e-9)
