"""What the launches share: one-sentence errors and exit codes."""

import contextlib
import io
import logging
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import TextIO

from absl import app, flags
from absl import logging as absl_logging
from tqdm import tqdm

from blindsr_jax.config import check_name, load_config, make_configs_importable
from blindsr_jax.imaging import conv_tuning
from blindsr_jax.io.files import InputError
from blindsr_jax.io.paths import UNPRINTABLE
from blindsr_jax.runs import autotune, compilation_cache
from blindsr_jax.runs.ownership import NotOursError
from blindsr_jax.runs.signals import StoppedError

_COMPILATION_CACHE = flags.DEFINE_bool(
    "compilation_cache",
    True,
    "Keep compiled programs in the user's cache folder (blindsr_jax below XDG_CACHE_HOME or ~/.cache), which may be "
    "deleted at any time; JAX_COMPILATION_CACHE_DIR in the environment names another.",
)
_AUTOTUNE = flags.DEFINE_bool(
    "autotune",
    True,
    "On an accelerator, time the forms of each large convolution at its first use, a few seconds per shape, and keep "
    "the fastest beside the compiled programs.",
)

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
_LONGEST = 300  # characters of a message that another library wrote
_REASONS = {  # what absl says, and what was expected
    "invalid literal for int": "a whole number",
    "could not convert": "a number",
    r"\('Non-boolean": "True or False",
    "Error while parsing string": "values with commas between them, such as (1, 2)",
}


class UsageError(Exception):
    """The command cannot start: its message is one sentence that names the flag and what was expected."""


def printable(text: str) -> str:
    """A text for a terminal: what would move its cursor, and bytes of names that are no text, are escaped."""
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


@contextlib.contextmanager
def usage_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors about what the user gave, ValueError and TypeError unless others are named, into a UsageError."""
    expected = kinds or (ValueError, TypeError)
    try:
        yield
    except expected as error:
        raise UsageError(one_line(error)) from error


def say(text: str, file: TextIO | None = None) -> None:
    """Prints a line, from any thread, beside a progress bar if there is one."""
    file = file or sys.stdout
    tqdm.write(printable(text) + "\n", file=file, end="")
    file.flush()


def one_line(error: BaseException) -> str:
    """An exception as one line of text."""
    text = printable(" ".join(str(error).split()))
    return text or type(error).__name__


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " ..."


def failure(path: str | os.PathLike, error: Exception) -> str:
    """One sentence about the file that could not be finished; its traceback goes to the log at --verbosity=1."""
    absl_logging.vlog(1, "%s", path, exc_info=error)
    text = one_line(error)
    if isinstance(error, InputError):
        return text
    return f"cannot finish {str(path)!r}: {type(error).__name__}" + (f", {_shortened(text)}" if str(error) else "")


def say_failure(path: str | os.PathLike, error: Exception) -> None:
    """Prints the sentence of `failure` on stderr."""
    print(failure(path, error), file=sys.stderr)


def _fail(message: str, code: int = USAGE) -> None:
    sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {message}\n")
    sys.exit(code)


def _explain(error: Exception) -> str:
    """What is wrong with the flags, in words for a person."""
    text = one_line(error)
    missing = re.findall(r"flag --(\S+)=None: Flag --\1 must have a value other than None", text)
    if missing:
        return f"{' and '.join('--' + name for name in missing)} must be given, expected --name=value"
    if isinstance(error, flags.UnrecognizedFlagError):
        return text if error.args[0].endswith("?") else f"{text}, expected one of those that --help lists"
    for reason, expected in _REASONS.items():
        found = re.match(rf"flag (--.*): {reason}", text)
        if found:
            return f"{_shortened(found[1])} is not valid, expected {expected}"
    return _shortened(text)


def _check_config_flags(argv: list[str]) -> None:
    """Checks the config file and the names of values in it, which absl would report late or without saying where."""
    found = [re.match(r"--?config(?:=(.*)|$)", arg) for arg in argv]
    files = [m[1] if m[1] is not None else "".join(argv[i + 1 : i + 2]) for i, m in enumerate(found) if m]
    names = [m[1] for arg in argv if (m := re.match(r"--?(?:no)?config\.([^=]+)", arg))]
    if names and not files:
        raise ValueError(f"--config must be given before --config.{names[0]}, expected a file of configs/")
    for file in files:
        config = load_config(file)
        for name in names:
            check_name(config, name)


def _parse(argv: list[str]) -> list[str]:
    """absl's parser, with every failure (unknown flag, config file, config name or value) as one sentence."""
    try:
        if "config" in flags.FLAGS:
            _check_config_flags(flags.FLAGS.read_flags_from_files(argv, force_gnu=False))
        rest = flags.FLAGS(argv)
    except SystemExit:  # --help has been answered
        sys.exit(OK)
    except Exception as error:  # the flags of a config raise nearly anything
        _fail(_explain(error))
    if len(rest) > 1:
        _fail(f"{rest[1]!r} is not a flag; every argument is of the form --name=value (quote the globs)")
    return rest


def run(main: Callable[[], int]) -> None:
    """Runs a launch: `main` returns the exit code; a `UsageError` is one sentence on stderr and exit code 2."""
    # jax remarks on absent accelerators; the user asked for none.
    logging.getLogger("jax._src.xla_bridge").setLevel(logging.ERROR)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text; stderr escapes what is none already
        sys.stdout.reconfigure(errors="backslashreplace")
    make_configs_importable()

    def call(argv):
        del argv
        try:
            folder = compilation_cache.enable() if _COMPILATION_CACHE.value else compilation_cache.disable()
            conv_tuning.enable(autotune.tuner(folder) if _AUTOTUNE.value else None)
            sys.exit(main())
        except (UsageError, NotOursError) as error:
            _fail(one_line(error))
        except StoppedError as error:
            _fail(one_line(error), error.code)
        except OSError as error:  # a full disk: nothing can go on
            absl_logging.vlog(1, "stopped", exc_info=error)
            _fail(f"stopped by {type(error).__name__}, {one_line(error)}", SOME_FAILED)
        except KeyboardInterrupt:
            _fail("interrupted", INTERRUPTED)

    app.run(call, flags_parser=_parse)


def make_workdir(path: str, *, flag: str = "workdir", folders: tuple[str, ...] = ()) -> str:
    """Creates a folder and the named folders in it, and tries that they can be written.

    Raises:
      UsageError: one cannot; it names the flag.
    """
    for folder in (path, *(os.path.join(path, name) for name in folders)):
        try:
            os.makedirs(folder, exist_ok=True)
            probe = os.path.join(folder, f".{uuid.uuid4().hex}.tmp")
            with open(probe, "x"):  # never through a link
                pass
            os.remove(probe)
        except OSError as error:
            reason = f"{folder!r} cannot be written ({error.strerror})"
            raise UsageError(f"--{flag}={path}: {reason}, expected a writable folder") from error
    return path
