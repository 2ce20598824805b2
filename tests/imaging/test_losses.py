import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import losses
from tests import golden

ssim = jax.jit(losses.ssim)
ssim_and_slopes = jax.jit(jax.value_and_grad(losses.ssim))


def to_hwc(x, dtype=jnp.float32):
    return jnp.asarray(np.moveaxis(x, 0, -1), dtype)


@pytest.mark.parametrize("case", ["rgb", "gray", "random", "small"])
def test_ssim_golden(case):
    data = golden.load("04_ssim_loss")
    a, b = (to_hwc(data[f"{case}_img{i}"][0]) for i in (1, 2))
    value, grad = ssim_and_slopes(a, b)
    np.testing.assert_allclose(value, data[f"{case}_ssim"], atol=1e-5)
    reference = np.moveaxis(data[f"{case}_grad_img1"][0], 0, -1)
    np.testing.assert_allclose(grad, reference, atol=2e-3 * np.abs(reference).max())


@pytest.mark.parametrize("case", ["rgb", "gray", "random", "small"])
def test_ssim_golden_in_float64(case):
    data = golden.load("04_ssim_loss")
    with jax.enable_x64(True):
        a, b = (to_hwc(data[f"{case}_img{i}"][0], jnp.float64) for i in (1, 2))
        value, grad = ssim_and_slopes(a, b)
        np.testing.assert_allclose(value, data[f"{case}_ssim_f64"], atol=2e-6)
        reference = np.moveaxis(data[f"{case}_grad_img1_f64"][0], 0, -1)
        np.testing.assert_allclose(grad, reference, atol=3e-4 * np.abs(reference).max())


def test_ssim_of_a_batch_is_the_mean_of_its_images():
    data = golden.load("04_ssim_loss")
    pairs = zip(data["batch_img1"], data["batch_img2"], strict=True)
    found = [ssim(to_hwc(a), to_hwc(b)) for a, b in pairs]
    np.testing.assert_allclose(found, data["batch_ssim_per_sample"], atol=1e-5)


@pytest.mark.parametrize("case", ["a", "b"])
def test_hyper_laplacian_golden(case):
    data = golden.load("08_hyper_laplacian")
    image, count = to_hwc(data[f"{case}_image"][0]), float(data[f"{case}_lr_numel"])
    value, grad = jax.jit(jax.value_and_grad(lambda x: 2e-4 * losses.hyper_laplacian(x) / count))(image)
    np.testing.assert_allclose(value, data[f"{case}_value"], rtol=1e-5)
    reference = np.moveaxis(data[f"{case}_grad"][0], 0, -1)
    np.testing.assert_allclose(grad, reference, atol=1e-3 * np.abs(reference).max())


def test_data_loss_changes_with_the_phase():
    a, b = (jax.random.uniform(jax.random.key(i), (12, 12, 3)) for i in (0, 1))
    data_loss = jax.jit(losses.data_loss)
    np.testing.assert_allclose(data_loss(a, b, jnp.bool_(True)), 1 - ssim(a, b), rtol=1e-6)
    np.testing.assert_allclose(data_loss(a, b, jnp.bool_(False)), jnp.mean((a - b) ** 2), rtol=1e-6)
