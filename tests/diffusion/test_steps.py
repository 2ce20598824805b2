import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.diffusion import steps
from blindsr_jax.diffusion.schedule import make_schedule, schedule_jump
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.proximal import closed_form
from tests import golden

SCHEDULE = make_schedule("100")
INDEX = range(4)  # of the steps in the vectors


def image(x):
    return jnp.asarray(np.moveaxis(x, 0, -1))


@pytest.fixture(scope="module")
def data():
    return golden.load("12_diffusion")


def case(data, j):
    """Index in the chain, x_i, the network's two halves, noise."""
    eps, v = steps.split_output(image(data["step_model_output"][j]), 3)
    return jnp.int32(data["t"][j]), image(data["step_x_t"][j]), eps, v, image(data["step_noise"][j])


@pytest.mark.parametrize("j", INDEX)
def test_golden_step_of_guided_diffusion(data, j):
    i, x, eps, v, noise = case(data, j)
    assert steps.times(SCHEDULE, i, 2, jnp.float32).tolist() == [data["step_model_timestep"][j]] * 2
    x0 = steps.predict_x0(SCHEDULE, i, x, eps)
    np.testing.assert_allclose(x0, image(data["step_x0_unclipped"][j]), atol=5e-4 if i == 97 else 1e-5)
    x0 = jnp.clip(x0, -1, 1)
    np.testing.assert_allclose(x0, image(data["step_x0_clipped"][j]), atol=1e-5)
    np.testing.assert_allclose(
        steps.posterior_mean_variance(SCHEDULE, i, x, x0)[0], image(data["step_mean_standard"][j]), atol=1e-5
    )
    log_variance = steps.learned_log_variance(SCHEDULE, i, v)
    np.testing.assert_allclose(log_variance, image(data["step_log_variance_learned"][j]), atol=1e-5)
    found = steps.ddpm_step(SCHEDULE, i, x, x0, noise, log_variance=log_variance)
    np.testing.assert_allclose(found, image(data["step_sample_standard_learned"][j]), atol=1e-5)


@pytest.mark.parametrize("j", INDEX)
def test_golden_step_with_data(data, j):
    """The release takes the modulus, and a convolution whose kernel is centred at 9: flipped, it is our correlation."""
    i, x, _, _, noise = case(data, j)
    kernel = jnp.asarray(data["K_est"][0, 0, ::-1, ::-1])
    prior = image(data["step_x0_clipped"][j])
    x0 = jnp.abs(closed_form(prior, image(data["y"][0]), kernel, float(data["alph_beta"]), scale=1))
    np.testing.assert_allclose(x0, image(data["step_x0_hat"][j]), atol=5e-4 if i == 97 else 1e-5)
    mean, variance = steps.posterior_mean_variance(SCHEDULE, i, x, x0)
    np.testing.assert_allclose(mean, image(data["step_mean"][j]), atol=1e-5)
    np.testing.assert_allclose(variance, data["step_variance"][j], atol=1e-5)
    np.testing.assert_allclose(steps.ddpm_step(SCHEDULE, i, x, x0, noise), image(data["step_sample"][j]), atol=1e-5)


def test_golden_undo(data):
    _, x, _, _, noise = case(data, 0)
    np.testing.assert_allclose(steps.undo(SCHEDULE, 40, x, noise), image(data["undo_t40"][0]), atol=1e-5)


@pytest.mark.parametrize("suffix", ["", "_asym"])
def test_golden_blur(suffix):
    ops = golden.load("15_diffdkp_ops")
    kernel = jnp.asarray(ops[f"kernel{suffix}"][0, 0, ::-1, ::-1])
    blurred = degrade(image(ops["x"][0]), kernel, scale=1, boundary="circular")
    np.testing.assert_allclose(jnp.abs(blurred), image(ops[f"fft_blur_moved{suffix}"][0]), atol=1e-5)


def test_golden_closed_form():
    ops = golden.load("15_diffdkp_ops")
    kernel = jnp.asarray(ops["kernel"][0, 0, ::-1, ::-1])
    found = closed_form(2 * image(ops["x"][0]) - 1, image(ops["y"][0]), kernel, 0.1, scale=1)
    np.testing.assert_allclose(found, image(ops["closed_form_real"][0]), atol=2e-5)
    np.testing.assert_allclose(jnp.abs(found), image(ops["closed_form_abs"][0]), atol=2e-5)


def drawn(n, *shape):
    return jax.random.normal(jax.random.key(n), shape)


def test_noise_and_image_tell_each_other():
    with jax.enable_x64(True):
        i = jnp.array([0, 40, 99])
        x0, noise = (x.astype(jnp.float64) for x in (drawn(0, 3, 4, 5, 2), drawn(1, 3, 4, 5, 2)))
        x = steps.q_sample(SCHEDULE, i, x0, noise)
        np.testing.assert_allclose(x[1], steps.q_sample(SCHEDULE, 40, x0[1], noise[1]), atol=1e-14)
        np.testing.assert_allclose(steps.predict_x0(SCHEDULE, i, x, noise), x0, atol=1e-11)
        np.testing.assert_allclose(steps.predict_eps(SCHEDULE, i, x, x0), noise, atol=1e-11)


@pytest.mark.parametrize("i", [0, 1, 60])
def test_ddim_with_all_its_noise_is_ddpm(i):
    x, x0, noise = drawn(0, 4, 4, 1), drawn(1, 4, 4, 1), drawn(2, 4, 4, 1)
    found = steps.ddim_step(SCHEDULE, i, x, x0, noise, eta=1.0)
    np.testing.assert_allclose(found, steps.ddpm_step(SCHEDULE, i, x, x0, noise), atol=1e-4)
    if i == 0:
        np.testing.assert_allclose(found, x0, atol=1e-6)


def test_ddim_without_noise_keeps_the_noise_of_its_image():
    x0, noise = drawn(0, 4, 4, 1), drawn(1, 4, 4, 1)
    x = steps.q_sample(SCHEDULE, 50, x0, noise)
    found = steps.ddim_step(SCHEDULE, 50, x, x0, drawn(2, 4, 4, 1))
    np.testing.assert_allclose(found, steps.q_sample(SCHEDULE, 49, x0, noise), atol=1e-5)


MEAN, STD = 0.3, 0.2


def exact(x, t, *, mean=MEAN):
    """The noise that is expected in x where the images are white Gaussian noise."""
    at = jnp.searchsorted(jnp.asarray(SCHEDULE.timestep_map), t.astype(int))
    level = jnp.asarray(SCHEDULE.alphas_cumprod, x.dtype)[at].reshape(-1, 1, 1)
    x0 = mean + jnp.sqrt(level) * STD**2 * (x - jnp.sqrt(level) * mean) / (level * STD**2 + 1 - level)
    return (x - jnp.sqrt(level) * x0) / jnp.sqrt(1 - level)


def expected(walk, method, eta=0.0):
    """Mean and standard deviation after a walk: every step is an affine map, and noise by Bayes' rule."""
    levels = np.append(SCHEDULE.alphas_cumprod, 1.0)  # the last for -1
    mean, variance = 0.0, 1.0
    for i, j in zip(walk, walk[1:], strict=False):
        low, high = levels[max(i, j)], levels[min(i, j)]
        alpha = low / high
        if j > i:
            gain, offset, noise = np.sqrt(alpha), 0.0, 1 - alpha
        else:
            to_x0 = np.sqrt(low) * STD**2 / (low * STD**2 + 1 - low)
            x0 = np.array([to_x0, MEAN - to_x0 * np.sqrt(low) * MEAN])  # times x_i, and 1
            noise = 1 / (alpha / (1 - alpha) + 1 / (1 - high)) if high < 1 else 0.0
            if method == "ddpm":
                of_x = np.sqrt(alpha) / (1 - alpha) * noise if high < 1 else 0.0
                gain, offset = (np.sqrt(high) / (1 - high) * noise if high < 1 else 1.0) * x0 + np.array([of_x, 0])
            else:
                noise *= eta**2
                eps = (np.array([1, 0]) - np.sqrt(low) * x0) / np.sqrt(1 - low)
                gain, offset = np.sqrt(high) * x0 + np.sqrt(1 - high - noise) * eps
        mean, variance = gain * mean + offset, gain**2 * variance + noise
    return mean, np.sqrt(variance)


@pytest.mark.parametrize(
    "method, eta, length", [("ddpm", 0.0, None), ("ddim", 0.0, None), ("ddim", 0.5, None), ("ddpm", 0.0, 20)]
)
def test_samples_have_the_distribution_of_the_chain(method, eta, length):
    walk = schedule_jump(100) if length is None else schedule_jump(100, 1, length, 2)
    options = {"method": method, "eta": eta, "walk": walk, "clip": False}
    found = steps.sample(jax.random.key(0), exact, SCHEDULE, (2, 10_000, 1), **options)
    mean, std = expected(walk, method, eta)
    assert abs(mean - MEAN) < 0.01 and abs(std / STD - 1) < 0.2
    assert abs(found.mean() - mean) < 4 * STD / np.sqrt(found.size)
    assert abs(found.std() / std - 1) < 4 / np.sqrt(2 * found.size)
    assert abs(jnp.corrcoef(found[0, :, 0], found[1, :, 0])[0, 1]) < 0.04


def test_a_sample_does_not_depend_on_the_others():
    two, three = (
        steps.sample(jax.random.key(0), exact, SCHEDULE, (n, 5, 1), walk=schedule_jump(100, 1, 25, 2)) for n in (2, 3)
    )
    np.testing.assert_allclose(two, three[:2], atol=1e-5)


def test_a_guided_step_goes_along_the_gradient():
    x, x0, noise, gradient = (drawn(n, 4, 4, 1) for n in range(4))
    plain, guided = (steps.ddpm_step(SCHEDULE, 60, x, x0, noise, gradient=g) for g in (None, 2 * gradient))
    np.testing.assert_allclose(guided - plain, 2 * SCHEDULE.posterior_variance[60] * gradient, atol=1e-5)


def test_guidance_multiplies_the_density():
    """The density of white noise times exp(c x_0) is white noise moved by c STD^2: DDIM then makes the same images."""
    moved = functools.partial(exact, mean=MEAN + 4 * STD**2)

    def gradient(x, t):
        level = jnp.asarray(SCHEDULE.alphas_cumprod, x.dtype)[jnp.searchsorted(SCHEDULE.timestep_map, t.astype(int))]
        return (exact(x, t) - moved(x, t)) / jnp.sqrt(1 - level[:, None, None])

    options = {"shape": (2, 10, 1), "schedule": SCHEDULE, "method": "ddim"}
    found = steps.sample(jax.random.key(0), exact, guidance=gradient, **options)
    np.testing.assert_allclose(found, steps.sample(jax.random.key(0), moved, **options), atol=1e-4)


def test_a_learned_variance_is_used():
    def spread(v):
        def denoise(x, t):
            return exact(x, t) if v is None else jnp.concatenate([exact(x, t), jnp.full_like(x, v)], -1)

        return steps.sample(jax.random.key(0), denoise, SCHEDULE, (1, 1000, 1)).std()

    np.testing.assert_allclose(spread(-1.0), spread(None), rtol=1e-3)
    assert spread(1.0) > 1.01 * spread(None)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "euler"}, "the method is 'euler', expected one of ddpm, ddim"),
        ({"walk": [3, 2, 1, 0, -1]}, "the walk must go from 99"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        steps.sample(jax.random.key(0), exact, SCHEDULE, (1, 3, 1), **options)
