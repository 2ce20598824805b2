"""Files that outlive a power cut, and what can be said of their contents afterwards."""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from typing import NamedTuple

_UNKNOWN = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # of file systems that cannot be asked to


class Contents(NamedTuple):
    """What is known of the bytes of a file."""

    bytes: int  # how many
    sha256: str  # hexadecimal digits


def sync(file: int) -> None:
    """Waits until what was written to an open file, or into an open folder, is on the disk itself.

    Raises:
      OSError: the disk is full or broken.
    """
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise


def sync_folder(folder: str | os.PathLike) -> None:
    """Waits until the names in a folder are on the disk itself.

    Raises:
      OSError: there is no such folder, or the disk is broken.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: str | os.PathLike) -> None:
    """Waits until all that is below a folder, and its own name, is on the disk itself.

    Raises:
      OSError: there is no such folder, or the disk is full or broken.
    """
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            with open(os.path.join(place, name), "rb") as file:
                sync(file.fileno())
        sync_folder(place)
    sync_folder(os.path.dirname(os.path.abspath(folder)))


def contents(path: str | os.PathLike, *, is_synced: bool = False) -> Contents:
    """Size and digest of a file, which is on the disk itself afterwards if `is_synced`.

    Raises:
      OSError: it cannot be read, or the disk is full or broken.
    """
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if is_synced:
            sync(file.fileno())
        return Contents(file.tell(), digest)


def settle(paths: Iterable[str]) -> dict[str, Contents]:
    """Size and digest of each file; files and names are on the disk itself afterwards, so that others may rely on them.

    Raises:
      OSError: one cannot be read, or the disk is full or broken.
    """
    found = {path: contents(path, is_synced=True) for path in paths}
    for folder in sorted({os.path.dirname(path) or "." for path in found}):
        sync_folder(folder)
    return found


def size(path: str | os.PathLike) -> int:
    """Bytes of a regular file; 0 where there is none."""
    with contextlib.suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
    return 0
