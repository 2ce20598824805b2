"""A tiny diffusion prior as a user makes it, and a blind solve with it that never sees the truth."""

import shutil

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.weights import diffusion
from tests.launch.commands import command, forked, read_json, usage_error
from tests.launch.trainings import Training, check_going_on, images, metrics

CONFIG = (
    "--config=configs/diffusion.py",
    "--config.network.model_channels=4",
    "--config.network.channel_mult=(1,)",
    "--config.patch_size=16",
    "--config.batch_size=2",
    "--config.steps_per_epoch=2",
    "--config.num_epochs=2",
    "--config.validate_every=2",
    "--config.validation_size=16",
    "--config.noise_levels=(25.0,)",
    "--config.learn_variance=True",
)
SOLVE = (
    "--config=configs/diff_dkp.py",
    "--config.num_steps=3",
    "--config.kernel_steps=2",
    "--config.image.samples=2",
    "--config.kernel.num_samples=16",
    "--config.kernel.warmup_steps=2",
    "--config.kernel.hidden=16",
    "--config.kernel.freeze_steps=2",
    "--config.boundary=circular",
    "--config.kernel_center=release",
    "--scale=2",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    place = tmp_path_factory.mktemp("diffusion")
    return Training("train_diffusion", (*CONFIG, *images(place)), place)


@pytest.fixture(scope="module")
def run(train, cached):
    """An unbroken training in the folder "one"."""
    return cached(train("one"))[0]


@pytest.mark.long
def test_outputs(run, train):
    assert run.code == 0, run
    assert "left out: cannot read" in run.out and "broken.png" in run.out
    folder = train.place / "one"
    config, _ = diffusion.read(folder / "prior.npz")
    assert config.model_channels == 4 and config.out_channels == 6
    note, lines = read_json(folder, "prior.json"), metrics(folder, 2)
    assert "psnr_25" not in lines[0]
    assert set(lines[1]) == {"epoch", "loss", "error", "bound", "psnr_25", "seconds"}
    np.testing.assert_allclose(note["metrics"]["validation"]["psnr_25"], lines[-1]["psnr_25"], rtol=1e-5)
    assert note["steps"] == 4 and note["data"].endswith("/train") and not note["data"].startswith("/")
    assert io.read_image(folder / "denoised.png").pixels.shape == (48, 16, 3)


@pytest.mark.long
def test_a_stopped_training_goes_on_bit_for_bit(run, train, cached):
    assert run.code == 0, run
    check_going_on(train, cached, lambda folder: diffusion.read(folder / "prior.npz")[1], epochs=2)


def test_refusals(train):
    commands = [
        train("new", "--config.patch_size=15"),
        train("new", "--config.patch_size=64"),
        train("new", "--config.network.wings=2"),
        train("new", "--config.learning_rate=-1.0"),
        train("new", "--validation=nothing/*.png"),
    ]
    messages = [usage_error_of(answer) for answer in forked(*commands)]
    expected = (
        "config.patch_size is 15, expected a multiple of 2",
        "no image has sides of at least 64 pixels",
        "wings",
        "--config.learning_rate=-1.0 is not valid, expected a number above 0",
        "no file matches 'nothing/*.png'",
    )
    for message, part in zip(messages, expected, strict=True):
        assert part in message


def usage_error_of(answer):
    """Bad files may have been named before."""
    return usage_error(answer._replace(out=""))


@pytest.mark.long
def test_the_truth_never_reaches_the_solver(run, train, cached):
    """The same LR image beside its truth and alone gives the same files, to the last bit."""
    assert run.code == 0, run
    place, made = train.place, train.place / "set"
    sharp = f"--input={place}/train/image.png"
    degrade = command("degrade", sharp, "--scale=2", "--family=gaussian", f"--workdir={made}")

    def solve(name):
        prior = f"--config.image.weights={place}/one/prior.npz"
        return command("solve", *SOLVE, prior, f"--input={made}/lr/*.png", f"--workdir={place}/{name}")

    first = cached(degrade, solve("beside"))
    assert [answer.code for answer in first] == [0, 0], first
    for truth in ("hr", "kernels", "manifest.json"):
        found = made / truth
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    (second,) = cached(solve("alone"))
    assert second.code == 0, second
    files = ("images/image.png", "kernels/image.npy", "uncertainty/image.npy", "uncertainty/image.png")
    for name in files:
        assert (place / "beside" / name).read_bytes() == (place / "alone" / name).read_bytes()
    record = read_json(place, "alone", "records", "image.json")
    spread = np.load(place / "alone/uncertainty/image.npy")
    assert spread.shape == (24, 32) and record["uncertainty"] == pytest.approx(spread.mean(), rel=1e-4)
