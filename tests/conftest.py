"""Compiled programs of the tests: made quickly rather than to run quickly, and kept for the next run of the tests.

Nothing touches the user's cache. Programs run for milliseconds here, so optimising them is most of the time of a test,
and several files and processes need the same ones.
"""

import gc
import importlib.metadata
import os
import shutil
from pathlib import Path

# Without LLVM's optimisations and XLA's slower way to make code of fused loops: half the time of a compilation.
QUICK = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_parallel_codegen_split_count=1"
)
if importlib.metadata.version("jaxlib").startswith("0.10."):  # later ones end the process for a flag that is gone
    QUICK += " --xla_cpu_use_fusion_emitters=false"
MOST_BYTES = 2e9  # of kept programs; beyond it all are made anew
FOLDER = Path(os.environ.get("BLINDSR_TEST_PROGRAMS") or Path(__file__).parents[1] / ".pytest_cache" / "programs")

# Other files import jax, which reads these then. The processes that share the tests (xdist) have them from the first.
os.environ["XDG_CACHE_HOME"] = str(FOLDER)
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(FOLDER / "tests")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("XLA_FLAGS", QUICK)
os.environ["JAX_NUMPY_DTYPE_PROMOTION"] = "strict"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"


def pytest_configure(config):
    gc.set_threshold(50_000, 20, 50)  # programs are many objects that live long
    is_first = not hasattr(config, "workerinput")
    if is_first and sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) > MOST_BYTES:
        shutil.rmtree(FOLDER)
