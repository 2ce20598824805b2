"""Compiled programs of the tests: made quickly rather than to run quickly, and kept while one run of the tests lasts.

Nothing touches the user's cache. Programs run for milliseconds here, so optimising them is most of the time of a test,
and several files and processes need the same ones.
"""

import os
import shutil
import tempfile


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # xdist: the workers have the folder of the process that starts them
        return
    folder = tempfile.mkdtemp(prefix="blindsr_jax_tests_")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ["XDG_CACHE_HOME"] = folder
    # jax reads these when it is imported, which is later.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = os.path.join(folder, "programs")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
