"""One process per working folder: a lock file that says who holds it.

The package filelock is not used here: its lock takes over a pipe, a file with a second name or somebody's text as it
finds them, and leaves its file behind, so that all of this module but the call of flock would be needed beside it.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from blindsr_jax.io import documents
from blindsr_jax.runs import schemas

NAME = ".lock"


class LockedError(Exception):
    """Another process works in the folder; the message is one sentence."""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process of this machine started, in ticks since boot; empty if there is none or it cannot be known."""
    return "".join(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[19:20])


def _me() -> dict:
    boot = _read("/proc/sys/kernel/random/boot_id").strip()
    return {"pid": os.getpid(), "host": socket.gethostname(), "boot": boot, "start": _started(os.getpid())}


def _is_alive(holder: dict, me: dict) -> bool:
    """Whether the process that a lock file names may still run; one of another machine may."""
    if holder.get("boot") != me["boot"]:
        return holder.get("host") != me["host"]  # this machine has been started anew since
    try:
        os.kill(holder["pid"], 0)
    except (ProcessLookupError, OverflowError):  # there is none, and there are no such numbers
        return False
    except PermissionError:
        pass
    return holder.get("start") == _started(holder["pid"])  # else another process has got its number


def _holder(file) -> dict:
    """What a lock file says; nothing if it was not written whole."""
    try:
        return documents.parse(os.pread(file.fileno(), documents.DOCUMENT_BYTES, 0), schemas.LOCK)
    except ValueError:
        return {}


def _refuse(path: str, file) -> LockedError:
    """Names the holder; one that has just got the lock is given a moment to write who it is."""
    for _ in range(20):
        if holder := _holder(file):
            break
        time.sleep(0.05)
    who = f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'this machine')}"
    return LockedError(f"{who} works there; wait for it, or delete {path!r} if it is gone")


def _open(path: str) -> TextIO:
    """Opens the lock file, and nothing else that has its name: its contents will be replaced.

    Raises:
      LockedError: it is a link, a folder, a pipe, a device, has a second name, or holds somebody's text.
      OSError: the folder cannot be written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise _no_lock(path) from error
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or os.pread(handle, 1, 0) not in (b"", b"\0", b"{", b"["):
        os.close(handle)
        raise _no_lock(path)
    return os.fdopen(handle, "r+", errors="replace")


def _no_lock(path: str) -> LockedError:
    return LockedError(f"{path!r} is no lock of this program, expected one or none; delete it, or move it away")


@contextlib.contextmanager
def hold(folder: str | os.PathLike) -> Iterator[None]:
    """Holds the lock of a folder. The lock of a dead process is taken over.

    The kernel's lock on the file decides between processes that start at once, and ends with its process however that
    ends; what the file says is for people, and for file systems where that lock does not reach other machines.

    Raises:
      LockedError: another process holds it, or something else has its name.
      OSError: the folder cannot be written.
    """
    path, me = os.path.join(folder, NAME), _me()
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(_open(path))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _refuse(path, file) from error
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                    break
            file.close()  # its holder has just left and deleted it
        holder = _holder(file)
        if holder and _is_alive(holder, me):
            raise _refuse(path, file)
        file.seek(0)
        file.truncate()
        json.dump(me, file)
        file.flush()
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.remove(path)
