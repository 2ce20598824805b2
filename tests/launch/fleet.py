r"""Many processes that share the images of a run, some of them killed, with a stub for the solver.

PYTHONPATH=. python tests/launch/fleet.py --images=10000 --processes=64 --rounds=6 --kills=8 --workdir=/tmp/fleet

Everything but the solver is that of launch/solve.py: how processes meet and agree, the shares, records, locks, resume.
With --real the solver is too, after --seconds of waiting, and the results are compared with those of a run in peace.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import time
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import PIL.Image

from tests.launch.commands import command, forked, read_json

IN_FLIGHT = 2  # images of a process that is killed: one is solved while the files of the one before are written
CODES = {0, 1, -9}  # of a process in a round: it ends, misses somebody or is killed


class Solve(NamedTuple):
    """A line of the stub's log."""

    name: str
    index: int
    pid: int


class Round(NamedTuple):
    """What one start of all processes did."""

    seconds: float
    solves: list[Solve]
    killed: list[int]  # process indices
    runs: list  # as `forked` gives them
    finished: set[str]  # images with a record, afterwards


def write_inputs(folder: Path, count: int) -> None:
    """Images of 6 x 6 pixels."""
    folder.mkdir(parents=True)
    for i in range(count):
        PIL.Image.fromarray(np.full((6, 6), i % 256, np.uint8)).save(folder / f"frame{i:06d}.png")


def solves_in(log: Path) -> list[Solve]:
    """The whole lines of the log."""
    rows = [line.split() for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [Solve(name, int(index), int(pid)) for name, index, pid in rows]


def kill_some(log: Path, begin: int, wishes: list[tuple[int, bool]], ended: Event, killed: list[int]) -> None:
    """Kills a process once so many images have been begun: process 0 if the wish says so, else the last that began."""
    while wishes and not ended.is_set():
        rows = solves_in(log)[begin:] if log.exists() else []
        count, is_leader = wishes[0]
        found = [row for row in rows if (row.index == 0) == is_leader and row.index not in killed]
        if len(rows) >= count and found:
            with contextlib.suppress(ProcessLookupError):
                if b"forked.py" in Path(f"/proc/{found[-1].pid}/cmdline").read_bytes():
                    os.kill(found[-1].pid, signal.SIGKILL)
                    killed.append(found[-1].index)
            wishes.pop(0)
        time.sleep(0.01)


def flags_of(folder: Path, workdir: str) -> tuple[str, ...]:
    """Of the launch."""
    place = f"--input={folder}/in/*.png", f"--workdir={folder / workdir}"
    return "--config=configs/pipeline.py:mean+cubic", "--scale=2", *place


def run_round(
    folder: Path, processes: int, wishes: list[tuple[int, bool]], seconds: float, is_real: bool = False
) -> Round:
    """Starts all processes, kills those that are wished for, waits until all have ended."""
    log, workdir, killed, ended = folder / "log.txt", folder / "out", [], Event()
    before = len(solves_in(log)) if log.exists() else 0
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
    flags = (*flags_of(folder, "out"), "--distributed", f"--coordinator_address=localhost:{port}")
    flags += (f"--num_processes={processes}", "--join_seconds=300")
    start = "import os, runpy; os.environ.update(BLINDSR_STUB_LOG={!r}, BLINDSR_STUB_INDEX='{}', "
    start += "BLINDSR_STUB_SECONDS='{}', BLINDSR_STUB_REAL='{}'); runpy.run_path('tests/launch/stub_solver.py')"
    commands = [
        {
            "argv": command("solve", *flags, f"--process_id={i}"),
            "before": start.format(str(log), i, seconds, "1" if is_real else ""),
        }
        for i in range(processes)
    ]
    killer = Thread(target=kill_some, args=(log, before, wishes, ended, killed))
    begin = time.monotonic()
    killer.start()
    try:
        runs = forked({"together": commands})
    finally:
        ended.set()
        killer.join()
    names = {path.stem for path in (workdir / "records").glob("*.json")}
    return Round(time.monotonic() - begin, solves_in(log)[before:], killed, runs, names)


def check_round(found: Round, before: set[str]) -> int:
    """Nothing is lost and nothing is solved again but what a process had in flight; returns how many that were."""
    names = [solve.name for solve in found.solves]
    assert len(names) == len(set(names)), "two processes were given one image"
    assert not before & set(names), "an image with a record was solved again"
    assert before <= found.finished <= before | set(names), "a record is lost, or nobody solved its image"
    for index, run in enumerate(found.runs):
        assert run.code in CODES and "Traceback" not in run.err, (index, run)
    flying: dict[int, int] = {}
    for solve in found.solves:
        if solve.name not in found.finished:
            flying[solve.index] = flying.get(solve.index, 0) + 1
    assert max(flying.values(), default=0) <= IN_FLIGHT, flying
    assert flying.keys() <= {*found.killed} or 0 in found.killed, (flying, found.killed)
    return sum(flying.values())


def fleet(
    folder: Path,
    images: int,
    processes: int,
    plans: list[list[tuple[int, bool]]],
    seconds: float,
    is_real: bool = False,
) -> list[Round]:
    """Rounds with kills, one per plan, then one in peace; all of them checked."""
    write_inputs(folder / "in", images)
    rounds, finished = [], set()
    for wishes in (*plans, []):
        rounds.append(run_round(folder, processes, list(wishes), seconds, is_real))
        again = check_round(rounds[-1], finished)
        finished = rounds[-1].finished
        print(f"{len(finished)} of {images} after {rounds[-1].seconds:.1f} s, in flight {again}", flush=True)
    last, out = rounds[-1], folder / "out"
    assert [run.code for run in last.runs] == [0] * processes, last.runs
    names = [path.stem for path in sorted((folder / "in").iterdir())]
    assert [record["name"] for record in read_json(out, "results.json")] == names
    assert finished == set(names) == {path.stem for path in (out / "images").iterdir()}
    assert not list(out.rglob("*.tmp")) and not list(out.glob("state/*")) and not (out / ".lock").exists()
    return rounds


def compare_with_peace(folder: Path) -> int:
    """Solves the same images in one undisturbed process; the outputs that are equal, all of them, are counted."""
    looks = [["tests/launch/snapshot.py", str(folder / name)] for name in ("out", "whole")]
    run, *found = forked(command("solve", *flags_of(folder, "whole")), *looks)
    assert run.code == 0, run
    found, whole = (json.loads(look.out) for look in found)
    assert found["outputs"] == whole["outputs"] and found["records"] == whole["records"]
    return len(whole["outputs"])


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in (("images", 10_000), ("processes", 64), ("rounds", 6), ("kills", 8), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--real", action="store_true", help="solve, too")
    parser.add_argument("--workdir", type=Path, required=True)
    args = parser.parse_args()
    chance, share = random.Random(args.seed), args.images // (args.rounds + 1)
    # In each round kills of others, then that of process 0, which ends the round with much undone.
    plans = [
        [(moment, False) for moment in sorted(chance.sample(range(share), args.kills))] + [(share, True)]
        for _ in range(args.rounds)
    ]
    rounds = fleet(args.workdir, args.images, args.processes, plans, args.seconds, args.real)
    solves = [solve.name for found in rounds for solve in found.solves]
    kills = sum(len(found.killed) for found in rounds)
    print(f"{kills} kills, {len(solves) - args.images} of {args.images} images solved twice, none lost")
    if args.real:
        print(f"{compare_with_peace(args.workdir)} outputs are those of a run in peace, to the bit")


if __name__ == "__main__":
    main()
