"""Nothing of the user's is written over or deleted in a folder of ours, nor outside it: trees before and after."""

import os
import random
from pathlib import Path

import pytest

from tests.launch.commands import read_json, usage_error
from tests.launch.prepared import (
    cases,
    common,
    degrade,
    evaluate,
    hard_link,
    hashed,
    image,
    link,
    make_ours,
    note,
    solve,
    table,
    take,
    text,
    train,
)
from tests.trees import lost, snapshot


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A place for the working folders of finished runs, each made when it is first asked for."""
    place = tmp_path_factory.mktemp("ours")
    common(place)
    return place


def plant_mine(place):
    """Files of the user's in a working folder of ours."""
    mine = "notes.txt", "images/mine.png", "hr/mine.png", "state/mydata/thesis.txt", "truth/mine.png", "cells/x.txt"
    for name in (*mine, f"state/{hashed('p0')}/thesis.txt", "p0_x2_gaussian/thesis.txt"):
        text(place / "D" / name)


@pytest.mark.parametrize(
    "name, calls",
    [
        ("solve", [solve, lambda p: solve(p, "--seed=3", "--restart"), evaluate, evaluate]),
        pytest.param("degrade", [degrade, lambda p: degrade(p, "--seed=3")], marks=pytest.mark.long),
        pytest.param("cases_", [cases, lambda p: cases(p, "--seed=3")], marks=pytest.mark.long),
        pytest.param(
            "train", [train, lambda p: train(p, "--config.num_epochs=2", "--restart")], marks=pytest.mark.long
        ),
    ],
)
def test_what_is_the_users_in_a_folder_of_ours_stays(ours, tmp_path, cached, name, calls):
    place = take(ours, tmp_path, name, cached)
    plant_mine(place)
    mine = {path: what for path, what in snapshot(place).items() if not path.startswith("D/")}
    mine |= {path: what for path, what in snapshot(place).items() if Path(path).name in ("mine.png", "thesis.txt")}
    runs = cached(*(call(place) for call in calls))
    assert [run.code for run in runs] == [0] * len(calls), runs
    assert lost(mine, snapshot(place)) == []


def test_a_folder_of_an_earlier_version_is_gone_on_with(ours, tmp_path, cached):
    place = take(ours, tmp_path, "solve", cached)
    config = read_json(place, "D/config.json")
    text(place / "D/config.json", {key: config[key] for key in config if key not in ("versions",)})
    text(place / "D/state" / hashed("p1") / "0-000000002/d/x")
    text(place / "D" / f".{'0' * 32}.tmp")
    text(place / "D/images" / f".{'0' * 32}.tmp")
    (place / "D/records/p1.json").unlink()  # to have it solved again
    (run,) = cached(solve(place))
    assert run.code == 0 and run.out.startswith("1 of 2 finished before\n[2/2] p1: ok"), run
    assert not list((place / "D/state").iterdir()) and not list((place / "D").rglob("*.tmp"))


def test_hostile_names_in_notes_and_lists_lead_nowhere(ours, tmp_path, cached):
    place = take(ours, tmp_path, "solve", cached)
    digest = read_json(place, "D/records/p0.json")["sha256"]
    for path in (place / "D").glob("*/p0.*"):  # so that it looks for its name
        path.unlink()
    note(place, "../../victim", "0", input="/elsewhere/p0.png", sha256=digest)
    note(place, "../../victim", input=str(place / "in/p0.png"), sha256=digest)
    text(place / "D/records/x.json", {"name": "../../victim", "status": "ok", "input": "/x", "sha256": "y"})
    text(place / "D/results.json", [{"name": "../../victim"}])
    outside = {path: what for path, what in snapshot(place).items() if not path.startswith("D/")}
    runs = cached(solve(place), solve(place, "--seed=3", "--restart"))
    assert [run.code for run in runs] == [0, 0], runs
    after = {path: what for path, what in snapshot(place).items() if not path.startswith("D/")}
    assert after == outside


def test_an_output_that_no_record_names_is_refused_in_a_folder_of_ours(ours, tmp_path, cached):
    place = take(ours, tmp_path, "solve", cached)
    for name in ("p2", "p3"):  # one can be read and one cannot
        text(place / "D/images" / f"{name}.png")
    image(place / "in/p2.png", 2)
    text(place / "in/p3.png")
    before = snapshot(place)
    for pattern, name in (("in/*.png", "p2.png"), ("in/p3.png", "p3.png")):
        (run,) = cached(solve(place, pattern=pattern))
        assert f"images/{name}" in usage_error(run)
        assert snapshot(place) == before


# In the process of a launch: a kill when the outputs of the second image are half written.
KILL = """
import os, signal
from blindsr_jax import io
from blindsr_jax.io import files
write, calls = io.write_kernel, []
def killed(*args):
    calls.append(args)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(*args)
io.write_kernel = killed
"""


@pytest.mark.parametrize(
    "call, name",
    [
        pytest.param(solve, "solve", marks=pytest.mark.long),
        (degrade, "degrade"),
        pytest.param(cases, "cases_", marks=pytest.mark.long),
    ],
)
def test_a_run_that_was_killed_before_it_could_list_an_output_goes_on(ours, tmp_path, cached, call, name):
    common(tmp_path)
    killed, half, last = cached({"argv": call(tmp_path), "before": KILL}, *[call(tmp_path)] * 2)
    assert killed.code == -9 and (half.code, last.code) == (0, 0), (killed, half, last)
    names = "images", "kernels", "hr", "lr", "p0_x2_gaussian", "p1_x2_gaussian"

    def made(folder):
        found = snapshot(folder)
        assert not [path for path in found if Path(path).name.startswith(".")]
        return {path: what for path, what in found.items() if path.split("/")[0] in names}

    make_ours(ours, cached, name)
    assert made(tmp_path / "D") == made(ours / name)


# Anything that somebody may put into a working folder.
PLANTS = {
    "notes": lambda p: text(p / "D/notes.txt"),
    "an image": lambda p: text(p / "D/images/mine.png"),
    "an image of an input's name": lambda p: text(p / "D/images/p1.png"),
    "a link among the images": lambda p: link(p / "D/inputs/p1.png", p / "victim.png"),
    "images elsewhere": lambda p: link(p / "D/images", p / "outside"),
    "states elsewhere": lambda p: link(p / "D/state", p / "outside"),
    "a state elsewhere": lambda p: link(p / "D/state" / hashed("p0"), p / "outside"),
    "a state of a state elsewhere": lambda p: link(p / "D/state" / hashed("p0") / "0-000000002", p / "outside"),
    "data among the states": lambda p: text(p / "D/state/mydata/thesis.txt"),
    "data in a state": lambda p: text(p / "D/state" / hashed("p0") / "thesis.txt"),
    "a hostile note": lambda p: note(p, "../../victim", "0"),
    "a hostile note in its place": lambda p: note(p, "../../victim"),
    "a note of an input": lambda p: note(p, "../../victim", hashed("p0"), input=str(p / "in/p0.png")),
    "a hostile record": lambda p: text(p / "D/records/x.json", {"name": "../../victim", "status": "ok"}),
    "a linked record": lambda p: link(p / "D/records/v.json", p / "victim.txt"),
    "a hostile list": lambda p: text(p / "D/results.json", [{"name": "../../victim"}]),
    "a hostile manifest": lambda p: text(p / "D/manifest.json", [{"name": "../../victim"}]),
    "hostile unfinished names": lambda p: text(p / "D/.unfinished.json", ["../../victim"]),
    "a config": lambda p: text(p / "D/config.json", {"mine": 1}),
    "a linked config": lambda p: link(p / "D/config.json", p / "victim.txt"),
    "a lock elsewhere": lambda p: link(p / "D/.lock", p / "victim.txt"),
    "a lock with two names": lambda p: hard_link(p / "D/.lock", p / "victim.txt"),
    "hr elsewhere": lambda p: link(p / "D/hr", p / "outside"),
    "a sharp image": lambda p: text(p / "D/hr/p0.png"),
    "a case": lambda p: text(p / "D/p0_x2_gaussian/lr.png"),
    "a case elsewhere": lambda p: link(p / "D/p1_x2_gaussian", p / "outside"),
    "cells elsewhere": lambda p: link(p / "D/cells", p / "outside"),
    "truth": lambda p: text(p / "D/truth/p0.png"),
    "truth elsewhere": lambda p: link(p / "D/truth", p / "outside"),
    "scores": lambda p: text(p / "D/scores.json"),
    "metrics": lambda p: text(p / "D/metrics.jsonl"),
    "a flow": lambda p: text(p / "D/flow.npz"),
}
NAMES = "..png", "...png", "-x.png", "a b.png", "$(touch x).png", "state.png", "p0_2.png", "a\\b.png", "<b>&.png"
CALLS = {
    "solve": (solve, lambda p: solve(p, "--seed=3", "--restart"), lambda p: solve(p, pattern="D/images/*")),
    "degrade": (degrade, lambda p: degrade(p, pattern="D/hr/*.png")),
    "cases_": (cases, lambda p: cases(p, pattern="D/p0_x2_gaussian/hr.png")),
    "train": (train, lambda p: train(p, "--config.num_epochs=2", "--restart")),
    "evaluate": (evaluate, lambda p: evaluate(p, f"--hr={p}/D/truth", truth="D/truth")),
    "table": (table,),
}


def random_run(place, ours, rng, cached):
    """A random working folder with plants in it; returns a command, and what of the tree has to stay."""
    kind = rng.choice([*CALLS])
    state = rng.choice(["absent", "ours"]) if kind in ("solve", "degrade", "cases_", "train") else "absent"
    common(place) if state == "absent" else take(ours, place, kind, cached)
    for name in rng.sample(NAMES, 3):
        image(place / "in" / name, 5)
    before = snapshot(place)
    chosen = rng.sample([*PLANTS], rng.randint(1, 4))
    for name in chosen:
        try:
            PLANTS[name](place)
        except (FileExistsError, NotADirectoryError):  # what two plants or ours want to be
            pass
    after = snapshot(place)
    outside = {path: what for path, what in after.items() if path.split("/")[0] != "D"}
    mine = {path: what for path, what in after.items() if path not in before and what[2] == before["victim.txt"][2]}
    return rng.choice(CALLS[kind])(place), outside, mine, (kind, state, chosen)


def compare_random_runs(ours, place, cached, *, count, seed):
    rng, tried = random.Random(seed), []
    for i in range(count):
        (place / str(i)).mkdir()
        tried.append((place / str(i), *random_run(place / str(i), ours, rng, cached)))
    runs = cached(*(command for _, command, *_ in tried))
    for (folder, _, outside, mine, what), run in zip(tried, runs, strict=True):
        after = snapshot(folder)
        assert run.code in (0, 1, 2) and "Traceback" not in run.err, (seed, what, run)
        assert {path: x for path, x in after.items() if path.split("/")[0] != "D"} == outside, (seed, what, run)
        assert lost(mine, after) == [], (seed, what, run)
    return [run.code for run in runs]


def test_no_launch_writes_outside_its_own_files(ours, tmp_path, cached):
    compare_random_runs(ours, tmp_path, cached, count=3, seed=int(os.environ.get("BLINDSR_TEST_SEED", 8)))


@pytest.mark.long
def test_no_launch_writes_outside_its_own_files_in_many_prepared_folders(ours, tmp_path, cached):
    for seed in range(10):
        (tmp_path / str(seed)).mkdir()
        codes = compare_random_runs(ours, tmp_path / str(seed), cached, count=40, seed=seed)
        assert {0, 2} <= set(codes)
