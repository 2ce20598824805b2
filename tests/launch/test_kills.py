"""Solves that are killed at any moment, hundreds of times: nothing is lost, and no bit differs."""

import collections
import json
import os
import random
import time

import pytest

from tests.launch.commands import PLAIN, TINY, command
from tests.launch.test_interrupted import STEPS, is_tidy, outputs, write_inputs

# A pair of two steps, which is cheap and mostly reads and writes; and a DIP with states between its steps.
CUBIC = ("--config=configs/pipeline.py:mean+cubic", "--config.estimators.mean.num_samples=16")
CONFIGS = {"cubic": (CUBIC, 140), "dip": ((TINY, *STEPS), 60)}  # and how many kills
PER_FOLDER = 8  # at most; then the run is ended in peace
SIGNALS = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}


def snapshot(run):
    assert run.code == 0, run
    return json.loads(run.out)


def check_stop(run, name):
    """A signal ends a run with one sentence, after the one that says what is waited for, or before there is any."""
    assert run.code in (0, SIGNALS[name]) and "Traceback" not in run.err, (name, run)
    if run.code == 0:  # it came too late
        return False
    sentences = [line for line in run.err.splitlines() if "has come, waiting for" not in line]
    known = [line for line in sentences if line.startswith("solve.py: stopped by") and name in line]
    assert sentences == known and len(known) <= 1, (name, run)
    return True


def check_promises(found, whole, before):
    """Between two runs: whole files only, all of what the records promise, and no fewer records than before."""
    wanted = {name: record for name, record in whole["records"].items() if name in found["records"]}
    assert found["records"] == wanted and before["records"].keys() <= wanted.keys(), found
    assert {path: whole["outputs"].get(path) for path in found["outputs"]} == found["outputs"], found
    promised = {path for path in whole["outputs"] if path.split("/")[1].split(".")[0] in wanted}
    assert promised <= found["outputs"].keys(), found


def run_killed(argv, workdir, cached, moments):
    """A folder whose runs get signals at random moments, (name, seconds) each, with a look at it after each of them."""
    look = ["tests/launch/snapshot.py", str(workdir)]
    commands = []
    for name, seconds in moments:
        commands += [{"argv": argv, "before": PLAIN, "kill_after": seconds, "signal": name}, look]
    *found, last = cached(*commands, {"argv": argv, "before": PLAIN})
    assert last.code == 0 and last.err == "", last
    return list(zip(found[::2], map(snapshot, found[1::2]), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("config", CONFIGS)
def test_kills_at_random_moments_lose_nothing(config, tmp_path, cached):
    flags, kills = CONFIGS[config]
    seed = int(os.environ.get("BLINDSR_TEST_SEED") or random.SystemRandom().randrange(2**32))
    print(f"BLINDSR_TEST_SEED={seed}")
    chance, inputs, whole = random.Random(seed), write_inputs(tmp_path / "in"), tmp_path / "whole"

    def argv(workdir):
        return command("solve", *flags, f"--input={inputs}/*.png", "--scale=2", f"--workdir={workdir}")

    assert cached({"argv": argv(whole), "before": PLAIN})[0].code == 0  # its programs are kept now
    begin = time.monotonic()
    look = ["tests/launch/snapshot.py", str(whole)]
    again, unbroken = cached({"argv": argv(tmp_path / "again"), "before": PLAIN}, look)
    seconds, unbroken, count = time.monotonic() - begin, snapshot(unbroken), collections.Counter()
    assert again.code == 0 and outputs(tmp_path / "again") == outputs(whole)
    states = 0
    while count.total() < kills:
        workdir = tmp_path / f"after{count.total()}"
        # Importing jax, which is paid once, is in the seconds.
        moments = [(chance.choice(list(SIGNALS)), chance.uniform(0, 0.7 * seconds)) for _ in range(PER_FOLDER)]
        before = {"records": {}}
        for (name, _), (run, found) in zip(moments, run_killed(argv(workdir), workdir, cached, moments), strict=True):
            check_promises(found, unbroken, before)
            count[name] += check_stop(run, name)
            states, before = states + found["states"], found
        assert outputs(workdir) == outputs(whole) and is_tidy(workdir), workdir
    print(dict(count), "signals in time,", states, "states left by them")
