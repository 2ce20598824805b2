import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage
from skimage import color as skimage_color
from skimage import metrics as skimage_metrics

from blindsr_jax.evaluation import metrics
from tests import golden


@pytest.fixture(scope="module")
def vectors():
    return golden.load("03_metrics")


def pair(seed=0, shape=(40, 33, 3)):
    rng = np.random.default_rng(seed)
    hr = ndimage.gaussian_filter(rng.random(shape), (2, 2, 0)[: len(shape)])
    hr = (hr - hr.min()) / np.ptp(hr)
    return np.clip(hr + 0.05 * rng.standard_normal(shape), 0, 1), hr


def gaussian(size=19, center=(9.0, 9.0), variances=(4.0, 2.0)):
    rows, columns = np.mgrid[:size, :size]
    kernel = np.exp(-0.5 * ((rows - center[0]) ** 2 / variances[0] + (columns - center[1]) ** 2 / variances[1]))
    return kernel / kernel.sum()


def test_golden_image_scores(vectors):
    x, y = vectors["img1_u8"] / 255, vectors["img2_u8"] / 255
    np.testing.assert_allclose(metrics.luma(x) / 255, vectors["y1_from_float"], atol=1e-12)
    np.testing.assert_allclose(metrics.luma(y) / 255, vectors["y2_from_float"], atol=1e-12)
    assert metrics.psnr_y(x, y, border=0) == pytest.approx(float(vectors["psnr_y"]), abs=1e-9)
    assert metrics.ssim_y(x, y, border=0) == pytest.approx(float(vectors["ssim_y"]), abs=1e-10)
    assert metrics.psnr_y(x, x, border=0) == float("inf") and vectors["psnr_identical"] == 1e9


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_golden_data_set_evaluation(vectors, scale):
    hr = vectors["ed_hr_u8"] / 255
    hr = hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]
    truth, estimate = vectors[f"kpsnr_a_x{scale}"], vectors[f"kpsnr_b_x{scale}"]
    scores = metrics.score_image(vectors[f"ed_sr_x{scale}_u8"] / 255, hr, border=scale)
    expected = vectors[f"ed_psnr_ssim_kpsnr_x{scale}"]
    found = (scores["psnr_y"], scores["ssim_y"], metrics.score_kernel(estimate, truth)["kernel_psnr"])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found[2] == pytest.approx(float(vectors[f"kpsnr_x{scale}"]), abs=1e-9)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("case", [0, 1])
def test_golden_monitor_with_border_of_scale_squared(vectors, scale, case):
    sr = metrics.quantize(vectors[f"ei_sr_x{scale}_{case}"])
    hr = vectors["ei_hr_u8"] / 255
    top, left = ((n - m) // 2 for n, m in zip(hr.shape[:2], sr.shape[:2], strict=True))
    hr = hr[top : top + sr.shape[0], left : left + sr.shape[1]]
    scores = metrics.score_image(sr, hr, border=scale**2)
    np.testing.assert_allclose(list(scores.values()), vectors[f"ei_psnr_ssim_x{scale}_{case}"], atol=1e-8)


def test_against_scikit_image():
    sr, hr = pair()
    a, b = metrics.luma(sr)[4:-4, 4:-4], metrics.luma(hr)[4:-4, 4:-4]
    assert metrics.psnr_y(sr, hr, border=4) == pytest.approx(
        skimage_metrics.peak_signal_noise_ratio(b, a, data_range=255), abs=1e-10
    )
    _, ssim_map = skimage_metrics.structural_similarity(
        a, b, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    assert metrics.ssim_y(sr, hr, border=4) == pytest.approx(ssim_map[5:-5, 5:-5].mean(), abs=1e-10)


@pytest.mark.parametrize("border", [2, 3, 4, 16])
@pytest.mark.parametrize("shape", [(48, 61, 3), (64, 44, 1)])
def test_the_scores_of_files_are_those_of_scikit_image(shape, border):
    levels = [np.rint(255 * image).astype(np.uint8) for image in pair(border, shape)]
    colours = [np.broadcast_to(image, (*shape[:2], 3)) for image in levels]
    a, b = (skimage_color.rgb2ycbcr(image)[border:-border, border:-border, 0] for image in colours)
    options = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    _, ssim_map = skimage_metrics.structural_similarity(b, a, **options)
    expected = skimage_metrics.peak_signal_noise_ratio(b, a, data_range=255), ssim_map[5:-5, 5:-5].mean()
    found = metrics.score_image(*(image / 255 for image in levels), border=border)
    np.testing.assert_allclose([found["psnr_y"], found["ssim_y"]], expected, atol=1e-4, rtol=0)


def test_gray_counts_as_equal_channels():
    sr, hr = (image[..., 0] for image in pair())
    expected = metrics.luma(np.repeat(sr[..., None], 3, -1))
    np.testing.assert_allclose(metrics.luma(sr), expected, atol=1e-12)
    np.testing.assert_allclose(metrics.luma(sr[..., None]), expected, atol=1e-12)
    np.testing.assert_allclose(metrics.luma(np.array([[0.0, 1.0]])), [[16.0, 235.0]])
    assert metrics.psnr_y(sr, hr[..., None], border=2) > 10


def test_quantize_rounds_half_to_even():
    image = np.array([-0.2, 0.5 / 255, 1.5 / 255, 0.4, 1.7])
    np.testing.assert_array_equal(metrics.quantize(image), np.array([0, 0, 2, 102, 255]) / 255)


def test_image_errors():
    sr, hr = pair()
    with pytest.raises(ValueError, match="one size"):
        metrics.psnr_y(sr[1:], hr, border=0)
    with pytest.raises(ValueError, match="leaves nothing"):
        metrics.psnr_y(sr, hr, border=17)
    with pytest.raises(ValueError, match="11 x 11"):
        metrics.ssim_y(sr, hr, border=12)
    with pytest.raises(ValueError, match="float"):
        metrics.luma(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="shape"):
        metrics.luma(np.zeros((4, 4, 2)))
    assert metrics.score_image(sr, hr, border=12)["ssim_y"] is None
    assert set(metrics.score_image(sr, hr, border=0)) == {"psnr_y", "ssim_y"}


def test_score_of_the_true_kernel():
    scores = metrics.score_kernel(gaussian(), gaussian())
    assert scores == {
        "kernel_psnr": float("inf"),
        "kernel_correlation": pytest.approx(1.0, abs=1e-12),
        "kernel_mean_error": 0.0,
        "kernel_cov_error": 0.0,
    }


def test_kernel_sizes_are_matched_about_the_centre():
    small, large = gaussian(15, (7.0, 7.0), (1.0, 1.0)), gaussian(21, (10.0, 10.0), (1.0, 1.0))
    for estimate, truth in ((small, large), (large, small)):
        scores = metrics.score_kernel(estimate, truth)
        assert scores["kernel_psnr"] > 120
        assert scores["kernel_correlation"] > 1 - 1e-9
        assert scores["kernel_mean_error"] < 1e-6
        assert scores["kernel_cov_error"] < 1e-6
    np.testing.assert_array_equal(metrics.match_size(np.eye(3), 1), [[1.0]])
    with pytest.raises(ValueError, match="middle"):
        metrics.kernel_psnr(np.ones((4, 4)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="square"):
        metrics.kernel_psnr(np.ones((3, 5)), np.ones((3, 3)))


@pytest.mark.parametrize("shift", [(1.0, 0.0), (-3.0, 2.0), (0.25, -0.75)])
def test_correlation_ignores_small_shifts(shift):
    truth, moved = gaussian(), gaussian(center=(9.0 + shift[0], 9.0 + shift[1]))
    assert metrics.kernel_correlation(moved, truth) > 0.998
    assert metrics.kernel_mean_error(moved, truth) == pytest.approx(np.hypot(*shift), abs=0.02)
    assert metrics.kernel_correlation(2 * truth, truth) == pytest.approx(1.0, abs=1e-12)


def test_correlation_against_a_loop():
    rng = np.random.default_rng(3)
    estimate, truth = rng.random((2, 7, 7))
    estimate, truth = np.pad(estimate, 3), np.pad(truth, 3)
    best = 0.0
    for dy in np.arange(-3, 3.1, 0.25):
        for dx in np.arange(-3, 3.1, 0.25):
            moved = ndimage.shift(np.pad(estimate, 4), (dy, dx), order=1)[4:-4, 4:-4]
            best = max(best, np.sum(moved * truth) / np.linalg.norm(moved) / np.linalg.norm(truth))
    assert metrics.kernel_correlation(estimate[3:-3, 3:-3], truth[3:-3, 3:-3]) == pytest.approx(best, abs=1e-12)


def test_correlation_tells_kernels_apart_and_survives_odd_ones():
    truth = gaussian(variances=(6.0, 1.0))
    assert metrics.kernel_correlation(truth.T, truth) < 0.9
    assert metrics.kernel_correlation(np.zeros_like(truth), truth) == 0.0
    checkers = (-1.0) ** np.add.outer(np.arange(19), np.arange(19))
    assert 0 <= metrics.kernel_correlation(checkers, truth) <= 1
    point = np.zeros((19, 19))
    point[9, 9] = 1
    assert metrics.kernel_correlation(point, point) == 1.0
    assert metrics.kernel_correlation(np.roll(point, (3, -3), (0, 1)), point) == 1.0
    assert metrics.kernel_correlation(np.roll(point, 5, 0), point) == 0.0


def test_moments():
    truth = gaussian(21, (10.0, 10.0), (4.0, 2.0))
    estimate = gaussian(21, (10.0, 10.0), (3.0, 2.0))
    assert metrics.kernel_cov_error(estimate, truth) == pytest.approx(1 / np.hypot(4, 2), abs=1e-3)
    point = np.zeros((21, 21))
    point[10, 10] = 1
    assert metrics.kernel_cov_error(truth, point) == float("inf")
    assert metrics.kernel_cov_error(point, point) == 0.0
    assert np.isnan(metrics.kernel_mean_error(np.zeros_like(point), point))


def test_needs_no_accelerator_library():
    # Loaded by its path, as importing the package itself brings jax.
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('m', sys.argv[1]);"
        "m = u.module_from_spec(s); s.loader.exec_module(m); assert not {'jax', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, metrics.__file__], check=True)
