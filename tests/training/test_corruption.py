"""What is added to LR images: noise of every correlation between colours, gray images, and what a config says of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.config import load_method
from blindsr_jax.training import values
from blindsr_jax.training.corruption import Corruption, corrupt, from_config

GRAY = jnp.asarray([False] * 96 + [True] * 32)


@pytest.fixture(scope="module")
def noise():
    """Of 128 examples, a quarter of them gray: how strong it is told to be (128,), and the noise (128, pixels, 3)."""
    settings = Corruption(0.08, correlated=0.6, quantize=False)
    lr = jnp.full((24, 24, 3), 0.5)
    make = jax.jit(jax.vmap(lambda key, gray: corrupt(key, lr, gray, settings)))
    seen = make(jax.random.split(jax.random.key(0), 128), GRAY)
    return np.asarray(seen.noise_std), np.asarray(seen.lr).reshape(128, -1, 3) - 0.5


def test_noise_is_as_strong_in_each_colour_as_is_told(noise):
    told, values = noise
    assert told.max() > 0.06 and np.mean(told < 0.02) > 0.3
    np.testing.assert_allclose(values.std(1), np.repeat(told[:, None], 3, 1), rtol=0.15, atol=1e-4)


def test_colours_have_noise_of_every_correlation(noise):
    told, values = noise
    strong = np.flatnonzero((told > 1e-3) & ~np.asarray(GRAY))
    correlation = np.array([np.corrcoef(values[i].T)[0, 1] for i in strong])
    equal, independent = correlation > 0.99, np.abs(correlation) < 0.1
    assert 0.15 < equal.mean() < 0.5 and 0.25 < independent.mean() < 0.65
    between = correlation[~equal & ~independent]
    assert between.min() < -0.2 and between.max() > 0.2


def test_gray_images_stay_gray(noise):
    values = noise[1][np.asarray(GRAY)]
    np.testing.assert_array_equal(values, np.repeat(values[..., :1], 3, -1))


def test_a_clean_image_is_rounded_only():
    settings = Corruption(0.1, jpeg=1.0, jpeg_quality=(40, 40))
    lr = jax.random.uniform(jax.random.key(1), (16, 16, 3))
    make = jax.jit(lambda clean: corrupt(jax.random.key(2), lr, jnp.asarray(False), settings, clean))
    clean, spoiled = make(jnp.asarray(True)), make(jnp.asarray(False))
    np.testing.assert_allclose(clean.lr, lr, atol=0.501 / 255)
    assert clean.noise_std == 0 and np.abs(spoiled.lr - lr).max() > 0.05
    # After compression it is the error that is left.
    np.testing.assert_allclose(spoiled.noise_std, np.sqrt(np.mean((spoiled.lr - lr) ** 2)), rtol=1e-3)


def test_configs_that_know_less_train_as_before():
    assert from_config({"noise_max": 0.01, "jpeg_quality": None}) == Corruption(0.01)
    assert from_config({"noise_max": 0.0, "jpeg_quality": (20, 90)}) == Corruption(jpeg=1.0, jpeg_quality=(20, 90))


@pytest.mark.parametrize(
    "name, value",
    [("noise_max", -1.0), ("noise_max", float("nan")), ("gray", 1.5), ("noisy", -0.1), ("jpeg_quality", (90, 20))],
)
def test_a_value_that_cannot_be_is_named(name, value):
    config = load_method("kenet:wide")
    config.scale = 2
    values.check(config, values.KENET)
    config[name] = value
    with pytest.raises(ValueError, match=f"config.{name}="):
        values.check(config, values.KENET)
