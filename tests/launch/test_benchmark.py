"""The benchmark's records as the contract names them, wrong flags, and the report of a GPU at small size."""

from typing import NamedTuple

import pytest

from tests.launch.commands import TINY, Run, command, forked, python, read_json, usage_error

KEYS = (
    "config hr_size scale batch_size dtype device seconds_per_image seconds_per_step compile_seconds flops_per_step "
    "matmul_share peak_memory_bytes"
).split()
SIZE = "--hr_size=24", "--scale=2", "--steps=2", "--rounds=1"
WRONG = {
    "--batch_sizes=": ("--batch_sizes=", "whole numbers of at least 1"),
    "--batch_sizes=1,0": ("--batch_sizes=1,0", "whole numbers of at least 1"),
    "--batch_sizes=1,a": ("--batch_sizes=1,a", "whole numbers of at least 1"),
    "--hr_size=25": ("--hr_size=25", "multiple of --scale=2"),
    "--hr_size=8": ("hr_size is 8", "at least 12"),
    "--scale=9": ("--scale=9", "[1, 8]"),
    "--steps=0": ("--steps=0", "positive"),
    "--compare=missing.py": ("missing.py", "configs/"),
    "--config.image.channels=1": ("config.image.channels", "from 2 to"),
    "--estimator": ("config.estimator is None", "an estimator of one step"),
    "--json={}": ("--json=", "a folder"),
    "--json={}/file/a.json": ("--json=", "writable folder"),
}


class Answers(NamedTuple):
    """The folder, and the runs: of a method, and of an estimator."""

    place: object
    run: Run
    rated: Run


PIPELINE = ("--config=configs/pipeline.py:kenet+cubic", "--scale=2")


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    place = tmp_path_factory.mktemp("benchmark")
    flags = ["--batch_sizes=1,2", f"--json={place}/made/records.json"]
    sizes = "--estimator", "--hr_size=32", "--batch_sizes=2", "--rounds=1"
    rates = command("benchmark", *PIPELINE, f"--json={place}/rates.json", *sizes)
    return Answers(place, *forked(command("benchmark", TINY, *SIZE, *flags), rates))


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Runs that are refused, by their flag or name."""
    place = tmp_path_factory.mktemp("benchmark")
    (place / "file").write_text("")
    wrong = [command("benchmark", TINY, *SIZE, flag.format(place)) for flag in WRONG]
    joint = command("benchmark", *PIPELINE, f"--json={place}/rates.json")
    return dict(zip(("pipeline", *WRONG), forked(joint, *wrong), strict=True))


@pytest.mark.long
def test_records(answers):
    place, run = answers.place, answers.run
    assert run.code == 0 and run.err == "", run
    records = read_json(place, "made/records.json")
    assert [record["batch_size"] for record in records] == [1, 2]
    for record in records:
        assert set(KEYS) <= set(record)
        assert all(record[key] is not None for key in KEYS) and record["config"] == "tiny"
        assert record["seconds_per_step"] > 0 and 0 < record["matmul_share"] < 1
        parts = record["breakdown"]
        assert parts["convolutions"] > 0 and set(parts) == {
            "convolutions",
            "normalisation_elementwise",
            "kernel_half",
            "rest",
        }
    assert records[1]["flops_per_step"] == 2 * records[0]["flops_per_step"] > 0
    assert run.out.count("\n") == 4 and "| tiny | 2 |" in run.out


@pytest.mark.long
def test_rate_of_an_estimator(answers):
    assert answers.rated.code == 0 and "| kenet x2 | 16 | 2 |" in answers.rated.out, answers.rated
    (record,) = read_json(answers.place, "rates.json")
    assert record["lr_size"] == 16 and record["images_per_second"] > 0 and record["peak_memory_bytes"] > 0


def test_a_pair_has_no_steps_to_be_timed(refused):
    assert "an estimator and a restorer" in usage_error(refused["pipeline"])


@pytest.mark.parametrize("flag", WRONG)
def test_wrong_flags(refused, flag):
    sentence = usage_error(refused[flag])
    assert [word for word in WRONG[flag] if word not in sentence] == [], sentence


@pytest.mark.long
def test_the_report_of_a_gpu_at_small_size(tmp_path):
    run = python(*command("bench_gpu", "--small", f"--workdir={tmp_path}", "--budget_seconds=1500"))
    assert run.code == 0, run
    stages = read_json(tmp_path, "report.json")["stages"]
    assert len(stages) == 11 and all(stage["rows"] for stage in stages.values()), stages
    assert (tmp_path / "report.md").read_text().count("## ") == 11


@pytest.mark.long
def test_the_report_keeps_to_its_time(tmp_path):
    run = python(*command("bench_gpu", "--small", f"--workdir={tmp_path}", "--budget_seconds=1"))
    assert run.code == 0 and run.err == "", run
    notes = [stage["note"] for stage in read_json(tmp_path, "report.json")["stages"].values()]
    assert notes and all("skipped" in note or "time was over" in note for note in notes)
