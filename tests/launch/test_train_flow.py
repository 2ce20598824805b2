"""Training of a tiny flow as a user runs it: outputs, going on, refusals."""

import json

import jax
import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.flows import weights
from tests.launch.commands import command, forked, read_json, usage_error

CONFIG = (
    "--config=configs/flow.py",
    "--config.scale=1",
    "--config.num_blocks=1",
    "--config.kernels_per_epoch=40",
    "--config.batch_size=20",
    "--config.sheet_every=2",
)


def train(folder, epochs, *flags):
    return command("train_flow", *CONFIG, f"--workdir={folder}", f"--config.num_epochs={epochs}", *flags)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tmp_path_factory.mktemp("unbroken"), tmp_path_factory.mktemp("broken")


@pytest.fixture(scope="module")
def runs(folders, cached):
    """An unbroken training, one that is stopped after its first epoch, and the same going on."""
    unbroken, broken = folders
    stop = "import blindsr_jax.flows.train as t, os, signal; run = t.run_epoch\n"
    stop += "def once(*a, **k):\n    os.kill(os.getpid(), signal.SIGTERM)\n    return run(*a, **k)\n"
    stop += "t.run_epoch = once"
    return cached(train(unbroken, 3), {"argv": train(broken, 3), "before": stop}, train(broken, 3), train(broken, 3))


def test_outputs(runs, folders):
    assert runs[0].code == 0, runs[0]
    flow, scale = weights.read(folders[0] / "flow.npz")
    assert scale == 1 and flow.params.beta.shape == (1, 49)
    note = read_json(folders[0], "flow.json")
    lines = [json.loads(line) for line in (folders[0] / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    best = max(line["validation"] for line in lines)
    np.testing.assert_allclose(note["validation_log_density"], best, rtol=1e-5)
    assert f"{best:.2f}" in runs[0].out and note["config"]["seed"] == 0
    assert io.read_image(folders[0] / "samples.png").pixels.shape[1] > 1000


def test_a_stopped_training_goes_on_bit_for_bit(runs, folders):
    assert runs[1].code == 143 and "state saved" in runs[1].err
    assert runs[2].code == 0 and "1 of 3 epochs were done before" in runs[2].out, runs[2]
    assert runs[3].code == 0 and "3 of 3 epochs were done before" in runs[3].out
    ours, theirs = (weights.read(folder / "flow.npz")[0] for folder in folders)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_array_equal(a, b)


def test_refusals(runs, folders, tmp_path):
    (tmp_path / "bad.npy").write_text("no kernel")
    np.save(tmp_path / "wide.npy", np.full((31, 31), 1.0))
    here = f"--workdir={tmp_path}/out"
    commands = [
        train(folders[0], 4),
        command("train_flow", "--config=configs/flow.py", here),
        train(tmp_path / "out", 1, "--config.decay_at=(0.5,2.0)"),
        train(tmp_path / "out", 1, "--config.batch_size=50"),
        train(tmp_path / "out", 1, f"--config.kernels={tmp_path}/bad.npy"),
        train(tmp_path / "out", 1, f"--config.kernels={tmp_path}/wide.npy"),
    ]
    messages = [usage_error(run) for run in forked(*commands)]
    expected = (
        "it holds a training with other values of config.num_epochs, expected the same ones",
        "config.scale is not given, expected --config.scale=N",
        "config.decay_at is (0.5, 2.0), expected numbers between 0 and 1",
        "config.batch_size is 50, expected at most config.kernels_per_epoch (40)",
        f"cannot read '{tmp_path}/bad.npy'",
        f"cannot use the kernel '{tmp_path}/wide.npy': ",
    )
    for message, part in zip(messages, expected, strict=True):
        assert part in message
