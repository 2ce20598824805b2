"""Training of a tiny flow as a user runs it: outputs, going on, refusals.

The example of a training (tests/test_contributing.py) runs through its launch in each run of the tests.
"""

import numpy as np
import pytest

from blindsr_jax import io
from blindsr_jax.weights import flow as flow_weights
from tests.launch.commands import command, forked, read_json, usage_error
from tests.launch.trainings import Training, check_going_on, metrics

pytestmark = pytest.mark.long
CONFIG = (
    "--config=configs/flow.py",
    "--config.scale=1",
    "--config.num_blocks=1",
    "--config.kernels_per_epoch=40",
    "--config.batch_size=20",
    "--config.num_epochs=3",
    "--config.sheet_every=2",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    return Training("train_flow", CONFIG, tmp_path_factory.mktemp("flow"))


@pytest.fixture(scope="module")
def runs(train, cached):
    """An unbroken training in the folder "one", and the same command once more."""
    return cached(train("one"), train("one"))


def test_outputs(runs, train):
    assert runs[0].code == 0, runs[0]
    folder = train.place / "one"
    flow, scale = flow_weights.read(folder / "flow.npz")
    assert scale == 1 and flow.params.beta.shape == (1, 49)
    note, lines = read_json(folder, "flow.json"), metrics(folder, 3)
    best = max(line["validation"] for line in lines)
    np.testing.assert_allclose(note["metrics"]["validation_log_density"], best, rtol=1e-5)
    assert f"{best:.2f}" in runs[0].out and note["config"]["seed"] == 0
    assert '"curves":{"steps":3,"values":{"loss":[' in (folder / "index.html").read_text()
    assert io.read_image(folder / "samples.png").pixels.shape[1] > 1000


def test_a_stopped_training_goes_on_bit_for_bit(runs, train, cached):
    assert runs[1].code == 0 and "3 of 3 epochs were done before" in runs[1].out, runs[1]
    module = "blindsr_jax.training.flow"
    check_going_on(train, cached, lambda folder: flow_weights.read(folder / "flow.npz")[0], epochs=3, module=module)


def test_refusals(runs, train, tmp_path):
    (tmp_path / "bad.npy").write_text("no kernel")
    np.save(tmp_path / "wide.npy", np.full((31, 31), 1.0))
    commands = [
        train("one", "--config.num_epochs=4"),
        command("train_flow", "--config=configs/flow.py", f"--workdir={tmp_path}/out"),
        train("new", "--config.decay_at=(0.5,2.0)"),
        train("new", "--config.batch_size=50"),
        train("new", f"--config.kernels={tmp_path}/bad.npy"),
        train("new", f"--config.kernels={tmp_path}/wide.npy"),
    ]
    messages = [usage_error(run) for run in forked(*commands)]
    expected = (
        "it holds a training with other values of config.num_epochs, expected the same ones",
        "config.scale is not given, expected --config.scale=N",
        "--config.decay_at=(0.5, 2.0) is not valid, expected a tuple",
        "config.batch_size is 50, expected at most config.kernels_per_epoch (40)",
        f"cannot read '{tmp_path}/bad.npy'",
        f"cannot use the kernel '{tmp_path}/wide.npy': ",
    )
    for message, part in zip(messages, expected, strict=True):
        assert part in message
