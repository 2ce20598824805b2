"""A table of a paper from what was measured: rows with the printed numbers beside them, as Markdown, CSV and JSON."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from blindsr_jax import io
from blindsr_jax.evaluation import benchmark_sets, tables
from blindsr_jax.evaluation.benchmark_sets import Group
from blindsr_jax.evaluation.protocols import Method, Table
from blindsr_jax.evaluation.published import UNKNOWN
from blindsr_jax.evaluation.reproduction import Plan
from blindsr_jax.runs import report

TITLES = {
    "psnr_y": "PSNR-Y",
    "ssim_y": "SSIM-Y",
    "kernel_psnr": "kernel PSNR",
    "seconds": "s",
    "estimated_memory_mb": "MiB",
    "registered_psnr_y": "PSNR-Y, registered",
    "ssimulacra2": "SSIMULACRA 2",
    "flip": "FLIP (0 is best)",
}
_KERNEL_KEYS = ("kernel_psnr",)


def _score_row(runs: Sequence[dict], keys: Sequence[str]) -> dict[str, Any]:
    """Means over images, and standard errors: over images, and of the mean over seeds where there are several."""
    by_case, by_seed = {}, {}
    for run in runs:
        by_case.setdefault(run["case"], []).append(run)
        by_seed.setdefault(run["seed"], []).append(run)
    row = {"images": len(by_case), "seeds": len(by_seed)}
    whole = [found for found in by_seed.values() if len(found) == len(by_case)]
    for key in keys:
        per_image = [tables.summarize([run.get(key) for run in found])[0] for found in by_case.values()]
        row[key], row[f"{key}_se"] = tables.summarize(per_image)
        per_seed = [tables.summarize([run.get(key) for run in found])[0] for found in whole]
        row[f"{key}_seed_se"] = tables.summarize(per_seed)[1]
    return row


def make_rows(plan: Plan, group: Group, found: Sequence[dict], labels: Mapping[str, Method | None]) -> list[dict]:
    """The rows of a group: measured ones, and beside or between them the printed numbers if both are of whole sets.

    Args:
      plan: of the table.
      group: of test images.
      found: cells of the group.
      labels: names of cells, those of other programs with None.
    """
    table, rows, shared = plan.table, [], set()
    for name, method in labels.items():
        runs = [cell for cell in found if cell["config"] == name and "psnr_y" in cell]
        if not runs:
            continue
        scores = _score_row(runs, plan.keys)
        if method is not None and not method.has_kernel:
            scores |= {
                f"{key}{end}": None for key in _KERNEL_KEYS if key in plan.keys for end in ("", "_se", "_seed_se")
            }
        row = {**_of(group), "method": method.label if method else name, "measured": True, **scores}
        if plan.is_printed_problem and benchmark_sets.is_full(group, plan.part, row["images"]):
            printed = table.printed.get((row["method"], *group))
            if printed is not None:
                shared.add(row["method"])
                row |= _beside(printed, row)
        rows.append(row)
    if plan.is_printed_problem and any(benchmark_sets.is_full(group, plan.part, row["images"]) for row in rows):
        rows += [row for row in printed_rows(table) if _is_of(row, group) and row["method"] not in shared]
    return rows


def _of(group: Group) -> dict[str, Any]:
    return {"set": group.dataset, "scale": group.scale, "kernels": group.family}


def _is_of(row: Mapping[str, Any], group: Group) -> bool:
    return (row["set"], row["scale"], row["kernels"]) == tuple(group)


def _beside(printed: Any, row: Mapping[str, Any]) -> dict[str, Any]:
    found = {f"printed_{key}": value for key, value in printed._asdict().items()}
    return found | {"difference": row["psnr_y"] - printed.psnr_y, "difference_se": row["psnr_y_se"]}


def printed_rows(table: Table) -> list[dict[str, Any]]:
    """What the paper prints, as rows without a measurement."""
    return [
        {
            "set": place.dataset,
            "scale": place.scale,
            "kernels": place.family,
            "method": place.method,
            "measured": False,
            **{f"printed_{key}": value for key, value in score._asdict().items()},
        }
        for place, score in table.printed.items()
    ]


def device_class() -> str:
    """The kind of machine, without a name: 'cpu, 2 cores'."""
    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = f"cpu, {cores} core{'' if cores == 1 else 's'}"
    return words if device.platform == "cpu" else f"{device.platform}, {device.device_kind}"


def header(plan: Plan, groups: Sequence[Group], sets: Mapping[Group, list], missing: Sequence[str]) -> dict[str, Any]:
    """What the numbers of a table were measured on.

    Args:
      plan: of the table.
      groups: all that it has.
      sets: of `benchmark_sets.hashes`, for the groups that were made so far.
      missing: sets that are not there.
    """
    whole = benchmark_sets.IMAGES
    counts = {group.dataset: len(found) for group, found in sets.items()}
    return {
        "table": plan.table.name,
        "images": {name: [counts.get(name, 0), whole[name]] for name in dict.fromkeys(g.dataset for g in groups)},
        "missing_sets": list(missing),
        **{name: value for name, value in plan.settings.items() if name != "table"},
        "seeds": plan.num_seeds,
        "device": device_class(),
        "jax": jax.__version__,
        "numpy": np.__version__,
        "data": {group.name: found for group, found in sets.items()},
    }


def _number(row: Mapping[str, Any], key: str) -> str:
    value, error = row.get(key), row.get(f"{key}_se")
    if value is None:
        return ""
    digits = 4 if key.endswith(("ssim_y", "flip")) else 2
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _markdown_table(rows: Sequence[dict], keys: Sequence[str], titles: Mapping[str, str], counts: bool) -> list[str]:
    first = ("set", "scale", "kernels", "method", *(("images", "seeds") if counts else ()))
    lines = [
        "| " + " | ".join([*first, *(titles[key] for key in keys)]) + " |",
        "|" + "---|" * (len(first) + len(keys)),
    ]
    for row in rows:
        words = ["" if row.get(name) is None else str(row[name]) for name in first]
        words[1] = f"x{words[1]}" if words[1] else UNKNOWN
        lines.append("| " + " | ".join([*words, *(_number(row, key) for key in keys)]) + " |")
    return lines


def _known(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[str]:
    """Those of the keys that some row has a value of."""
    return [key for key in keys if any(row.get(key) is not None for row in rows)]


def to_markdown(plan: Plan, about: Mapping[str, Any], rows: Sequence[dict], methods: Sequence[dict]) -> str:
    """The document of a table: what was measured on what, the rows, printed numbers apart where they are of others."""
    table, part = plan.table, plan.part
    images = ", ".join(f"{name} {n} of {whole}" for name, (n, whole) in about["images"].items())
    steps = (
        "those of the methods" if plan.num_steps is None else f"at most {plan.num_steps} of a stage (a smaller budget)"
    )
    if plan.channels is not None:
        steps += f"; deep image priors of at most {plan.channels} channels"
    lines = [
        f"# {table.title}",
        "",
        f"- images: {images}" + (f"; not there: {', '.join(about['missing_sets'])}" if about["missing_sets"] else ""),
        f"- part of each: {'the whole image' if part.crop is None else f'the middle {part.crop} x {part.crop} pixels'}",
        f"- seeds: {plan.num_seeds}; steps: {steps}",
        f"- machine: {about['device']}; jax {about['jax']}",
        "- LR images: 8 bits, truncated as in the releases; `data/*/manifest.json` has kernels and SHA-256 of each",
        "- scores: luma, a border of the scale left out; ± is the standard error of the mean over images",
        f"- {table.note}",
        "",
    ]
    printed_keys = [f"printed_{key}" for key in table.keys]
    titles = (
        TITLES | {f"printed_{key}": f"printed {title}" for key, title in TITLES.items()} | {"difference": "difference"}
    )
    lines += _markdown_table(rows, _known(rows, [*plan.keys, *printed_keys, "difference"]), titles, counts=True)
    apart = [row for row in printed_rows(table) if row not in rows and not _has(rows, row)]
    if apart:
        lines += [
            "",
            "## Printed",
            "",
            "On whole sets, or on others that are not stated: not to be compared with the above.",
            "",
        ]
        lines += _markdown_table(apart, _known(apart, printed_keys), titles, counts=False)
    lines += ["", "## Methods", "", "| method | config | values | steps |", "|---|---|---|---|"]
    lines += [f"| {m['method']} | `{m['config']}` | {m['values']} | {m['steps']} |" for m in methods]
    return "\n".join(lines) + "\n"


def _has(rows: Sequence[dict], printed: Mapping[str, Any]) -> bool:
    place = ("set", "scale", "kernels", "method")
    return any(all(row[name] == printed[name] for name in place) and "printed_psnr_y" in row for row in rows)


def _without(rows: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != key} for row in rows]


def write(
    folder: str,
    plan: Plan,
    about: Mapping[str, Any],
    rows: Sequence[dict],
    found: Sequence[dict],
    methods: Sequence[dict],
    failures: Sequence[dict] = (),
) -> str:
    """Writes table.md, table.csv, table.json and the page; returns the Markdown.

    Args:
      folder: of the table.
      plan: what was to be measured.
      about: of `header`, and what else of it should be kept in table.json.
      rows: of `make_rows`.
      found: the cells that they are made of.
      methods: of `reproduction.describe`.
      failures: rows of what failed, for the page.
    """
    words = to_markdown(plan, about, rows, methods)
    io.write_text(os.path.join(folder, "table.md"), words)
    io.write_csv(os.path.join(folder, "table.csv"), list(rows))
    document = {"about": about, "rows": list(rows), "printed": printed_rows(plan.table), "cells": list(found)}
    io.write_json(os.path.join(folder, "table.json"), document)
    shown = {
        "failures": failures,
        "measured": _without(rows, "measured"),
        "measured on": [{**about, "images": ", ".join(f"{x} {n} of {m}" for x, (n, m) in about["images"].items())}],
        "printed": _without(printed_rows(plan.table), "measured"),
        "methods": methods,
        "solves": _without(found, "digest"),
    }
    shown["measured on"] = _without(shown["measured on"], "data")
    shown = {caption: found for caption, found in shown.items() if found}
    report.write_page(os.path.join(folder, "index.html"), title=plan.table.title, tables=shown)
    return words
