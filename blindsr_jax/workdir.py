"""The files of a solve: one record an image, and the lists and the page derived from the records."""

import contextlib
import errno
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

import blindsr_jax
from blindsr_jax import io, report
from blindsr_jax.problem import Result, Spec
from blindsr_jax.stopping import StoppedError

FAILURES = ("failed", "diverged")  # states without an image
FOLDERS = ("images", "inputs", "kernels", "figures", "records")
OUTPUTS = (*((kind, ".png") for kind in FOLDERS[:-1]), ("kernels", ".npy"))
UNCERTAINTY = ("uncertainty", ".png"), ("uncertainty", ".npy")  # of methods that know it; its folder is made then
# With these, writing another image would fail as well.
_HOPELESS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.EIO)


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
        "input": None,
        "sha256": None,
    }


@contextlib.contextmanager
def writing(workdir: str) -> Iterator[None]:
    """Around writes: where none can succeed (a full disk), the run stops, rather than solve images for nothing.

    Raises:
      StoppedError: the disk is full or the folder cannot be written any more.
      OSError: another error, of one file.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _HOPELESS:
            raise
        message = f"stopped: {workdir!r} cannot be written ({error.strerror}); what is finished is kept, "
        raise StoppedError(message + "the same command goes on from there", 1) from error


def add_note(record: dict[str, Any], *notes: str) -> None:
    """Adds sentences to the message of a record."""
    record["message"] = "; ".join(filter(None, (record["message"], *notes)))


def write_result(
    workdir: str,
    record: dict[str, Any],
    source: io.Image,
    result: Result,
    *,
    second_try: bool = False,
    rates: Sequence[str] = (),
) -> None:
    """Writes what a solve found, with a sentence in the record unless all went well.

    Args:
      workdir: folder of the results.
      record: of the image.
      source: the LR image.
      result: what was found.
      second_try: whether this is that of a second try.
      rates: the learning rates that a config can set, see `methods.rate_options`.
    """
    lost = "the losses stopped being finite or exploded"
    if result.status == "diverged":
        again = ", in a second try too" if second_try else ""
        advice = f", try a smaller {' or '.join(f'--config.{name}' for name in rates)}" if rates else ""
        write_failure(workdir, record, lost + again + advice, status="diverged")
        return
    if result.status == "recovered":
        add_note(record, f"{lost}, a second try with smaller steps and other random numbers went well")
    write_outputs(workdir, record, source, result)


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
    if result.uncertainty is not None:
        write_uncertainty(workdir, record, np.asarray(result.uncertainty))
    write_record(workdir, record)


def write_uncertainty(workdir: str, record: dict[str, Any], spread: np.ndarray) -> None:
    """Writes the standard deviation (s h, s w) of each pixel as numbers and as a picture, its mean into the record."""
    os.makedirs(os.path.join(workdir, "uncertainty"), exist_ok=True)
    for kind, suffix in UNCERTAINTY:
        path = output_path(workdir, kind, record["name"], suffix)
        report.write_map(path, spread) if suffix == ".png" else io.write_array(path, spread)
    record["uncertainty"] = float(f"{spread.mean():.6g}")


def write_failure(workdir: str, record: dict[str, Any], message: str, *, status: str = "failed") -> None:
    """Writes the record of an image without a result; what an earlier run left under its name goes away."""
    record["status"] = status
    add_note(record, message)
    name = record["name"]
    try:
        with writing(workdir):
            remove_outputs(workdir, name)
            write_record(workdir, record)
    except OSError:  # a name that is too long, say: the record still stands in the list of all
        pass


def remove_outputs(workdir: str, name: str) -> None:
    """Deletes an image's outputs; its record stays."""
    for kind, suffix in (*OUTPUTS, *UNCERTAINTY):
        Path(output_path(workdir, kind, name, suffix)).unlink(missing_ok=True)


def has_outputs(workdir: str, record: dict[str, Any]) -> bool:
    """Whether all outputs that a record promises are there."""
    if record["status"] in FAILURES:
        return True
    promised = (*OUTPUTS, *UNCERTAINTY) if "uncertainty" in record else OUTPUTS
    return all(os.path.isfile(output_path(workdir, kind, record["name"], suffix)) for kind, suffix in promised)


def read_records(workdir: str) -> dict[str, dict[str, Any]]:
    """All records in WORKDIR/records by name; a damaged one counts as missing."""
    records = {}
    for path in Path(workdir, "records").glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(path.read_text())
            if isinstance(record, dict) and record.get("name") == path.stem:
                records[path.stem] = record
    return records


def write_record(workdir: str, record: dict[str, Any]) -> None:
    """Writes WORKDIR/records/NAME.json."""
    io.write_json(output_path(workdir, "records", record["name"], ".json"), record)


def write_summary(workdir: str, records: list[dict[str, Any]]) -> None:
    """Writes results.json, results.csv and index.html from the records."""
    io.write_json(os.path.join(workdir, "results.json"), records)
    io.write_csv(os.path.join(workdir, "results.csv"), records)
    write_page(workdir, records)


class Summary:
    """The summary of a growing set of records; written anew at most for a twentieth of the time."""

    def __init__(self, workdir: str, records: Mapping[str, dict[str, Any]]):
        self._workdir, self._records = workdir, dict(records)
        self._changed, self._due = not self._is_written(), 0.0

    def _sorted(self) -> list[dict[str, Any]]:
        return sorted(self._records.values(), key=lambda record: (record.get("input") or "", record["name"]))

    def _is_written(self) -> bool:
        """Whether the files show these records already: an evaluation may have added its scores to the page."""
        try:
            old = json.loads(Path(self._workdir, "results.json").read_text())
        except (OSError, ValueError):
            return False
        names = ("results.csv", "index.html")
        return old == self._sorted() and all(os.path.isfile(os.path.join(self._workdir, name)) for name in names)

    def add(self, record: dict[str, Any]) -> None:
        """Takes a new record."""
        self._records[record["name"]] = record
        self._changed = True
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Writes what has changed."""
        if self._changed:
            begin = time.monotonic()
            with writing(self._workdir):
                write_summary(self._workdir, self._sorted())
            self._changed, self._due = False, begin + 20 * (time.monotonic() - begin)


def write_page(
    workdir: str,
    records: list[dict[str, Any]],
    *,
    scores: Mapping[str, dict] = MappingProxyType({}),
    hr: Mapping[str, Path] = MappingProxyType({}),
    kernels: Mapping[str, Path] = MappingProxyType({}),
) -> None:
    """Writes index.html: the results, and scores and truth where an evaluation knows them.

    Args:
      workdir: folder of the solve.
      records: its records.
      scores: a row of scores.json a name.
      hr: the sharp image a name.
      kernels: the true kernel's file a name.
    """
    entries = [
        page_entry(workdir, record, scores=scores.get(name, {}), hr=hr.get(name), kernel=kernels.get(name))
        for record in records
        for name in [record["name"]]
    ]
    title = f"{records[0]['config']}, x{records[0]['scale']}" if records else "no results"
    report.write_page(os.path.join(workdir, "index.html"), title=title, entries=entries)


def page_entry(
    workdir: str,
    record: dict[str, Any],
    *,
    scores: Mapping[str, Any] = MappingProxyType({}),
    hr: Path | None = None,
    kernel: Path | None = None,
) -> dict[str, Any]:
    """What the page shows of one record; `hr` and `kernel` are files of the truth, where it is known."""
    name = record["name"]
    shown = ("status", "scale", "boundary", "seconds", "compile_seconds", "steps", "loss", "uncertainty")
    values = {key: record.get(key) for key in shown} | {key: value for key, value in scores.items() if key != "name"}
    pictures = [
        ("LR image, enlarged by bicubic", output_path(workdir, "inputs", name)),
        (f"result, x{record['scale']}", output_path(workdir, "images", name)),
        ("kernel", output_path(workdir, "kernels", name)),
        ("uncertainty", output_path(workdir, "uncertainty", name)),
    ]
    if hr is not None:
        pictures.insert(2, ("truth", hr))
    if kernel is not None:
        drawn = output_path(workdir, "truth", name)
        with contextlib.suppress(io.InputError):  # a broken one has been reported where it was scored
            io.kernel_png(drawn, io.read_kernel(kernel))
            pictures.append(("true kernel", drawn))
    return {
        "name": name,
        "text": record["message"],
        "bad": record["status"] in FAILURES,
        "values": {key: value for key, value in values.items() if value is not None},
        "pictures": [(caption, file) for caption, file in pictures if Path(file).is_file()],
    }
