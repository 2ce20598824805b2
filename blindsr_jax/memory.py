"""How much memory a solve takes, and how much there is.

The estimate walks through the program of a step and adds up what lives at once, as if each operation stored its result.
XLA saves some of these by fusing and needs others as workspace: on a CPU its own figure was 0.6 to 1.6 times the sum
for the configs of this project (sides of 128 to 409 pixels), hence FACTOR.
"""

import contextlib
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from blindsr_jax.problem import Problem
from blindsr_jax.solve import Solver, chunk_length, run_chunk, start

FACTOR = 1.2
# No config of this project takes half of that: below, tracing the program first would be a waste of time.
MOST_BYTES_A_PIXEL = 40_000
_CGROUP = "/sys/fs/cgroup"


def _size(aval: Any) -> int:
    if not hasattr(aval, "shape"):
        return 0
    itemsize = 8 if jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key) else aval.dtype.itemsize
    return math.prod(aval.shape) * itemsize


def _inner(equation: Any) -> list[Any]:
    """The programs inside an equation: bodies of loops, branches, calls."""
    values = [v for value in equation.params.values() for v in (value if isinstance(value, tuple | list) else (value,))]
    return [inner for inner in (getattr(value, "jaxpr", value) for value in values) if hasattr(inner, "eqns")]


def live_bytes(jaxpr: Any) -> int:
    """The most bytes that live at once, beside the inputs, when the equations of a program run in order."""
    last = {}
    for i, equation in enumerate((*jaxpr.eqns, jaxpr)):
        for var in jaxpr.outvars if equation is jaxpr else equation.invars:
            if not isinstance(var, core.Literal):
                last[var] = i
    given, live, peak = {*jaxpr.invars, *jaxpr.constvars}, 0, 0
    for i, equation in enumerate(jaxpr.eqns):
        made = sum(_size(var.aval) for var in equation.outvars)
        inside = max(map(live_bytes, _inner(equation)), default=0)
        peak = max(peak, live + max(made, inside))
        ended = {var for var in equation.invars if not isinstance(var, core.Literal) and last[var] == i} - given
        live += sum(_size(var.aval) for var in equation.outvars if var in last) - sum(_size(v.aval) for v in ended)
    return peak


def estimate(
    key: jax.Array,
    problem: Problem,
    solver: Solver,
    *,
    num_steps: int,
    chunk_steps: int,
    kernel: jax.Array | None = None,
) -> int:
    """Bytes that a solve takes at its peak, within a factor of about two; see `solve` for the arguments.

    Nothing is run or compiled, and `solve` need not trace the same program again.
    """
    state = jax.eval_shape(lambda *args: start(*args, solver=solver), key, problem, kernel)
    length = chunk_length(num_steps, chunk_steps)
    traced = run_chunk.trace(key, state, problem, jnp.int32(0), solver=solver, length=length)
    held = sum(map(_size, jax.tree.leaves((state, problem.lr))))
    return int(held + FACTOR * live_bytes(traced.jaxpr.jaxpr))


def _number(path: str) -> float:
    try:
        return float(Path(path).read_text())
    except (OSError, ValueError):  # a machine without it, or 'max'
        return math.inf


def available() -> float:
    """Bytes that a solve can take on the default device; infinity where that is not known.

    On a CPU, what Linux calls available, or what is left of the limit of a container.
    """
    if jax.default_backend() != "cpu":
        stats = jax.local_devices()[0].memory_stats() or {}
        return stats.get("bytes_limit", math.inf) - stats.get("bytes_in_use", 0)
    free = math.inf
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024 * int(next(line for line in lines if line.startswith("MemAvailable")).split()[1])
    left = _number(f"{_CGROUP}/memory.max") - _number(f"{_CGROUP}/memory.current")
    return min(free, left if math.isfinite(left) else math.inf)


def in_words(needed: float, free: float) -> str:
    """The two numbers of a refusal."""
    return f"about {needed / 1e9:.2g} GB of memory are needed and {free / 1e9:.2g} GB are available"
