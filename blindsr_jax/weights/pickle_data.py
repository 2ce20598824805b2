"""Pickles read as data: dicts, lists, tuples, numbers, strings and what a caller allows by name; nothing else is run.

A pickle is a program. This interpreter knows the opcodes that such data need, never calls what the caller has not
named, and its time and memory grow with the bytes of the pickle and no faster.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from typing import Any

MOST_BYTES = 2**24
_MOST_OPCODES = 500_000  # a released network of 600 tensors has 20,000
_MOST_ARGUMENTS = 16
_LARGEST_KEY = 2**32  # of whole numbers that are keys: larger ones could be made to collide
_LONGEST_NAME = 80
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES "
    "SHORT_BINBYTES UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8".split()
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class ForbiddenError(Exception):
    """A name that the caller has not allowed."""


class _Machine:
    """The stack, the marks on it and the memo of one pickle."""

    def __init__(self, names: Mapping[str, Any], find: Callable[[Any], Any]):
        self.names, self.find = names, find
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}  # not a list: a pickle can name any index

    def since_mark(self) -> list[Any]:
        first = self.marks.pop()
        items = self.stack[first:]
        del self.stack[first:]
        return items

    def last(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise ValueError("an empty stack")
        items = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return items

    def named(self, name: str) -> Any:
        if name not in self.names:
            name = "".join(c if c.isprintable() else "?" for c in name)
            raise ForbiddenError(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "...")
        return self.names[name]

    def call(self, function: Any, args: Any) -> Any:
        if not any(function is known for known in self.names.values()) or not callable(function):
            raise ValueError("a call of what is no function")
        if not isinstance(args, tuple) or len(args) > _MOST_ARGUMENTS:
            raise ValueError("a call with too much")
        return function(*args)

    def store(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str) and not (isinstance(key, int) and abs(key) < _LARGEST_KEY):
                raise ValueError("a key that is neither text nor a number")
            target[key] = value

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("no list")
        self.stack[-1].extend(items)

    def run(self, name: str, arg: Any) -> None:
        """One opcode."""
        stack = self.stack
        if name in _VALUES:
            stack.append(arg)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(self.last(_TUPLES[name]))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[arg] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[arg])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name == "POP":
            stack.pop()
        elif name in ("TUPLE", "LIST", "DICT"):
            self.collect(name)
        elif name in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if name == "EMPTY_DICT" else [])
        elif name in ("SETITEM", "SETITEMS"):
            self.store(list(self.last(2)) if name == "SETITEM" else self.since_mark())
        elif name in ("APPEND", "APPENDS"):
            self.extend(list(self.last(1)) if name == "APPEND" else self.since_mark())
        elif name == "GLOBAL":
            stack.append(self.named(arg.replace(" ", ".")))
        elif name == "STACK_GLOBAL":
            stack.append(self.named(".".join(map(_text, self.last(2)))))
        elif name == "BINPERSID":
            stack.append(self.find(*self.last(1)))
        elif name == "REDUCE":
            stack.append(self.call(*self.last(2)))
        elif name == "BUILD":
            self.last(1)  # attributes of an ordered dict, which no data need
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"the opcode {name}")

    def collect(self, name: str) -> None:
        """What stands above the mark as one value."""
        items = self.since_mark()
        self.stack.append(tuple(items) if name == "TUPLE" else items if name == "LIST" else {})
        if name == "DICT":
            self.store(items)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name that is no text")
    return value


def load(file: io.BytesIO, *, names: Mapping[str, Any], find: Callable[[Any], Any]) -> Any:
    """Reads one pickle from where a file stands, and leaves the file behind it.

    Args:
      file: bytes in memory.
      names: 'module.name' to what stands for it; functions among these may be called.
      find: makes a value of a persistent id.

    Returns:
      The value. Parts that the pickle names twice are one object, and a list can hold itself.

    Raises:
      ForbiddenError: the pickle asks for another name; its message is that name.
      Exception: of nearly any kind, the pickle is damaged, too large or holds something else.
    """
    machine, begin = _Machine(names, find), file.tell()
    for count, (opcode, arg, place) in enumerate(pickletools.genops(file)):
        if opcode.name == "STOP":
            (value,) = machine.last(1)
            return value
        if count > _MOST_OPCODES or place - begin > MOST_BYTES:
            raise ValueError("a pickle that is too large")
        machine.run(opcode.name, arg)
    raise ValueError("no end")
