"""The programs inside a program: a walk through the equations that jax traces."""

from collections.abc import Iterator
from typing import Any


def inner_jaxprs(equation: Any) -> Iterator[Any]:
    """The programs inside an equation: bodies of loops, branches, calls, functions with gradients of their own."""
    for value in equation.params.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            jaxpr = getattr(part, "jaxpr", part)
            if hasattr(jaxpr, "eqns"):
                yield jaxpr
