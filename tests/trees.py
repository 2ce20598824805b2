"""A folder before and after: what stands in it, of which kind, how large and with which contents."""

import hashlib
import os
import stat
from pathlib import Path


def _look(path):
    found = path.lstat()
    if path.is_symlink():
        return "link", 0, os.readlink(path)
    if stat.S_ISREG(found.st_mode):
        return "file", found.st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    return "folder" if path.is_dir() else "other", 0, ""


def snapshot(root):
    """Each path below a folder, relative to it, with type, size and digest; links are not followed."""
    root = Path(root)
    found = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            found[str(path.relative_to(root))] = _look(path)
    return found


def lost(before, after):
    """Paths that are gone or have become something else."""
    return sorted(path for path, what in before.items() if after.get(path) != what)


def added(before, after):
    """New paths that are no folders."""
    return sorted(path for path, what in after.items() if path not in before and what[0] != "folder")
