"""One process a folder, whatever became of the others."""

import json
import os
import subprocess
import sys

import pytest

from blindsr_jax.runs import locks
from tests.trees import snapshot

# Takes the lock when the parent says so, tells whether it got it, and holds it until its input ends.
TAKER = """
import sys
from blindsr_jax.runs import locks
print("ready", flush=True)
sys.stdin.readline()
try:
    with locks.hold(sys.argv[1]):
        print("got it", flush=True)
        sys.stdin.read()
except locks.LockedError as error:
    print(error, flush=True)
"""


def taker(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", TAKER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    return process


def ask(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """What three processes that start at once are told; then the one that got the lock is killed."""
    folder = tmp_path_factory.mktemp("lock")
    processes = [taker(folder) for _ in range(3)]
    for process in processes:
        ask(process)
    answers = [process.stdout.readline().strip() for process in processes]
    note = json.loads((folder / locks.NAME).read_text())
    for process in processes:
        process.kill()
        process.communicate()
    return folder, processes, answers, note


def test_one_of_three_gets_it(three):
    folder, processes, answers, note = three
    winners = [process.pid for process, answer in zip(processes, answers, strict=True) if answer == "got it"]
    assert winners == [note["pid"]]
    refusals = [answer for answer in answers if answer != "got it"]
    assert all(f"process {note['pid']} on {note['host']}" in answer for answer in refusals), refusals
    assert all(locks.NAME in answer for answer in refusals)


def test_the_lock_of_a_killed_process_is_taken_over(three):
    folder, _, _, note = three
    assert json.loads((folder / locks.NAME).read_text()) == note  # nobody could tidy up
    with locks.hold(folder):
        assert json.loads((folder / locks.NAME).read_text())["pid"] == os.getpid()
        with pytest.raises(locks.LockedError, match=str(os.getpid())), locks.hold(folder):
            pass
        assert (folder / locks.NAME).exists()  # the refused one has not deleted it
    assert not (folder / locks.NAME).exists()


def write(folder, **changes):
    (folder / locks.NAME).write_text(json.dumps(locks._me() | changes))


@pytest.mark.parametrize(
    "changes",
    {
        "another process with the number": {"start": "1"},
        "no such process": {"pid": 2**30},
        "before this machine was started": {"boot": "other"},
    }.items(),
    ids=lambda case: case[0],
)
def test_stale(tmp_path, changes):
    write(tmp_path, **changes[1])
    with locks.hold(tmp_path):
        pass


@pytest.mark.parametrize("changes", [{}, {"host": "other", "boot": "other", "pid": 2**30}])
def test_alive_or_unknown(tmp_path, changes):
    # As on a file system whose locks do not reach other machines.
    write(tmp_path, **changes)
    with pytest.raises(locks.LockedError, match=f"on {changes.get('host', locks._me()['host'])}"):
        with locks.hold(tmp_path):
            pass


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": "x"}'])
def test_a_lock_file_that_was_not_written_whole_is_stale(tmp_path, text):
    (tmp_path / locks.NAME).write_text(text)
    with locks.hold(tmp_path):
        pass


def test_an_error_releases_it(tmp_path):
    with pytest.raises(RuntimeError), locks.hold(tmp_path):
        raise RuntimeError
    assert not (tmp_path / locks.NAME).exists()


@pytest.mark.parametrize("pid", [2**31, 2**70, 0])
def test_a_number_that_no_process_has_is_stale(tmp_path, pid):
    write(tmp_path, pid=pid)
    with locks.hold(tmp_path):
        pass


def plant(place, kind):
    victim = place / "victim.txt"
    victim.write_text("precious")
    lock = place / "work" / locks.NAME
    lock.parent.mkdir()
    {
        "link": lambda: lock.symlink_to(victim),
        "dangling": lambda: lock.symlink_to("nowhere"),
        "device": lambda: lock.symlink_to("/dev/null"),
        "second name": lambda: os.link(victim, lock),
        "folder": lock.mkdir,
        "pipe": lambda: os.mkfifo(lock),
        "text": lambda: lock.write_text("precious"),
    }[kind]()
    return lock


@pytest.mark.parametrize("kind", ["link", "dangling", "device", "second name", "folder", "pipe", "text"])
def test_what_is_no_lock_is_refused_and_not_written_to(tmp_path, kind):
    lock = plant(tmp_path, kind)
    before = snapshot(tmp_path)
    with pytest.raises(locks.LockedError, match="delete it") as caught, locks.hold(lock.parent):
        pass
    assert str(lock) in str(caught.value) and snapshot(tmp_path) == before
