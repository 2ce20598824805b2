import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import degradation
from blindsr_jax.imaging.problem import Spec, make_spec
from tests import golden

CASES = [(1, 7), (1, 21), (2, 11), (3, 15), (4, 19), (8, 21), (4, 5), (3, 3)]


def image_shape(spec, h, w, c=3):
    return (*spec.canvas_shape((h, w, c)), c)


def direct(image, kernel, scale, boundary):
    """The definition, summed tap by tap in NumPy."""
    k = kernel.shape[0]
    p = (k - 1) // 2
    if boundary == "circular":
        image = np.pad(image, ((p, p), (p, p), (0, 0)), mode="wrap")
    h, w = ((n - k) // scale + 1 for n in image.shape[:2])
    taps = ((a, b) for a in range(k) for b in range(k))
    return sum(
        kernel[a, b] * image[a : a + scale * (h - 1) + 1 : scale, b : b + scale * (w - 1) + 1 : scale] for a, b in taps
    )


@pytest.mark.parametrize("boundary", ["circular", "valid"])
@pytest.mark.parametrize("scale, size", CASES)
def test_degrade_is_the_strided_correlation(scale, size, boundary):
    spec = Spec(scale, size, boundary, "aligned")
    rng = np.random.default_rng(0)
    image = rng.random(image_shape(spec, 24 // scale + 3, 24 // scale + 5))
    kernel = rng.random((size, size))
    with jax.enable_x64(True):
        found = degradation.degrade(jnp.asarray(image), jnp.asarray(kernel), scale=scale, boundary=boundary)
        np.testing.assert_allclose(found, direct(image, kernel, scale, boundary), atol=1e-10)


@pytest.mark.parametrize("boundary", ["circular", "valid"])
@pytest.mark.parametrize("scale, size", CASES)
def test_adjoint(scale, size, boundary):
    spec = Spec(scale, size, boundary, "aligned")
    h, w = 24 // scale + 3, 24 // scale + 5
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.random(image_shape(spec, h, w)))
        y = jnp.asarray(rng.random((h, w, 3)))
        kernel = jnp.asarray(rng.random((size, size)))
        left = jnp.vdot(degradation.degrade(x, kernel, scale=scale, boundary=boundary), y)
        back = degradation.adjoint(y, kernel, scale=scale, boundary=boundary, image_shape=x.shape)
        np.testing.assert_allclose(left, jnp.vdot(x, back), rtol=1e-12)


def test_kernel_gradient_is_the_derivative():
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        image, kernel, direction = (jnp.asarray(rng.random(s)) for s in ((35, 39, 2), (19, 19), (19, 19)))

        def blurred_energy(k):
            return jnp.sum(degradation.degrade(image, k, scale=4, boundary="valid") ** 2)

        slope = jnp.vdot(jax.grad(blurred_energy)(kernel), direction)
        step = 1e-5
        finite = (blurred_energy(kernel + step * direction) - blurred_energy(kernel - step * direction)) / (2 * step)
        np.testing.assert_allclose(slope, finite, rtol=1e-8)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("crop", ["butterfly", "woman"])
def test_golden(scale, crop):
    data = golden.load("02_degradation")
    size = 64 - 64 % scale
    hr = jnp.asarray(data[f"hr_{crop}_u8"][:size, :size], jnp.float32) / 255
    for j, kernel in enumerate(data[f"kernel_x{scale}"]):
        lr = degradation.degrade(hr, jnp.asarray(kernel, jnp.float32), scale=scale, boundary="circular")
        np.testing.assert_allclose(lr, data[f"lr_{crop}_x{scale}_k{j}"], atol=2e-6)
        if crop == "butterfly":
            png = np.floor(255 * np.clip(np.asarray(lr), 0, 1)).astype(int)
            difference = np.abs(png - data[f"lr_{crop}_x{scale}_k{j}_u8"])
            assert difference.max() <= 1 and np.mean(difference > 0) <= 0.01


def test_canvas_lies_over_the_image():
    """Under a delta at the aligned centre, the cropped canvas is a nearest enlargement seen at its own samples."""
    spec = make_spec(scale=3, kernel_size=15)
    canvas = jnp.linspace(0, 1, 48 * 51).reshape(48, 51, 1)
    lr_shape = (12, 13, 1)
    assert spec.canvas_shape(lr_shape) == (48, 51)
    kernel = jnp.zeros((15, 15)).at[int(spec.center), int(spec.center)].set(1)
    lr = degradation.degrade(canvas, kernel, scale=3, boundary="valid")
    assert lr.shape == lr_shape
    # Scale 3: the aligned sample is the middle one of each 3 x 3 block.
    np.testing.assert_allclose(lr, spec.crop(canvas, lr_shape)[1::3, 1::3], atol=2e-6)


def test_noise_has_the_stated_deviation_and_is_clipped():
    flat = jnp.full((200, 200, 1), 0.5)
    noisy = degradation.add_noise(jax.random.key(0), flat, 0.1)
    np.testing.assert_allclose(jnp.std(noisy), 0.1, rtol=0.02)
    extreme = degradation.add_noise(jax.random.key(0), flat, 10.0)
    assert extreme.min() == 0 and extreme.max() == 1
