"""Stages of a report that keeps to a time: what no longer fits is left out, and what is finished is on disk."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax

from blindsr_jax import io


class Clock:
    """What is left of the time, and how long a compiled program has taken at most, its runs included."""

    def __init__(self, budget: float, first_guess: float):
        """Begins now; `budget` and `first_guess`, of one program, in seconds."""
        self.begin, self.budget, self.longest = time.monotonic(), budget, first_guess

    def left(self) -> float:
        """Seconds until the run has to end."""
        return self.budget - (time.monotonic() - self.begin)

    def fits(self, programs: int) -> bool:
        """Whether so many programs can be compiled and run in what is left."""
        return self.left() > programs * self.longest

    def learn(self, seconds: float, programs: int) -> None:
        """Notes how long so many programs took."""
        self.longest = max(self.longest, seconds / programs)


class Stage(NamedTuple):
    """A part of the report."""

    title: str
    parts: Iterator[list[dict]]  # records, a few at a time
    programs: int  # at most, that a part compiles


class Outcome(NamedTuple):
    """What a stage came to."""

    rows: list[dict]
    note: str  # why there are no more rows; empty where there are all
    seconds: float


class Report:
    """Stages as they finish, on disk after each: report.json and report.md."""

    def __init__(self, folder: str):
        """An empty report of this device in a folder."""
        self.folder, self.lock, self.text = folder, threading.Lock(), []
        self.data: dict[str, Any] = {"device": jax.local_devices()[0].device_kind, "jax": jax.__version__, "stages": {}}

    def add(self, title: str, *, seconds: float, note: str = "", table: str = "", rows: Sequence[dict] = ()) -> None:
        """Adds a stage and writes the report."""
        with self.lock:
            self.data["stages"][title] = {"seconds": round(seconds, 1), "note": note, "rows": list(rows)}
            self.text.append("\n\n".join(filter(None, (f"## {title}", note, table))))
            io.write_json(os.path.join(self.folder, "report.json"), self.data)
            head = f"# {self.data['device']}, jax {self.data['jax']}"
            io.write_text(os.path.join(self.folder, "report.md"), "\n\n".join([head, *self.text]) + "\n")
        print(f"{title}: {note or 'done'} ({seconds:.0f} s)", flush=True)
        if table:
            print(table, flush=True)


def run_stage(stage: Stage, clock: Clock, *, is_out_of_memory: Callable[[Exception], bool]) -> Outcome:
    """Takes the parts of a stage for as long as another one fits into the time that is left.

    Args:
      stage: with parts that may raise ValueError or ImportError where this machine lacks something, and JAX's errors.
      clock: learns from each part.
      is_out_of_memory: whether an error of JAX is one of memory, which ends the stage only; others are raised.
    """
    begin, rows, note = time.monotonic(), [], ""
    try:
        while True:
            if not clock.fits(stage.programs):
                missing = "skipped" if not rows else "ended early"
                note = f"{missing}, {clock.left():.0f} s were left"
                break
            start = time.monotonic()
            new = next(stage.parts, None)
            if new is None:
                break
            rows += new
            clock.learn(time.monotonic() - start, stage.programs)
    except (ValueError, ImportError) as error:
        note = f"not possible: {' '.join(str(error).split())}"
    except jax.errors.JaxRuntimeError as error:
        if not is_out_of_memory(error):
            raise
        note = "out of memory"
    return Outcome(rows, note or ("" if rows else "nothing to measure"), time.monotonic() - begin)
