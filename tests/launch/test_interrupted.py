"""Runs that are killed, stopped or refused: what they leave, and what the same command makes of it."""

import json
import os
import random
import time

import PIL.Image
import pytest

from blindsr_jax.runs import locks
from tests.launch.commands import PLAIN, TINY, command, read_json, usage_error
from tests.launch.conftest import levels

STEPS = ("--config.num_steps=8", "--config.chunk_steps=2", "--checkpoint_seconds=0")
KINDS = ("images", "inputs", "kernels", "figures", "views")
# In the process of a launch whose calls are whole chunks: a signal in the middle of the second image, in a chunk.
SIGNAL = """
import os, signal
from blindsr_jax.runs import group_checkpoint
from blindsr_jax.solvers import pace
pace.Pace.steps = lambda self, stage, most: most
save, calls = group_checkpoint.GroupCheckpointer.save, []
def signalled(self, progress):
    calls.append(self)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.{name})
    save(self, progress)
group_checkpoint.GroupCheckpointer.save = signalled
"""
# Steps that seem to take seconds, and a signal in the third of a chunk of eight.
SLOW = """
import os, signal
from blindsr_jax.runs import group_checkpoint
from blindsr_jax.solvers import pace
note, save = pace.Pace.note, group_checkpoint.GroupCheckpointer.save
pace.Pace.note = lambda self, stage, steps, seconds: note(self, stage, steps, 7.0 * steps)
def signalled(self, progress):
    if progress.step == 3:
        os.kill(os.getpid(), signal.{name})
    save(self, progress)
group_checkpoint.GroupCheckpointer.save = signalled
"""
FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
VANISH = """
import os
from blindsr_jax import io
read = io.read_image
def read_image(path, **options):
    if os.path.exists({path!r}):
        os.remove({path!r})
    return read(path, **options)
io.read_image = read_image
"""


def write_inputs(folder, names="abc"):
    folder.mkdir(exist_ok=True)
    for name in names:
        PIL.Image.fromarray(levels(1, seed=ord(name))[..., 0]).save(folder / f"{name}.png")
    return folder


def words(inputs, workdir, *more):
    return command("solve", TINY, f"--input={inputs}/*.png", "--scale=2", f"--workdir={workdir}", *STEPS, *more)


def plain(inputs, workdir, *more, before="", **options):
    """The same without the drawing of figures; with code to run before, and when to kill it."""
    return {"argv": words(inputs, workdir, *more), "before": PLAIN + before, **options}


def outputs(workdir):
    """All outputs by name as bytes, and the records without their times."""
    files = {f"{kind}/{p.name}": p.read_bytes() for kind in KINDS for p in sorted((workdir / kind).iterdir())}
    records = [{k: v for k, v in record.items() if "seconds" not in k} for record in read_json(workdir, "results.json")]
    for record in records:
        alone = read_json(workdir, "records", record["name"] + ".json")
        assert record == {k: v for k, v in alone.items() if "seconds" not in k}
    return files, records


def stopped(run, code, *parts):
    """The one sentence of a run that could not go on, after the line that a signal is answered with."""
    assert run.code == code and "Traceback" not in run.err, run
    *said, sentence = run.err.splitlines()
    assert len(said) <= 1 and all("has come, waiting for" in line for line in said), run.err
    assert all(line.startswith("solve.py: ") for line in (*said, sentence)), run.err
    assert [part for part in parts if part not in sentence] == [], run.err


def is_tidy(workdir):
    hidden = [f for _, _, files in os.walk(workdir) for f in files if f.startswith(".")]
    return not hidden and not list((workdir / "state").glob("*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cached):
    """An undisturbed run, and how long it took."""
    place = tmp_path_factory.mktemp("whole")
    inputs = write_inputs(place / "in")
    begin = time.monotonic()
    (run,) = cached(plain(inputs, place / "out"))
    seconds = time.monotonic() - begin
    assert run.code == 0 and is_tidy(place / "out"), run
    return inputs, place / "out", seconds


def kill_and_resume(whole, workdir, cached, *, kills, seed):
    """Kills a solve at random moments, resumes each time, and compares with the undisturbed run."""
    inputs, out, seconds = whole
    moments = random.Random(seed)
    killed = [plain(inputs, workdir, kill_after=moments.uniform(0.1, seconds)) for _ in range(kills)]
    *runs, last = cached(*killed, plain(inputs, workdir))
    assert last.code == 0 and last.err == "", (seed, last)
    assert all(run.code in (0, -9) and run.err == "" for run in runs), (seed, runs)
    assert outputs(workdir) == outputs(out), seed
    assert is_tidy(workdir), seed


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
def test_killed_and_resumed(whole, tmp_path, cached, kills):
    kill_and_resume(whole, tmp_path, cached, kills=kills, seed=time.time_ns())


@pytest.fixture(scope="module")
def signalled(whole, tmp_path_factory, cached):
    """SIGINT in the second image, SIGTERM in the third, then to the end; and what stood there in between."""
    inputs, workdir = whole[0], tmp_path_factory.mktemp("signalled")
    before = [SIGNAL.format(call=5, name="SIGINT"), SIGNAL.format(call=4, name="SIGTERM")]
    first, second = (plain(inputs, workdir, before=code) for code in before)
    (interrupted,) = cached(first)
    left = [note["name"] for note in map(read_json, (workdir / "state").glob("*/input.json"))]
    steps = [path.name for path in (workdir / "state").glob("*/?-*")]
    listed = [record["name"] for record in read_json(workdir, "results.json")]
    hidden = [name for name in os.listdir(workdir) if name.startswith(".")]
    terminated, last = cached(second, plain(inputs, workdir))
    return workdir, interrupted, (left, steps, listed, hidden), terminated, last


@pytest.mark.long
def test_a_signal_ends_a_chunk_with_the_state_saved(signalled):
    _, interrupted, (left, steps, listed, hidden), terminated, _ = signalled
    stopped(interrupted, 130, "SIGINT", "the same command goes on")
    stopped(terminated, 143, "SIGTERM", "the same command goes on")
    assert (left, steps, listed) == (["b"], ["0-000000004"], ["a"])
    assert hidden == []  # the lock has been released
    assert "SIGINT has come, waiting for 2 steps of b" in interrupted.err
    assert "SIGTERM has come, waiting for 2 steps of c" in terminated.err


LONG_CHUNK = "--config.chunk_steps=8"


def stop_in_a_long_chunk(inputs, workdir, cached, name, code):
    """A signal that comes in the third step of a chunk of eight is answered before the fourth."""
    (run,) = cached(plain(inputs, workdir, LONG_CHUNK, before=SLOW.format(name=name)))
    stopped(run, code, name, "the same command goes on")
    assert f"{name} has come, waiting for 1 step of a, about 7 s" in run.err
    assert [path.name for path in (workdir / "state").glob("*/?-*")] == ["0-000000003"]


def test_a_signal_in_a_long_chunk_waits_for_one_slow_step(tmp_path, cached):
    stop_in_a_long_chunk(write_inputs(tmp_path / "in", "a"), tmp_path / "out", cached, "SIGTERM", 143)


@pytest.mark.long
def test_a_run_stopped_in_a_long_chunk_goes_on_to_the_same_bits(tmp_path, cached):
    inputs, places = write_inputs(tmp_path / "in", "a"), (tmp_path / "stopped", tmp_path / "whole")
    stop_in_a_long_chunk(inputs, places[0], cached, "SIGINT", 130)
    resumed, unbroken = cached(*(plain(inputs, place, LONG_CHUNK) for place in places))
    assert (resumed.code, unbroken.code) == (0, 0), (resumed, unbroken)
    assert outputs(places[0]) == outputs(places[1]) and is_tidy(places[0])


@pytest.mark.long
def test_a_stopped_run_goes_on_to_the_same_bits(signalled, whole):
    workdir, *_, terminated, last = signalled
    assert "1 of 3 finished before" in terminated.out
    assert last.code == 0 and last.out.startswith("2 of 3 finished before\n[3/3] c: ok")
    assert outputs(workdir) == outputs(whole[1]) and is_tidy(workdir)


def copy(source, target):
    """A copy whose files can be changed."""
    for kind in (*KINDS, "records"):
        (target / kind).mkdir(parents=True)
        for path in (source / kind).iterdir():
            (target / kind / path.name).write_bytes(path.read_bytes())
    for name in ("config.json", "results.json", "results.csv", "index.html"):
        (target / name).write_bytes((source / name).read_bytes())
    return target


def test_a_run_that_differs_is_refused_and_changes_nothing(whole, tmp_path, cached):
    inputs, out, _ = whole
    workdir = copy(out, tmp_path / "out")
    changed = write_inputs(tmp_path / "in")
    flags = ("--seed=2", "--scale=3", "--config.num_steps=6", "--config.kernel.hidden=8", "--config.boundary=circular")
    *runs, same = cached(*(words(inputs, workdir, flag) for flag in flags), plain(inputs, workdir))
    for flag, run in zip(flags, runs, strict=True):
        name, value = flag.removeprefix("--").split("=")
        sentence = usage_error(run)
        assert name in sentence and value in sentence and "--restart" in sentence, sentence
    assert same.code == 0 and same.out.startswith("3 of 3 finished before\n"), same
    with locks.hold(workdir):
        (locked,) = cached(words(inputs, workdir))
    assert f"process {os.getpid()}" in usage_error(locked)
    assert outputs(workdir) == outputs(out)
    # The same names and other contents, at the place that the records name.
    for path in (workdir / "records").iterdir():
        path.write_text(path.read_text().replace(str(inputs), str(changed)))
    PIL.Image.fromarray(levels(1, seed=99)[..., 0]).save(changed / "b.png")
    (run,) = cached(words(changed, workdir))
    sentence = usage_error(run)
    assert "b.png" in sentence and "has changed" in sentence and "--restart" in sentence, sentence


@pytest.mark.long
def test_restart_solves_anew_what_differs_and_new_files_are_solved_in_addition(whole, tmp_path, cached):
    inputs, workdir = write_inputs(tmp_path / "in"), copy(whole[1], tmp_path / "out")
    for path in (workdir / "records").iterdir():
        path.write_text(path.read_text().replace(str(whole[0]), str(inputs)))
    before = (workdir / "images/c.png").read_bytes()
    PIL.Image.fromarray(levels(1, seed=99)[..., 0]).save(inputs / "b.png")
    write_inputs(inputs, names="d")
    PIL.Image.fromarray(levels(1, seed=98)[..., 0]).save(inputs / "a.bmp")  # sorts before a.png, whose name it wants
    pattern = f"--input={inputs}/*.*"
    again, other = cached(*(plain(inputs, workdir, pattern, "--restart", *more) for more in ([], ["--seed=5"])))
    assert again.code == 0 and again.out.startswith("2 of 5 finished before\n[1/5] a_2: ok"), again
    assert "[3/5] b: ok" in again.out and "[5/5] d: ok" in again.out
    assert other.code == 0 and "finished before" not in other.out, other
    after, records = outputs(workdir)
    assert {record["seed"] for record in records} == {5} and len(records) == 5
    assert after["images/c.png"] != before


@pytest.mark.long
def test_a_full_disk_stops_the_run_and_earlier_results_stay(whole, tmp_path, cached):
    inputs, out, _ = whole
    workdir = copy(out, tmp_path / "out")
    os.remove(workdir / "records/c.json")
    size = (workdir / "figures/c.png").stat().st_size
    cases = (size - 1, "--checkpoint_seconds=100"), (4000, "--checkpoint_seconds=0")  # a figure, a state
    *runs, last = cached(
        *(plain(inputs, workdir, flag, before=FULL.format(limit=limit)) for limit, flag in cases),
        plain(inputs, workdir),
    )
    for run in runs:
        stopped(run, 1, str(workdir), "File too large", "the same command goes on")
    assert last.code == 0 and last.out.startswith("2 of 3 finished before\n"), last
    assert outputs(workdir) == outputs(out) and is_tidy(workdir)


@pytest.mark.long
def test_a_file_that_vanishes_is_one_failure(whole, tmp_path, cached):
    inputs = write_inputs(tmp_path / "in")
    gone = plain(inputs, tmp_path / "out", before=VANISH.format(path=str(inputs / "b.png")))
    (run,) = cached(gone)
    assert run.code == 1 and run.err.count("\n") == 1 and "b.png': there is no such file" in run.err, run
    assert [record["status"] for record in read_json(tmp_path, "out/results.json")] == ["ok", "failed", "ok"]
    write_inputs(inputs, names="b")
    (again,) = cached(plain(inputs, tmp_path / "out"))
    assert again.code == 0 and again.out.startswith("2 of 3 finished before\n[2/3] b: ok"), again
    files, records = outputs(tmp_path / "out")
    text = json.dumps(records).replace(str(inputs), str(whole[0]))
    assert (files, json.loads(text)) == outputs(whole[1])
