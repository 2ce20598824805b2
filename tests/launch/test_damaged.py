"""JSON that is damaged, in every launch that reads any: healed or refused in one sentence, never a traceback."""

import json
import os
import random
import shutil

import pytest

from blindsr_jax import io
from blindsr_jax.runs import resume
from tests.launch.commands import MEAN, PLAIN, command, read_json, usage_error
from tests.launch.damage import ANY, at_random, deep
from tests.launch.test_interrupted import write_inputs
from tests.launch.test_table import write_case
from tests.launch.test_train_flow import CONFIG as FLOW

NAMES = "abcdefghi"


class Place:
    """A folder with what each launch leaves, and the commands that go on from a copy of it."""

    def __init__(self, top):
        self.top, self.inputs = top, write_inputs(top / "in", NAMES)
        write_case(top / "cases" / "case", 0)

    def solve(self, workdir):
        argv = command("solve", *MEAN, f"--input={self.inputs}/*.png", f"--workdir={workdir}")
        return {"argv": argv, "before": PLAIN}

    def evaluate(self, workdir):
        return command("evaluate", f"--results={workdir}", f"--hr={self.inputs}", "--scale=2")

    def degrade(self, workdir):
        return command(
            "degrade", f"--input={self.inputs}/a.png", "--scale=1", "--kernel_size=3", f"--workdir={workdir}"
        )

    def table(self, workdir):
        config = "--configs=configs/pipeline.py:mean+cubic"
        return command("table", f"--cases={self.top}/cases", config, "--seeds=5", f"--workdir={workdir}")

    def train(self, workdir):
        return command("train_flow", *FLOW, "--config.num_epochs=1", f"--workdir={workdir}")

    def copy(self, launch, target):
        shutil.copytree(self.top / ("solve" if launch == "evaluate" else launch), target)
        return target


LAUNCHES = ("solve", "degrade", "table", "train")


@pytest.fixture(scope="module")
def place(tmp_path_factory, cached):
    made = Place(tmp_path_factory.mktemp("damaged"))
    runs = cached(*(getattr(made, launch)(made.top / launch) for launch in LAUNCHES))
    assert [run.code for run in runs] == [0] * len(LAUNCHES), runs
    return made


def outputs(workdir):
    """All outputs of a solve as bytes."""
    return {path.name: path.read_bytes() for kind in ("images", "kernels") for path in (workdir / kind).iterdir()}


@pytest.mark.long
def test_damaged_records_notes_and_lists_count_as_missing(place, tmp_path, cached):
    workdir = place.copy("solve", tmp_path / "out")
    one = read_json(workdir, "records/a.json")
    changes = [{"message": 3}, {"input": 3}, {"input": []}, {"input": None}, {"scale": "2"}, {"seed": 2**70}]
    damaged = [json.dumps(one | change).encode() for change in changes]
    for key in ("scale", "message", "status"):
        damaged.append(json.dumps({k: v for k, v in one.items() if k != key}).encode())
    for name, data in zip(NAMES, damaged, strict=True):  # of our own images
        (workdir / f"records/{name}.json").write_bytes(data.replace(b'"name": "a"', b'"name": "%c"' % name.encode()))
    foreign = [*ANY.values(), deep(), b'{"name": "%s"}', *(d.replace(b'"name": "a"', b'"name": "%s"') for d in damaged)]
    for i, data in enumerate(foreign):  # of no image of ours
        (workdir / f"records/zzz{i}.json").write_bytes(data.replace(b"%s", b"zzz%d" % i))
    notes = [
        {"name": [], "input": "/a"},
        {"name": 3, "input": "/a"},
        *({"name": "a", "input": x} for x in ([], 3, None)),
    ]
    notes = [json.dumps(note | {"sha256": "0"}).encode() for note in notes]
    for i, data in enumerate([*ANY.values(), deep(), *notes]):
        (workdir / f"state/{i}").mkdir(parents=True)
        (workdir / f"state/{i}/input.json").write_bytes(data)
    (workdir / "results.json").write_bytes(ANY["deep lists"])
    (workdir / ".lock").write_text(json.dumps({"pid": 2**70}))
    first, second = cached(place.solve(workdir), place.solve(workdir))
    assert first.code == 0 and first.err == "", first
    assert sum(": ok in" in line for line in first.out.splitlines()) == len(NAMES), first
    assert second.code == 0 and second.out.startswith(f"{len(NAMES)} of {len(NAMES)} finished before\n"), second
    assert outputs(workdir) == outputs(place.top / "solve")
    assert [record["name"] for record in read_json(workdir, "results.json")] == list(NAMES)


def tree(folder):
    """All files below a folder as bytes."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("most", [1, pytest.param(99, marks=pytest.mark.long)])  # of each kind of file
def test_what_a_launch_needs_is_refused_by_its_name_where_it_is_damaged_and_nothing_changes(
    place, tmp_path, cached, most
):
    line = read_json(place.top, "degrade/manifest.json")[0]
    bad = [json.dumps([line | change]).encode() for change in ({"name": 3}, {"name": "../a"}, {"seed": 2**70})]
    lists, alone = (ANY["deep lists"], ANY["no text"], b"null", b"3"), b'[{"name":"p0"}]'
    needed = {
        ("solve", "config.json"): (*lists, b"[]", b"{}"),
        ("evaluate", "results.json"): (*lists, b'{"a":1}', b"[1]", b"[{}]", alone, deep()),
        ("degrade", "manifest.json"): (*lists, b"{}", b"[1]", b"[{}]", *bad),
        ("train", "config.json"): (*lists, b"[]"),
    }
    cases, commands = [], []
    for (launch, name), damages in needed.items():
        for i, data in enumerate(damages[-most:]):
            workdir = place.copy(launch, tmp_path / f"{launch}{i}")
            (workdir / name).write_bytes(data)
            cases.append((name, workdir, tree(workdir)))
            commands.append(getattr(place, launch)(workdir))
    workdir = place.copy("table", tmp_path / "table")
    cases.append(("--configs", workdir, tree(workdir)))
    commands.append(command("table", f"--cases={place.top}/cases", "--configs=", f"--workdir={workdir}"))
    for (name, workdir, before), run in zip(cases, cached(*commands), strict=True):
        assert name in usage_error(run)
        assert tree(workdir) == before, name


def test_a_result_that_is_not_the_file_of_its_record_is_not_scored(place, tmp_path, cached):
    workdir = place.copy("solve", tmp_path / "out")
    (workdir / "images/b.png").write_bytes((workdir / "images/c.png").read_bytes())
    (tmp_path / "hr").mkdir()
    for name in NAMES:
        shutil.copy(workdir / f"inputs/{name}.png", tmp_path / f"hr/{name}.png")
    (run,) = cached(command("evaluate", f"--results={workdir}", f"--hr={tmp_path}/hr", "--scale=2"))
    assert run.code == 1 and run.err.count("\n") == 1 and "images/b.png" in run.err, run
    rows = read_json(workdir, "scores.json")["images"]
    assert [row["name"] for row in rows if row["psnr_y"] is None] == ["b"]


def test_damaged_cells_of_a_table_are_made_again(place, tmp_path, cached):
    one = read_json(place.top, "table/cells/case__pipeline-mean+cubic__0.json")
    changes = ({"psnr_y": "text"}, {"kernel_psnr": []}, {"status": 3}, {"seconds": None}, {"seed": 1})
    wrong = [json.dumps(one | change).encode() for change in changes]
    other = [b"[]", b"3", b"null", json.dumps({"digest": one["digest"]}).encode(), deep()]
    workdirs = [place.copy("table", tmp_path / name) for name in ("wrong", "other")]
    for workdir, damages in zip(workdirs, (wrong, other), strict=True):
        for path, data in zip(sorted((workdir / "cells").iterdir()), damages, strict=True):
            path.write_bytes(data)
    for workdir, run in zip(workdirs, cached(*map(place.table, workdirs)), strict=True):
        assert run.code == 0 and run.err == "" and run.out.count(" dB\n") == 5, run
        old, new = (read_json(folder, "table.json")["cells"] for folder in (place.top / "table", workdir))
        assert [cell["psnr_y"] for cell in old] == [cell["psnr_y"] for cell in new]


FILES = {
    "solve": ("records/*.json", "config.json", "results.json", "state/*/input.json", ".lock"),
    "evaluate": ("results.json", "records/*.json", "scores.json", "config.json"),
    "degrade": ("manifest.json",),
    "table": ("cells/*.json", "table.json"),
    "train": ("config.json", ".lock", "flow.json"),
}


def fuzz(place, top, cached, *, count, seed):
    """Damages one document at random, `count` times, and runs the launch that reads it."""
    rng, cases = random.Random(seed), []
    for i in range(count):
        launch = list(FILES)[i % len(FILES)]
        workdir = place.copy(launch, top / f"{i}")
        if launch == "solve" and rng.random() < 0.3:  # a half-done image
            (workdir / "records/b.json").unlink()
            resume.write_input(str(workdir), "b", place.inputs / "b.png", resume.sha256(place.inputs / "b.png"))
        if ".lock" in FILES[launch]:
            io.write_json(workdir / ".lock", {"pid": 2**30, "host": "here", "boot": "b", "start": "1"})
        found = sorted(path for pattern in FILES[launch] for path in workdir.glob(pattern))
        path = rng.choice(found)
        path.write_bytes(at_random(rng, path.read_bytes()))
        cases.append((launch, workdir, path, path.read_bytes()))
    runs = cached(*(getattr(place, launch)(workdir) for launch, workdir, *_ in cases))
    for (launch, workdir, path, data), run in zip(cases, runs, strict=True):
        case = f"seed {seed}, {launch}, {path.relative_to(workdir)}: {data[:300]!r}"
        assert "Traceback" not in run.err + run.out, (case, run)
        if run.code == 2:
            assert path.name in usage_error(run) or str(workdir) in run.err, (case, run)
            assert path.read_bytes() == data, case
        else:
            assert run.code == 0 or launch == "evaluate", (case, run)
        if launch == "solve":
            assert outputs(workdir) == outputs(place.top / "solve"), (case, run)


def seed_of_this_run():
    """That of the environment variable BLINDSR_TEST_SEED, or any; printed, so that a failure can be repeated."""
    seed = int(os.environ.get("BLINDSR_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"BLINDSR_TEST_SEED={seed}")
    return seed


@pytest.mark.long
def test_three_hundred_documents_damaged_at_random(place, tmp_path, cached):
    seed = seed_of_this_run()
    for i in range(6):
        fuzz(place, tmp_path / str(i), cached, count=50, seed=seed + i)
