"""What the processes of a solve do with a planned list of images: process 0 leads, the others follow."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from blindsr_jax.runs import agreement, distributed, resume
from blindsr_jax.runs.cli import say
from blindsr_jax.runs.pipeline import Pipeline
from blindsr_jax.runs.records import Record, read_records
from blindsr_jax.runs.summary import Summary
from blindsr_jax.runs.task import Run


def solve_share(tasks: Sequence[tuple[str, resume.Job]], run: Run, on_record: Callable[[Record], None]) -> int:
    """Solves the images that fall to this process, each with its label; returns how many failed.

    Raises:
      StoppedError: a signal has come, or the folder cannot be written any more.
    """
    pipeline, is_complete = Pipeline(run, len(tasks), on_record), False
    try:
        for label, job in tasks:
            pipeline.add(job, label)
        is_complete = True
    finally:
        pipeline.close(is_complete=is_complete)
    run.stopper.check()
    return pipeline.num_failed


def lead(jobs: list[resume.Job], run: Run) -> int:
    """Solves the images that are not finished, one line each, with the other processes; returns how many failed.

    Raises:
      StoppedError: as `solve_share`; the lists are written, and the other processes have ended.
    """
    if num_done := sum(job.record is not None for job in jobs):
        print(f"{num_done} of {len(jobs)} finished before", flush=True)
    labels, failed = [f"[{i + 1}/{len(jobs)}] {job.name}" for i, job in enumerate(jobs)], 0
    for label, job in zip(labels, jobs, strict=True):
        if job.record is not None and not job.record.status.has_image:
            failed += 1
            say(f"{label}: {job.record.status}, {job.record.message}", sys.stderr)
    tasks = [(label, job) for label, job in zip(labels, jobs, strict=True) if job.record is None]
    records, missing = read_records(run.folder), []
    summary = Summary(run.folder, records)
    try:
        with distributed.together(run.peers):
            distributed.send_plan(run.peers, [(label, str(job.path), job.name) for label, job in tasks])
            failed += solve_share(run.peers.share(tasks), run, summary.add)
            missing = distributed.wait(run.peers, run.stopper)
    finally:
        if run.peers.count > 1:
            records = read_records(run.folder)
            summary = Summary(run.folder, records)
        summary.write()
    for index in missing:
        say(f"process {index} has not finished its share, the same command does", sys.stderr)
    return failed if run.peers.count == 1 else count_failed(records, jobs)


def count_failed(records: Mapping[str, Record], jobs: list[resume.Job]) -> int:
    """How many images have no result, whichever process was to make it; `records` by name."""
    return sum(job.name not in records or not records[job.name].status.has_image for job in jobs)


def follow(run: Run, told: Mapping[str, Any]) -> int:
    """Solves the share of a process other than the first; returns how many of it failed.

    Args:
      run: of this process.
      told: from `agreement.identity`.

    Raises:
      RefusedError: this process was told something else than process 0, or that has ended before it had a plan.
      StoppedError: as `solve_share`, or process 0 has been lost.
    """
    with distributed.following(run.peers):
        agreement.answer(run.peers, told, run.folder, run.stopper)
        tasks = _tasks(distributed.receive_plan(run.peers, run.stopper))
        failed = solve_share(tasks, run, lambda record: None)
        distributed.tell_done(run.peers)
    return failed


def _tasks(plan: Any) -> list[tuple[str, resume.Job]]:
    """The images of a plan, which is believed only if it is one: its names become paths."""
    try:
        tasks = [(str(label), resume.Job(Path(path), name, None)) for label, path, name in plan]
        is_plain = all(os.path.basename(job.name) == job.name not in ("", ".", "..") for _, job in tasks)
    except (TypeError, ValueError):
        is_plain = False
    if not is_plain:
        raise distributed.RefusedError("process 0 has sent a plan that is none")
    return tasks
