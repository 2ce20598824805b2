"""The pairs that the evidence is trained on, and that it learns on a toy."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels.family import load_family, mixture
from blindsr_jax.kernels.pool import draw_pool
from blindsr_jax.networks.evidence import Evidence
from blindsr_jax.training import engine, evidence
from blindsr_jax.training.synthesis import Settings

SETTINGS = Settings(scale=1, lr_side=12)
NET = Evidence(scale=1, kernel_size=5, channels=2, hidden=16, features=4, reach=2)
NAMES = ("gaussian", "line")


@pytest.fixture(scope="module")
def data():
    """White noise, whose autocorrelation is that of its blur."""
    pieces = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, 40, 40, 3), np.uint8))
    family = mixture([load_family(name, scale=1, kernel_size=5) for name in NAMES])
    return pieces, draw_pool(jax.random.key(0), family, 200)


def test_the_loss_of_equal_scores_is_the_log_of_their_number():
    np.testing.assert_allclose(evidence.info_nce(jnp.full((3, 20), 2.5)), math.log(20), rtol=1e-5)


def test_the_loss_asks_for_each_image_s_own_kernel():
    scores = jnp.zeros((2, 5)).at[0, 0].set(50.0).at[1, 1].set(50.0)
    assert evidence.info_nce(scores) < 1e-6
    np.testing.assert_allclose(evidence.info_nce(scores[::-1]), 3 * math.log(5), rtol=1e-5)


def test_a_lost_row_counts_as_a_few_guesses_and_moves_nothing():
    scores = jnp.zeros((2, 5)).at[0, 1].set(1e6)
    np.testing.assert_allclose(evidence.info_nce(scores), 2 * math.log(5), rtol=1e-5)
    slopes = np.asarray(jax.grad(evidence.info_nce)(scores))
    assert np.abs(slopes[0]).max() == 0 and np.abs(slopes[1]).max() > 0.1


def test_views_are_parts_of_the_patch_in_the_corner():
    patch = jnp.asarray(np.arange(12 * 12 * 3).reshape(12, 12, 3), jnp.float32)
    found = jax.jit(jax.vmap(lambda key: evidence.view(key, patch, 8)))(jax.random.split(jax.random.key(1), 200))
    sizes = np.asarray(found.sizes)
    assert sizes.min() == 8 and sizes.max() == 12 and 0.4 < np.mean((sizes == 12).all(1)) < 0.7
    for lr, (h, w) in zip(np.asarray(found.lr)[:20], sizes[:20], strict=True):
        i, j = divmod(int(lr[0, 0, 0]) // 3, 12)
        np.testing.assert_array_equal(lr[:h, :w], patch[i : i + h, j : j + w])


@pytest.mark.long
def test_it_learns_which_kernel_an_image_has(data):
    settings = engine.Settings(3, 60, 24, 5e-3, warmup_steps=10)
    task = evidence.make_task(NET, SETTINGS, others=24, least_side=8)
    state, seen = jax.jit(lambda key: engine.init(key, task, settings))(jax.random.key(2)), []
    for _ in range(settings.num_epochs):
        state, found = engine.run_epoch(jax.random.key(3), state, data, task=task, settings=settings)
        seen.append(float(found["information"]))
    assert seen[0] < seen[-1] and seen[-1] > 0.4
    options = {"number": 24, "least_side": 8, "num_prior": 100}
    validation = evidence.Validation(NET, data, SETTINGS, NAMES, **options)
    found, untrained = (validation.scores(p) for p in (state.average, jax.jit(task.init)(jax.random.key(2))))
    assert tuple(found) == validation.names
    assert found["log_score"] > 0.3 and abs(untrained["log_score"]) < 1e-4
