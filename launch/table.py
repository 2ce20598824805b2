r"""Runs cases x configs x seeds and writes one table with means and standard errors. A second run goes on where it was.

python launch/table.py --cases=CASES --configs=dip_dkp,dip_dkp_fast,dip_dkp:ceiling --seeds=3 --workdir=out/table

A case is a folder with lr.png, hr.png and kernel.mat or kernel.npy, e.g. of launch/make_cases.py. The solver gets the
LR image alone. `NAME:ARGUMENT` hands an argument to the config. `NAME:ceiling` is the image model of a config under the
true kernel: what its kernel model could reach at best. No other program has it. `gap` is the distance to the ceiling.
"""

import hashlib
import itertools
import json
import os
import re
import resource
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from ml_collections import ConfigDict

from blindsr_jax import io
from blindsr_jax.config import check_config, load_config
from blindsr_jax.evaluation import metrics, tables
from blindsr_jax.imaging.problem import Problem, Status
from blindsr_jax.io import documents
from blindsr_jax.methods import build
from blindsr_jax.runs import cli, ownership, schemas, seeds
from blindsr_jax.runs.compile_clock import CompileClock
from blindsr_jax.solvers.loop import solve

_CASES = flags.DEFINE_string("cases", None, "Folder of the cases.")
_CONFIGS = flags.DEFINE_list(
    "configs", None, "Names of configs/, or config files; with :ceiling behind it, under the true kernel."
)
_SEEDS = flags.DEFINE_integer("seeds", 3, "Seeds 0 ... N - 1.", lower_bound=1)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_BOUNDARY = flags.DEFINE_enum("boundary", "circular", ["circular", "valid"], "How the cases were made.")
_CENTER = flags.DEFINE_enum("kernel_center", "release", ["release", "aligned"], "How the cases were made.")
_GROUPS = flags.DEFINE_list("groups", [], "Words; the cases whose names hold one get a mean of their own.")
_BORDER = flags.DEFINE_integer("border", None, "Pixels cut off each side; default the scale.", lower_bound=0)
flags.mark_flags_as_required(["cases", "configs", "workdir"])

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
KEYS = ("psnr_y", "gap", *metrics.SCORES[1:], "seconds", "peak_memory_mb")
CELL = documents.object_of(schemas.CELL_KEYS | dict.fromkeys(metrics.SCORES, schemas.SCORE))


class Case(NamedTuple):
    """One LR image and its truth."""

    name: str
    lr: np.ndarray  # (h, w, c)
    hr: np.ndarray  # (s h, s w, c)
    kernel: np.ndarray  # (k, k)
    scale: int


def read_case(folder: Path) -> Case:
    """Reads a case; the scale is the ratio of the sizes."""
    lr, hr = (np.asarray(io.read_image(folder / f"{name}.png").pixels) for name in ("lr", "hr"))
    kernel = next((folder / name for name in ("kernel.npy", "kernel.mat") if (folder / name).is_file()), None)
    if kernel is None:
        raise io.InputError(f"{str(folder)!r} has no kernel, kernel.npy or kernel.mat was expected")
    scale = hr.shape[0] // lr.shape[0]
    if hr.shape != (scale * lr.shape[0], scale * lr.shape[1], lr.shape[2]):
        raise io.InputError(f"{str(folder)!r}: hr.png {hr.shape} is no whole multiple of lr.png {lr.shape}")
    return Case(folder.name, lr, hr, io.read_kernel(kernel), scale)


def read_cases() -> list[Case]:
    """All cases, sorted by name."""
    root = Path(_CASES.value)
    folders = sorted(p.parent for p in root.glob("*/lr.png"))
    if not folders:
        raise cli.UsageError(f"--cases={root} holds no case, expected folders with lr.png, hr.png and kernel.mat")
    try:
        return [read_case(folder) for folder in folders]
    except io.InputError as error:
        raise cli.UsageError(cli.one_line(error)) from error


def read_config(name: str) -> tuple[str, ConfigDict]:
    """The name of a row and its config, under the conventions of the cases."""
    (file, *argument), is_ceiling = name.removesuffix(tables.CEILING).split(":"), name.endswith(tables.CEILING)
    path = Path(file) if file.endswith(".py") else CONFIGS / f"{file}.py"
    try:
        config = load_config(":".join([str(path), *argument]))
        config.boundary, config.kernel_center = _BOUNDARY.value, _CENTER.value
        if is_ceiling:
            build.give_kernel(config)
        check_config(config)
        config.num_steps = build.num_steps(config)
    except ValueError as error:
        raise cli.UsageError(f"--configs: {cli.one_line(error)}") from error
    return ":".join([path.stem, *argument]) + (tables.CEILING if is_ceiling else ""), config


def digest_of(case: Case, config: ConfigDict) -> str:
    """What a finished cell was made from: a changed config or case is run again."""
    text = json.dumps([config.to_dict(), _BORDER.value], sort_keys=True, default=list)
    content = [text.encode(), case.lr.tobytes(), case.hr.tobytes(), case.kernel.tobytes()]
    return hashlib.sha256(b"".join(content)).hexdigest()[:16]


class Solvers:
    """Solvers by (config, scale), each made once so that seeds and cases of one size share a program."""

    def __init__(self):
        self._made = {}

    def get(self, name: str, config, scale: int):
        """Spec and solver."""
        if (name, scale) not in self._made:
            spec = build.build_spec(config, scale)
            self._made[name, scale] = spec, build.build_solver(config, spec)
        return self._made[name, scale]


def run_cell(case: Case, name: str, config, seed: int, solvers: Solvers, clock) -> dict:
    """Solves one case with one config and seed, and scores it."""
    spec, solver = solvers.get(name, config, case.scale)
    kernel = None
    if name.endswith(tables.CEILING):
        kernel = metrics.match_size(case.kernel, spec.kernel_size).astype(np.float32)
    begin, compiled = time.perf_counter(), clock.seconds()
    problem = Problem(jax.numpy.asarray(case.lr), spec)
    steps = {"num_steps": config.num_steps, "chunk_steps": config.chunk_steps}
    result = solve(seeds.image_key(seed, case.name), problem, solver, kernel=kernel, **steps)
    seconds = time.perf_counter() - begin - (clock.seconds() - compiled)
    cell = {"case": case.name, "config": name, "seed": seed, "status": result.status}
    if result.status.has_image:
        border = case.scale if _BORDER.value is None else _BORDER.value
        image = metrics.quantize(np.asarray(result.image, np.float64))
        cell |= metrics.score_image(image, case.hr.astype(np.float64), border=border)
        cell |= metrics.score_kernel(np.asarray(result.kernel, np.float64), case.kernel)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # of the process, so it never falls
    return cell | {"seconds": round(seconds, 3), "peak_memory_mb": round(peak)}


def finished(path: str, **wanted: Any) -> dict | None:
    """A cell of an earlier run, if it has the wanted values: its case, config, seed, and what it was made from."""
    cell = documents.read(path, CELL)
    return cell if cell is not None and wanted.items() <= cell.items() else None


def is_table(folder: str) -> bool:
    """Whether a folder holds a table, or the first cell of one."""
    table = ownership.read_json(os.path.join(folder, "table.json"))
    if table is not None:
        return isinstance(table, dict) and {"rows", "cells"} <= table.keys()
    cells = map(ownership.read_json, Path(folder, "cells").glob("*.json"))
    return any(isinstance(cell, dict) and "digest" in cell for cell in cells)


TABLE = ownership.Layout("table", ("table.json", "table.md", "table.csv"), ("cells",), is_table)


def write(folder: str, cells: list[dict]) -> str:
    """Writes the table so far; returns it."""
    return tables.write_tables(folder, tables.add_gaps(cells), keys=KEYS, groups=_GROUPS.value)


def main() -> int:
    """Fills the missing cells and writes the table after each."""
    if not _CONFIGS.value:
        raise cli.UsageError("--configs= is empty, expected names of configs/ or config files")
    configs = dict(read_config(name) for name in _CONFIGS.value)
    cases = read_cases()
    ownership.check_folder(_WORKDIR.value, TABLE)
    folder = cli.make_workdir(_WORKDIR.value, folders=TABLE.folders)
    solvers, clock, cells, failed = Solvers(), CompileClock(), [], 0
    for seed, case, name in itertools.product(range(_SEEDS.value), cases, configs):
        stem = f"{case.name}__{re.sub('[:/]', '-', name)}__{seed}"  # an argument may be a path
        digest = digest_of(case, configs[name])
        path = os.path.join(folder, "cells", f"{stem}.json")
        wanted = {"case": case.name, "config": name, "seed": seed, "digest": digest}
        if (cell := finished(path, **wanted)) is not None:
            cells.append(cell)
            continue
        try:
            cell = run_cell(case, name, configs[name], seed, solvers, clock)
        except Exception as error:  # whatever ails one cell, the others go on
            failed += 1
            print(f"{stem}: {cli.failure(case.name, error)}", file=sys.stderr, flush=True)
            continue
        cells.append(cell | {"digest": digest})
        io.write_json(path, cells[-1])
        write(folder, cells)
        print(f"{stem}: " + (f"{cell['psnr_y']:.2f} dB" if "psnr_y" in cell else cell["status"]), flush=True)
    print(write(folder, cells))
    return cli.SOME_FAILED if failed or any(not Status(c["status"]).has_image for c in cells) else cli.OK


if __name__ == "__main__":
    cli.run(main)
