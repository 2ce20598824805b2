"""Noise and compression as they are measured in pixels."""

import io

import numpy as np
import PIL.Image
import PIL.ImageDraw
import pytest

from blindsr_jax.inference import corruption_level, jpeg_quality, noise_level

SIDE = 160


def picture(channels=3, seed=0):
    """A smooth picture with edges, 8 bits."""
    rng = np.random.default_rng(seed)
    small = PIL.Image.fromarray(rng.integers(40, 216, (12, 12, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC), np.float64).clip(0, 255)
    pixels[:, SIDE // 2 :] = 0.6 * pixels[:, SIDE // 2 :] + 40
    return np.rint(pixels[..., :channels]) / 255


def noisy(pixels, std, *, gray=False, seed=1):
    shape = (*pixels.shape[:2], 1) if gray else pixels.shape
    noise = np.random.default_rng(seed).normal(0, std / 255, shape)
    return np.rint(255 * np.clip(pixels + noise, 0, 1)) / 255


@pytest.mark.parametrize("std", [1, 3, 10, 25])
@pytest.mark.parametrize("gray", [False, True])
def test_the_noise_is_found_within_fifteen_percent(std, gray):
    found = noise_level.estimate(noisy(picture(), std, gray=gray))
    assert 255 * found.std == pytest.approx(np.hypot(std, 255 * noise_level.ROUNDING), rel=0.15)
    # The mean of three colours has a root of three less of noise that is independent, all of noise that they share.
    assert found.gray_std == pytest.approx(found.std if gray else found.std / 3**0.5, rel=0.15)


def test_the_median_of_powers_is_that_of_normal_numbers():
    powers = np.square(np.random.default_rng(5).normal(size=(20_000, int(noise_level._HIGH.sum()))))
    assert np.median(powers, 1).mean() == pytest.approx(noise_level._MEDIAN_OF_POWER, rel=0.01)


def test_noise_that_grows_with_brightness_is_seen_in_both_halves():
    ramp = np.linspace(0.2, 0.8, SIDE)[None, :, None].repeat(SIDE, 0)
    found = noise_level.estimate(ramp + np.random.default_rng(2).normal(size=ramp.shape) * 0.05 * ramp**2)
    assert found.bright_std > 2 * found.dark_std


@pytest.mark.parametrize("std, brightness", [(15, 0.2), (25, 0.3)])
def test_noise_that_clips_in_nearly_every_patch_is_found(std, brightness):
    pixels = noisy(brightness * picture(), std)
    clipped = np.lib.stride_tricks.sliding_window_view((pixels == 0).any(-1), (8, 8)).any((-2, -1))
    assert np.sum(~clipped) < 4 * noise_level.FEWEST
    assert 255 * noise_level.estimate(pixels).std == pytest.approx(std, rel=0.2)


def test_noise_that_clips_is_found_where_no_patch_is_flat():
    t = np.arange(48)
    waves = 0.55 + 0.55 * np.sin(2 * np.pi * t / 8)[:, None, None] * np.cos(2 * np.pi * t / 10.4)[:, None]
    found = noise_level.estimate(noisy(waves.repeat(3, -1), 10))
    assert 255 * found.std == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("clipped", [(0,), (1, 2)])
def test_colours_that_are_not_clipped_tell_of_the_noise(clipped):
    pixels = noisy(picture(), 8)
    pixels[..., clipped] = 1
    assert 255 * noise_level.estimate(pixels).std == pytest.approx(8, rel=0.15)


@pytest.mark.parametrize("shrink, line", [(4, 22), (4, 13), (3, 13), (2, 11)])
def test_letters_on_white_are_no_noise(shrink, line):
    page = PIL.Image.new("L", (shrink * SIDE, shrink * SIDE), 255)
    for row in range(0, shrink * SIDE, line):
        PIL.ImageDraw.Draw(page).text((5, row), "the quick brown fox jumps over the lazy dog and on " * 5, fill=0)
    pixels = np.asarray(page.resize((SIDE, SIDE), PIL.Image.Resampling.BOX), np.float64)[..., None].repeat(3, -1) / 255
    assert corruption_level.measure(pixels).noise_std == 0


@pytest.mark.parametrize("pixels", [np.ones((SIDE, SIDE, 3)), np.zeros((SIDE, SIDE, 1)), picture()[:10]])
def test_where_nothing_can_be_measured_nothing_is_said(pixels):
    assert noise_level.estimate(pixels) is None
    assert corruption_level.measure(pixels).noise_std == 0


def compressed(pixels, quality):
    data = io.BytesIO()
    PIL.Image.fromarray(np.uint8(np.rint(255 * pixels))).save(data, "JPEG", quality=quality)
    with PIL.Image.open(data) as image:
        return np.asarray(image.convert("RGB")) / 255, image.quantization[0]


@pytest.mark.parametrize("quality", [97, 90, 75, 60, 40])
def test_the_quality_is_found_in_the_table_and_in_the_pixels(quality):
    pixels, table = compressed(noisy(picture(), 6), quality)
    assert jpeg_quality.from_table(table) == quality
    assert abs(jpeg_quality.from_pixels(pixels) - quality) <= 2


def test_an_image_that_was_never_compressed_has_no_quality():
    assert jpeg_quality.from_pixels(noisy(picture(), 6)) is None
    shifted = compressed(noisy(picture(), 6), 75)[0][3:, 5:]  # blocks begin elsewhere
    assert jpeg_quality.from_pixels(shifted) is None


def test_more_noise_and_more_compression_are_told_as_more():
    stds = [corruption_level.measure(noisy(picture(), std)).noise_std for std in (0, 2, 5, 15)]
    assert stds == sorted(stds) and stds[0] < 0.5 / 255 and stds[-1] == pytest.approx(13 / 255, rel=0.15)
    stds = [corruption_level.measure(*compressed(picture(), 90)[:1]).noise_std]
    stds += [corruption_level.measure(picture(), jpeg_steps=compressed(picture(), q)[1]).noise_std for q in (75, 40)]
    assert stds == sorted(stds)
