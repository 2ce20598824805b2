"""Flags of a solve that say how files are to be read, and what a solve makes of hidden colours."""

import numpy as np
import PIL.Image
import pytest

from blindsr_jax import io
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.inference.kernel_flip import flipped
from blindsr_jax.kernels import geometry
from tests.launch.commands import command, forked, read_json, usage_error
from tests.launch.conftest import levels

pytestmark = pytest.mark.long  # the cheap tests of the same laws: those of the functions themselves

CUBIC = ("--config=configs/pipeline.py:mean+cubic", "--config.estimators.mean.num_samples=16")
GIVEN = ("--config=configs/pipeline.py:given+cubic",)


def corner(size=11):
    """A lopsided kernel with its middle in the corner."""
    points = np.linspace(-1, 1, 40)[:, None] ** 2 * np.array([[1.5, 3.0]])
    kernel = np.asarray(geometry.splat(np.float32(points - points.mean(0) + size // 2), size))
    return kernel, np.fft.ifftshift(kernel)


def lanczos():
    line = np.sinc((np.arange(11) - 5) / 2) * np.sinc((np.arange(11) - 5) / 6)
    return np.outer(line, line) / line.sum() ** 2


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flags")
    gray = levels(1)[..., 0].astype(np.uint16)
    (folder / "in").mkdir()
    PIL.Image.fromarray(gray * 257).save(folder / "in/full.png")
    PIL.Image.fromarray(gray * 16).save(folder / "in/12in16.png")
    PIL.Image.fromarray(levels(1)[..., 0]).save(folder / "gray.png")
    sprite = np.zeros((16, 18, 4), np.uint8)
    sprite[...] = 0, 255, 0, 0
    sprite[4:12, 5:13] = 200, 50, 25, 255
    PIL.Image.fromarray(sprite).save(folder / "in/sprite.png")
    np.save(folder / "corner.npy", corner()[1])
    np.save(folder / "lanczos.npy", lanczos())
    return folder


@pytest.fixture(scope="module")
def runs(place):
    """All runs of this file in one go, by their working folder."""

    def solve(out, name, config, *flags):
        files = f"--input={place}/{name}", f"--workdir={place}/{out}"
        return out, command("solve", *config, "--scale=2", *files, *flags)

    def known(name):
        return f"--kernel={place}/{name}.npy"

    cases = [
        solve("plain", "in/*.png", CUBIC),
        solve("white", "in/12in16.png", CUBIC, "--white_level=4080"),
        ("other", solve("white", "in/12in16.png", CUBIC, "--white_level=4000")[1]),
        solve("given", "gray.png", GIVEN, known("corner")),
        ("turned", solve("given", "gray.png", GIVEN, known("corner"), "--flip_kernel")[1]),
        solve("flipped", "gray.png", GIVEN, known("corner"), "--flip_kernel"),
        solve("negative", "gray.png", GIVEN, known("lanczos")),
        solve("signed", "gray.png", GIVEN, known("lanczos"), "--signed_kernel"),
    ]
    return {out: run for (out, _), run in zip(cases, forked(*(argv for _, argv in cases)), strict=True)}


def test_a_white_level_makes_12_bits_in_16_as_good_as_the_full_range(place, runs):
    assert (runs["plain"].code, runs["white"].code, runs["white"].err) == (0, 0, ""), runs["white"]
    results = ("plain", "full"), ("white", "12in16"), ("plain", "12in16")
    full, white, dark = (io.read_image(place / out / "images" / f"{name}.png") for out, name in results)
    np.testing.assert_allclose(white.pixels, full.pixels, atol=2 / 65535)
    assert white.bits == 16 and dark.pixels.max() < 0.07
    assert "--white_level=4095" in read_json(place, "plain/records/12in16.json")["message"]
    assert read_json(place, "white/records/12in16.json")["message"] == ""


def test_another_white_level_or_a_turned_kernel_is_another_run(runs):
    for out, flag in (("other", "white_level"), ("turned", "flip_kernel")):
        run = runs[out]
        # A turned kernel is spoken of before the folder is looked at.
        assert run.code == 2 and f"{flag} was" in run.err.splitlines()[-1], run


def test_colours_that_nobody_sees_are_not_in_the_result(place, runs):
    for kind in ("images", "inputs"):
        image = io.read_image(place / "plain" / kind / "sprite.png")
        assert image.mode == "RGBA" and image.alpha.min() == 0 and image.alpha.max() == 1
        np.testing.assert_allclose(255 * image.pixels, np.broadcast_to([200, 50, 25], (32, 36, 3)), atol=1.01)
    assert "transparent" in read_json(place, "plain/records/sprite.json")["message"]


def test_a_kernel_with_its_origin_in_the_corner_is_moved_and_said_so(place, runs):
    assert runs["given"].code == 0 and "corner" in runs["given"].err, runs["given"]
    assert "corner" in read_json(place, "given/records/gray.json")["message"]
    kernel = np.load(place / "given/kernels/gray.npy")
    np.testing.assert_allclose(geometry.resize(kernel, 11), corner()[0], atol=1e-6)


def test_flip_kernel_turns_it(place, runs):
    assert runs["flipped"].code == 0, runs["flipped"]
    given, turned = (np.load(place / out / "kernels/gray.npy") for out in ("given", "flipped"))
    spec = make_spec(scale=2, kernel_size=len(given))
    choices = geometry.flip(given), flipped(given, spec)
    assert min(float(np.abs(turned - choice).max()) for choice in choices) < 1e-6 < np.abs(turned - given).max()


def test_a_kernel_with_negative_lobes_needs_its_flag(place, runs):
    sentence = usage_error(runs["negative"])
    assert "lanczos.npy" in sentence and "--signed_kernel" in sentence
    assert runs["signed"].code == 0, runs["signed"]
    np.testing.assert_allclose(np.load(place / "signed/kernels/gray.npy"), lanczos(), atol=1e-6)
