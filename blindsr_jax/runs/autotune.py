"""The forms of convolutions that were fastest on an accelerator, kept beside the compiled programs.

On a CPU the choice rests on the table of docs/performance.md, and nothing is measured. On anything else each large
layer is timed at its first use (`imaging.conv_tuning`). Several processes may share the file: the last to write one
keeps its own choices and those that it had read.
"""

import contextlib
import json
from pathlib import Path

import jax

from blindsr_jax.imaging import conv_tuning
from blindsr_jax.io.files import InputError, read_bytes, write_json

FILE = "convolutions.json"
_MOST_BYTES = 2**24


def _read(path: Path | None) -> dict[str, dict[str, str]]:
    """Tables of forms by kind of device; empty where the file is absent or not ours."""
    if path is None or not path.exists():
        return {}
    try:
        tables = json.loads(read_bytes(path, limit=_MOST_BYTES))
    except (InputError, OSError, ValueError, RecursionError):
        return {}
    if not isinstance(tables, dict):
        return {}
    return {kind: table for kind, table in tables.items() if isinstance(table, dict)}


def tuner(folder: Path | None, *, on_cpu: bool = False) -> conv_tuning.Tuner:
    """A tuner that asks for the device at the first layer, and not before: processes may have to meet first.

    Args:
      folder: where the table is kept; None keeps it for this process alone.
      on_cpu: whether to measure there too.
    """
    path = None if folder is None else folder / FILE

    def load():
        device = jax.local_devices()[0]
        return None if device.platform == "cpu" and not on_cpu else _read(path).get(device.device_kind, {})

    def keep(table):
        if path is not None:
            with contextlib.suppress(OSError):  # a full disk: it is measured again the next time
                write_json(path, {**_read(path), jax.local_devices()[0].device_kind: table})

    return conv_tuning.Tuner(load, keep)
