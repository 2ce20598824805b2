"""Ownership of files: what a launch may write over or delete, and what it leaves alone.

A file or folder is ours if it stands where the launch writes and a record, a state, a list or a config of the same
kind of launch in that folder names it; all else belongs to somebody. From that follow the rules of every launch:

1. No input of a run lies where the run writes (`check_inputs`; links are resolved).
2. A working folder without an earlier run may hold anything but files with the names of ours: `check_folder` refuses
   it before anything is written, and names what stands there. Other files beside ours are harmless.
3. In a working folder with an earlier run, an output whose name no record or list there knows may not exist yet
   (`check_new`). So that this holds after a kill, a name is noted before its first output is written: a solve in
   state/DIGEST/input.json, a launch without states in .unfinished.json (`making`).
4. Only what is ours is deleted: outputs of known names, and in state/ what has the name of a state (`remove_state`).
5. Links in place of the folders that a launch writes into are refused, as they would lead writing and deleting away.
6. A name that comes from a file becomes part of a path only if it is the name of a file in one folder (`is_name`).
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from blindsr_jax.io import documents, files
from blindsr_jax.io.paths import key

STATE = "state"  # WORKDIR/state/DIGEST_OF_NAME/ of an unfinished solve, WORKDIR/state/ of a training
UNFINISHED = ".unfinished.json"  # names whose outputs may be half made
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp")  # of `files.write_bytes`
_STATE_NAME = re.compile(r"\d+-\d{9,}(\.orbax-checkpoint-tmp.*)?")  # ATTEMPT-STEP, or orbax has not finished it


class NotOursError(Exception):
    """Something of somebody's stands where a launch would write or delete; the message is one sentence."""


class Layout(NamedTuple):
    """Where a launch writes in its working folder."""

    kind: str  # for messages: 'solve', 'training'
    files: tuple[str, ...]  # in the folder itself, what tells an earlier run first
    folders: tuple[str, ...]  # below it
    is_ours: Callable[[str], bool]  # whether a folder holds an earlier run of this kind

    @property
    def places(self) -> tuple[str, ...]:
        """Files and folders, as `check_inputs` takes them."""
        return *self.files, *(name + "/" for name in self.folders)


def read_json(path: str | os.PathLike) -> Any:
    """What a regular file of JSON holds, or None where there is none or it is damaged."""
    return documents.read(path, documents.anything, limit=documents.LIST_BYTES)


def is_name(name: Any) -> bool:
    """Whether a value from a file can be the name of a file, without its suffix, in whatever folder it is put into."""
    return isinstance(name, str) and name != "" and not re.search("[/\0\ud800-\udfff]", name)


def names_in(rows: Any) -> set[str] | None:
    """The names of a list of dicts with a `name` each; None if it is no such list."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) and is_name(row.get("name")) for row in rows):
        return None
    return {row["name"] for row in rows}


def _refuse(flag: str, folder: str, path: str, reason: str) -> NotOursError:
    return NotOursError(f"--{flag}={folder}: {path!r} {reason}")


def _place(path: str | os.PathLike) -> tuple[int, int] | None:
    """What is the same for two paths of one folder, however they are written."""
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None


def check_inputs(
    inputs: Iterable[str | os.PathLike], folder: str, *, outputs: Iterable[str], flag: str = "workdir"
) -> None:
    """Refuses a run that would write over its own inputs.

    Args:
      inputs: files that the run reads.
      folder: of the run.
      outputs: files in it that the run may write, and folders in it that it writes into, with a '/' behind them.
      flag: that names the folder.

    Raises:
      NotOursError: an input is such a file or lies in such a folder; it names both.
    """
    paths = [os.path.join(folder, name) for name in outputs]
    folders = {place: path for path in paths if path.endswith("/") and (place := _place(path)) is not None}
    single = {
        (place, os.path.basename(path)): path
        for path in paths
        if not path.endswith("/") and (place := _place(os.path.dirname(path) or ".")) is not None
    }
    places: dict[str, tuple[int, int] | None] = {}
    for given in map(os.fspath, inputs):
        for path in {os.path.abspath(given), os.path.realpath(given)}:
            parent, name = os.path.split(path)
            place = places[parent] if parent in places else places.setdefault(parent, _place(parent))
            if found := folders.get(place) or single.get((place, name)):
                reason = f"is an input, and this run writes to {found!r}; another folder was expected"
                raise _refuse(flag, folder, given, reason)


def check_folder(folder: str, layout: Layout, *, flag: str = "workdir") -> None:
    """Refuses a folder that a run could not write into without touching what is not ours; changes nothing.

    Raises:
      NotOursError: it has links in place of folders, or files of our names that are of no earlier run.
    """
    for name in layout.folders:
        check_no_link(os.path.join(folder, name), folder, flag=flag)
    if STATE in layout.folders:
        state = os.path.join(folder, STATE)
        if os.path.lexists(state) and not os.path.isdir(state):
            raise _refuse(flag, folder, state, "is no folder, expected a folder or nothing")
        for path in (*Path(state).glob("*"), *Path(state).glob("*/*")):
            check_no_link(str(path), folder, flag=flag)
    # What stands there is looked up first: an earlier run that is still at work has said before whose it is.
    found = next(_standing(folder, layout), None)
    if found is not None and not layout.is_ours(folder):
        reason = (
            f"stands there and is of no earlier {layout.kind}; another folder was expected, or that it is moved away"
        )
        raise _refuse(flag, folder, found, reason)


def check_file(
    path: str,
    *,
    flag: str,
    kind: str,
    is_ours: Callable[[str], bool],
    inputs: Iterable[str | os.PathLike] = (),
) -> None:
    """Refuses a single output that would take the place of an input, or of a file that no such launch has written.

    Args:
      path: the output.
      flag: that names it.
      kind: what such a file is, for the message: 'an archive of weights'.
      is_ours: whether an existing file is of that kind.
      inputs: files that the run reads.

    Raises:
      NotOursError: the file is an input, or of another kind.
    """
    for given in inputs:
        if _place(path) is not None and _place(path) == _place(given):
            raise NotOursError(f"--{flag}={path}: it is the input {os.fspath(given)!r}, expected another file")
    if os.path.lexists(path) and not is_ours(path):
        raise NotOursError(f"--{flag}={path}: a file stands there that is not {kind}, expected another name")


def check_no_link(path: str, folder: str, *, flag: str = "workdir") -> None:
    """Refuses a link where a folder of ours is meant to be.

    Raises:
      NotOursError: it is one.
    """
    if os.path.islink(path):
        raise _refuse(flag, folder, path, "is a link, expected a folder or nothing")


def _standing(folder: str, layout: Layout) -> Iterator[str]:
    """What has a name of ours in a folder."""
    for name in layout.files:
        if os.path.lexists(path := os.path.join(folder, name)):
            yield path
    for name in layout.folders:
        place = os.path.join(folder, name)
        if os.path.isdir(place):
            try:
                found = sorted(os.listdir(place))
            except OSError:  # who knows
                yield place
            else:
                yield from (os.path.join(place, x) for x in found if not _TEMPORARY.fullmatch(x))


class _Standing:
    """Whether paths exist, asked for many of few folders: on a shared disk each question takes a journey."""

    def __init__(self):
        self._found: dict[str, set[str] | None] = {}  # by folder: keys of the names in it, None if it cannot be listed

    def has(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._found:
            self._found[folder] = self._list(folder)
        found = self._found[folder]
        return (found is None or key(name) in found) and os.path.lexists(path)

    @staticmethod
    def _list(folder: str) -> set[str] | None:
        try:
            return {key(name) for name in os.listdir(folder or ".")}
        except FileNotFoundError:
            return set()
        except OSError:
            return None


def check_new(
    names: Iterable[str],
    known: Collection[str],
    paths: Callable[[str], Iterable[str]],
    folder: str,
    *,
    flag: str = "workdir",
) -> None:
    """Refuses outputs that would take the place of a file that no record or list of the folder knows.

    Args:
      names: whose outputs are to be written.
      known: names of earlier runs in the folder.
      paths: the outputs of a name.
      folder: the working folder.
      flag: that names the folder.

    Raises:
      NotOursError: such a file exists.
    """
    standing = _Standing()
    for name in names:
        for path in () if name in known else paths(name):
            if standing.has(path):
                reason = f"stands where results of {name!r} are written, and no record there knows it"
                raise _refuse(flag, folder, path, reason + "; expected that it is moved away, or another folder")


@contextlib.contextmanager
def making(folder: str, names: Iterable[str]) -> Iterator[None]:
    """Notes names before their outputs are made; the note goes when all of them are in the launch's own list."""
    note_names(folder, names)
    yield
    Path(folder, UNFINISHED).unlink(missing_ok=True)


def note_names(folder: str, names: Iterable[str], file: str = UNFINISHED) -> None:
    """Adds names to those that are noted in a folder."""
    files.write_json(os.path.join(folder, file), sorted({*names, *noted_names(folder, file)}))


def noted_names(folder: str, file: str = UNFINISHED, *, flag: str = "workdir") -> set[str]:
    """Names that earlier runs have noted in a folder.

    Raises:
      NotOursError: something else has the name of the note.
    """
    path = os.path.join(folder, file)
    names = read_json(path) if os.path.lexists(path) else []
    if not isinstance(names, list) or not all(map(is_name, names)):
        raise _refuse(flag, folder, path, "is no list of names, expected that it is moved away")
    return set(names)


def state_folder(folder: str, name: str) -> str:
    """Where the state of an unfinished image stands; its name is hashed, as it may hold any character."""
    return os.path.join(folder, STATE, hashlib.sha256(name.encode()).hexdigest()[:16])


def is_state_of(note: str | os.PathLike, name: Any) -> bool:
    """Whether WORKDIR/state/DIGEST/input.json is where the state of an image is noted."""
    place = Path(note).parent
    return is_name(name) and os.path.basename(state_folder("", name)) == place.name


def states(place: str | os.PathLike) -> list[str]:
    """Names of the states in a folder, also of those that are not finished; links are none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as found:
        return [x.name for x in found if _STATE_NAME.fullmatch(x.name) and x.is_dir(follow_symlinks=False)]
    return []


def remove_state(place: str) -> None:
    """Deletes the note and the states in a folder, and the folder if nothing else is in it."""
    if os.path.islink(place) or not os.path.isdir(place):
        return
    for name in states(place):
        shutil.rmtree(os.path.join(place, name), ignore_errors=True)
    with contextlib.suppress(OSError):
        for name in os.listdir(place):
            if name == "input.json" or _TEMPORARY.fullmatch(name):
                os.remove(os.path.join(place, name))
        os.rmdir(place)


def known_names(folder: str) -> set[str]:
    """Names of the images that a solve has records or states of in a folder, or had when its list was written."""
    notes = {name for path in Path(folder, STATE).glob("*/input.json") if is_state_of(path, name := _name_of(path))}
    records = {path.stem for path in Path(folder, "records").glob("*.json") if is_name(path.stem)}
    return notes | records | (names_in(read_json(os.path.join(folder, "results.json"))) or set())


def is_noted(folder: str, name: str) -> bool:
    """Whether a solve has noted an image in a folder, as it does before the first state and the first output."""
    return os.path.isfile(os.path.join(state_folder(folder, name), "input.json"))


def _name_of(path: Path) -> Any:
    value = read_json(path)
    return value.get("name") if isinstance(value, dict) else None


def is_solve(folder: str) -> bool:
    """Whether a folder holds a solve: by its config.json, or, where that is lost, by a record or a state."""
    path = os.path.join(folder, "config.json")
    if (config := read_json(path)) is not None:
        parts = [config.get(name) for name in ("image", "kernel")] if isinstance(config, dict) else []
        return len(parts) == 2 and all(isinstance(part, dict) for part in parts) and "num_steps" in config
    found = (*Path(folder, "records").glob("*.json"), *Path(folder, STATE).glob("*/input.json"))
    return any(_name_of(path) == path.stem or is_state_of(path, _name_of(path)) for path in found)
