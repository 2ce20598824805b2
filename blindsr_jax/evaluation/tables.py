"""Tables of runs: means with standard errors over seeds, as Markdown, CSV and JSON."""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from blindsr_jax import io
from blindsr_jax.runs import report

MEAN = "mean"  # the name of the row over all cases
CEILING = ":ceiling"  # behind the name of a config: its image model under the true kernel


def summarize(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard error of the finite values; the error is None below two of them."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    if not finite:
        return None, None
    error = float(np.std(finite, ddof=1) / math.sqrt(len(finite))) if len(finite) > 1 else None
    return float(np.mean(finite)), error


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval (Student's t) of independent values, at least two."""
    n = len(values)
    error = np.std(values, ddof=1) / math.sqrt(n)
    return float(np.mean(values)), float(special.stdtrit(n - 1, 0.975) * error)


def add_gaps(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells with `gap`: how far their `psnr_y` stays below that of the ceiling, in dB.

    The ceiling of a config NAME is the row NAME:ceiling of the same case and seed; where the table has the ceiling of
    one config only, it serves all configs.
    """
    ceilings = {(c["config"], c["case"], c["seed"]): c.get("psnr_y") for c in cells if c["config"].endswith(CEILING)}
    names = {config for config, _, _ in ceilings}

    def gap(cell):
        own = cell["config"].removesuffix(CEILING) + CEILING
        name = next(iter(names)) if len(names) == 1 else own
        top, value = ceilings.get((name, cell["case"], cell["seed"])), cell.get("psnr_y")
        return None if top is None or value is None else top - value

    return [cell | {"gap": gap(cell)} for cell in cells]


def aggregate(
    cells: Sequence[dict[str, Any]], *, keys: Sequence[str], groups: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """One row a (case, config) over its seeds, then one a config over the cases of each group and over all cases.

    A row over cases averages the cases; its standard error is over the seeds: each seed gives one mean over the cases
    that all its runs have finished.

    Args:
      cells: dicts with `case`, `config`, `seed` and the keys.
      keys: what is averaged.
      groups: words; the cases whose names hold one are averaged as `mean of WORD`.

    Returns:
      Rows with `case`, `config`, `seeds`, and for each key its mean and `KEY_se`.
    """
    cases, configs = (list(dict.fromkeys(cell[name] for cell in cells)) for name in ("case", "config"))
    rows = []
    for case in cases:
        for config in configs:
            runs = [c for c in cells if (c["case"], c["config"]) == (case, config)]
            if runs:
                rows.append(_row(case, config, runs, keys))
    members = {f"{MEAN} of {word}": [case for case in cases if word in case] for word in groups}
    for name, chosen in (members | {MEAN: cases}).items():
        rows += [row for config in configs for row in _mean_row(name, config, cells, chosen, keys)]
    return rows


def _mean_row(name: str, config: str, cells: Sequence[dict], cases: list[str], keys: Sequence[str]) -> list[dict]:
    """The row of a config over some cases, if at least one seed has finished them all."""
    by_seed = {}
    for cell in cells:
        if cell["config"] == config and cell["case"] in cases:
            by_seed.setdefault(cell["seed"], []).append(cell)
    whole = [runs for runs in by_seed.values() if len(runs) == len(cases)]
    means = [{key: summarize([run.get(key) for run in runs])[0] for key in keys} for runs in whole]
    return [_row(name, config, means, keys)] if means else []


def _row(case: str, config: str, runs: list[dict], keys: Sequence[str]) -> dict[str, Any]:
    row = {"case": case, "config": config, "seeds": len(runs)}
    for key in keys:
        row[key], row[f"{key}_se"] = summarize([run.get(key) for run in runs])
    return row


def to_markdown(rows: Sequence[dict[str, Any]], *, keys: Sequence[str]) -> str:
    """The rows as a Markdown table, mean ± standard error."""

    def show(row, key):
        value, error = row[key], row[f"{key}_se"]
        if value is None:
            return ""
        return f"{value:.4g}" + ("" if error is None else f" ± {error:.2g}")

    lines = ["| " + " | ".join(("case", "config", "seeds", *keys)) + " |", "|" + "---|" * (3 + len(keys))]
    for row in rows:
        cells = [row["case"], row["config"], str(row["seeds"]), *(show(row, key) for key in keys)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_tables(
    folder: str,
    cells: Sequence[dict[str, Any]],
    *,
    keys: Sequence[str],
    groups: Sequence[str] = (),
    failures: Sequence[dict[str, Any]] = (),
) -> str:
    """Writes table.md, table.csv, table.json (rows and cells) and index.html into a folder; returns the Markdown.

    The page also shows `failures`, rows of `case`, `config`, `seed`, `status` and `message`.
    """
    rows = aggregate(cells, keys=keys, groups=groups)
    text = to_markdown(rows, keys=keys)
    io.write_text(os.path.join(folder, "table.md"), text)
    io.write_csv(os.path.join(folder, "table.csv"), rows)
    io.write_json(os.path.join(folder, "table.json"), {"rows": rows, "cells": list(cells)})
    cases = {cell["case"] for cell in cells}
    shown = {
        "failures": failures,
        "means over cases, with standard errors over seeds": [row for row in rows if row["case"] not in cases],
        "cases, with standard errors over seeds": [row for row in rows if row["case"] in cases],
        "solves": [
            {key: x for key, x in cell.items() if key != "digest" and not isinstance(x, dict)} for cell in cells
        ],
    }
    kinds = [len({row[kind] for row in (*cells, *failures)}) for kind in ("case", "config")]
    title = f"table, cases: {kinds[0]}, configs: {kinds[1]}"
    shown = {caption: found for caption, found in shown.items() if found}
    report.write_page(os.path.join(folder, "index.html"), title=title, tables=shown)
    return text
