"""Rules for the values of options: a type and a range each, declared beside the option and checked in one place.

An option is a keyword-only argument whose annotation holds its rule:
`channels: Annotated[int, whole(2, 4096)] = 128`. `bool` needs none. Imports nothing else of the package.
"""

import inspect
import numbers
import os
import re
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_LONGEST = 60  # characters of a value in a message


class Rule(NamedTuple):
    """Which values an option takes."""

    expected: str  # in words, after "expected"
    is_valid: Callable[[Any], bool]


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def whole(low: int, high: int) -> Rule:
    """Whole numbers from `low` to `high`, both included."""
    return Rule(f"a whole number from {low} to {high}", lambda v: _is_whole(v) and low <= v <= high)


def number(low: float, high: float) -> Rule:
    """Numbers from `low` to `high`, both included; neither NaN nor an infinity."""
    return Rule(f"a number from {low:g} to {high:g}", lambda v: _is_number(v) and low <= v <= high)


def above(low: float, high: float) -> Rule:
    """Numbers above `low`, up to and including `high`."""
    return Rule(f"a number above {low:g} and up to {high:g}", lambda v: _is_number(v) and low < v <= high)


def below(low: float, high: float) -> Rule:
    """Numbers from `low` on that are below `high`."""
    return Rule(f"a number from {low:g} to below {high:g}", lambda v: _is_number(v) and low <= v < high)


def choice(*known: str) -> Rule:
    """One of some names."""
    return Rule(f"one of {', '.join(known)}", lambda v: isinstance(v, str) and v in known)


def optional(rule: Rule) -> Rule:
    """What a rule takes, or None."""
    return Rule(f"{rule.expected}, or None", lambda v: v is None or rule.is_valid(v))


def _is_list(value: Any) -> bool:
    return isinstance(value, tuple | list)


def several(rule: Rule, *, least: int = 1, most: int = 64) -> Rule:
    """A tuple of values that each obey a rule."""
    return Rule(
        f"a tuple of {least} to {most} values, each {rule.expected}",
        lambda v: _is_list(v) and least <= len(v) <= most and all(map(rule.is_valid, v)),
    )


def pair(rule: Rule) -> Rule:
    """Two values (first, second) that each obey a rule."""
    return Rule(
        f"two values, each {rule.expected}", lambda v: _is_list(v) and len(v) == 2 and all(map(rule.is_valid, v))
    )


def span(rule: Rule, *named: str) -> Rule:
    """(low, high), both by a rule and in order, or one of some names."""

    def is_valid(value):
        if isinstance(value, str):
            return value in named
        return pair(rule).is_valid(value) and value[0] <= value[1]

    return Rule(f"(low, high), each {rule.expected}" + "".join(f", or {name}" for name in named), is_valid)


FLAG = Rule("True or False", lambda v: isinstance(v, bool))
NAME = Rule("a name", lambda v: isinstance(v, str) and 0 < len(v) <= 100)
FILE = Rule("a name or a file", lambda v: isinstance(v, str | os.PathLike) and 0 < len(os.fspath(v)) <= 4096)
GRID = Rule(
    "COLUMNSxROWS such as 4x3, each from 1 to 64",
    lambda v: isinstance(v, str) and re.fullmatch(r"0*([1-9]|[1-5]\d|6[0-4])x0*([1-9]|[1-5]\d|6[0-4])", v) is not None,
)
STEPS = whole(1, 10**6)  # of a loop, or between two events in it
STEPS_FROM_0 = whole(0, 10**6)
DRAWS = whole(1, 10**6)  # random kernels
VARIANCE = number(0, 1e6)  # px^2
RATE = above(0, 1000)  # of gradient descent: what a diverged solve is told to make smaller
WEIGHT = number(0, 1e9)  # of a term of a loss
NOISE = number(0, 1)  # standard deviation, on the [0, 1] scale


def _rule_of(annotation: Any) -> Rule | None:
    if annotation is bool:
        return FLAG
    return next((x for x in typing.get_args(annotation)[1:] if isinstance(x, Rule)), None)


def options_of(function: Callable) -> dict[str, Rule | None]:
    """The options of a function, which are its keyword-only arguments, each with its rule.

    An option without a rule has None, which is for arguments that are no values of a config (a kernel family).
    """
    parameters = inspect.signature(function).parameters.values()
    return {p.name: _rule_of(p.annotation) for p in parameters if p.kind is p.KEYWORD_ONLY}


def with_options_of(other: Callable) -> Callable[[Callable], Callable]:
    """Decorates a function that hands its `**options` on to another one: they count as its own."""

    def decorate(function):
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        theirs = [p for p in inspect.signature(other).parameters.values() if p.kind is p.KEYWORD_ONLY]
        more = [p for p in theirs if p.name not in {q.name for q in own}]
        function.__signature__ = inspect.Signature([*own, *more])
        return function

    return decorate


def show(value: Any) -> str:
    """A value as it would be typed, on one line and not longer than a message can bear."""
    try:
        text = " ".join(str(value).split())
    except (ValueError, RecursionError):  # a number of thousands of digits, say
        text = f"a huge {type(value).__name__}"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def check(values: Mapping[str, Any], rules: Mapping[str, Rule | None], where: str = "") -> None:
    """Checks that values have names and are in the ranges of a table of rules.

    Args:
      values: of a config or a part of it; a mapping in it is a part, whose rules have dotted names.
      rules: name to rule.
      where: the part of the config, such as 'image.'.

    Raises:
      ValueError: names the value as it would be given on the command line.
    """
    for name, value in values.items():
        rule, prefix = rules.get(name), f"{name}."
        if rule is None and hasattr(value, "items"):  # a mapping, or a ConfigDict, which is none
            inner = {key.removeprefix(prefix): found for key, found in rules.items() if key.startswith(prefix)}
            check(value, inner, where + prefix)
            continue
        if rule is None:
            known = sorted({key.split(".")[0] for key, found in rules.items() if found is not None})
            expected = f"expected one of {', '.join(known)}" if known else "none was expected here"
            raise ValueError(f"config.{where}{name} is unknown, {expected}")
        if not rule.is_valid(value):
            raise ValueError(f"--config.{where}{name}={show(value)} is not valid, expected {rule.expected}")
