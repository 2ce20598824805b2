"""Training of a tiny USRNet as a user runs it: outputs, going on, refusals."""

import PIL.Image
import pytest

from blindsr_jax.networks.usrnet import UsrnetConfig
from blindsr_jax.weights import usrnet
from tests.launch.commands import forked, read_json
from tests.launch.trainings import Training, check_going_on, images, metrics

CONFIG = (
    "--config=configs/usrnet.py:cpu",
    "--config.scales=(1,2)",
    "--config.kernel_sizes=(7,11)",
    "--config.prior.families=('gaussian',)",
    "--config.kernel_pool=8",
    "--config.jpeg=0.0",
    "--config.widths=(4,6)",
    "--config.blocks=1",
    "--config.hidden=4",
    "--config.iterations=1",
    "--config.data_iterations=2",
    "--config.side=12",
    "--config.batch_size=2",
    "--config.steps_per_epoch=2",
    "--config.num_epochs=2",
    "--config.validate_every=2",
    "--config.validation_patches=2",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    place = tmp_path_factory.mktemp("usrnet")
    return Training("train_usrnet", (*CONFIG, *images(place)), place)


@pytest.fixture(scope="module")
def run(train, cached):
    """An unbroken training in the folder "one"."""
    return cached(train("one"))[0]


@pytest.mark.long
def test_outputs(run, train):
    assert run.code == 0, run
    folder = train.place / "one"
    assert usrnet.read(folder / "usrnet.npz").config == UsrnetConfig((4, 6), 1, 4, 1, 2)
    note, lines = read_json(folder, "usrnet.json"), metrics(folder, 2)
    names = {"psnr_x1", "psnr_x2"}
    assert names <= set(lines[1]) and not names & set(lines[0])
    assert all(set(note["metrics"][part]) == names for part in ("nearest", "validation", "stored"))
    assert note["data"]["validation"].endswith("/val") and not note["data"]["validation"].startswith("/")
    with PIL.Image.open(folder / "restored.png") as sheet:
        assert sheet.size == (36, 24)


@pytest.mark.long
def test_a_stopped_training_goes_on_bit_for_bit(run, train, cached):
    assert run.code == 0, run
    check_going_on(train, cached, lambda folder: usrnet.read(folder / "usrnet.npz").params, epochs=2)


@pytest.mark.long
def test_refusals(run, train):
    start = f"--config.start={train.place}/one/usrnet.npz"
    cases = {
        "it holds a training with other values of config.num_epochs": train("one", "--config.num_epochs=4"),
        "9) is not valid, expected a tuple of 1 to 64 values": train("new", "--config.scales=(2,9)"),
        "config.side is 5, expected at least 7 at scale 1": train("new", "--config.side=5"),
        f"--input={train.place}/train: no image has sides of at least": train("new", "--config.side=32"),
        "--config.precision=half is not valid, expected one of": train("new", "--config.precision=half"),
        "--config.clean=2.0 is not valid, expected a number from 0 to 1": train("new", "--config.clean=2.0"),
        "config.kernel_sizes has 3 entries": train("new", "--config.kernel_sizes=(7,)"),
        "--config.jpeg=1.5 is not valid, expected a number from 0 to 1": train("new", "--config.jpeg=1.5"),
        "iterations=1, fold=2), UsrnetConfig(widths=(4, 6), blocks=2,": train("new", start, "--config.blocks=2"),
    }
    for part, answer in zip(cases, forked(*cases.values()), strict=True):
        assert answer.code == 2 and part in answer.err and answer.err.count("\n") == 1, answer
    assert not (train.place / "new").exists()
