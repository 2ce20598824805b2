"""What a look at an image finds, on 200 synthetic images: noise, compression, whether it is blurred, direction."""

from io import BytesIO
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest
import skimage.data

from blindsr_jax import io
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family
from blindsr_jax.runs import look

OPTIONS = {
    "gaussian": {"variance_range": "wide"},
    "line": {"length_range": "wide"},
    "disc": {"radius_range": "wide"},
    "trajectory": {"major_variance_range": "wide"},
}
KINDS = ("sharp", *OPTIONS)
LEAST = 0.6  # variance along an axis of what is called blurred, px^2
LONG = 4.0  # the larger variance of strong motion, px^2: a line of 7 px


class Case(NamedTuple):
    """What was done to an image, and what was seen."""

    kind: str
    noise: float  # in 1/255, 0 for none
    quality: int | None
    direction: float | None  # degrees, of strong motion along a line
    seen: look.Look


def photographs():
    """Sharp images: photographs made smaller by two."""
    names = ("astronaut", "coffee", "rocket", "camera")
    for pixels in (getattr(skimage.data, name)() for name in names):
        image = PIL.Image.fromarray(pixels).convert("RGB")
        half = image.resize((image.width // 2, image.height // 2), PIL.Image.Resampling.BOX)
        yield np.asarray(half, np.float32) / 255


def blurred(sharp, kind, seed):
    """The image, and the kernel."""
    family = load_family(kind, scale=1, kernel_size=21, kernel_center="aligned", **OPTIONS[kind])
    for attempt in range(100):
        kernel = family.render(family.sample(jax.random.fold_in(jax.random.key(seed), attempt)))
        covariance = np.asarray(geometry.covariance(kernel))
        if np.trace(covariance) / 2 >= LEAST:
            break
    padded = jnp.pad(sharp, ((10, 10), (10, 10), (0, 0)), mode="reflect")
    return np.asarray(degrade(padded, kernel, scale=1, boundary="valid")), covariance


def direction_of(covariance):
    down, across = np.linalg.eigh(covariance)[1][:, 1]
    return float(np.degrees(np.arctan2(down, across)) % 180)


def case(sharp, i):
    rng, kind, spoiled = np.random.default_rng(i), KINDS[i % 5], (i // 5) % 4
    image, direction, noise, quality = sharp, None, 0.0, None
    if kind != "sharp":
        image, covariance = blurred(sharp, kind, i)
        if kind == "line" and np.linalg.eigvalsh(covariance)[1] > LONG:
            direction = direction_of(covariance)
    if spoiled < 2:
        noise = float(np.exp(rng.uniform(0, np.log(25))))
        image = image + rng.normal(0, noise / 255, image.shape)
    levels = np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)
    if spoiled == 2:
        quality, data = int(rng.integers(30, 96)), BytesIO()
        PIL.Image.fromarray(levels).save(data, "jpeg", quality=quality)
        levels = np.asarray(PIL.Image.open(data))
    seen = look.look(str(i), io.Image(levels.astype(np.float32) / 255))
    return Case(kind, noise, quality, direction, seen)


@pytest.fixture(scope="module")
def cases():
    images = list(photographs())
    return [case(images[i % len(images)], i) for i in range(200)]


def share(right):
    assert len(right) >= 20
    return np.mean(right)


@pytest.mark.long
def test_noise_within_15_percent(cases):
    pairs = [(x.noise, x.seen.noise_std or 0) for x in cases if x.noise]
    assert share([abs(found - true) <= 0.15 * true for true, found in pairs]) >= 0.9, pairs


@pytest.mark.long
def test_quality_within_5(cases):
    pairs = [(x.quality, x.seen.jpeg_quality) for x in cases if x.quality]
    assert share([found is not None and abs(found - true) <= 5 for true, found in pairs]) >= 0.95, pairs
    assert all(x.seen.jpeg_quality is None for x in cases if x.quality is None)


@pytest.mark.long
def test_blurred_or_not(cases):
    right = [(x.kind == "sharp") == (x.seen.blur != "found") for x in cases]
    assert share(right) >= 0.95, [x for x, ok in zip(cases, right, strict=True) if not ok]


@pytest.mark.long
def test_direction_of_strong_motion(cases):
    pairs = [(x.direction, x.seen.direction) for x in cases if x.direction is not None]
    right = [found is not None and min(abs(found - true), 180 - abs(found - true)) <= 15 for true, found in pairs]
    assert share(right) >= 0.8, pairs
