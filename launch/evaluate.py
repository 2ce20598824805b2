r"""Scores results against the truth. The truth is read here and nowhere else.

python launch/evaluate.py --results=out/set/solved --hr=out/set/hr --kernels=out/set/kernels --scale=4
"""

import json
import os
from pathlib import Path

import numpy as np
from absl import flags

from blindsr_jax import cli, io, metrics, workdir

_RESULTS = flags.DEFINE_string("results", None, "Workdir of a solve; scores.json is written there.")
_HR = flags.DEFINE_string("hr", None, "Folder of the sharp images, matched by stem.")
_KERNELS = flags.DEFINE_string("kernels", None, "Folder of the true kernels (.npy or .mat), matched by stem.")
_SCALE = flags.DEFINE_integer("scale", None, "Enlargement.")
_BORDER = flags.DEFINE_integer("border", None, "Pixels cut off each side before scoring; default the scale.")
_IMAGES = flags.DEFINE_string("images", None, "Folder of the images to score; default RESULTS/images.")
flags.mark_flags_as_required(["results", "scale"])

KEYS = ("psnr_y", "ssim_y", "kernel_psnr", "kernel_correlation", "kernel_mean_error", "kernel_cov_error")


def folder_by_stem(folder: str | None, flag: str, suffixes: tuple[str, ...] | None = None) -> dict[str, Path]:
    """Files of a folder by their stem; where stems collide, the first of `suffixes` wins."""
    if folder is None:
        return {}
    if not os.path.isdir(folder):
        raise cli.UsageError(f"--{flag}={folder} is not a folder")
    files = [f for f in sorted(Path(folder).iterdir()) if f.is_file() and not f.name.startswith(".")]
    if suffixes:
        files = sorted((f for f in files if f.suffix in suffixes), key=lambda f: suffixes.index(f.suffix))
    found = {}
    for file in files:
        found.setdefault(file.stem, file)
    return found


def score_image(path: Path, hr_path: Path, scale: int, border: int) -> dict[str, float]:
    """PSNR-Y and SSIM-Y of a file; the HR image is cut to multiples of the scale."""
    image, hr = (np.asarray(io.read_image(p).pixels, np.float64) for p in (path, hr_path))
    h, w = (n // scale * scale for n in hr.shape[:2])
    if image.shape[:2] != (h, w):
        raise io.InputError(f"{path}: {image.shape[1]} x {image.shape[0]} pixels, expected {w} x {h} as in {hr_path}")
    return metrics.score_image(image, hr[:h, :w], border=border)


def score(name: str, image: Path, hr: Path | None, kernel: Path | None, truth: Path | None) -> dict:
    """All scores of one result; null where the truth is unknown."""
    scale = _SCALE.value
    row = {"name": name, **dict.fromkeys(KEYS)}
    if hr is not None:
        row |= score_image(image, hr, scale, scale if _BORDER.value is None else _BORDER.value)
    if kernel is not None and truth is not None:
        row |= metrics.score_kernel(io.read_kernel(kernel), io.read_kernel(truth))
    return row


def mean_of(rows: list[dict]) -> dict:
    """Mean of each score over the images that have it, null where none has."""
    columns = {key: [row[key] for row in rows if row[key] is not None] for key in KEYS}
    return {key: float(np.mean(values)) if values else None for key, values in columns.items()}


def refresh_page(folder: str, rows: list[dict], truths: dict, kernel_truths: dict) -> None:
    """Shows scores and truth on the page of the solve, where there is one."""
    path = os.path.join(folder, "results.json")
    if _IMAGES.value is None and os.path.isfile(path):
        with open(path) as file:
            records = json.load(file)
        workdir.write_page(folder, records, scores={r["name"]: r for r in rows}, hr=truths, kernels=kernel_truths)


def main() -> int:
    """Writes scores.json and prints the mean."""
    if _SCALE.value not in range(1, 9):
        raise cli.UsageError(f"--scale={_SCALE.value} is out of range, expected 1 to 8")
    if _BORDER.value is not None and _BORDER.value < 0:
        raise cli.UsageError(f"--border={_BORDER.value} is negative, expected at least 0")
    images = folder_by_stem(
        _IMAGES.value or os.path.join(_RESULTS.value, "images"), "images" if _IMAGES.value else "results"
    )
    if not images:
        raise cli.UsageError(f"{_IMAGES.value or _RESULTS.value} holds no images to score")
    folder = cli.make_workdir(_RESULTS.value)
    truths, kernel_truths = folder_by_stem(_HR.value, "hr"), folder_by_stem(_KERNELS.value, "kernels", (".npy", ".mat"))
    estimates = os.path.join(folder, "kernels")
    kernels = folder_by_stem(estimates, "results", (".npy", ".mat")) if os.path.isdir(estimates) else {}
    rows, failed = [], 0
    for name, image in images.items():
        try:
            rows.append(score(name, image, truths.get(name), kernels.get(name), kernel_truths.get(name)))
        except io.InputError as error:
            failed += 1
            print(cli.one_line(error), flush=True)
            rows.append({"name": name, **dict.fromkeys(KEYS)})
    scores = {"images": rows, "mean": mean_of(rows)}
    io.write_json(os.path.join(folder, "scores.json"), scores)
    refresh_page(folder, rows, truths, kernel_truths)
    print(", ".join(f"{key} {value:.4g}" for key, value in scores["mean"].items() if value is not None))
    return cli.SOME_FAILED if failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
