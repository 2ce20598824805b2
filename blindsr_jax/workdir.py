"""The files of a solve: one record an image, and the lists and the page derived from the records."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

import blindsr_jax
from blindsr_jax import io, report
from blindsr_jax.problem import Result, Spec


def output_path(workdir: str, kind: str, name: str, suffix: str = ".png") -> str:
    """Where an output stands: WORKDIR/KIND/NAME.SUFFIX."""
    return os.path.join(workdir, kind, name + suffix)


def new_record(name: str, *, spec: Spec, config: str, seed: int) -> dict[str, Any]:
    """A record with every key of the contract, to be filled in."""
    return {
        "name": name,
        "status": "failed",
        "message": "",
        "scale": spec.scale,
        "boundary": spec.boundary,
        "kernel_center": spec.kernel_center,
        "config": config,
        "seed": seed,
        "seconds": None,
        "compile_seconds": None,
        "steps": 0,
        "loss": None,
        "confidence": None,
        "versions": {"blindsr_jax": blindsr_jax.__version__, "jax": jax.__version__},
    }


def write_outputs(workdir: str, record: dict[str, Any], source: io.Image, result: Result) -> None:
    """Writes image, kernel, figure and then the record, so that a record means that all the rest is there."""
    name, scale = record["name"], record["scale"]
    pixels, kernel = np.asarray(result.image), np.asarray(result.kernel)
    enlarged = io.bicubic_enlarge(source.pixels, scale)
    alpha = None if source.alpha is None else io.bicubic_enlarge(source.alpha, scale)
    io.write_image(output_path(workdir, "images", name), io.Image(pixels, alpha, source.bits))
    io.write_image(output_path(workdir, "inputs", name), io.Image(enlarged, alpha, source.bits))
    io.write_kernel(output_path(workdir, "kernels", name, ".npy"), kernel)
    io.kernel_png(output_path(workdir, "kernels", name), kernel)
    report.write_figure(
        output_path(workdir, "figures", name),
        enlarged=enlarged,
        image=pixels,
        kernel=kernel,
        trace=result.trace,
        name=name,
    )
    write_record(workdir, record)


def write_record(workdir: str, record: dict[str, Any]) -> None:
    """Writes WORKDIR/records/NAME.json."""
    io.write_json(output_path(workdir, "records", record["name"], ".json"), record)


def write_summary(workdir: str, records: list[dict[str, Any]], *, title: str) -> None:
    """Writes results.json, results.csv and index.html from the records."""
    io.write_json(os.path.join(workdir, "results.json"), records)
    io.write_csv(os.path.join(workdir, "results.csv"), records)
    entries = [page_entry(workdir, record) for record in records]
    report.write_page(os.path.join(workdir, "index.html"), title=title, entries=entries)


def page_entry(workdir: str, record: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of one record."""
    shown = ("status", "scale", "boundary", "seconds", "compile_seconds", "steps", "loss")
    pictures = [
        ("LR image, enlarged by bicubic", output_path(workdir, "inputs", record["name"])),
        (f"result, x{record['scale']}", output_path(workdir, "images", record["name"])),
        ("kernel", output_path(workdir, "kernels", record["name"])),
    ]
    return {
        "name": record["name"],
        "text": record["message"],
        "bad": record["status"] == "failed",
        "values": {key: record[key] for key in shown if record[key] is not None},
        "pictures": [(caption, file) for caption, file in pictures if Path(file).is_file()],
    }
