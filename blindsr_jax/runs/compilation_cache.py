"""Compiled programs are kept in the user's cache folder, so that a second run of the same sizes starts at once.

jax does the keeping; here it is told where. A kept program is code that will be run, so the folder belongs to the user
alone, and it is code for one kind of processor, so that a home folder that machines share has a folder for each kind.
"""

import contextlib
import hashlib
import os
import platform
import stat
import warnings
from pathlib import Path

import filelock
import jax

MAX_BYTES = 2**31  # above, jax drops the programs that were used longest ago
OPTIONS = {
    "jax_compilation_cache_max_size": MAX_BYTES,  # also makes jax lock the folder while it reads or writes
    "jax_persistent_cache_min_compile_time_secs": 0.2,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}
_CPU_FACTS = (
    "vendor_id,cpu family,model,model name,flags,CPU implementer,CPU architecture,CPU variant,CPU part,Features".split(
        ","
    )
)
_LOCK_SECONDS = 2


def processor(cpuinfo: str = "/proc/cpuinfo") -> str:
    """The kind of this processor and its instructions, as a short name."""
    facts = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        first = Path(cpuinfo).read_text().split("\n\n")[0]
        found = dict(line.replace("\t", "").partition(":")[::2] for line in first.splitlines())
        facts += [found.get(name, "") for name in _CPU_FACTS]
    return f"{platform.machine()}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:12]}"


def cache_root() -> Path:
    """The user's folder for caches, as the XDG base directory specification has it: a relative path does not count.

    Raises:
      RuntimeError: the user has no home.
    """
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"


def make_private(folder: Path) -> None:
    """Makes a folder that the user alone can read and write.

    Raises:
      OSError: it cannot be made or written, or belongs to another user.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{str(folder)!r} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        folder.chmod(0o700)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{str(folder)!r} cannot be written")


def drop_torn(folder: Path) -> None:
    """Removes programs that a process was killed in the middle of writing: they have no time of use beside them yet.

    jax would neither replace such a file nor write any other beside it.
    """
    with filelock.FileLock(folder / ".lockfile", timeout=_LOCK_SECONDS):
        for path in folder.glob("*-cache"):
            if not path.with_name(path.name.removesuffix("-cache") + "-atime").exists():
                path.unlink(missing_ok=True)


def enable() -> Path | None:
    """Switches the cache on, before the first compilation. Whatever keeps it from working leaves it off, silently.

    JAX_COMPILATION_CACHE_DIR in the environment, and each option that is set there, is left as it is.

    Returns:
      The folder, or None where the cache is off or the user's own.
    """
    if jax.config.jax_compilation_cache_dir is not None:
        return None
    try:
        root = cache_root() / "blindsr_jax"
        folder = root / f"jax{jax.__version__}-{processor()}"
        for place in (root, folder):
            make_private(place)
        drop_torn(folder)
    except (OSError, RuntimeError, NotImplementedError):  # the last: a file system without locks
        return None
    # A full disk, or a folder that is deleted meanwhile: the program is compiled, which is all that matters.
    for message in ("Error (reading|writing) persistent compilation cache", "Cache value for key"):
        warnings.filterwarnings("ignore", message=message)
    for name, value in OPTIONS.items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    return folder


def disable() -> None:
    """Switches every cache of compiled programs off, in this process and in those that it starts."""
    jax.config.update("jax_enable_compilation_cache", False)
    os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
