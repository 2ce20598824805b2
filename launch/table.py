r"""Runs cases x configs x seeds and writes one table with means and standard errors. A second run goes on where it was.

python launch/table.py --cases=CASES --configs=dip_dkp,dip_dkp_fast,dip_dkp:ceiling --seeds=3 --workdir=out/table

A case is a folder with lr.png, hr.png and kernel.mat or kernel.npy, e.g. of launch/make_cases.py. The solver gets the
LR image alone. `NAME:ARGUMENT` hands an argument to the config. `NAME:ceiling` is the image model of a config under the
true kernel: what its kernel model could reach at best. No other program has it. `gap` is the distance to the ceiling.
"""

import os
import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from blindsr_jax import io
from blindsr_jax.config import load_config
from blindsr_jax.evaluation import cases, cells, metrics, tables
from blindsr_jax.imaging.problem import Status
from blindsr_jax.runs import cli, ownership, report
from blindsr_jax.runs.compile_clock import CompileClock

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


def read_config(name: str) -> tuple[str, ConfigDict]:
    """The name of a row and its config, under the conventions of the cases."""
    (file, *argument), is_ceiling = name.removesuffix(tables.CEILING).split(":"), name.endswith(tables.CEILING)
    path = Path(file) if file.endswith(".py") else CONFIGS / f"{file}.py"
    place = {"boundary": _BOUNDARY.value, "kernel_center": _CENTER.value}
    try:
        config = cells.prepare(load_config(":".join([str(path), *argument])), is_ceiling=is_ceiling, **place)
    except ValueError as error:
        raise cli.UsageError(f"--configs: {cli.one_line(error)}") from error
    return ":".join([path.stem, *argument]) + (tables.CEILING if is_ceiling else ""), config


def is_table(folder: str) -> bool:
    """Whether a folder holds a table, or the first cell of one."""
    table = ownership.read_json(os.path.join(folder, "table.json"))
    if table is not None:
        return isinstance(table, dict) and {"rows", "cells"} <= table.keys()
    found = map(ownership.read_json, Path(folder, "cells").glob("*.json"))
    return any(isinstance(cell, dict) and "digest" in cell for cell in found)


TABLE = ownership.Layout("table", ("table.json", "table.md", "table.csv", "index.html"), ("cells",), is_table)


def write(folder: str, contents: list[dict], failures: list[dict]) -> str:
    """Writes the table so far; returns it."""
    found = tables.add_gaps(contents)
    return tables.write_tables(folder, found, keys=KEYS, groups=_GROUPS.value, failures=failures)


def main() -> int:
    """Fills the missing cells and writes the table after each."""
    if not _CONFIGS.value:
        raise cli.UsageError("--configs= is empty, expected names of configs/ or config files")
    configs = dict(read_config(name) for name in _CONFIGS.value)
    try:
        found = cases.read_cases(_CASES.value)
    except io.InputError as error:
        raise cli.UsageError(f"--cases={_CASES.value}: {cli.one_line(error)}") from error
    ownership.check_folder(_WORKDIR.value, TABLE)
    report.check_page(_WORKDIR.value)
    folder = cli.make_workdir(_WORKDIR.value, folders=TABLE.folders)
    contents, failures = [], []
    runner = cells.Runner(CompileClock().seconds)
    wanted = cells.all_cells(found, configs, num_seeds=_SEEDS.value, border=_BORDER.value)
    for cell, content, is_new in cells.fill(os.path.join(folder, "cells"), wanted, runner.run):
        if isinstance(content, Exception):
            message = cli.failure(cell.case.name, content)
            known = {"case": cell.case.name, "config": cell.name, "seed": cell.seed}
            failures.append({**known, "status": "failed", "message": message})
            print(f"{cell.stem}: {message}", file=sys.stderr, flush=True)
            continue
        contents.append(content)
        if is_new:
            write(folder, contents, failures)
            score = f"{content['psnr_y']:.2f} dB" if "psnr_y" in content else content["status"]
            print(f"{cell.stem}: {score}", flush=True)
    print(write(folder, contents, failures))
    return cli.SOME_FAILED if failures or any(not Status(c["status"]).has_image for c in contents) else cli.OK


if __name__ == "__main__":
    cli.run(main)
