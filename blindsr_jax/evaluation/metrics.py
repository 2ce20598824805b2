"""Scores of images and blur kernels, in float64 NumPy on the host.

Image scores are those of the super-resolution literature: PSNR and SSIM of the luma channel, a border left out. Kernel
scores compare an estimate with the true kernel at the size of the true one; kernels of another size are zero-padded or
cropped about their centre first.
"""

from typing import Any

import numpy as np
from scipy import ndimage

# What `score_image` and `score_kernel` give, in the order of tables.
SCORES = ("psnr_y", "ssim_y", "kernel_psnr", "kernel_correlation", "kernel_mean_error", "kernel_cov_error")

_PEAK = 255.0
_WINDOW_RADIUS = 5  # 11 taps
_WINDOW_SIGMA = 1.5
_LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966])
_MAX_SHIFT = 3.0
_SHIFTS = np.linspace(-_MAX_SHIFT, _MAX_SHIFT, 25)  # quarter pixels


def quantize(image: Any) -> np.ndarray:
    """Rounds an image to the 256 levels of an 8-bit file, half to even.

    Args:
      image: float array of any shape; values outside [0, 1] are clipped. The product with 255 is formed in the
        precision of the array (at least float32), as published evaluations do; this decides near-ties.

    Returns:
      float64 array of the same shape, values n / 255.
    """
    image = np.asarray(image)
    image = image.astype(np.promote_types(image.dtype, np.float32))
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.float64) / 255.0


def luma(image: Any) -> np.ndarray:
    """Luma of an image: Y = 16 + 65.481 R + 128.553 G + 24.966 B (ITU-R BT.601, studio swing), not rounded.

    Args:
      image: float array (H, W, 3), RGB, or (H, W, 1) or (H, W), gray, which counts as R = G = B; values in [0, 1].

    Returns:
      float64 array (H, W), 16 for black to 235 for white.

    Raises:
      ValueError: the shape is another one, or the values are integers (which would not be on the [0, 1] scale).
    """
    image = np.asarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"luma needs float values in [0, 1], got {image.dtype}")
    image = image.astype(np.float64)
    if image.ndim == 3 and image.shape[-1] == 3:
        return 16.0 + image @ _LUMA_WEIGHTS
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2:
        raise ValueError(f"luma needs an image (H, W), (H, W, 1) or (H, W, 3), got shape {image.shape}")
    return 16.0 + _LUMA_WEIGHTS.sum() * image


def _luma_pair(sr, hr, border):
    """Luma of both images without their border."""
    sr, hr = luma(sr), luma(hr)
    if sr.shape != hr.shape:
        raise ValueError(f"images of one size are needed, got {sr.shape} and {hr.shape}")
    if border < 0 or min(sr.shape) <= 2 * border:
        raise ValueError(f"border {border} leaves nothing of an image of size {sr.shape}")
    inner = tuple(slice(border, n - border) for n in sr.shape)
    return sr[inner], hr[inner]


def psnr(a: np.ndarray, b: np.ndarray, peak: float = _PEAK) -> float:
    """Peak signal-to-noise ratio of two arrays of one shape, dB; infinite where they are equal."""
    mse = np.mean((a - b) ** 2)
    return float("inf") if mse == 0 else float(10.0 * np.log10(peak**2 / mse))


def mean_psnr(images: np.ndarray, truth: np.ndarray) -> float:
    """Mean over images of the PSNR of all colours, in dB, which trainings follow.

    Args:
      images: (N, H, W, C), values in [0, 1]; others are clipped.
      truth: the same shape.

    Returns:
      At most 100 dB an image.
    """
    error = np.mean((np.clip(images, 0, 1) - truth) ** 2, (1, 2, 3))
    return float(np.mean(-10 * np.log10(np.maximum(error, 1e-10))))


def psnr_y(sr: Any, hr: Any, *, border: int) -> float:
    """Peak signal-to-noise ratio of the luma, 20 log10(255 / RMSE).

    Args:
      sr: float array (H, W, 3 or 1) or (H, W), values in [0, 1]; see `quantize` for scoring what a file would hold.
      hr: the true image, same height and width.
      border: pixels left out on every side.

    Returns:
      float, dB; infinite for equal images.

    Raises:
      ValueError: sizes differ, or nothing is left inside the border.
    """
    return psnr(*_luma_pair(sr, hr, border))


def _local_mean(image):
    """Gaussian window average at the positions where the window lies inside the image."""
    taps = np.exp(-0.5 * (np.arange(-_WINDOW_RADIUS, _WINDOW_RADIUS + 1) / _WINDOW_SIGMA) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        image = ndimage.correlate1d(image, taps, axis=axis, mode="constant")
    return image[_WINDOW_RADIUS:-_WINDOW_RADIUS, _WINDOW_RADIUS:-_WINDOW_RADIUS]


def ssim_y(sr: Any, hr: Any, *, border: int) -> float:
    """Structural similarity of the luma (Wang et al., 2004, "Image quality assessment", equation 13).

    Gaussian window of 11 x 11 pixels and sigma 1.5 at all positions inside the image, C1 = (0.01 * 255)^2,
    C2 = (0.03 * 255)^2, weighted (biased) variances, mean over the map.

    Args:
      sr: float array (H, W, 3 or 1) or (H, W), values in [0, 1].
      hr: the true image, same height and width.
      border: pixels left out on every side.

    Returns:
      float, at most 1.

    Raises:
      ValueError: sizes differ, or less than 11 x 11 pixels are left inside the border.
    """
    x, y = _luma_pair(sr, hr, border)
    if min(x.shape) <= 2 * _WINDOW_RADIUS:
        raise ValueError(f"SSIM needs at least 11 x 11 pixels inside the border, got {x.shape}")
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    mean_x, mean_y = _local_mean(x), _local_mean(y)
    var_x = _local_mean(x * x) - mean_x**2
    var_y = _local_mean(y * y) - mean_y**2
    cov = _local_mean(x * y) - mean_x * mean_y
    score = (2 * mean_x * mean_y + c1) * (2 * cov + c2) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return float(np.mean(score))


def match_size(kernel: Any, size: int) -> np.ndarray:
    """Zero-pads or crops a kernel about its middle pixel.

    Args:
      kernel: float array (k, k).
      size: the wanted size, odd where k is odd.

    Returns:
      float64 array (size, size); the sum is not restored.

    Raises:
      ValueError: the kernel is not square, or its size and the wanted one differ by an odd number.
    """
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"a square kernel is needed, got shape {kernel.shape}")
    margin, odd = divmod(size - len(kernel), 2)
    if odd:
        raise ValueError(f"kernels of size {len(kernel)} and {size} have no common middle pixel")
    if margin < 0:
        return kernel[-margin:margin, -margin:margin]
    return np.pad(kernel, margin)


def _kernel_pair(estimate, truth):
    truth = match_size(truth, len(truth))
    return match_size(estimate, len(truth)), truth


def kernel_psnr(estimate: Any, truth: Any) -> float:
    """Peak signal-to-noise ratio of a kernel with peak value 1 and no alignment, as in FKP (Liang et al., CVPR 2021).

    Args:
      estimate: float array (k', k').
      truth: float array (k, k), the true kernel; the comparison is done at its size.

    Returns:
      float, dB; infinite for equal kernels.

    Raises:
      ValueError: a kernel is not square, or the sizes differ by an odd number.
    """
    return psnr(*_kernel_pair(estimate, truth), 1.0)


def _shift_matrices(size):
    """(25, size, size) matrices that shift a vector by the quarter pixels of _SHIFTS with linear interpolation."""
    index = np.arange(size)
    distance = np.abs(index[:, None] - index[None, :] - _SHIFTS[:, None, None])
    return np.maximum(0.0, 1.0 - distance)


def kernel_correlation(estimate: Any, truth: Any) -> float:
    """Largest cosine similarity over shifts of the estimate up to 3 px in quarter pixels on both axes.

    Args:
      estimate: float array (k', k').
      truth: float array (k, k), the true kernel; the comparison is done at its size.

    Returns:
      float, 1 for kernels that are equal up to scale (and a whole-pixel shift); 0 where one of them is zero.

    Raises:
      ValueError: a kernel is not square, or the sizes differ by an odd number.
    """
    estimate, truth = _kernel_pair(estimate, truth)
    # Room for the largest shift, so that nothing leaves the window and the norm stays that of the whole kernel.
    size = len(truth) + 2 * int(_MAX_SHIFT)
    estimate, truth = match_size(estimate, size), match_size(truth, size)
    shift = _shift_matrices(size)
    # <S_a E S_b^T, T> for all pairs of shifts; the squared norm is <S_a^T S_a, E (S_b^T S_b) E^T>.
    inner = np.einsum("aij,bij->ab", shift @ estimate, (shift @ truth.T).swapaxes(1, 2))
    gram = shift.swapaxes(1, 2) @ shift
    norm_sq = np.einsum("aij,bij->ab", gram, estimate @ gram @ estimate.T) * np.sum(truth**2)
    # Interpolation may cancel a kernel of alternating signs down to rounding errors; such a shift says nothing.
    known = norm_sq > 1e-12 * np.sum(estimate**2) * np.sum(truth**2)
    cosine = np.divide(inner, np.sqrt(norm_sq, where=known, out=norm_sq), where=known, out=np.zeros_like(inner))
    return float(min(1.0, np.max(cosine)))


def _moments(kernel):
    """Centre of mass (2,) and covariance (2, 2), px and px^2; NaN where the sum is zero."""
    total = kernel.sum()
    if total == 0:
        return np.full(2, np.nan), np.full((2, 2), np.nan)
    grid = np.stack(np.meshgrid(*map(np.arange, kernel.shape), indexing="ij"))
    mean = (grid * kernel).sum((1, 2)) / total
    offset = grid - mean[:, None, None]
    return mean, np.einsum("aij,bij,ij->ab", offset, offset, kernel) / total


def kernel_mean_error(estimate: Any, truth: Any) -> float:
    """Distance between the centres of mass of two kernels.

    Args:
      estimate: float array (k', k').
      truth: float array (k, k), the true kernel; the comparison is done at its size.

    Returns:
      float, px; NaN where a kernel has sum zero.

    Raises:
      ValueError: a kernel is not square, or the sizes differ by an odd number.
    """
    estimate, truth = _kernel_pair(estimate, truth)
    return float(np.linalg.norm(_moments(estimate)[0] - _moments(truth)[0]))


def kernel_cov_error(estimate: Any, truth: Any) -> float:
    """Relative error of the second central moments, |Sigma_estimate - Sigma_truth|_F / |Sigma_truth|_F.

    Args:
      estimate: float array (k', k').
      truth: float array (k, k), the true kernel; the comparison is done at its size.

    Returns:
      float; where the truth is a single point (no spread) 0 if the estimate is one too, else infinite; NaN where a
      kernel has sum zero.

    Raises:
      ValueError: a kernel is not square, or the sizes differ by an odd number.
    """
    estimate, truth = _kernel_pair(estimate, truth)
    cov = _moments(truth)[1]
    error, scale = np.linalg.norm(_moments(estimate)[1] - cov), np.linalg.norm(cov)
    if scale == 0:
        return 0.0 if error == 0 else float("inf")
    return float(error / scale)


def score_image(sr: Any, hr: Any, *, border: int) -> dict[str, float]:
    """Scores of a super-resolved image: `psnr_y` and `ssim_y`.

    Args:
      sr: float array (H, W, 3 or 1) or (H, W), values in [0, 1].
      hr: the true image, same height and width.
      border: pixels left out on every side.

    Returns:
      dict with keys psnr_y and ssim_y; ssim_y is None where the image is too small for the SSIM window.

    Raises:
      ValueError: sizes differ, or nothing is left inside the border.
    """
    scores = {"psnr_y": psnr_y(sr, hr, border=border), "ssim_y": None}
    if min(np.shape(sr)[:2]) - 2 * border > 2 * _WINDOW_RADIUS:
        scores["ssim_y"] = ssim_y(sr, hr, border=border)
    return scores


def score_kernel(estimate: Any, truth: Any) -> dict[str, float]:
    """All kernel scores of this module.

    Args:
      estimate: float array (k', k').
      truth: float array (k, k), the true kernel; the comparison is done at its size.

    Returns:
      dict with keys kernel_psnr, kernel_correlation, kernel_mean_error and kernel_cov_error.

    Raises:
      ValueError: a kernel is not square, or the sizes differ by an odd number.
    """
    scores = (kernel_psnr, kernel_correlation, kernel_mean_error, kernel_cov_error)
    return {score.__name__: score(estimate, truth) for score in scores}
