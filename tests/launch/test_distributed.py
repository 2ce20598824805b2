"""Processes that share a folder's images: that do not agree, do not meet, are stopped or killed, and go on."""

import json
import random
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest

from tests.launch.commands import PLAIN, ROOT, environment, forked, read_json, usage_error
from tests.launch.test_interrupted import SIGNAL, is_tidy, outputs, stopped, words, write_inputs

REFUSED = """
from blindsr_jax.runs import locks
def hold(folder):
    raise locks.LockedError("process 7 on another works there")
locks.hold = hold
"""
# Waits in its first chunk until process 0 has stopped or is gone.
LATE = """
import time
from blindsr_jax.runs import distributed
obey, calls = distributed.obey, []
def late(peers, stopper):
    calls.append(peers)
    while len(calls) > 1 and stopper.number is None:
        obey(peers, stopper)
        time.sleep(0.01)
distributed.obey = late
"""
OLD = "import blindsr_jax; blindsr_jax.__version__ = '0.0.7'"


def free_port():
    with socket.create_server(("", 0)) as server:
        return server.getsockname()[1]


def place_of(index, count=2, port=None, seconds=120):
    """The flags that say which process it is."""
    address = f"--coordinator_address=localhost:{port or free_port()}"
    return ["--distributed", address, f"--num_processes={count}", f"--process_id={index}", f"--join_seconds={seconds}"]


def pair(inputs, workdir, *before, more=((), ())):
    """The same command in two processes, with code to run before in each, and more flags."""
    port = free_port()
    argvs = [words(inputs, workdir, *place_of(i, port=port), *more[i]) for i in range(2)]
    return {"together": [{"argv": argv, "before": PLAIN + code} for argv, code in zip(argvs, before, strict=True)]}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, cached):
    """One process alone; two that are refused, stopped, bereft of one or the other, and at last left alone."""
    place = tmp_path_factory.mktemp("distributed")
    inputs, out = write_inputs(place / "in", "abcd"), place / "two"
    term, kill = SIGNAL.format(call=2, name="SIGTERM"), SIGNAL.format(call=2, name="SIGKILL")
    alone = {"argv": words(inputs, place / "one"), "before": PLAIN}
    first = cached(alone, pair(inputs, out, REFUSED, ""), pair(inputs, out, term, LATE))
    states = names_of_states(out)
    second = cached(pair(inputs, out, "", kill))
    records = sorted(path.stem for path in (out / "records").iterdir())
    listed = [record["name"] for record in read_json(out, "results.json")]
    third = cached(pair(inputs, out, "", ""))
    return place, first, states, second, records, listed, third


def names_of_states(workdir):
    return sorted(note["name"] for note in map(read_json, (workdir / "state").glob("*/input.json")))


@pytest.mark.long
def test_all_are_told_that_the_folder_is_refused(runs):
    for run in runs[1][1:3]:
        stopped(run, 2, "--workdir=", "process 7 on another works there")


@pytest.mark.long
def test_all_stop_when_process_0_is_stopped(runs):
    _, (alone, _, _, *both), states, *_ = runs
    assert alone.code == 0, alone
    for run in both:
        stopped(run, 143, "SIGTERM", "the same command goes on")
    assert states == ["a", "b"]


@pytest.mark.long
def test_a_lost_process_does_not_take_the_other_with_it(runs):
    *_, (first, second), records, listed, _ = runs
    assert (first.code, second.code) == (1, -9), (first, second)
    assert first.err == "process 1 has not finished its share, the same command does\n"
    assert records == listed and {"a", "c"} <= {*records} and "d" not in records, (records, first.out)
    assert all(line.startswith("process 0: [") for line in first.out.splitlines()[:-1])


@pytest.mark.long
def test_the_same_command_finishes_with_the_bits_of_one_process(runs):
    place, *_, third = runs
    assert [run.code for run in third] == [0, 0] and not any(run.err for run in third), third
    assert "process 1: " in third[1].out and " finished before" in third[0].out
    (one, records), (two, again) = outputs(place / "one"), outputs(place / "two")
    assert one == two and records == again and is_tidy(place / "two")
    assert json.loads((place / "two/results.json").read_text())[0]["name"] == "a"


@pytest.mark.long
def test_the_loss_of_process_0_ends_the_others_with_their_states_saved(runs, tmp_path, cached):
    place, out = runs[0], tmp_path / "out"
    kill = SIGNAL.format(call=2, name="SIGKILL")
    first, second = cached(pair(place / "in", out, kill, LATE))
    assert first.code == -9, first
    stopped(second, 1, "process 0 has been lost", "the same command")
    assert "b" in names_of_states(out)
    again = cached(pair(place / "in", out, "", ""))
    assert [run.code for run in again] == [0, 0], again
    assert outputs(out) == outputs(place / "one") and is_tidy(out)


def kernel_file(path, sigma):
    """A Gaussian kernel as a file."""
    line = np.exp(-0.5 * (np.arange(-3, 4) / sigma) ** 2)
    np.save(path, np.outer(line, line))
    return f"--kernel={path}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("differ")
    write_inputs(place / "in", "ab")
    kernel_file(place / "1.npy", 1)
    kernel_file(place / "2.npy", 2)
    return place


# What is given to process 0 and to process 1 in addition, and what their sentences name.
DIFFERENCES = {
    "scale": (("", "--scale=3"), "--scale"),
    "seed": (("--seed=1", "--seed=2"), "--seed"),
    "num_steps": (("", "--config.num_steps=6"), "--config.num_steps"),
    "boundary": (("", "--config.boundary=circular"), "--config.boundary"),
    "kernel_in_0": (("--kernel={}/1.npy", ""), "--kernel"),
    "kernel_in_1": (("", "--kernel={}/1.npy"), "--kernel"),
    "other_kernel": (("--kernel={}/1.npy", "--kernel={}/2.npy"), "--kernel"),
    "workdir": (("", "--workdir={}/other"), "--workdir"),
    "channels": (("", "--config.image.channels=8"), "--config.image.channels"),
}


def differing(place, workdir, more, before=("", "")):
    return pair(place / "in", workdir, *before, more=[[flag.format(place)] if flag else [] for flag in more])


def assert_nothing_mixed(place, workdir, runs, word):
    for run in runs:
        sentence = usage_error(run)
        assert word in sentence, sentence
    assert "process 1 has refused" in runs[0].err, runs[0]
    assert not list(workdir.rglob("*.*")) and not (place / "other").exists(), list(workdir.rglob("*"))


@pytest.fixture(scope="module")
def refused(place):
    """All differences in one go."""
    commands = [differing(place, place / name, more) for name, (more, _) in DIFFERENCES.items()]
    commands.append(differing(place, place / "version", ("", ""), before=("", OLD)))
    runs = forked(*commands)
    return dict(zip([*DIFFERENCES, "version"], zip(runs[::2], runs[1::2], strict=True), strict=True))


@pytest.mark.parametrize(
    "name,word", [*((name, word) for name, (_, word) in DIFFERENCES.items()), ("version", "0.0.7")]
)
def test_processes_that_were_told_different_things_refuse(place, refused, name, word):
    assert_nothing_mixed(place, place / name, refused[name], word)


@pytest.mark.long
def test_the_results_of_before_stay_where_processes_differ_even_with_restart(runs, cached):
    place = runs[0]
    before = outputs(place / "two")
    both = cached(pair(place / "in", place / "two", "", "", more=(["--restart", "--seed=1"], ["--restart"])))
    assert all("--seed" in usage_error(run) for run in both)
    assert outputs(place / "two") == before


@pytest.mark.long
def test_another_pattern_in_the_others_does_no_harm(runs, tmp_path, cached):
    place = runs[0]
    both = cached(pair(place / "in", tmp_path / "out", "", "", more=((), [f"--input={place}/in/a.png"])))
    assert [run.code for run in both] == [0, 0], both
    assert outputs(tmp_path / "out") == outputs(place / "one")


@pytest.fixture(scope="module")
def apart(place):
    """Processes that do not come together."""

    def among(count, indices, seconds, **options):
        port = options.pop("port", None) or free_port()
        argvs = [words(place / "in", place / "apart", *place_of(i, count, port, seconds)) for i in indices]
        return {"together": [{"argv": argv, **options} for argv in argvs]}

    wrong = [
        words(place / "in", place / "apart", *place_of(i, count, port, 60))
        for port in [free_port()]
        for i, count in ((0, 2), (1, 3))
    ]
    busy = [socket.create_server(("", 0)) for _ in range(2)]
    ports = [server.getsockname()[1] for server in busy]
    threading.Thread(target=serve_rubbish, args=(busy[1],), daemon=True).start()
    commands = {
        "process 1 does not come": (among(2, [0], 1), ("--join_seconds=1", "not come: 1")),
        "process 0 does not come": (among(2, [1], 1), ("--join_seconds=1", "--coordinator_address=localhost:")),
        "one of three does not come": (among(3, [0, 2], 2), ("--join_seconds=2", "not come: 1")),
        "two numbers of processes": ({"together": wrong}, ("--num_processes",)),
        "one number twice": (among(3, [0, 1, 1], 60), ("--process_id=1",)),
        "a port that is held": (among(2, [0], 60, port=ports[0]), (f"localhost:{ports[0]}", "free port")),
        "a port that is silent": (among(2, [1], 1, port=ports[0]), (f"localhost:{ports[0]}", "--join_seconds=1")),
        "a port of something else": (among(2, [1], 1, port=ports[1]), (f"localhost:{ports[1]}", "--join_seconds=1")),
    }
    runs = iter(forked(*(command for command, _ in commands.values())))
    answers = {
        name: ([next(runs) for _ in command["together"]], expected) for name, (command, expected) in commands.items()
    }
    for server in busy:
        server.close()
    return answers


def serve_rubbish(server):
    while True:
        try:
            with server.accept()[0] as connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        except OSError:
            return


APART = (
    "process 1 does not come, process 0 does not come, one of three does not come, two numbers of processes, "
    "one number twice, a port that is held, a port that is silent, a port of something else"
).split(", ")


@pytest.mark.parametrize("name", APART)
def test_processes_that_do_not_come_together_end_with_one_sentence(place, apart, name):
    answers, expected = apart[name]
    for run in answers:
        sentence = usage_error(run)
        assert [word for word in expected if word not in sentence] == [], sentence
    assert not (place / "apart").exists()


def test_two_processes_0_and_a_process_killed_before_it_joins(place):
    port = free_port()
    argv = words(place / "in", place / "early", *place_of(0, port=port, seconds=4))
    late = words(place / "in", place / "early", *place_of(1, port=port, seconds=4))
    killed = {"argv": late, "before": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"}
    later = {"argv": argv, "before": "import time; time.sleep(1.5)"}
    first, second, third = forked({"together": [argv, later, killed]})
    assert "--join_seconds=4" in usage_error(first) and "not come: 1" in first.err, first
    assert f"localhost:{port} cannot be listened at" in usage_error(second), second
    assert third.code == -9 and not (place / "early").exists()


@pytest.mark.long
def test_no_line_of_another_library_is_printed_at_the_start(place):
    """In processes of their own: a fork has started what might print already."""
    port, out = free_port(), place / "real"
    processes = [
        subprocess.Popen(
            [sys.executable, *words(place / "in", out, *place_of(i, port=port), *more)],
            cwd=ROOT,
            env={key: value for key, value in environment().items() if key != "TF_CPP_MIN_LOG_LEVEL"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i, more in enumerate(([], ["--seed=1"]))
    ]
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 2 and out == "" and err.count("\n") == 1 and "--seed" in err, (out, err)


def any_difference(chance):
    """One flag that changes results, by chance, and what the sentences name."""
    flag = chance.choice(
        [
            f"--scale={chance.choice((1, 3, 4))}",
            f"--seed={chance.randrange(1, 2**32)}",
            f"--config.num_steps={chance.randrange(9, 99)}",
            f"--config.ssim_steps={chance.randrange(3, 9)}",
            f"--config.image.learning_rate={chance.uniform(1e-4, 1e-3)}",
            f"--config.image.channels={chance.choice((6, 8))}",
            f"--config.kernel.num_samples={chance.randrange(17, 40)}",
            "--config.boundary=circular",
            "--config.kernel_center=release",
            f"--config.kernel_size={chance.choice((7, 9, 13))}",
            "--kernel={}/1.npy",
            "--workdir={}/other",
        ]
    )
    return flag, flag.partition("=")[0]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_forty_runs_with_one_difference_each(place, tmp_path, seed):
    chance = random.Random(seed)
    cases, commands = [], []
    for i in range(10):
        flag, word = any_difference(chance)
        more = ["", flag]
        if "--workdir" not in flag:  # the folder that is looked at is that of process 0
            chance.shuffle(more)
        cases.append((tmp_path / str(i), word))
        commands.append(differing(place, tmp_path / str(i), more))
    runs = forked(*commands)
    for (workdir, word), *both in zip(cases, runs[::2], runs[1::2], strict=True):
        assert_nothing_mixed(place, workdir, both, word)
