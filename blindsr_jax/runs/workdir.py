"""The files of a solve: one record an image, and the lists and the page derived from the records."""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

import blindsr_jax
from blindsr_jax import io
from blindsr_jax.imaging.problem import Result, Spec
from blindsr_jax.io import documents, durable
from blindsr_jax.runs import ownership, report, schemas
from blindsr_jax.runs.signals import StoppedError

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
    return documents.new(
        schemas.RECORD_KEYS,
        name=name,
        scale=spec.scale,
        boundary=spec.boundary,
        kernel_center=spec.kernel_center,
        config=config,
        seed=seed,
        versions={"blindsr_jax": blindsr_jax.__version__, "jax": jax.__version__},
    )


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
    """Writes image, kernel, figure and then the record, so that a record means that all the rest is there.

    The rest is on the disk itself before the record is written, and the record when this returns.
    """
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
    promised = outputs(workdir, record)
    found = durable.settle(promised.values())
    record["outputs"] = {name: found[path]._asdict() for name, path in promised.items()}
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
    record.update(status=status, outputs=None)
    add_note(record, message)
    name = record["name"]
    try:
        with writing(workdir):
            if owns_outputs(workdir, name):
                remove_outputs(workdir, name)
            write_record(workdir, record)
    except OSError:  # a name that is too long, say: the record still stands in the list of all
        pass


def remove_outputs(workdir: str, name: str) -> None:
    """Deletes the outputs of an image that a record or a state names; its record stays."""
    for kind, suffix in (*OUTPUTS, *UNCERTAINTY):
        Path(output_path(workdir, kind, name, suffix)).unlink(missing_ok=True)


def owns_outputs(workdir: str, name: str) -> bool:
    """Whether outputs of an image are ours: it is noted, or has a record, which of a failure promises none."""
    record = documents.read(output_path(workdir, "records", name, ".json"), schemas.RECORD)
    return ownership.is_noted(workdir, name) or record is not None and record["status"] not in FAILURES


def output_paths(workdir: str, name: str) -> list[str]:
    """All files that a solve may write for an image, its record left out."""
    return [output_path(workdir, kind, name, suffix) for kind, suffix in (*OUTPUTS, *UNCERTAINTY)]


def outputs(workdir: str, record: Mapping[str, Any]) -> dict[str, str]:
    """The outputs that an image with this record has: KIND/NAME.SUFFIX -> path."""
    kinds = (*OUTPUTS, *UNCERTAINTY) if "uncertainty" in record else OUTPUTS
    name = record["name"]
    return {f"{kind}/{name}{suffix}": output_path(workdir, kind, name, suffix) for kind, suffix in kinds}


def has_outputs(workdir: str, record: Mapping[str, Any]) -> bool:
    """Whether all outputs of a record are there, of the sizes that it says (any but 0 in records of old)."""
    if record["status"] in FAILURES:
        return True
    sizes = {name: durable.size(path) for name, path in outputs(workdir, record).items()}
    if (promised := record.get("outputs")) is None:
        return all(sizes.values())
    return sizes == {name: contents["bytes"] for name, contents in promised.items()}


def read_records(workdir: str) -> dict[str, dict[str, Any]]:
    """All records in WORKDIR/records by name; a damaged one counts as missing."""
    found = {}
    for path in Path(workdir, "records").glob("*.json"):
        record = documents.read(path, schemas.RECORD)
        if record is not None and record["name"] == path.stem:
            found[path.stem] = record
    return found


def write_record(workdir: str, record: dict[str, Any]) -> None:
    """Writes WORKDIR/records/NAME.json."""
    io.write_json(output_path(workdir, "records", record["name"], ".json"), record)


def write_summary(workdir: str, records: list[dict[str, Any]]) -> None:
    """Writes results.json, results.csv (without the digests of outputs) and index.html from the records."""
    io.write_json(os.path.join(workdir, "results.json"), records)
    rows = [{key: value for key, value in record.items() if key != "outputs"} for record in records]
    io.write_csv(os.path.join(workdir, "results.csv"), rows)
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
        path = os.path.join(self._workdir, "results.json")
        old = documents.read(path, documents.anything, limit=documents.LIST_BYTES)
        return old == self._sorted() and all(
            durable.size(os.path.join(self._workdir, name)) for name in ("results.csv", "index.html")
        )

    def add(self, record: dict[str, Any]) -> None:
        """Takes a new record."""
        self._records[record["name"]] = record
        self._changed = True
        if time.monotonic() >= self._due:
            self._write()

    def write(self) -> None:
        """Writes what has changed; where it cannot be written, a line on stderr says why.

        Raises:
          StoppedError: the disk is full or the folder cannot be written any more.
        """
        if (error := self._write()) is not None:
            reason = f"{type(error).__name__}, {' '.join(str(error).split())}"
            print(f"the lists of {self._workdir!r} cannot be written: {reason}; the results are there", file=sys.stderr)

    def _write(self) -> Exception | None:
        """Writes what has changed; returns what is in the way, as no image must be lost for a list of all of them."""
        if not self._changed:
            return None
        begin, failure = time.monotonic(), None
        try:
            with writing(self._workdir):
                write_summary(self._workdir, self._sorted())
            self._changed = False
        except StoppedError:
            raise
        except Exception as error:
            failure = error
        self._due = begin + 20 * (time.monotonic() - begin)
        return failure


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
