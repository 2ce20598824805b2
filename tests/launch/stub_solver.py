"""Run before launch/solve.py: a solver that only notes which image it was given, so that all the rest is real.

The variables BLINDSR_STUB_LOG, _INDEX and _SECONDS say where a line "image, process, pid" goes, whose it is, and how
long a solve takes; with _REAL the solver of the config then runs all the same.
"""

import os
import time
from types import SimpleNamespace

import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import Result, Status
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.runs import pipeline, report

LOG = os.open(os.environ["BLINDSR_STUB_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
INDEX, SECONDS = os.environ["BLINDSR_STUB_INDEX"], float(os.environ["BLINDSR_STUB_SECONDS"])
REAL = pipeline.Pipeline._solve


def prepare(self, job, label, record, source):
    attempt = SimpleNamespace(place=source.pixels.shape, problem=SimpleNamespace(lr=source.pixels), number=0)
    attempt.following = lambda result, solver: None
    return pipeline.ImageTask(job.path, label, record, source, attempt)


def note(group):
    for task in group:
        os.write(LOG, f"{task.name} {INDEX} {os.getpid()}\n".encode())
        time.sleep(SECONDS)


def solve_noted(self, group):
    note(group)
    return REAL(self, group)


def solve(self, group):
    note(group)
    pipeline.distributed.obey(self._run.peers, self._run.stopper)  # as after each chunk
    self._run.stopper.check()
    self._background.wait()
    scale, kernel, trace = self._run.spec.scale, np.full((3, 3), 1 / 9, np.float32), {"loss": np.ones(2)}
    pixels = [task.source.pixels.repeat(scale, 0).repeat(scale, 1) for task in group]
    return [(task, Result(x, kernel, trace, Status.OK, None)) for task, x in zip(group, pixels, strict=True)]


if os.environ.get("BLINDSR_STUB_REAL"):
    pipeline.Pipeline._solve = solve_noted
else:
    pipeline.Pipeline._prepare, pipeline.Pipeline._solve = prepare, solve
    report.write_figure = lambda path, **_: io.write_bytes(path, b"figure")
    build.build_solver = lambda config, spec: Solver(None, None, 1)
