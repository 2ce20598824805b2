"""Training and calibration of a tiny evidence network as a user runs them: outputs, going on, refusals."""

import pytest

from blindsr_jax.weights import evidence
from tests.launch.commands import command, forked, read_json
from tests.launch.trainings import Training, check_going_on, images, metrics

CONFIG = (
    "--config=configs/evidence.py",
    "--config.scale=2",
    "--config.kernel_size=5",
    "--config.prior.families=('gaussian','line')",
    "--config.prior.weights=(1,1)",
    "--config.channels=2",
    "--config.hidden=8",
    "--config.features=4",
    "--config.others=8",
    "--config.kernel_pool=64",
    "--config.lr_side=10",
    "--config.least_side=8",
    "--config.batch_size=4",
    "--config.steps_per_epoch=2",
    "--config.num_epochs=3",
    "--config.validate_every=2",
    "--config.validation_patches=16",
)


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    place = tmp_path_factory.mktemp("evidence")
    return Training("train_evidence", (*CONFIG, *images(place)), place)


@pytest.fixture(scope="module")
def run(train, cached):
    """An unbroken training in the folder "one"."""
    return cached(train("one"))[0]


@pytest.mark.long
def test_outputs(run, train):
    assert run.code == 0, run
    folder = train.place / "one"
    found = evidence.read(folder / "evidence.npz")
    assert (found.scale, found.kernel_size, found.channels, found.window) == (2, 5, 2, 10)
    assert found.families == ("gaussian", "line")
    note, lines = read_json(folder, "evidence.json"), metrics(folder, 3)
    assert {"information", "loss"} <= set(lines[0]) and {"log_score", "width_80", "ece"} <= set(lines[1])
    assert "log_score" not in lines[0]
    assert found.note == note
    assert note["name"] == "evidence_x2" and note["data"]["validation"].endswith("/val")
    assert note["metrics"]["scores"]["all"]["number"] == 16 and note["config"]["prior"]["families"] == [
        "gaussian",
        "line",
    ]


@pytest.mark.long
def test_a_stopped_training_goes_on_bit_for_bit(run, train, cached):
    assert run.code == 0, run
    check_going_on(train, cached, lambda folder: evidence.read(folder / "evidence.npz").params, epochs=3)


def test_refusals(train):
    commands = [
        train("new", "--config.least_side=11"),
        train("new", "--config.least_side=4"),
        train("new", "--config.reach=15"),
        train("new", "--config.lr_side=64"),
        train("new", "--config.precision=half"),
        train("new", "--config=configs/evidence.py:huge"),
    ]
    refused = forked(*commands)
    assert [answer.code for answer in refused[:5]] == [2] * 5 and refused[5].code != 0
    assert not (train.place / "new").exists()
    parts = ("config.least_side", "config.least_side", "config.reach", "--input=", "config.precision", "huge")
    for answer, part in zip(refused, parts, strict=True):
        assert part in answer.err


def calibrate(train, *flags):
    words = f"--weights={train.place}/one/evidence.npz", f"--workdir={train.place}/calibration"
    return command("calibrate", "--scale=2", *words, "--patches=16", "--draws=32", *flags)


@pytest.mark.long
def test_calibration_fits_on_one_half_and_reports_on_the_other(run, train):
    assert run.code == 0, run
    both = f"--input={train.place}/[tv]*/image.png"
    frames = calibrate(train, both, "--frames=2", f"--workdir={train.place}/frames")
    done = forked(calibrate(train, both), calibrate(train, both, "--lr_side=9", "--gain=1"), frames)
    assert [answer.code for answer in done] == [0, 0, 0], done
    found = read_json(train.place, "frames", "calibration.json")
    assert found["frames"] == 2 and found["plain"]["all"]["number"] == 8
    found = read_json(train.place, "calibration", "calibration.json")
    assert found["lr_side"] == 9 and found["gain"] == 1 and found["temperature"] > 0
    for name in ("plain", "fitted"):
        scores = found[name]["all"]
        assert scores["number"] == 8 and len(scores["coverage"]["width"]) == 3 and 0 <= scores["ece"] <= 1
        assert {"brier", "brier_base", "log_score", "reliability"} <= set(scores)
    assert (train.place / "calibration" / "calibration.png").stat().st_size > 500


@pytest.mark.long
def test_calibration_refuses_what_it_cannot_use(run, train):
    commands = {
        "--input": calibrate(train, f"--input={train.place}/val/*.png"),
        "no training has seen": calibrate(train, "--input=data.zip"),
        "for scale 2": calibrate(train, f"--input={train.place}/val", "--scale=3"),
        "--frames and --config": calibrate(
            train, f"--input={train.place}/val", "--frames=2", "--config=configs/photo.py"
        ),
        "none.npz": calibrate(train, f"--input={train.place}/val", "--weights=none.npz"),
    }
    for part, answer in zip(commands, forked(*commands.values()), strict=True):
        assert answer.code == 2 and part in answer.err and "Traceback" not in answer.err, answer
