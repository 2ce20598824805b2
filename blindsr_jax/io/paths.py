"""Finding input files, and names for their results."""

import glob
import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from blindsr_jax.io.files import InputError

_LONGEST_STEM = 200  # bytes; file systems allow 255, and a suffix follows
# Bytes that are not text stand in names as lone surrogates, which no text file can hold; the others break lines.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _folders(top):
    """Yields a folder and those below it, hidden ones left out, each one once however links lead to it."""
    seen = set()
    for folder, names, _ in os.walk(top, followlinks=True):
        try:
            status = os.stat(folder)
        except OSError:  # gone meanwhile
            names.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            names.clear()  # a link to a folder above or beside
            continue
        seen.add((status.st_dev, status.st_ino))
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield folder


def _matches(pattern):
    """Names that match a pattern. `glob` itself goes round in links that lead in a circle, nearly endlessly for two."""
    parts = pattern.split("/")
    if "**" not in parts:
        return glob.glob(pattern)
    at = parts.index("**")
    rest = parts[at + 1 :]
    while rest[:1] == ["**"]:
        del rest[0]
    top = "/".join(parts[:at]) or ("/" if at else ".")
    folders = [folder for name in glob.glob(top) if os.path.isdir(name) for folder in _folders(name)]
    inside = [_matches(os.path.join(glob.escape(folder), *(rest or "*"))) for folder in folders]
    return [name if at else name.removeprefix("./") for names in inside for name in names]


def find_inputs(pattern: str | os.PathLike) -> list[Path]:
    """Files that match a pattern.

    Args:
      pattern: a file, or a glob (`*`, `?`, `[ab]`, `**` for any folders); `~` is the home folder. A file whose name
        holds such characters is found by its plain name.

    Returns:
      sorted list of Path; folders are left out, and links between folders lead to a file once.

    Raises:
      InputError: no file matches.
    """
    full = os.path.expanduser(os.fspath(pattern))
    if os.path.isfile(full):
        return [Path(full)]
    if os.path.isdir(full):
        raise InputError(
            f"{str(pattern)!r} is a folder, a file or a pattern such as {os.path.join(pattern, '*.png')!r} was expected"
        )
    # Not only regular files: a dangling link is then reported when it is read.
    found = sorted({name for name in _matches(full) if not os.path.isdir(name)})
    if not found:
        raise InputError(f"no file matches {str(pattern)!r}, a file or a pattern in quotes was expected")
    return [Path(name) for name in found]


def _clean(stem):
    """The stem as one line of text that leaves room for a suffix."""
    text = UNPRINTABLE.sub("_", stem)
    return text.encode()[:_LONGEST_STEM].decode(errors="ignore")


def is_clean(name: str) -> bool:
    """Whether a name may stand before the suffix of a file of ours, as those that `unique_stems` makes.

    Args:
      name: str.

    Returns:
      bool: False where it has no character, too many, one of a path, or one that is no text.
    """
    return bool(name) and "/" not in name and not UNPRINTABLE.search(name) and len(name.encode()) < 256


def key(name: str) -> str:
    """Names with one key are one file somewhere: composed and decomposed accents, upper and lower case.

    Args:
      name: str, of a file.

    Returns:
      str.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def unique_stems(paths: Sequence[str | os.PathLike]) -> list[str]:
    """Names for the results of several inputs.

    Args:
      paths: list of paths.

    Returns:
      list of str in the same order: the stem of each path, numbered from its second use on (photo, photo_2, ...) with
      numbers that no other input has as its own stem. Stems that differ in upper and lower case or in how accents are
      composed count as equal, as on some file systems. Control characters and bytes that are not text become `_`, and
      stems are cut after 200 bytes.
    """
    stems = [_clean(Path(path).stem) for path in paths]
    real, used, names = {key(stem) for stem in stems}, set(), []
    free: dict[str, int] = {}  # by key: no number below it is; a stem may be that of all images
    for stem in stems:
        name, number = stem, free.get(key(stem), 2)
        while key(name) in used or (name != stem and key(name) in real):
            name, number = f"{stem}_{number}", number + 1
        free[key(stem)] = number
        used.add(key(name))
        names.append(name)
    return names
