"""Runs command lines (JSON on stdin) in forks of one process, so that importing jax is paid once; answers in JSON."""

import json
import os
import runpy
import sys
import tempfile
import traceback

# All that the launches import, but nothing that starts jax: a fork would not survive that.
from ml_collections import config_flags  # noqa: F401
from tqdm import tqdm  # noqa: F401

import blindsr_jax.degradation
import blindsr_jax.image_models.dip
import blindsr_jax.kernel_models.dkp
import blindsr_jax.methods
import blindsr_jax.workdir  # noqa: F401


def main(path):
    code = 1
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def run(argv):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = argv
            os._exit(main(argv[0]))  # taking jax down in order would cost more than the run
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = [os.pread(file.fileno(), 10**7, 0).decode() for file in (out, err)]
        return code, *texts


if __name__ == "__main__":
    print(json.dumps([run(argv) for argv in json.load(sys.stdin)]))
