"""What the launches share: one-sentence errors and exit codes."""

import logging
import os
import sys
import time
import zlib
from collections.abc import Callable

import jax
from absl import app, flags

OK, SOME_FAILED, USAGE = 0, 1, 2


class UsageError(Exception):
    """The command cannot start: its message is one sentence that names the flag and what was expected."""


def one_line(error: BaseException) -> str:
    """An exception as one line of text."""
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _fail(message: str) -> None:
    sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {message}\n")
    sys.exit(USAGE)


def _parse(argv: list[str]) -> list[str]:
    """absl's parser, with every failure (unknown flag, config file, config name or value) as one sentence."""
    try:
        rest = flags.FLAGS(argv)
    except (KeyError, AttributeError) as error:
        _fail(f"the config has no value named {one_line(error)}")
    except Exception as error:  # a config file is a program: anything may come out of it
        _fail(one_line(error))
    if len(rest) > 1:
        _fail(f"{rest[1]!r} is not a flag; every argument is of the form --name=value (quote the globs)")
    return rest


def run(main: Callable[[], int]) -> None:
    """Runs a launch: `main` returns the exit code; a `UsageError` is one sentence on stderr and exit code 2."""
    # jax remarks on absent accelerators; the user asked for none.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)

    def call(argv):
        del argv
        try:
            sys.exit(main())
        except UsageError as error:
            _fail(one_line(error))

    app.run(call, flags_parser=_parse)


def make_workdir(path: str) -> str:
    """Creates the folder and tries that it can be written.

    Raises:
      UsageError: it cannot.
    """
    try:
        os.makedirs(path, exist_ok=True)
        probe = os.path.join(path, f".probe{os.getpid()}")
        with open(probe, "w"):
            pass
        os.remove(probe)
    except OSError as error:
        raise UsageError(
            f"--workdir={path} cannot be written ({error.strerror}), expected a writable folder"
        ) from error
    return path


def image_key(seed: int, name: str) -> jax.Array:
    """The key of an image: from the seed and the image's name, never from its place in a list."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


class CompileClock:
    """Seconds that this process has spent on tracing and compiling, so that run times can be given without them."""

    def __init__(self):
        self._spans = []
        jax.monitoring.register_event_duration_secs_listener(self._record)

    def _record(self, event: str, seconds: float, **_) -> None:
        if event.startswith("/jax/core/compile/"):
            now = time.perf_counter()
            self._spans.append((now - seconds, now))

    def seconds(self) -> float:
        """Total so far; nested spans count once."""
        total, end = 0.0, float("-inf")
        for first, last in sorted(self._spans):
            total += max(0.0, last - max(first, end))
            end = max(end, last)
        return total
