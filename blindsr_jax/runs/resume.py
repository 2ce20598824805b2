"""What a working folder holds of earlier runs, and whether a run may go on from it."""

import contextlib
import functools
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from blindsr_jax import io
from blindsr_jax.imaging.problem import Status
from blindsr_jax.io import documents
from blindsr_jax.runs import outputs, ownership, schemas, workdir
from blindsr_jax.runs.ownership import STATE, state_folder
from blindsr_jax.runs.records import Record, read_records, record_path

_HUGE = 2**32  # bytes; no image that can be solved is that large, and reading it would take minutes


class DifferenceError(Exception):
    """The folder holds another run, or an input has changed; the message is one sentence."""


class Known(NamedTuple):
    """An image that the folder knows from an earlier run."""

    path: str  # absolute, of its input
    sha256: str | None  # of its input
    record: Record | None  # None while it is half done


class Job(NamedTuple):
    """An image of this run."""

    path: Path
    name: str
    record: Record | None  # of an earlier run, if it is finished


def sha256(path: str | os.PathLike) -> str | None:
    """SHA-256 of a regular file in hexadecimal digits, or the size of a huge one; None if it cannot be read."""
    try:
        if not os.path.isfile(path):
            return None
        if (size := os.path.getsize(path)) > _HUGE:
            return f"{size} bytes"
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def write_input(folder: str, name: str, path: str | os.PathLike, digest: str | None) -> None:
    """Notes what the state of an unfinished image is made from, before the first state and the first output."""
    note, place = {"name": name, "input": os.path.abspath(path), "sha256": digest}, state_folder(folder, name)
    if noted_sha256(place) not in (None, digest):
        ownership.remove_state(place)  # of another input
    io.write_json(os.path.join(place, "input.json"), note)


def noted_sha256(place: str) -> str | None:
    """SHA-256 of the input that the state in a folder is made from."""
    note = documents.read(os.path.join(place, "input.json"), schemas.NOTE)
    return note and note["sha256"]


def known_images(folder: str) -> dict[str, Known]:
    """The images of earlier runs by name, half-done ones too."""
    found = {}
    for path in sorted(Path(folder, STATE).glob("*/input.json")):
        note = documents.read(path, schemas.NOTE)
        if note is not None and ownership.is_state_of(path, note["name"]):
            found[note["name"]] = Known(note["input"], note["sha256"], None)
    for name, record in read_records(folder).items():
        if record.input is not None:
            found[name] = Known(record.input, record.sha256, record)
    return found


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return flat


def differences(old: Mapping[str, Any], new: Mapping[str, Any], words: str = "{} was {!r}, is {!r}") -> list[str]:
    """What differs between two runs, in words for a name and two values."""
    old, new = (_flat(json.loads(json.dumps(run, default=list))) for run in (old, new))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [words.format(name, old.get(name), new.get(name)) for name in names]


def forget(folder: str, name: str) -> None:
    """Removes all that the folder holds of an image, the record first, so that nothing half removed looks finished."""
    is_ours = workdir.owns_outputs(folder, name)
    Path(record_path(folder, name)).unlink(missing_ok=True)
    if is_ours:
        outputs.remove(folder, name)
    ownership.remove_state(state_folder(folder, name))


def _identity(document: Mapping[str, Any]) -> dict[str, Any]:
    """What results depend on beside the inputs, of the contents of a config.json."""
    flags, other = document["flags"], ("config", "flags", "kernel_sha256", schemas.SHARED_KERNEL)
    return {
        "scale": flags.get("scale"),
        "seed": flags.get("seed"),
        "white_level": flags.get("white_level"),
        "flip_kernel": bool(flags.get("flip_kernel")),
        "kernel_sha256": document.get("kernel_sha256"),
        "config": {name: value for name, value in document.items() if name not in other},
    }


def _same_run(folder: str, document: Mapping[str, Any], known: dict[str, Known], restart: bool) -> dict[str, Known]:
    """The images that are of the same run; if the folder holds another one, none or a refusal."""
    old = documents.read(os.path.join(folder, "config.json"), schemas.RUN)
    changed = ["config.json is missing or damaged"]
    if old is not None:
        changed = differences(_identity(old), _identity(document))
    if changed and known:
        if not restart:
            text = "; ".join(changed[:3]) + ("; ..." if len(changed) > 3 else "")
            raise DifferenceError(
                f"it holds another run ({text}), take another --workdir, or --restart to solve all anew"
            )
        return {}
    return known


def _names(paths: Sequence[Path], known: Mapping[str, Known]) -> list[str]:
    """A name for each input: that of the earlier run, or one that no earlier image has."""
    by_path = {image.path: name for name, image in known.items()}
    names = [by_path.get(os.path.abspath(path)) for path in paths]
    claimed = set(names)
    unclaimed = {
        (os.path.basename(image.path), image.sha256): name
        for name, image in known.items()
        if name not in claimed and image.sha256 is not None
    }
    moved = {base for base, _ in unclaimed}
    for i, path in enumerate(paths):  # a folder that has been moved
        if names[i] is None and os.path.basename(path) in moved:
            names[i] = unclaimed.pop((os.path.basename(path), sha256(path)), None)
    new = [path for path, name in zip(paths, names, strict=True) if name is None]
    fresh = iter(io.unique_stems([*(f"{name}.png" for name in known), *new])[len(known) :])
    return [next(fresh) if name is None else name for name in names]


def _has_failed(image: Known) -> bool:
    """Whether an image is to be tried again, as its file may have been mended."""
    return image.record is not None and image.record.status is Status.FAILED


def plan(folder: str, document: Mapping[str, Any], paths: Sequence[Path], *, restart: bool = False) -> list[Job]:
    """The images of a run, with the records of those that are finished; makes the folder ready for the others.

    Args:
      folder: the working folder, under its lock.
      document: for config.json: `config` (its name), `flags`, `kernel_sha256` and the values of the config.
      paths: inputs.
      restart: forget what differs rather than refuse: all images if the run does, else those whose input has changed.

    Raises:
      DifferenceError: the folder holds another run, or an input is not the one that it was.
      NotOursError: a file that no earlier run has made stands where an output would.
      OSError: the folder cannot be written.
    """
    _sweep(folder)
    before = known_images(folder)
    known = _same_run(folder, document, before, restart)
    names, jobs = _names(paths, known), []
    failed = {name for name, image in before.items() if _has_failed(image)}
    ours = ownership.known_names(folder) - {name for name in failed if not workdir.owns_outputs(folder, name)}
    ownership.check_new(names, ours, functools.partial(outputs.paths_of, folder), folder)
    for name in before.keys() - known.keys():
        forget(folder, name)
    io.write_json(os.path.join(folder, "config.json"), document)
    for path, name in zip(paths, names, strict=True):
        image = known.get(name)
        record = image.record if image is not None else None
        is_failed = image is not None and _has_failed(image)
        if image is not None and not is_failed:
            digest = sha256(path)
            if digest is not None and digest != image.sha256:  # a file that is gone by now has been the same
                if not restart:
                    raise DifferenceError(
                        f"{str(path)!r} has changed since its results were made, take another --workdir, or "
                        "--restart to solve it anew"
                    )
                forget(folder, name)
                record = None
        is_finished = record is not None and not is_failed and outputs.has(folder, record)
        if is_finished:  # killed between the record and the end of its state
            ownership.remove_state(state_folder(folder, name))
        jobs.append(Job(path, name, record if is_finished else None))
    return jobs


def _sweep(folder: str) -> None:
    """Deletes the temporary files of a run that was killed; nobody else writes here under the lock."""
    for kind in ("", *workdir.FOLDERS):
        with contextlib.suppress(OSError):
            for name in os.listdir(os.path.join(folder, kind)):
                if re.fullmatch(r"\.[0-9a-f]{32}\.tmp", name):
                    os.remove(os.path.join(folder, kind, name))
