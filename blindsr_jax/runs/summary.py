"""The lists and the page of all images of a solve, which can be written from their records at any time."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from blindsr_jax import io
from blindsr_jax.io import documents, durable
from blindsr_jax.runs import outputs, report, views
from blindsr_jax.runs.records import Record, in_order
from blindsr_jax.runs.signals import StoppedError
from blindsr_jax.runs.workdir import writing

# Keys of a record that the page tells elsewhere, or not at all.
_UNSHOWN = ("name", "message", "outputs", "versions", "sha256", "input")


def write_summary(workdir: str, records: list[Record]) -> None:
    """Writes results.json, results.csv (without the digests of outputs) and index.html from the records."""
    rows = [record.to_json() for record in records]
    io.write_json(os.path.join(workdir, "results.json"), rows)
    rows = [{key: value for key, value in row.items() if key != "outputs"} for row in rows]
    io.write_csv(os.path.join(workdir, "results.csv"), rows)
    write_page(workdir, records)


class Summary:
    """The summary of a growing set of records; written anew at most for a twentieth of the time."""

    def __init__(self, workdir: str, records: Mapping[str, Record]):
        self._workdir, self._records = workdir, dict(records)
        self._changed, self._due = not self._is_written(), 0.0

    def _sorted(self) -> list[Record]:
        return in_order(self._records.values())

    def _is_written(self) -> bool:
        """Whether the files show these records already: an evaluation may have added its scores to the page."""
        path = os.path.join(self._workdir, "results.json")
        old = documents.read(path, documents.anything, limit=documents.LIST_BYTES)
        return old == [record.to_json() for record in self._sorted()] and all(
            durable.size(os.path.join(self._workdir, name)) for name in ("results.csv", "index.html")
        )

    def add(self, record: Record) -> None:
        """Takes a new record."""
        self._records[record.name] = record
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
    records: list[Record],
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
        for name in [record.name]
    ]
    title = f"{records[0].config}, x{records[0].scale}" if records else "no results"
    report.write_page(os.path.join(workdir, "index.html"), title=title, entries=entries)


def page_entry(
    workdir: str,
    record: Record,
    *,
    scores: Mapping[str, Any] = MappingProxyType({}),
    hr: str | os.PathLike | None = None,
    kernel: str | os.PathLike | None = None,
) -> dict[str, Any]:
    """What the page shows of one record; `hr` and `kernel` are files of the truth, where it is known."""
    values = {key: x for key, x in {**record.to_json(), **scores}.items() if key not in _UNSHOWN and x is not None}
    pictures = outputs.pictures(workdir, record)
    if record.outputs is None:  # else the disk is not asked: a page may have a hundred thousand images
        pictures = [(caption, file) for caption, file in pictures if Path(file).is_file()]
    true_kernel = None
    if hr is not None:
        pictures.insert(2, ("truth", os.fspath(hr)))
    if kernel is not None:
        drawn = outputs.output_path(workdir, "truth", record.name)
        with contextlib.suppress(io.InputError):  # a broken one has been reported where it was scored
            true_kernel = io.read_kernel(kernel)
            io.kernel_png(drawn, true_kernel)
            pictures.append(("true kernel", drawn))
    return {
        "name": record.name,
        "text": record.message,
        "bad": not record.status.has_image,
        "values": values,
        "pictures": pictures,
        "view": outputs.view(workdir, record),
        "truth": None if true_kernel is None else views.kernel_numbers(true_kernel),
    }
