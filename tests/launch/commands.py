"""Running the launches as a user does."""

import atexit
import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TINY = "--config=tests/launch/tiny.py"
# The quickest solve there is, for what is the same whatever the method.
MEAN = ("--config=configs/pipeline.py:mean+cubic", "--config.estimators.mean.num_samples=16", "--scale=2")
# To run before a solve whose figures nobody looks at: drawing takes longer than solving here. These are large files.
PLAIN = """
from blindsr_jax import io
from blindsr_jax.runs import report
report.write_figure = lambda path, **_: io.write_bytes(path, b"figure" * 10_000)
"""


def environment() -> dict[str, str]:
    """The variables of a launch, asked for late: tests/conftest.py sets some after this module may have been imported.

    Small programs are worth keeping too, see there for where and for how all of them are compiled.
    """
    kept = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return kept | {"JAX_PLATFORMS": "cpu", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}


class Run(NamedTuple):
    code: int
    out: str
    err: str


def command(name, *flags):
    return [f"launch/{name}.py", *(str(flag) for flag in flags)]


def python(*args, **options) -> Run:
    words, env = [sys.executable, *args], environment()
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, **options)
    return Run(done.returncode, done.stdout, done.stderr)


class Server:
    """One process that has imported jax, and runs each command in a fork of itself."""

    def __init__(self, **more):
        words, env = [sys.executable, "tests/launch/forked.py"], environment() | more
        self._process = subprocess.Popen(words, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def run(self, commands) -> list[Run]:
        """The runs of some commands, one after another."""
        self._process.stdin.write(json.dumps(commands).encode() + b"\n")
        self._process.stdin.flush()
        return [Run(*answer) for answer in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        """Ends the process."""
        with self._process:
            self._process.stdin.close()


@functools.cache
def _server() -> Server:
    server = Server()
    atexit.register(server.close)
    return server


def launch(name, *flags) -> Run:
    """Runs a launch, without the imports that all of them have; see `python` for all that a user waits for."""
    return forked(command(name, *flags))[0]


def forked(*commands, env=None) -> list[Run]:
    """Runs commands one after another; see forked.py for what a command can be."""
    if not env:
        return _server().run(commands)
    with Server(**env) as server:
        return server.run(commands)


def usage_error(run: Run) -> str:
    """The one sentence of a run that was refused."""
    assert run.code == 2 and run.out == "", run
    assert run.err.count("\n") == 1 and run.err.endswith("\n") and "Traceback" not in run.err, run.err
    return run.err


def read_json(*parts):
    return json.loads(Path(*parts).read_text())
