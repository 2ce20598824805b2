"""Compiled programs of one run of the tests are kept in a folder of that run: nothing touches the user's cache."""

import os
import shutil
import tempfile


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # xdist: the workers have the folder of the process that starts them
        return
    folder = tempfile.mkdtemp(prefix="blindsr_jax_tests_")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["XDG_CACHE_HOME"] = folder
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # jax reads it when it is imported, which is later
