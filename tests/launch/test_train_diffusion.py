"""A tiny diffusion prior as a user makes it, and a blind solve with it that never sees the truth."""

import json
import shutil

import jax
import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.diffusion import weights
from tests.launch.commands import command, forked, read_json, usage_error
from tests.small import smooth_image

CONFIG = (
    "--config=configs/diffusion.py",
    "--config.network.model_channels=4",
    "--config.network.channel_mult=(1,)",
    "--config.patch_size=16",
    "--config.batch_size=2",
    "--config.steps_per_epoch=2",
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
def place(tmp_path_factory):
    """Two images in a folder of the truth."""
    folder = tmp_path_factory.mktemp("diffusion")
    for i in range(2):
        image = np.asarray(smooth_image((40, 44, 3), phase=float(i)))
        io.write_image(folder / f"images/{i}.png", io.Image(image))
    (folder / "images/bad.png").write_text("no image")
    return folder


def train(place, name, *flags):
    folders = (f"--input={place}/images", f"--validation={place}/images/*.png", f"--workdir={place}/{name}")
    return command("train_diffusion", *CONFIG, "--config.num_epochs=3", *folders, *flags)


@pytest.fixture(scope="module")
def trained(place, cached):
    """An unbroken training, one that is stopped after its first epoch, and the same going on."""
    stop = "import blindsr_jax.training.engine as t, os, signal; run = t.run_epoch\n"
    stop += "def once(*a, **k):\n    import jax\n    if not isinstance(a[0], jax.core.Tracer):\n"
    stop += "        os.kill(os.getpid(), signal.SIGTERM)\n    return run(*a, **k)\n"
    stop += "t.run_epoch = once"
    return cached(train(place, "one"), {"argv": train(place, "two"), "before": stop}, train(place, "two"))


def test_outputs(trained, place):
    assert trained[0].code == 0, trained[0]
    assert "left out: cannot read" in trained[0].out and "bad.png" in trained[0].out
    config, _ = weights.read(place / "one/prior.npz")
    assert config.model_channels == 4 and config.out_channels == 6
    note = read_json(place, "one", "prior.json")
    lines = [json.loads(line) for line in (place / "one/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3] and "psnr_25" not in lines[0]
    assert set(lines[1]) == {"epoch", "loss", "error", "bound", "psnr_25", "seconds"}
    np.testing.assert_allclose(note["validation"]["psnr_25"], lines[-1]["psnr_25"], rtol=1e-5)
    assert note["steps"] == 6 and note["data"].endswith("/images") and not note["data"].startswith("/")
    assert io.read_image(place / "one/denoised.png").pixels.shape == (48, 32, 3)


def test_a_stopped_training_goes_on_bit_for_bit(trained, place):
    assert trained[1].code == 143 and "state saved" in trained[1].err, trained[1]
    assert trained[2].code == 0 and "1 of 3 epochs were done before" in trained[2].out, trained[2]
    one, two = (weights.read(place / name / "prior.npz")[1] for name in ("one", "two"))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refusals(place):
    commands = [
        train(place, "three", "--config.patch_size=15"),
        train(place, "three", "--config.patch_size=64"),
        train(place, "three", "--config.network.wings=2"),
        train(place, "three", "--config.learning_rate=-1.0"),
        train(place, "three", "--validation=nothing/*.png"),
    ]
    messages = [usage_error_of(run) for run in forked(*commands)]
    expected = (
        "config.patch_size is 15, expected a multiple of 2",
        "no image has sides of at least 64 pixels",
        "wings",
        "config.learning_rate is -1.0, expected a number above 0",
        "no file matches 'nothing/*.png'",
    )
    for message, part in zip(messages, expected, strict=True):
        assert part in message


def usage_error_of(run):
    """Bad files may have been named before."""
    return usage_error(run._replace(out=""))


def test_the_truth_never_reaches_the_solver(trained, place, cached):
    """The same LR image beside its truth and alone gives the same files, to the last bit."""
    made = place / "set"
    degrade = command("degrade", f"--input={place}/images/0.png", "--scale=2", "--family=gaussian", f"--workdir={made}")

    def solve(name):
        prior = f"--config.image.weights={place}/one/prior.npz"
        return command("solve", *SOLVE, prior, f"--input={made}/lr/*.png", f"--workdir={place}/{name}")

    first = cached(degrade, solve("beside"))
    assert [run.code for run in first] == [0, 0], first
    for truth in ("hr", "kernels", "manifest.json"):
        found = made / truth
        shutil.rmtree(found) if found.is_dir() else found.unlink()
    (second,) = cached(solve("alone"))
    assert second.code == 0, second
    files = ("images/0.png", "kernels/0.npy", "uncertainty/0.npy", "uncertainty/0.png")
    for name in files:
        assert (place / "beside" / name).read_bytes() == (place / "alone" / name).read_bytes()
    record = read_json(place, "alone", "records", "0.json")
    spread = np.load(place / "alone/uncertainty/0.npy")
    assert spread.shape == (40, 44) and record["uncertainty"] == pytest.approx(spread.mean(), rel=1e-4)
