"""How much memory a solve takes, how much there is, and what is said when there is none left.

The estimate walks through the program of a step and adds up what lives at once. Of a chain of operations on single
elements only the last result counts, as XLA fuses the others into it. On a CPU, what XLA itself reserves was 0.9 to 1.2
times the sum for the configs of this project (canvases of 128 to 409 pixels a side), hence FACTOR.
"""

import contextlib
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from blindsr_jax.imaging.problem import Problem
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.solvers.jaxprs import inner_jaxprs
from blindsr_jax.solvers.loop import chunk_length, run_chunk, start

FACTOR = 1.15
SLACK = 2.0  # where one estimate stands for another shape
_ELEMENTWISE = frozenset(
    "abs add add_any and broadcast_in_dim ceil clamp convert_element_type copy cos div eq exp exp2 expand_dims expm1 "
    "floor ge gt integer_pow iota is_finite le log log1p logistic lt max min mul ne neg not or pow reshape round rsqrt "
    "select_n sign sin sqrt square squeeze stop_gradient sub tan tanh xor".split()
)
_TAKES_FUSED = _ELEMENTWISE | {"reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or"}
_CGROUP = "/sys/fs/cgroup"


def _size(aval: Any) -> int:
    if not hasattr(aval, "shape"):
        return 0
    itemsize = 8 if jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key) else aval.dtype.itemsize
    return math.prod(aval.shape) * itemsize


def _uses(jaxpr: Any) -> dict[Any, list[tuple[int, str]]]:
    """Who uses each variable of a program: places and names of operations."""
    uses: dict[Any, list[tuple[int, str]]] = {}
    for i, equation in enumerate(jaxpr.eqns):
        for var in equation.invars:
            if not isinstance(var, core.Literal):
                uses.setdefault(var, []).append((i, equation.primitive.name))
    for var in jaxpr.outvars:
        if not isinstance(var, core.Literal):
            uses.setdefault(var, []).append((len(jaxpr.eqns), "result"))
    return uses


def live_bytes(jaxpr: Any) -> int:
    """The most bytes that live at once, beside the inputs, when the equations of a program run in order."""
    uses, live, peak, stored = _uses(jaxpr), 0, 0, set()
    for i, equation in enumerate(jaxpr.eqns):
        made = {var for var in equation.outvars if var in uses}
        if equation.primitive.name in _ELEMENTWISE:
            made = {var for var in made if len(uses[var]) > 1 or uses[var][0][1] not in _TAKES_FUSED}
        size = sum(_size(var.aval) for var in made)
        inside = max(map(live_bytes, inner_jaxprs(equation)), default=0)
        peak = max(peak, live + max(size, inside))
        stored |= made
        ended = {var for var in equation.invars if not isinstance(var, core.Literal) and uses[var][-1][0] == i}
        live += size - sum(_size(var.aval) for var in ended & stored)
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
    started = start.trace(key, problem, kernel, solver.arrays, solver=solver)
    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), started.out_info)
    length = chunk_length(num_steps, chunk_steps)
    places = jnp.int32(0), solver.arrays, jnp.int32(length)
    traced = run_chunk.trace(key, state, problem, *places, solver=solver, length=length)
    held = sum(map(_size, jax.tree.leaves((state, problem.lr))))
    return int(max(held + FACTOR * live_bytes(traced.jaxpr.jaxpr), FACTOR * live_bytes(started.jaxpr.jaxpr)))


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the host, has no memory left."""
    if isinstance(error, MemoryError):
        return True
    # A CPU's client says "INTERNAL: ... Out of memory allocating", an accelerator's "RESOURCE_EXHAUSTED".
    words = str(error).lower()
    return isinstance(error, jax.errors.JaxRuntimeError) and ("resource_exhausted" in words or "out of memory" in words)


def in_words(needed: float, free: float) -> str:
    """The two numbers of a refusal."""
    numbers = [f"{float(f'{value / 1e9:.2g}'):,.10g} GB" for value in (needed, free)]
    return f"about {numbers[0]} of memory are needed and {numbers[1]} are available"
