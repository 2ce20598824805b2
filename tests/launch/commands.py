"""Running the launches as a user does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TINY = "--config=tests/launch/tiny.py"
# Programs run for milliseconds here: optimising them is most of the time of a test.
# The small ones are worth keeping too, see conftest.py for where.
ENV = {
    **{name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"},
    "XLA_FLAGS": "--xla_backend_optimization_level=0",
    "JAX_PLATFORMS": "cpu",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}


class Run(NamedTuple):
    code: int
    out: str
    err: str


def command(name, *flags):
    return [f"launch/{name}.py", *(str(flag) for flag in flags)]


def python(*args, env=ENV, **options) -> Run:
    done = subprocess.run([sys.executable, *args], cwd=ROOT, env=env, capture_output=True, text=True, **options)
    return Run(done.returncode, done.stdout, done.stderr)


def launch(name, *flags) -> Run:
    return python(*command(name, *flags))


def forked(*commands, env=None) -> list[Run]:
    """Runs commands one after another; see forked.py for what a command can be."""
    done = python("tests/launch/forked.py", input=json.dumps(commands), env=ENV | (env or {}))
    assert done.code == 0, done.err
    return [Run(*answer) for answer in json.loads(done.out)]


def usage_error(run: Run) -> str:
    """The one sentence of a run that was refused."""
    assert run.code == 2 and run.out == "", run
    assert run.err.count("\n") == 1 and run.err.endswith("\n") and "Traceback" not in run.err, run.err
    return run.err


def read_json(*parts):
    return json.loads(Path(*parts).read_text())
