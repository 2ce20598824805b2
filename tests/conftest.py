"""Compiled programs of the tests: made quickly rather than to run quickly, and kept for the next run of the tests.

Nothing touches the user's cache. Programs run for milliseconds here, so optimising them is most of the time of a test,
and several files and processes need the same ones.
"""

import gc
import os
import shutil

# Without LLVM's optimisations and XLA's slower way to make code of fused loops: half the time of a compilation.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
)
MOST_BYTES = 2e9  # of kept programs; beyond it all are made anew


def pytest_configure(config):
    gc.set_threshold(50_000, 20, 50)  # programs are many objects that live long
    if hasattr(config, "workerinput"):  # xdist: the workers have the variables of the process that starts them
        return
    folder = config.rootpath / ".pytest_cache" / "programs"
    if sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > MOST_BYTES:
        shutil.rmtree(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder)
    # jax reads these when it is imported, which is later.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "tests")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
    os.environ.setdefault("XLA_FLAGS", QUICK)
