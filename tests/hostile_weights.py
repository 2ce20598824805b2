"""Small files that ask for much time or memory when they are read as weights, and what reading them takes.

python -m tests.hostile_weights FILE... prints a line of JSON a file: what came out, and by how many megabytes the
process grew. Its memory and its time are limited, so that a fault hurts nobody.
"""

import io
import json
import resource
import struct
import sys
import zipfile

DICT, END = b"\x80\x02}X\x01\x00\x00\x00a", b"s."  # {'a': ...}
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


def zipped(pickle, storage=b"", compression=zipfile.ZIP_STORED):
    """A file as torch writes it, with one storage."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
        archive.writestr("x/data.pkl", pickle)
        archive.writestr("x/data/0", storage)
    return file.getvalue()


def legacy(pickle):
    """The older format, without storages."""
    numbers = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x80\x02M\xe9\x03."
    return b"".join(numbers) + b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s." + pickle + b"\x80\x02]."


def nested(depth, make=b"](h%ch%ce"):
    """Lists of twice the list before; `make` may also say tuples."""
    levels = b"".join(make.replace(b"%c", bytes([i])) + b"q" + bytes([i + 1]) for i in range(depth))
    return DICT + b"(]q\x00" + levels + b"l" + END  # the levels are items of one more list


def floats(count):
    """A storage of so many numbers."""
    size = b"J" + struct.pack("<i", count)
    return b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" + size + b"tQ"


def views(count, tensors):
    """Many tensors, each all of one storage."""
    args = floats(count) + b"K\x00J" + struct.pack("<i", count) + b"\x85K\x01\x85t"
    body = b"(" + TENSOR + b"q\x00(" + args + b"q\x01R" + b"h\x00h\x01R" * (tensors - 1) + b"l"
    return DICT + body + END


def text(word):
    """A string in a pickle."""
    return b"X" + struct.pack("<I", len(word)) + word


def files():
    """Name to bytes."""
    many, big = 50_000, 2**29
    key = b"".join(b"h" + bytes([i]) + b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) + b"0" for i in range(60))
    colliding = b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(40_000))
    pairs = b"((" + b"K\x00K\x00\x86" * many + b"lq\x00"
    copies = b"ccollections\nOrderedDict\nq\x01h\x00\x85R" + b"h\x01h\x00\x85R" * many + b"l"
    numbers = b"((" + b"K\x00" * many + b"tq\x00"
    calls = b"ctorch._utils\n_rebuild_parameter\nq\x01h\x00R" + b"h\x01h\x00R" * many + b"l"
    axes = b"(" + floats(1) + b"K\x00(" + b"J\xff\xff\xff\x7f" * many + b"tq\x00h\x00tR"
    return {
        "nested_lists": zipped(nested(24)),
        "deeply_nested_lists": zipped(nested(200)),
        "nested_tuples": zipped(nested(200, b"h%ch%c\x86")),
        "old_nested_lists": legacy(nested(24)),
        "nested_key": zipped(b"\x80\x02})q\x000" + key + b"h\x3cN" + END),
        "list_of_itself": zipped(DICT + b"]q\x00h\x00a" + END),
        "residuals": zipped(DICT + b"Nr\xff\xff\xff\x0f" + END),
        "memo_in_text": zipped(DICT + b"Np268435455\n" + END),
        "views": zipped(views(many, 10_000), bytes(4 * many)),
        "inflated": zipped(views(big // 4, 1), bytes(big), zipfile.ZIP_DEFLATED),
        "inflated_pickle": zipped(DICT + text(bytes(big)) + END, b"", zipfile.ZIP_DEFLATED),
        "copied_dicts": zipped(DICT + pairs + copies + END),
        "copied_arguments": zipped(DICT + numbers + calls + END),
        "colliding_keys": zipped(b"\x80\x02}(" + colliding + b"u."),
        "many_opcodes": zipped(DICT + b"(" + b"N" * 10_000_000 + b"l" + END),
        "many_axes": zipped(DICT + TENSOR + axes + END),
    }


def main(paths):
    from blindsr_jax.weights import convert, torch_reader

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**32,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        before = resource.getrusage(resource.RUSAGE_SELF)
        try:
            convert.check(convert.unwrap(torch_reader.read_tensors(path, data)))
            said = None
        except ValueError as error:
            said = str(error)
        after = resource.getrusage(resource.RUSAGE_SELF)
        grown = (after.ru_maxrss - before.ru_maxrss) / 1024
        print(json.dumps({"said": said, "grown": grown, "seconds": after.ru_utime - before.ru_utime}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
