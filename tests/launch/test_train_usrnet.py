"""Training of a tiny USRNet as a user runs it: outputs, going on, refusals."""

import json

import jax
import numpy as np
import PIL.Image
import pytest

from blindsr_jax import usrnet_weights
from blindsr_jax.networks.usrnet import UsrnetConfig
from tests.launch.commands import command, forked, read_json

CONFIG = (
    "--config=configs/usrnet.py:cpu",
    "--config.scales=(1,2)",
    "--config.prior.families=('gaussian',)",
    "--config.widths=(4,6)",
    "--config.blocks=1",
    "--config.hidden=4",
    "--config.iterations=1",
    "--config.data_iterations=2",
    "--config.side=12",
    "--config.batch_size=2",
    "--config.steps_per_epoch=2",
    "--config.validate_every=2",
    "--config.validation_patches=2",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in ("train", "val"):
        (folder / name).mkdir()
        coarse = PIL.Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8))
        coarse.resize((32, 24), PIL.Image.BICUBIC).save(folder / name / "image.png")
    return folder


@pytest.fixture(scope="module")
def train(images):
    def build(folder, epochs, *flags):
        data = (f"--input={images}/train", f"--validation={images}/val/*.png")
        return command("train_usrnet", *CONFIG, *data, f"--workdir={folder}", f"--config.num_epochs={epochs}", *flags)

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
    found = usrnet_weights.read(folders[0] / "usrnet.npz")
    assert found.config == UsrnetConfig((4, 6), 1, 4, 1)
    note = read_json(folders[0], "usrnet.json")
    lines = [json.loads(line) for line in (folders[0] / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    names = {"psnr_x1", "psnr_x2"}
    assert names <= set(lines[1]) & set(lines[2]) and not names & set(lines[0])
    assert set(note["nearest"]) == set(note["validation"]) == names
    assert note["data"]["validation"].endswith("/val") and not note["data"]["validation"].startswith("/")
    with PIL.Image.open(folders[0] / "restored.png") as sheet:
        assert sheet.size == (36, 24)


def test_a_stopped_training_goes_on_bit_for_bit(runs, folders):
    assert runs[1].code == 143 and "state saved" in runs[1].err, runs[1]
    assert runs[2].code == 0 and "1 of 3 epochs were done before" in runs[2].out, runs[2]
    ours, theirs = (usrnet_weights.read(folder / "usrnet.npz").params for folder in folders)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refusals(runs, folders, train, images, tmp_path):
    new = tmp_path / "new"
    start = f"--config.start={folders[0]}/usrnet.npz"
    cases = {
        "it holds a training with other values of config.num_epochs": train(folders[0], 4),
        "scale is 9, expected a whole number from 1 to 8": train(new, 1, "--config.scales=(2,9)"),
        "config.side is 5, expected at least 7 at scale 1": train(new, 1, "--config.side=5"),
        f"--input={images}/train: no image has sides of at least": train(new, 1, "--config.side=32"),
        "config.precision is 'half', expected one of": train(new, 1, "--config.precision=half"),
        "config.clean is 2.0, expected a share from 0 to 1": train(new, 1, "--config.clean=2.0"),
        "iterations=1), UsrnetConfig(widths=(4, 6), blocks=2,": train(new, 1, start, "--config.blocks=2"),
    }
    for part, run in zip(cases, forked(*cases.values()), strict=True):
        assert run.code == 2 and part in run.err and run.err.count("\n") == 1, run
    assert not new.exists()
