"""How much memory a solve takes, and how much there is."""

import math
from typing import Any

import jax
from jax.extend import core


def _size(var: Any) -> int:
    aval = var.aval
    if not hasattr(aval, "shape"):
        return 0
    itemsize = 8 if jax.dtypes.issubdtype(aval.dtype, jax.dtypes.prng_key) else aval.dtype.itemsize
    return math.prod(aval.shape) * itemsize


def _inner(equation: Any) -> list[Any]:
    """The programs inside an equation: bodies of loops, branches, calls."""
    found = []
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                found.append(item)
    return found


def _peak(jaxpr: Any) -> int:
    """The most bytes that live at once, beside the inputs, when the equations run in order."""
    last = {}
    for i, equation in enumerate(jaxpr.eqns):
        for var in equation.invars:
            if not isinstance(var, core.Literal):
                last[var] = i
    for var in jaxpr.outvars:
        if not isinstance(var, core.Literal):
            last[var] = len(jaxpr.eqns)
    given = {*jaxpr.invars, *jaxpr.constvars}
    live, peak = 0, 0
    for i, equation in enumerate(jaxpr.eqns):
        made = sum(_size(var) for var in equation.outvars)
        inside = max((_peak(inner) for inner in _inner(equation)), default=0)
        peak = max(peak, live + max(made, inside))
        live += sum(_size(var) for var in equation.outvars if var in last)
        ended = {var for var in equation.invars if not isinstance(var, core.Literal) and last[var] == i}
        live -= sum(_size(var) for var in ended - given)
    return peak
