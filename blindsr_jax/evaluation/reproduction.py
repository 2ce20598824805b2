"""A table of a paper from what was measured: rows with the printed numbers beside them, as Markdown, CSV and JSON."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from blindsr_jax import io
from blindsr_jax.config import load_method
from blindsr_jax.evaluation import benchmark_sets, cells, tables
from blindsr_jax.evaluation.benchmark_sets import Group, Part
from blindsr_jax.evaluation.protocols import Method, Table
from blindsr_jax.evaluation.published import UNKNOWN
from blindsr_jax.io import durable
from blindsr_jax.methods import build

TITLES = {
    "psnr_y": "PSNR-Y",
    "ssim_y": "SSIM-Y",
    "kernel_psnr": "kernel PSNR",
    "seconds": "s",
    "estimated_memory_mb": "MiB",
}
_KERNEL_KEYS = ("kernel_psnr",)


class Plan(NamedTuple):
    """What is to be measured of a table."""

    table: Table
    part: Part
    num_seeds: int
    num_steps: int | None  # the most steps of a stage; None: those of the configs
    weights: Mapping[str, str]  # by label of a method, the file that it needs

    @property
    def is_printed_problem(self) -> bool:
        """Whether rows of whole sets may stand beside printed numbers."""
        return self.part == Part() and self.num_steps is None


def choose(plan: Plan, labels: Sequence[str] | None) -> tuple[Method, ...]:
    """The methods of a table that are measured; raises ValueError where a label is none of them."""
    known = [method.label for method in plan.table.methods]
    for label in (*(labels or ()), *plan.weights):
        if label not in known:
            raise ValueError(f"{label!r} is no method of {plan.table.name}, expected one of {', '.join(known)}")
    chosen = [m for m in plan.table.methods if labels is None or m.label in labels]
    return tuple(m for m in chosen if m.needs is None or m.label in plan.weights)


def name_of(method: Method) -> str:
    """Of a method's cells."""
    return method.label + (tables.CEILING if method.is_ceiling else "")


def _shorten(config: ConfigDict, most: int) -> None:
    """Lowers the numbers of steps of a config, in place."""
    if config.get("restorer") is None:
        config.num_steps, config.ssim_steps = min(config.num_steps, most), min(config.ssim_steps, most)
        return
    for role in ("estimator", "restorer"):
        name = config[role]
        if name != "given" and build.default_steps(config, role) > most:
            config[f"{role}s"][name].num_steps = most
    config.num_steps = build.num_steps(config)


def make_config(plan: Plan, method: Method, scale: int) -> ConfigDict:
    """The config of a method at a scale; raises ValueError where a value is wrong."""
    values = dict(method.values)
    if method.label in plan.weights:
        values[method.needs or _weights_option(method)] = weights_file(plan, method, scale)
    place = {"boundary": benchmark_sets.BOUNDARY, "kernel_center": benchmark_sets.CENTER}
    size = plan.table.kernel_sizes.get(scale)
    if size is not None:
        values["kernel_size"] = size
    config = cells.prepare(load_method(method.config), is_ceiling=method.is_ceiling, values=values, **place)
    if plan.num_steps is not None:
        _shorten(config, plan.num_steps)
    return config


def weights_file(plan: Plan, method: Method, scale: int) -> str:
    """The file of --weights for a method at a scale."""
    return plan.weights[method.label].replace("{scale}", str(scale))


def weights_hashes(plan: Plan, scale: int, methods: Sequence[Method]) -> dict[str, str]:
    """SHA-256 of the files of --weights at a scale, by the names of cells.

    Raises:
      InputError: one cannot be read.
    """
    chosen = [m for m in methods if m.label in plan.weights and (m.scales is None or scale in m.scales)]
    return {name_of(m): durable.contents(io.find_inputs(weights_file(plan, m, scale))[0]).sha256 for m in chosen}


def _weights_option(method: Method) -> str:
    """Which value a file of --weights is for, where the method has trained weights but does not need others."""
    config = load_method(method.config)
    if config.get("estimator") is not None:
        return f"estimators.{config.estimator}.weights"
    return "kernel.weights" if config.kernel.name == "flow" else "image.weights"


def groups_configs(plan: Plan, group: Group, methods: Sequence[Method]) -> dict[str, ConfigDict]:
    """The configs of the methods that know a scale, by the names of their cells."""
    chosen = [m for m in methods if m.scales is None or group.scale in m.scales]
    return {name_of(m): make_config(plan, m, group.scale) for m in chosen}


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
        scores = _score_row(runs, table.keys)
        if method is not None and not method.has_kernel:
            scores |= {
                f"{key}{end}": None for key in _KERNEL_KEYS if key in table.keys for end in ("", "_se", "_seed_se")
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
    return f"cpu, {cores} cores" if device.platform == "cpu" else f"{device.platform}, {device.device_kind}"


def header(plan: Plan, groups: Sequence[Group], counts: Mapping[str, int], missing: Sequence[str]) -> dict[str, Any]:
    """What the numbers of a table were measured on."""
    whole = benchmark_sets.IMAGES
    return {
        "table": plan.table.name,
        "images": {name: [counts.get(name, 0), whole[name]] for name in dict.fromkeys(g.dataset for g in groups)},
        "missing_sets": list(missing),
        "limit": plan.part.limit,
        "crop": plan.part.crop,
        "seeds": plan.num_seeds,
        "num_steps": plan.num_steps,
        "device": device_class(),
        "jax": jax.__version__,
        "numpy": np.__version__,
    }


def _number(row: Mapping[str, Any], key: str) -> str:
    value, error = row.get(key), row.get(f"{key}_se")
    if value is None:
        return ""
    digits = 4 if "ssim" in key else 2
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
    lines += _markdown_table(rows, _known(rows, [*table.keys, *printed_keys, "difference"]), titles, counts=True)
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
    lines += [f"| {m['method']} | {m['config']} | {m['values']} | {m['steps']} |" for m in methods]
    return "\n".join(lines) + "\n"


def _has(rows: Sequence[dict], printed: Mapping[str, Any]) -> bool:
    place = ("set", "scale", "kernels", "method")
    return any(all(row[name] == printed[name] for name in place) and "printed_psnr_y" in row for row in rows)


def write(
    folder: str,
    plan: Plan,
    about: Mapping[str, Any],
    rows: Sequence[dict],
    found: Sequence[dict],
    methods: Sequence[dict],
) -> str:
    """Writes table.md, table.csv and table.json; returns the Markdown."""
    words = to_markdown(plan, about, rows, methods)
    io.write_text(os.path.join(folder, "table.md"), words)
    io.write_csv(os.path.join(folder, "table.csv"), list(rows))
    document = {"about": about, "rows": list(rows), "printed": printed_rows(plan.table), "cells": list(found)}
    io.write_json(os.path.join(folder, "table.json"), document)
    return words
