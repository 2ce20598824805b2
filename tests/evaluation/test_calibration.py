"""Calibration: what it says of probabilities that are right, and of ones that are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.evaluation import calibration
from blindsr_jax.evaluation.calibration import Scored
from blindsr_jax.inference.evidence import make_prior, shapes
from blindsr_jax.kernels.family import load_family, sample_kernels

NUMBER, NOISE = 800, 0.1


@pytest.fixture(scope="module")
def world():
    """Kernels whose log width is observed with a known error: the evidence is a normal density.

    Returns the draws of the prior, the true kernels' shapes, and the right log evidences.
    """
    family = load_family("gaussian", scale=2, kernel_size=9)
    prior = make_prior(sample_kernels(jax.random.key(0), family, 600), jnp.zeros(600, jnp.int32))
    truth = shapes(sample_kernels(jax.random.key(1), family, NUMBER))
    seen = truth.width + NOISE * jax.random.normal(jax.random.key(2), (NUMBER,))

    def density(width):
        return np.asarray(-((width - seen[:, None]) ** 2) / (2 * NOISE**2))

    return prior, truth, Scored(density(prior.shapes.width[None]), density(truth.width[:, None])[:, 0])


def judged(world, factor=1.0, temperature=1.0):
    prior, truth, scored = world
    scored = Scored(factor * scored.prior, factor * scored.truth)
    return calibration.judge(scored, truth, prior, num_families=1, temperature=temperature)


def test_right_evidence_covers_as_it_says_and_its_ranks_are_uniform(world):
    found = judged(world)
    cover = calibration.coverage(found)
    np.testing.assert_allclose(cover["width"], (0.5, 0.8, 0.95), atol=0.07)
    np.testing.assert_allclose(cover["direction"], (0.5, 0.8, 0.95), atol=0.07)
    assert np.abs(np.sort(found.width_rank) - (np.arange(NUMBER) + 0.5) / NUMBER).max() < 1.63 / NUMBER**0.5
    close = (found.cov_error < 0.25).astype(float)
    assert calibration.calibration_error(found.confidence, close) < 0.08


def test_overconfident_evidence_is_seen_and_cured_by_the_temperature(world):
    sure = judged(world, factor=6.0)
    assert calibration.coverage(sure)["width"][1] < 0.65
    scored = Scored(6 * world[2].prior, 6 * world[2].truth)
    temperature = calibration.fit_temperature(scored)
    assert 4 < temperature < 8.1
    cured = judged(world, factor=6.0, temperature=temperature)
    np.testing.assert_allclose(calibration.coverage(cured)["width"], (0.5, 0.8, 0.95), atol=0.08)
    assert cured.log_score.mean() > sure.log_score.mean() + 0.2


def test_the_log_score_of_a_flat_evidence_is_zero_and_is_bounded():
    flat = calibration.log_scores(Scored(np.zeros((2, 9)), np.zeros(2)), 1.0)
    sure = calibration.log_scores(Scored(np.full((2, 9), -900.0), np.zeros(2)), 1.0)
    np.testing.assert_allclose(flat, 0, atol=1e-12)
    np.testing.assert_allclose(sure, np.log(10), rtol=1e-9)


def test_reliability_and_its_error():
    said = np.repeat([0.1, 0.9], 100)
    happened = np.concatenate([np.arange(100) < 10, np.arange(100) < 90]).astype(float)
    rows = calibration.reliability(said, happened)
    assert [(row["number"], round(row["found"], 2)) for row in rows] == [(100, 0.1), (100, 0.9)]
    assert calibration.calibration_error(said, happened) < 1e-9
    np.testing.assert_allclose(calibration.calibration_error(said, happened[::-1]), 0.8)
    assert calibration.reliability(np.ones(3), np.ones(3))[0]["number"] == 3


def test_a_summary_has_a_row_for_each_family_that_is_there(world):
    found = calibration.summarize(judged(world), np.zeros(NUMBER, int), ("gaussian", "line"))
    assert set(found) == {"all", "gaussian"} and found["all"]["number"] == NUMBER
    all_ = found["all"]
    assert all_["family_accuracy"] == 1 and all_["confusion"] == pytest.approx([1.0])
    assert all_["brier"] < all_["brier_base"] == pytest.approx(all_["share_close"] * (1 - all_["share_close"]))
    assert {"log_score", "width_80", "cov_error_gaussian"} <= set(calibration.flat(found))
