"""The hour of an accelerator, at a size that a CPU takes: it trains, says what it did, and goes on."""

import zipfile

import pytest

from tests.launch.commands import command, forked, launch, read_json, usage_error
from tests.launch.trainings import images

STAGES = "--stages=usrnet:600,kenet_x2:600"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A pack of tiny images."""
    place = tmp_path_factory.mktemp("pack")
    images(place)
    (place / "train" / "broken.png").unlink()
    flags = f"--input={place}/train/*.png", f"--validation={place}/val/*.png", f"--output={place}/data.zip"
    packed = forked(command("pack_data", *flags))[0]
    assert packed.code == 0 and "2 images" in packed.out, packed
    return place / "data.zip"


@pytest.mark.long
def test_trainings_end_within_their_time_and_are_not_repeated(data, tmp_path):
    flags = ("--small", f"--data={data}", f"--workdir={tmp_path}", "--jobs=2", STAGES)
    first = launch("gpu", *flags)
    assert first.code == 0, first
    manifest = read_json(tmp_path, "manifest.json")
    assert manifest["device"] and manifest["versions"]["jax"]
    assert {name: stage["status"] for name, stage in manifest["stages"].items()} == {"usrnet": "ok", "kenet_x2": "ok"}
    for stage, files in {"usrnet": {"usrnet.npz", "usrnet.json"}, "kenet_x2": {"kenet.npz", "metrics.jsonl"}}.items():
        with zipfile.ZipFile(tmp_path / f"{stage}.zip") as results:
            names = set(results.namelist())
        assert {f"{stage}.log", *(f"{stage}/{name}" for name in files)} <= names
        assert not any("state" in name for name in names)
    assert read_json(tmp_path, "usrnet", "usrnet.json")["data"]["input"].endswith("/train")
    again = launch("gpu", *flags)
    assert again.code == 0 and read_json(tmp_path, "manifest.json")["stages"] == manifest["stages"]
    # A damaged manifest counts as none: the trainings then find themselves finished.
    (tmp_path / "manifest.json").write_text("[]")
    once_more = launch("gpu", *flags)
    assert once_more.code == 0 and set(read_json(tmp_path, "manifest.json")["stages"]) == set(manifest["stages"])
    assert "3 of 3 epochs were done before" in (tmp_path / "usrnet.log").read_text()


@pytest.mark.long
def test_a_stage_that_fails_does_not_stop_the_others(data, tmp_path):
    (tmp_path / "usrnet").write_text("not a folder")
    run = launch("gpu", "--small", f"--data={data}", f"--workdir={tmp_path}", STAGES)
    stages = read_json(tmp_path, "manifest.json")["stages"]
    assert run.code == 1 and stages["usrnet"]["exit_code"] == 2 and stages["kenet_x2"]["status"] == "ok"
    assert "usrnet: failed" in run.out and "--workdir" in run.out


def test_refusals(data, tmp_path):
    cases = {
        "--stages=diffusion:9: expected NAME:SECONDS with one of bench, usrnet": ["--stages=diffusion:9"],
        "--stages=usrnet: expected NAME:SECONDS with a number above 0": ["--stages=usrnet"],
        f"--data={tmp_path}/none.zip": [f"--data={tmp_path}/none.zip", STAGES],
        "--output=data.tar: expected a name that ends in .zip": None,
    }
    runs = [command("gpu", f"--workdir={tmp_path}/w", *words) for words in cases.values() if words]
    runs.append(command("pack_data", "--input=a", "--validation=b", "--output=data.tar"))
    for part, run in zip(cases, forked(*runs), strict=True):
        assert part in usage_error(run)
