"""JSON files that are damaged: by hand, one of each kind, and at random."""

import copy
import json

# Not JSON, or JSON that no document of ours is; each is the whole file.
ANY = {
    "nothing": b"",
    "cut off": b'{"name": "p0", "sta',
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 100_000,
    "deep and closed": b"[" * 500 + b"]" * 500,
    "null": b"null",
    "number": b"3",
    "text": b'"text"',
    "list": b"[]",
    "list of numbers": b"[1]",
    "list of objects": b"[{}]",
    "object": b"{}",
    "other keys": b'{"a": 1}',
    "not a number": b"[NaN, Infinity, -Infinity]",
    "beyond floats": b'{"name": 1e999}',
    "endless digits": b"9" * 5000,
    "no text": b'{"name": "\xff\xfe"}',
    "other encoding": '{"name": "zzz"}'.encode("utf-16"),
    "zero bytes": bytes(1000),
}
# Values that a key may have instead of its own.
VALUES = (None, True, -1, 2**31, 2**70, 0.5, 1e300, "", "text", "../../victim", "\ud800", [], [[]], {}, {"a": [1]})


def deep(levels=100_000):
    """An object whose only key holds that many lists."""
    return b'{"name": ' + b"[" * levels + b"]" * levels + b"}"


def places(value, path=()):
    """The way to each value in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


def at_random(rng, data: bytes) -> bytes:
    """A damaged copy of a document: some of its bytes, one of its values, or all of it.

    Args:
      rng: random.Random.
      data: the document.
    """
    kind = rng.randrange(4)
    if kind == 0:
        return rng.choice(list(ANY.values()))
    if kind == 1:
        found = bytearray(data)
        for _ in range(rng.randint(1, 4)):
            found[rng.randrange(len(found))] = rng.choice(b'\x00\xff"[]{},:0-eN')
        return bytes(found[: rng.randrange(len(found))] if rng.random() < 0.3 else found)
    document = copy.deepcopy(json.loads(data))
    *way, last = rng.choice([path for path in places(document) if path])
    parent = document
    for key in way:
        parent = parent[key]
    if kind == 2:
        parent[last] = rng.choice(VALUES)
        return json.dumps(document).encode()
    if isinstance(parent, dict) and rng.random() < 0.5:
        del parent[last]
        return json.dumps(document).encode()
    parent[last] = "DEEP"
    return json.dumps(document).encode().replace(b'"DEEP"', b"[" * 5000 + b"]" * 5000)
