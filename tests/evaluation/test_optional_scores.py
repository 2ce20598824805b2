"""Scores that a table has where they are asked for."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from blindsr_jax.evaluation import metrics, optional_scores


def scene(channels=3):
    noise = np.random.default_rng(0).random((48, 56, channels))
    return np.clip(0.5 + 2 * (ndimage.gaussian_filter(noise, (2, 2, 0)) - 0.5), 0, 1)


@pytest.mark.parametrize("shift", [(2, -3), (0, 1), (0, 0)])
def test_an_image_at_another_place_scores_as_the_one_at_the_right_place(shift):
    hr = scene()
    moved = np.roll(hr, shift, (0, 1))
    assert optional_scores.registered_psnr_y(moved, hr) == float("inf")
    assert any(shift) == (metrics.psnr_y(moved, hr, border=3) < 40)


def test_registration_does_not_take_noise_away():
    hr = scene(1)
    noisy = np.clip(hr + 0.05 * np.random.default_rng(1).standard_normal(hr.shape), 0, 1)
    assert abs(optional_scores.registered_psnr_y(noisy, hr) - metrics.psnr_y(noisy, hr, border=3)) < 1e-9


@pytest.mark.parametrize("name, best, package", [("ssimulacra2", 100, "ssimulacra2"), ("flip", 0, "flip_evaluator")])
@pytest.mark.parametrize("channels", [1, 3])
def test_perceptual_scores_know_the_better_image(name, best, package, channels):
    pytest.importorskip(package, reason="it belongs to the extra 'perceptual'")
    hr = scene(channels)
    blurred = {sigma: ndimage.gaussian_filter(hr, (sigma, sigma, 0)) for sigma in (0, 1, 3)}
    found = [optional_scores.score([name], image, hr, border=2)[name] for image in blurred.values()]
    assert abs(found[0] - best) < 1e-3 and abs(found[0] - best) < abs(found[1] - best) < abs(found[2] - best)


def test_a_score_whose_package_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    assert optional_scores.missing(["flip", "registered_psnr_y"]) == ["flip"]
