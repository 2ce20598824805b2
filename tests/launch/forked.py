"""Runs command lines in forks of one process, so that importing jax is paid once.

A line of stdin is a list of them in JSON, and is answered by a line: code, output and errors of each. A command line is
a list of words, or {"argv": words, "before": code to run first, "kill_after": seconds until a signal, "signal": its
name, by default SIGKILL}; {"together": command lines} runs them at the same time.
"""

import importlib
import json
import os
import pkgutil
import runpy
import signal
import sys
import tempfile
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import imageio.v3  # noqa: F401
import matplotlib.pyplot  # noqa: F401
import scipy.ndimage  # noqa: F401
from ml_collections import config_flags  # noqa: F401
from tqdm import tqdm  # noqa: F401

import blindsr_jax

# All that the launches import, but nothing that starts jax: a fork would not survive that.
for module in pkgutil.walk_packages(blindsr_jax.__path__, "blindsr_jax."):
    if module.name != "blindsr_jax.training.driver":  # it defines flags
        importlib.import_module(module.name)
STOPS = (signal.SIGINT, signal.SIGTERM)


def main(path, before):
    code = 1
    try:
        exec(before, {})
        runpy.run_path(path, run_name="__main__")
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def wait(child, kill_after, number):
    """The exit code; minus the number of a signal that ended the child."""
    end = time.monotonic() + (kill_after or 3600)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG if kill_after else 0)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            os.kill(child, number)
            kill_after, end = None, float("inf")
        time.sleep(0.002)


def run(command):
    command = command if isinstance(command, dict) else {"argv": command}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # until the child is ready for them
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            for number in STOPS:  # as a launch does before its imports, which are done here
                signal.signal(number, lambda number, frame: os._exit(128 + number))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
            sys.argv = command["argv"]
            code = main(sys.argv[0], command.get("before", ""))
            os._exit(code)  # taking jax down in order would cost more than the run
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        number = getattr(signal, command.get("signal", "SIGKILL"))
        code = wait(child, command.get("kill_after"), number)
        texts = [os.pread(file.fileno(), 10**7, 0).decode() for file in (out, err)]
        return code, *texts


if __name__ == "__main__":
    for line in sys.stdin:
        answers = []
        for command in json.loads(line):
            together = command["together"] if "together" in command else [command]
            with ThreadPoolExecutor(len(together)) as pool:
                answers += pool.map(run, together)
        print(json.dumps(answers), flush=True)
