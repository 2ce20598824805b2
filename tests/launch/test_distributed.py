"""Two processes that share a folder's images: stopped, one killed, and going on."""

import json
import socket

import pytest

from tests.launch.commands import read_json
from tests.launch.test_groups import PLAIN
from tests.launch.test_interrupted import SIGNAL, is_tidy, outputs, stopped, words, write_inputs

# A lost process is noticed after that.
SOON = "from blindsr_jax import distributed; distributed.HEARTBEAT_SECONDS = 3\n"
REFUSED = """
from blindsr_jax import locks
def hold(folder):
    raise locks.LockedError("process 7 on another works there")
locks.hold = hold
"""


def pair(inputs, workdir, *before):
    """The same command in two processes, with code to run before in each."""
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
    flags = ("--distributed", f"--coordinator_address=localhost:{port}", "--num_processes=2")
    argvs = (words(inputs, workdir, *flags, f"--process_id={i}") for i in range(2))
    return {
        "together": [{"argv": argv, "before": SOON + PLAIN + code} for argv, code in zip(argvs, before, strict=True)]
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cached):
    """One process alone; two that are refused, stopped, bereft of one, and at last left alone; and what was there."""
    place = tmp_path_factory.mktemp("distributed")
    inputs, out = write_inputs(place / "in", "abcd"), place / "two"
    term, kill = SIGNAL.format(call=2, name="SIGTERM"), SIGNAL.format(call=2, name="SIGKILL")
    alone = {"argv": words(inputs, place / "one"), "before": PLAIN}
    first = cached(alone, pair(inputs, out, REFUSED, ""), pair(inputs, out, term, ""))
    states = sorted(note["name"] for note in map(read_json, (out / "state").glob("*/input.json")))
    second = cached(pair(inputs, out, "", kill))
    records = sorted(path.stem for path in (out / "records").iterdir())
    listed = [record["name"] for record in read_json(out, "results.json")]
    third = cached(pair(inputs, out, "", ""))
    return place, first, states, second, records, listed, third


def test_all_are_told_that_the_folder_is_refused(runs):
    for run in runs[1][1:3]:
        stopped(run, 2, "--workdir=", "process 7 on another works there")


def test_all_stop_when_process_0_is_stopped(runs):
    _, (alone, _, _, *both), states, *_ = runs
    assert alone.code == 0, alone
    for run in both:
        stopped(run, 143, "SIGTERM", "the same command goes on")
    assert "a" in states and len(states) == 2, states


def test_a_lost_process_does_not_take_the_other_with_it(runs):
    *_, (first, second), records, listed, _ = runs
    assert (first.code, second.code) == (1, -9), (first, second)
    assert first.err == "process 1 has not finished its share, the same command does\n"
    assert records == listed and {"a", "c"} <= {*records} and "d" not in records, (records, first.out)
    assert all(line.startswith("process 0: [") for line in first.out.splitlines()[:-1])


def test_the_same_command_finishes_with_the_bits_of_one_process(runs):
    place, *_, third = runs
    assert [run.code for run in third] == [0, 0] and not any(run.err for run in third), third
    assert "process 1: " in third[1].out and " finished before" in third[0].out
    (one, records), (two, again) = outputs(place / "one"), outputs(place / "two")
    assert one == two and records == again and is_tidy(place / "two")
    assert json.loads((place / "two/results.json").read_text())[0]["name"] == "a"
