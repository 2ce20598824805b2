"""Packs: one .zip file with the images of a training and of its validation, as they are, to take to another machine."""

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence

from blindsr_jax import io
from blindsr_jax.io.files import read_bytes

PARTS = {"input": "train", "validation": "val"}  # by the flag that names the pack


def is_pack(pattern: str) -> bool:
    """Whether a pattern of images is the name of a pack."""
    return pattern.endswith(".zip")


def source(pattern: str) -> str:
    """The last two folders of a pattern, which say what the images are without saying where."""
    folder = pattern if os.path.isdir(pattern) else os.path.dirname(pattern)
    return "/".join([part for part in os.path.normpath(folder).split(os.sep) if part][-2:])


def write(path: str, parts: Mapping[str, Sequence[str]]) -> int:
    """Writes a pack, whole or not at all; the same files give the same bytes.

    Args:
      path: file to write.
      parts: part -> patterns of its images.

    Returns:
      The number of its images.

    Raises:
      InputError: a pattern matches nothing, or a file cannot be read.
      OSError: it cannot be written.
    """
    unfinished, count = f"{path}.tmp{os.getpid()}", 0
    try:
        with zipfile.ZipFile(unfinished, "w") as pack:
            for part, patterns in parts.items():
                for pattern in patterns:
                    for file in io.find_inputs(pattern):
                        # No date: the same images are the same pack.
                        name = zipfile.ZipInfo(f"{part}/{source(pattern)}/{file.name}")
                        pack.writestr(name, read_bytes(file))
                        count += 1
        os.replace(unfinished, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(unfinished)
    return count


def _members(path: str, part: str) -> list[str]:
    try:
        with zipfile.ZipFile(path) as pack:
            found = [name for name in pack.namelist() if name.startswith(f"{part}/") and not name.endswith("/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise io.InputError(f"cannot read {path!r}: {error}, a pack of launch/pack_data.py was expected") from error
    if not found:
        raise io.InputError(f"cannot read {path!r}: it has no images below {part}/, those of launch/pack_data.py have")
    return found


def sources(path: str, flag: str) -> list[str]:
    """The names of the folders that a pack's images for a flag came from; raises InputError as `unpacked`."""
    return sorted({os.path.dirname(name).partition("/")[2] for name in _members(path, PARTS[flag])})


@contextlib.contextmanager
def unpacked(pattern: str, flag: str) -> Iterator[str]:
    """A pattern of image files as it is; of a pack, the pattern of its images for a flag in a temporary folder.

    Raises:
      InputError: the pack is missing, damaged or has no image for this flag.
    """
    if not is_pack(pattern):
        yield os.path.join(pattern, "*") if os.path.isdir(pattern) else pattern
        return
    members = _members(pattern, PARTS[flag])
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(pattern) as pack:
        pack.extractall(folder, members)
        yield os.path.join(folder, "**", "*")
