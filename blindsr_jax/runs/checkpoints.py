"""The state of an unfinished solve on disk, written by orbax. orbax is imported when a state is saved or restored."""

import contextlib
import errno
import functools
import hashlib
import logging
import math
import os
import re
import shutil
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.io import durable
from blindsr_jax.runs import ownership
from blindsr_jax.solvers.loop import Progress

_DIGEST = 32  # bytes of the SHA-256 of what follows
_HEADER = _DIGEST + 8  # and seconds
_LARGE = 2**26  # bytes of a leaf that is written as it is: packing would copy it
_IMPLS = ("threefry2x32", "rbg", "unsafe_rbg")
# What keeps any file from being written, in the words that another library's message repeats.
_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _wrap(data: np.ndarray, like: Any) -> jax.Array:
    """Typed keys from their data; `like` has their type."""
    impl = next(name for name in _IMPLS if jax.random.key(0, impl=name).dtype == like.dtype)
    return jax.random.wrap_key_data(jnp.array(data), impl=impl)


def _plain(leaf: Any) -> np.ndarray:
    """A leaf as an array of numbers on the host: typed PRNG keys become their data."""
    if _is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf)


def _large(leaves: list[Any]) -> dict[str, Any]:
    """The leaves that are not packed, by name."""
    return {f"leaf{i}": leaf for i, leaf in enumerate(leaves) if _size(leaf) >= _LARGE}


def _pack(leaves: list[np.ndarray], seconds: float, description: str) -> dict[str, np.ndarray]:
    """All small leaves behind a header as one array of bytes, and the large ones.

    One file in place of hundreds, which is seven times faster to write.
    """
    large = _large(leaves)
    values = [np.asarray([seconds]), *(leaf for leaf in leaves if _size(leaf) < _LARGE)]
    packed = np.empty(_DIGEST + sum(value.nbytes for value in values), np.uint8)
    place = _DIGEST
    for value in values:  # one copy of each: a state may be large
        packed[place : place + value.nbytes] = np.ascontiguousarray(value).reshape(-1).view(np.uint8)
        place += value.nbytes
    packed[:_DIGEST] = _digest([packed[_DIGEST:], *large.values()], description)
    return {"state": packed, **large}


def _unpack(found: dict[str, np.ndarray], like: list[Any]) -> tuple[list[np.ndarray], float]:
    values, place, data = [], _HEADER, found["state"]
    for i, leaf in enumerate(like):
        size = _size(leaf)
        if size >= _LARGE:
            values.append(found[f"leaf{i}"])
            continue
        values.append(data[place : place + size].view(leaf.dtype).reshape(leaf.shape))
        place += size
    return values, float(data[_DIGEST:_HEADER].view(np.float64)[0])


def _size(leaf: Any) -> int:
    return math.prod(leaf.shape) * leaf.dtype.itemsize


def _digest(parts: list[np.ndarray], description: str) -> np.ndarray:
    """SHA-256 of the bytes and of what they mean, (32,) uint8: orbax cuts an array to the shape asked for."""
    digest = hashlib.sha256(description.encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return np.frombuffer(digest.digest(), np.uint8)


def _describe(name: str, tree: Any) -> str:
    """What the bytes of a state mean: the name of its folder, which holds attempt and step, and all shapes."""
    return f"{name} {jax.tree.map(lambda leaf: f'{leaf.dtype}{leaf.shape}', tree)}"


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """As if this process were JAX's only one.

    JAX counts the hosts of a TPU pod. Each of them writes states of its own, which orbax would have all write together,
    through JAX's distributed runtime, which does not run here.
    """
    if jax.process_count() == 1:
        yield
        return
    with mock.patch.object(jax, "process_count", lambda: 1), mock.patch.object(jax, "process_index", lambda: 0):
        yield


@contextlib.contextmanager
def _checkpointer() -> Iterator[Any]:
    """orbax's checkpointer, without the log of its threads, which shows tracebacks of errors that reach us anyway.

    Floating-point numbers hardly shrink by compression, which takes as much memory again and as long.
    """
    import orbax.checkpoint

    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        handler = orbax.checkpoint.PyTreeCheckpointHandler(use_compression=False)
        with _alone(), orbax.checkpoint.Checkpointer(handler) as checkpointer:
            yield checkpointer
    finally:
        logging.disable(before)


@functools.cache
def _hush_late_answers() -> None:
    """Keeps the threads of tensorstore from writing tracebacks.

    Where one array of several cannot be read, the answers for the others come to an event loop that this error, which
    reaches us, has closed.
    """
    before = sys.unraisablehook

    def hook(unraisable):
        if str(unraisable.exc_value) != "Event loop is closed":
            before(unraisable)

    sys.unraisablehook = hook


def _steps(folder: str) -> list[str]:
    """Complete checkpoints in a folder, oldest first; orbax renames a checkpoint when it is complete."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(name for name in os.listdir(folder) if re.fullmatch(r"[0-9]-[0-9]{9,12}", name))
    return []


def exists(folder: str) -> bool:
    """Whether there is a state to go on from."""
    return bool(_steps(folder))


def save(folder: str, progress: Progress, *, seconds: float = 0.0) -> None:
    """Writes a progress as a new step folder, then, when that is on the disk itself, deletes the older ones.

    Args:
      folder: of this solve alone; made where missing.
      progress: from `solve`.
      seconds: spent so far, without compilation.

    Raises:
      OSError: it cannot be written.
    """
    folder = os.path.abspath(folder)
    os.makedirs(folder, exist_ok=True)
    name = f"{progress.attempt}-{progress.step:09d}"
    tree = (progress.state, progress.trace)
    data = _pack([_plain(leaf) for leaf in jax.tree.leaves(tree)], seconds, _describe(name, tree))
    place = os.path.join(folder, name)
    shutil.rmtree(place, ignore_errors=True)
    try:
        with _checkpointer() as checkpointer:
            checkpointer.save(place, data)
        durable.sync_tree(place)
    except OSError:
        raise
    except Exception as error:  # orbax and tensorstore raise many kinds
        code = next((code for code in _ERRNOS if os.strerror(code) in str(error)), errno.EIO)
        raise OSError(code, os.strerror(code), place) from error
    for other in ownership.states(folder):
        if other != name:
            shutil.rmtree(os.path.join(folder, other), ignore_errors=True)


def restore(folder: str, like: Any, trace_like: dict[str, Any]) -> tuple[Progress, float] | None:
    """Reads the newest progress.

    Args:
      folder: given to `save`.
      like: the solver's state as shapes and dtypes, see `jax.eval_shape`.
      trace_like: one step of the trace, likewise: () or (n,) a quantity.

    Returns:
      The progress and the seconds spent, or None if there is none or it is damaged or of another program.
    """
    for name in reversed(_steps(folder)):
        attempt, step = map(int, name.split("-"))
        trace = {key: jax.ShapeDtypeStruct((step, *x.shape), x.dtype) for key, x in trace_like.items()}
        tree = (like, trace)
        found = _read(os.path.join(os.path.abspath(folder), name), tree)
        if found is not None:
            (state, trace), seconds = found
            return Progress(attempt, step, state, jax.device_get(trace)), seconds
    return None


def _read(place: str, tree: Any) -> tuple[Any, float] | None:
    leaves, structure = jax.tree.flatten(tree)
    plain = [jax.eval_shape(jax.random.key_data, x) if _is_key(x) else x for x in leaves]
    large = _large(plain)
    size = _HEADER + sum(size for size in map(_size, plain) if size < _LARGE)
    _hush_late_answers()
    try:
        with _checkpointer() as checkpointer:
            restored = checkpointer.restore(place, {"state": jax.ShapeDtypeStruct((size,), np.uint8), **large})
        found = {name: np.asarray(value) for name, value in restored.items()}
    except Exception:  # many kinds
        return None
    data, description = found["state"], _describe(os.path.basename(place), tree)
    if not np.array_equal(_digest([data[_DIGEST:], *(found[name] for name in large)], description), data[:_DIGEST]):
        return None
    values, seconds = _unpack(found, plain)
    # Copies: the state is donated to the next chunk.
    pairs = zip(values, leaves, strict=True)
    return jax.tree.unflatten(structure, [_wrap(v, x) if _is_key(x) else jnp.array(v) for v, x in pairs]), seconds
