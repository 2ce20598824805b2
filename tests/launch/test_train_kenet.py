"""Training of a tiny KENet as a user runs it: outputs, going on, refusals."""

import numpy as np
import pytest

from blindsr_jax.weights import kenet
from tests.launch.commands import forked, read_json
from tests.launch.trainings import Training, check_going_on, images, metrics

pytestmark = pytest.mark.long  # the cheap tests of the same laws: those of the functions themselves

CONFIG = (
    "--config=configs/kenet.py",
    "--config.scale=2",
    "--config.kernel_size=5",
    "--config.kernel_pool=16",
    "--config.prior.families=('gaussian','line')",
    "--config.channels=2",
    "--config.hidden=8",
    "--config.lr_side=8",
    "--config.batch_size=2",
    "--config.steps_per_epoch=2",
    "--config.num_epochs=3",
    "--config.validate_every=2",
    "--config.validation_patches=24",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    place = tmp_path_factory.mktemp("kenet")
    return Training("train_kenet", (*CONFIG, *images(place)), place)


@pytest.fixture(scope="module")
def run(train, cached):
    """An unbroken training in the folder "one"."""
    return cached(train("one"))[0]


def test_outputs(run, train):
    assert run.code == 0, run
    assert "left out" in run.out and "broken.png" in run.out
    folder = train.place / "one"
    found = kenet.read(folder / "kenet.npz")
    assert (found.scale, found.kernel_size, found.channels, found.hidden) == (2, 5, 2, 8)
    assert found.families == ("gaussian", "line")
    note, lines = read_json(folder, "kenet.json"), metrics(folder, 3)
    names = {"kernel_psnr_gaussian", "kernel_cov_error_line", "category_accuracy"}
    assert names <= set(lines[1]) & set(lines[2]) and not names & set(lines[0])
    scores = note["metrics"]
    assert names <= set(scores["stored"]) and set(scores["stored"]) == set(scores["mean_kernel"])
    # Half precision changes little.
    np.testing.assert_allclose(scores["stored"]["kernel_psnr_gaussian"], lines[2]["kernel_psnr_gaussian"], rtol=1e-3)
    assert note["data"]["validation"].endswith("/val") and not note["data"]["validation"].startswith("/")
    assert (folder / "kernels.png").stat().st_size > 500


@pytest.mark.long
def test_a_stopped_training_goes_on_bit_for_bit(run, train, cached):
    assert run.code == 0, run
    check_going_on(train, cached, lambda folder: kenet.read(folder / "kenet.npz").params, epochs=3)


def test_refusals(run, train):
    commands = [
        train("one", "--config.num_epochs=4"),
        train("new", "--config.loss=l2"),
        train("new", "--config.jpeg_quality=(90,20)"),
        train("new", "--config.lr_side=4"),
        train("new", "--config.lr_side=64"),
        train("new", "--config.precision=half"),
    ]
    refused = forked(*commands)
    assert [answer.code for answer in refused] == [2] * len(commands) and not (train.place / "new").exists()
    expected = (
        "it holds a training with other values of config.num_epochs, expected the same ones",
        "--config.loss=l2 is not valid, expected one of l1, attention",
        "--config.jpeg_quality=(90, 20) is not valid, expected (low, high)",
        "--config.lr_side=4 is not valid, expected a whole number from 8",
        f"--input={train.place}/train: no image has sides of at least 131 pixels",
        "--config.precision=half is not valid, expected one of float32, tf32, bfloat16",
    )
    for answer, part in zip(refused, expected, strict=True):
        assert part in answer.err and answer.err.count("\n") == 1
