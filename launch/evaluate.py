r"""Scores results against the truth. The truth is read here and nowhere else.

python launch/evaluate.py --results=out/set/solved --hr=out/set/hr --kernels=out/set/kernels --scale=4
"""

import math
import os
import sys
from pathlib import Path

import numpy as np
from absl import flags

from blindsr_jax import io
from blindsr_jax.evaluation import metrics
from blindsr_jax.io import durable
from blindsr_jax.runs import cli, ownership, summary
from blindsr_jax.runs.outputs import output_path
from blindsr_jax.runs.records import Record, read_records, require_records

_RESULTS = flags.DEFINE_string("results", None, "Workdir of a solve; scores.json is written there.")
_HR = flags.DEFINE_string("hr", None, "Folder of the sharp images, matched by stem.")
_KERNELS = flags.DEFINE_string("kernels", None, "Folder of the true kernels (.npy or .mat), matched by stem.")
_SCALE = flags.DEFINE_integer("scale", None, "Enlargement.", lower_bound=1, upper_bound=8)
_BORDER = flags.DEFINE_integer("border", None, "Pixels cut off each side; default the scale.", lower_bound=0)
_IMAGES = flags.DEFINE_string("images", None, "Folder of the images to score; default RESULTS/images.")
flags.mark_flags_as_required(["results", "scale"])

# Where stems collide, the first kind wins.
IMAGES = (".png", ".tif", ".tiff", ".npy", ".bmp", ".ppm", ".pgm", ".jp2", ".tga", ".webp", ".gif", ".jpg", ".jpeg")
KERNELS = (".npy", ".mat")
DRAWN = os.path.join("truth", ".drawn.json")  # names of the true kernels that have been drawn beside it


def folder_by_stem(folder: str | None, flag: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Files of some kinds in a folder by their stem, sorted."""
    if folder is None:
        return {}
    if not os.path.isdir(folder):
        raise cli.UsageError(f"--{flag}: {folder!r} is not a folder, expected one")
    files = [f for f in sorted(Path(folder).iterdir()) if f.suffix.lower() in suffixes and not f.name.startswith(".")]
    found = {}
    for file in sorted(files, key=lambda f: suffixes.index(f.suffix.lower())):
        found.setdefault(file.stem, file)
    return dict(sorted(found.items()))


def find_images() -> dict[str, Path]:
    """The images to score by their stem."""
    folder = _IMAGES.value or os.path.join(_RESULTS.value, "images")
    flag = "images" if _IMAGES.value else "results"
    images = folder_by_stem(folder, flag, IMAGES)
    if not images:
        raise cli.UsageError(f"--{flag}: {folder!r} holds no images, expected those to score")
    return images


def check_promise(path: Path, record: Record | None, sha256: str | None = None) -> None:
    """Refuses an output that is not the file that its record speaks of; `sha256` is of the file, where it is known."""
    outputs = (record and record.outputs) or {}
    promised = outputs.get(f"{path.parent.name}/{path.name}")
    if promised is not None and promised["sha256"] != (sha256 or durable.contents(path).sha256):
        raise io.InputError(
            f"cannot score {str(path)!r}: it is damaged or has been replaced, the file of its record was expected; "
            "delete it, and the command that made it makes it again"
        )


def score_image(path: Path, hr_path: Path, record: Record | None, scale: int, border: int) -> dict[str, float]:
    """PSNR-Y and SSIM-Y of a file; the HR image is cut to multiples of the scale."""
    source = io.read_image(path)
    check_promise(path, record, source.sha256)
    image, hr = (np.asarray(x.pixels, np.float64) for x in (source, io.read_image(hr_path)))
    h, w = (n // scale * scale for n in hr.shape[:2])
    if image.shape[:2] != (h, w):
        found = f"{image.shape[1]} x {image.shape[0]} pixels"
        raise io.InputError(f"cannot score {str(path)!r}: {found}, {w} x {h} as in {str(hr_path)!r} were expected")
    return metrics.score_image(image, hr[:h, :w], border=border)


def score(
    image: Path, hr: Path | None, kernel: Path | None, truth: Path | None, record: Record | None
) -> dict[str, float]:
    """The scores of one result that can be known; the record is that of the solve, where there is one."""
    scale, row = _SCALE.value, {}
    if hr is not None:
        row |= score_image(image, hr, record, scale, scale if _BORDER.value is None else _BORDER.value)
    if kernel is not None and truth is not None:
        check_promise(kernel, record)
        row |= metrics.score_kernel(io.read_kernel(kernel), io.read_kernel(truth))
    return row


def mean_of(rows: list[dict]) -> dict:
    """Mean of each score over the images that have a finite one, null where none has."""
    columns = {key: [row[key] for row in rows] for key in metrics.SCORES}
    finite = {key: [v for v in values if v is not None and math.isfinite(v)] for key, values in columns.items()}
    return {key: float(np.mean(values)) if values else None for key, values in finite.items()}


def read_results(folder: str) -> list[Record] | None:
    """The records that the page of the solve shows; None where there is none, or other images are scored."""
    if _IMAGES.value is not None or not os.path.lexists(os.path.join(folder, "results.json")):
        return None
    try:
        return require_records(folder)
    except io.InputError as error:
        raise cli.UsageError(cli.one_line(error)) from error


def is_scores(folder: str) -> bool:
    """Whether the scores.json of a folder is that of an earlier evaluation."""
    scores = ownership.read_json(os.path.join(folder, "scores.json"))
    return isinstance(scores, dict) and {"images", "mean"} <= scores.keys()


def check_ownership(folder: str, images: dict, truths: dict, kernel_truths: dict) -> None:
    """Refuses a folder where what is written would take the place of an input or of somebody's file."""
    drawn = [name for name in images if name in kernel_truths]
    inputs = [*images.values(), *truths.values(), *kernel_truths.values()]
    outputs = ["scores.json", "index.html", *(f"truth/{name}.png" for name in drawn)]
    ownership.check_inputs(inputs, folder, outputs=outputs, flag="results")
    ownership.check_folder(folder, ownership.Layout("evaluation", ("scores.json",), (), is_scores), flag="results")
    ownership.check_no_link(os.path.join(folder, "truth"), folder, flag="results")
    scores = ownership.read_json(os.path.join(folder, "scores.json")) or {}
    known = ownership.noted_names(folder, DRAWN, flag="results") | (ownership.names_in(scores.get("images")) or set())
    ownership.check_new(drawn, known, lambda name: [output_path(folder, "truth", name)], folder, flag="results")


def refresh_page(folder: str, records: list[Record], rows: list[dict], truths: dict, kernel_truths: dict) -> None:
    """Shows scores and truth on the page of the solve."""
    if kernel_truths:
        ownership.note_names(folder, {r["name"] for r in rows} & kernel_truths.keys(), DRAWN)
    summary.write_page(folder, records, scores={r["name"]: r for r in rows}, hr=truths, kernels=kernel_truths)


def main() -> int:
    """Writes scores.json and prints the mean."""
    images = find_images()
    truths, kernel_truths = folder_by_stem(_HR.value, "hr", IMAGES), folder_by_stem(_KERNELS.value, "kernels", KERNELS)
    check_ownership(_RESULTS.value, images, truths, kernel_truths)
    folder = cli.make_workdir(_RESULTS.value, flag="results")
    results, records = read_results(folder), {} if _IMAGES.value else read_records(folder)
    estimates = os.path.join(folder, "kernels")
    kernels = folder_by_stem(estimates, "results", KERNELS) if os.path.isdir(estimates) else {}
    rows, failed = [], 0
    for name, image in images.items():
        rows.append({"name": name, **dict.fromkeys(metrics.SCORES)})
        try:
            truth = truths.get(name), kernels.get(name), kernel_truths.get(name)
            rows[-1] |= score(image, *truth, records.get(name))
        except Exception as error:  # whatever ails one image, the others go on
            failed += 1
            print(cli.failure(image, error), file=sys.stderr)
    for flag, found in (("hr", truths), ("kernels", kernel_truths)):
        lacking = len(images.keys() - found.keys())
        if lacking and flags.FLAGS[flag].value is not None:
            print(f"--{flag} has no file for {lacking} of {len(images)} images", file=sys.stderr)
    scores = {"images": rows, "mean": mean_of(rows)}
    io.write_json(os.path.join(folder, "scores.json"), scores)
    if results is not None and ownership.is_solve(folder):
        refresh_page(folder, results, rows, truths, kernel_truths)
    print(", ".join(f"{key} {value:.4g}" for key, value in scores["mean"].items() if value is not None) or "no scores")
    return cli.SOME_FAILED if failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
