"""Cells of a table: one case solved by one config with one seed, and scored. Finished cells are kept as files."""

import hashlib
import itertools
import json
import os
import re
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from blindsr_jax import io
from blindsr_jax.config import check_config, set_values
from blindsr_jax.evaluation import metrics, optional_scores, tables
from blindsr_jax.evaluation.cases import Case
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.io import documents
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import Solver, min_lr_side
from blindsr_jax.runs import schemas, seeds
from blindsr_jax.solvers import memory
from blindsr_jax.solvers.loop import solve
from blindsr_jax.solvers.measured import make_problem

_CELL = documents.object_of(
    schemas.CELL_KEYS | dict.fromkeys((*metrics.SCORES, *optional_scores.SCORES), schemas.SCORE)
)


def prepare(
    config: ConfigDict,
    *,
    is_ceiling: bool,
    boundary: str,
    kernel_center: str,
    values: Mapping[str, Any] = MappingProxyType({}),
) -> ConfigDict:
    """A config, in place, under the conventions of the cases.

    Args:
      config: of a method.
      is_ceiling: whether it solves under the true kernel.
      boundary: how the cases were made.
      kernel_center: likewise.
      values: of the config by dotted name, in place of its own.

    Raises:
      ValueError: a value of it is wrong.
    """
    set_values(config, values)
    config.boundary, config.kernel_center = boundary, kernel_center
    if is_ceiling:
        build.give_kernel(config)
    check_config(config)
    config.num_steps = build.num_steps(config)
    return config


class Cell(NamedTuple):
    """What one entry of a table is made from."""

    case: Case
    name: str  # of the config; behind it `tables.CEILING` where the solver gets the true kernel
    config: ConfigDict
    seed: int
    border: int | None  # pixels left out of the scores on each side; None for the scale
    files: str = ""  # what tells one version of the files that the config names from another

    @property
    def stem(self) -> str:
        """Of the cell's file; an argument of the config may be a path."""
        return f"{self.case.name}__{re.sub('[:/]', '-', self.name)}__{self.seed}"

    @property
    def identity(self) -> dict[str, Any]:
        """What a finished cell must say of itself; one of a changed config or case says something else."""
        case = self.case
        text = json.dumps([self.config.to_dict(), self.border], sort_keys=True, default=list)
        content = [text.encode(), self.files.encode(), case.lr.tobytes(), case.hr.tobytes(), case.kernel.tobytes()]
        digest = hashlib.sha256(b"".join(content)).hexdigest()[:16]
        return {"case": case.name, "config": self.name, "seed": self.seed, "digest": digest}


class Runner:
    """Solves cells; each solver is made once, so that seeds and cases of one size share a program."""

    def __init__(
        self, compile_seconds: Callable[[], float], *, estimates_memory: bool = False, scores: Sequence[str] = ()
    ):
        """A runner.

        Args:
          compile_seconds: that were spent on compiling so far; they do not count.
          estimates_memory: whether cells say what `solvers.memory` estimates, as `estimated_memory_mb`.
          scores: names of `optional_scores.SCORES` that cells have too.
        """
        self._compile_seconds = compile_seconds
        self._scores = scores
        self._estimates_memory = estimates_memory
        self._made: dict[tuple[str, int], tuple[Spec, Solver]] = {}

    def _solver(self, cell: Cell) -> tuple[Spec, Solver]:
        place = cell.name, cell.case.scale
        if place not in self._made:
            spec = build.build_spec(cell.config, cell.case.scale)
            self._made[place] = spec, build.build_solver(cell.config, spec)
        return self._made[place]

    def run(self, cell: Cell) -> dict[str, Any]:
        """Solves and scores; the true kernel is handed to a ceiling only."""
        (spec, solver), case, config = self._solver(cell), cell.case, cell.config
        (h, w, _), least = case.lr.shape, min_lr_side(spec, solver)
        if min(h, w) < least:
            raise io.InputError(
                f"{w} x {h} pixels are too few for {cell.name}, sides of at least {least} were expected"
            )
        kernel = None
        if cell.name.endswith(tables.CEILING):
            kernel = metrics.match_size(case.kernel, spec.kernel_size).astype(np.float32)
        begin, compiled = time.perf_counter(), self._compile_seconds()
        problem = make_problem(case.lr, spec, solver)
        steps = {"num_steps": config.num_steps, "chunk_steps": config.chunk_steps}
        result = solve(seeds.image_key(cell.seed, case.name), problem, solver, kernel=kernel, **steps)
        seconds = time.perf_counter() - begin - (self._compile_seconds() - compiled)
        found = {"case": case.name, "config": cell.name, "seed": cell.seed, "status": result.status}
        if result.status.has_image:
            border = case.scale if cell.border is None else cell.border
            image = metrics.quantize(np.asarray(result.image, np.float64))
            truth = case.hr.astype(np.float64)
            found |= metrics.score_image(image, truth, border=border)
            found |= optional_scores.score(self._scores, image, truth, border=border)
            found |= metrics.score_kernel(np.asarray(result.kernel, np.float64), case.kernel)
        if self._estimates_memory:
            needed = memory.estimate(jax.random.key(0), problem, solver, kernel=kernel, **steps)
            found["estimated_memory_mb"] = round(needed / 2**20)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of the process, so it never falls
        return found | {"seconds": round(seconds, 3), "peak_memory_mb": round(peak)}


def all_cells(
    cases: Sequence[Case],
    configs: Mapping[str, ConfigDict],
    *,
    num_seeds: int,
    border: int | None,
    files: Mapping[str, str] | None = None,
) -> list[Cell]:
    """All cells of a table, a whole table of the first seed before the next; `files` is that of a cell, by config."""
    files = files or {}
    places = itertools.product(range(num_seeds), cases, configs)
    return [Cell(case, name, configs[name], seed, border, files.get(name, "")) for seed, case, name in places]


def fill(
    folder: str, cells: Sequence[Cell], run: Callable[[Cell], dict[str, Any]], *, scores: Sequence[str] = ()
) -> Iterator[tuple[Cell, dict[str, Any] | Exception, bool]]:
    """The contents of all cells, those of an earlier run as they are, the others as they are finished and written.

    Args:
      folder: of the cells' files.
      cells: of the table.
      run: of a `Runner`.
      scores: names of scores; a cell of an earlier run that has an image and lacks one is run again.

    Yields:
      The cell; what it holds, or the error that ended it, whatever it was, for the others go on; whether it is new.
    """
    for cell in cells:
        path, identity = os.path.join(folder, f"{cell.stem}.json"), cell.identity
        old = documents.read(path, _CELL)
        if old is not None and identity.items() <= old.items() and ("psnr_y" not in old or old.keys() >= set(scores)):
            yield cell, old, False
            continue
        try:
            found = run(cell) | identity
        except Exception as error:
            yield cell, error, True
            continue
        io.write_json(path, found)
        yield cell, found, True
