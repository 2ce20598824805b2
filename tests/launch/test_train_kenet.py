"""Training of a tiny KENet as a user runs it: outputs, going on, refusals."""

import json

import jax
import numpy as np
import PIL.Image
import pytest

from blindsr_jax.kenet import weights
from tests.launch.commands import command, forked, read_json

CONFIG = (
    "--config=configs/kenet.py",
    "--config.scale=2",
    "--config.kernel_size=5",
    "--config.prior.families=('gaussian','line')",
    "--config.channels=2",
    "--config.hidden=8",
    "--config.lr_side=8",
    "--config.batch_size=2",
    "--config.steps_per_epoch=2",
    "--config.validate_every=2",
    "--config.validation_patches=24",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        (folder / name).mkdir()
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        coarse.resize((32, 24), PIL.Image.BICUBIC).save(folder / name / "image.png")
    (folder / "train" / "broken.png").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def train(images):
    def build(folder, epochs, *flags):
        data = (f"--input={images}/train", f"--validation={images}/val/*.png")
        return command("train_kenet", *CONFIG, *data, f"--workdir={folder}", f"--config.num_epochs={epochs}", *flags)

    return build


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("unbroken"), tmp_path_factory.mktemp("broken")


@pytest.fixture(scope="module")
def runs(folders, train, cached):
    """An unbroken training, one that is stopped after its first epoch, and the same going on."""
    unbroken, broken = folders
    # The first call only asks for names.
    stop = "import blindsr_jax.training.engine as t, os, signal; run, calls = t.run_epoch, []\n"
    stop += "def once(*a, **k):\n    calls.append(0)\n    len(calls) == 2 and os.kill(os.getpid(), signal.SIGTERM)\n"
    stop += "    return run(*a, **k)\nt.run_epoch = once"
    return cached(train(unbroken, 3), {"argv": train(broken, 3), "before": stop}, train(broken, 3))


def test_outputs(runs, folders):
    assert runs[0].code == 0, runs[0]
    assert "left out" in runs[0].out and "broken.png" in runs[0].out
    found = weights.read(folders[0] / "kenet.npz")
    assert (found.scale, found.kernel_size, found.channels, found.hidden) == (2, 5, 2, 8)
    assert found.families == ("gaussian", "line")
    note = read_json(folders[0], "kenet.json")
    lines = [json.loads(line) for line in (folders[0] / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    names = {"kernel_psnr_gaussian", "kernel_cov_error_line", "category_accuracy"}
    assert names <= set(lines[1]) & set(lines[2]) and not names & set(lines[0])
    assert names <= set(note["stored"]) and set(note["stored"]) == set(note["mean_kernel"])
    # Half precision changes little.
    np.testing.assert_allclose(note["stored"]["kernel_psnr_gaussian"], lines[2]["kernel_psnr_gaussian"], rtol=1e-3)
    assert note["data"]["validation"].endswith("/val") and not note["data"]["validation"].startswith("/")
    assert (folders[0] / "kernels.png").stat().st_size > 500


def test_a_stopped_training_goes_on_bit_for_bit(runs, folders):
    assert runs[1].code == 143 and "state saved" in runs[1].err, runs[1]
    assert runs[2].code == 0 and "1 of 3 epochs were done before" in runs[2].out, runs[2]
    ours, theirs = (weights.read(folder / "kenet.npz").params for folder in folders)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refusals(folders, train, images, tmp_path):
    new = tmp_path / "new"
    commands = [
        train(folders[0], 4),
        train(new, 1, "--config.loss=l2"),
        train(new, 1, "--config.jpeg_quality=(90,20)"),
        train(new, 1, "--config.lr_side=4"),
        train(new, 1, "--config.lr_side=64"),
        train(new, 1, "--config.precision=half"),
    ]
    refused = forked(*commands)
    assert [run.code for run in refused] == [2] * len(commands) and not new.exists()
    expected = (
        "it holds a training with other values of config.num_epochs, expected the same ones",
        "loss is 'l2', expected one of l1, attention",
        "config.jpeg_quality is (90, 20), expected (low, high) between 1 and 100",
        "config.lr_side is 4, expected at least 8",
        f"--input={images}/train: no image has sides of at least 131 pixels",
        "config.precision is 'half', expected one of float32, tf32, bfloat16",
    )
    for run, part in zip(refused, expected, strict=True):
        assert part in run.err and run.err.count("\n") == 1
