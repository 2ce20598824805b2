"""Files for tests."""

import io
import struct
import zlib

import numpy as np
import PIL.Image
import scipy.io
import tifffile


def levels(shape, *, peak=255, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, peak + 1, shape).astype(dtype)


def save(path, array, mode=None, **options):
    image = PIL.Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def encoded(array, kind, **options):
    data = io.BytesIO()
    PIL.Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()


def array_bytes(array, **options):
    data = io.BytesIO()
    np.save(data, array, **options)
    return data.getvalue()


def archive_bytes():
    data = io.BytesIO()
    np.savez(data, a=np.zeros((3, 3)))
    return data.getvalue()


def chunk(kind, content):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def with_chunk(png, kind, content):
    """A PNG file with one more chunk behind its header."""
    return png[:33] + chunk(kind, content) + png[33:]


def tiff_bytes(array, photometric=None, **options):
    """A TIFF of samples of any type; by default MinIsBlack or RGB."""
    data = io.BytesIO()
    photometric = photometric or ("rgb" if array.ndim > 2 else "minisblack")
    tifffile.imwrite(data, array, photometric=photometric, metadata=None, **options)
    return data.getvalue()


def frames(kind):
    pictures = [PIL.Image.fromarray(levels((8, 8, 3), seed=n)) for n in range(3)]
    data = io.BytesIO()
    pictures[0].save(
        data, kind, save_all=True, append_images=pictures[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    return data.getvalue()


def mat_bytes(*, compress=False, **content):
    data = io.BytesIO()
    scipy.io.savemat(data, content, do_compression=compress)
    return data.getvalue()


def cells(*content):
    """A row of a MATLAB cell array."""
    row = np.empty((1, len(content)), object)
    for place, value in enumerate(content):
        row[0, place] = value
    return row


def icc_profile(space, tags):
    """An ICC profile, version 2, of a display or (CMYK) a printer."""
    d50 = struct.pack(">3i", *(round(65536 * v) for v in (0.9642, 1, 0.8249)))
    name = b"A test"
    description = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(1 + 78)
    tags = {b"desc": description, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": b"XYZ " + bytes(4) + d50, **tags}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for kind, content in tags.items():
        table += kind + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    kinds = (b"prtr", b"Lab ") if space == b"CMYK" else (b"mntr", b"XYZ ")
    head = struct.pack(">I4xI", start + len(body), 0x02400000) + kinds[0] + space + kinds[1] + bytes(12) + b"acsp"
    head = (head + bytes(28) + d50).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body


def icc_gamma(gamma):
    """A tone curve of a profile."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma))


def icc_rgb(matrix, gamma):
    """A profile of RGB with primaries in the columns of a matrix."""
    tags = {}
    for letter, column in zip(b"rgb", np.transpose(matrix), strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * v) for v in column))
        tags[bytes([letter]) + b"TRC"] = icc_gamma(gamma)
    return icc_profile(b"RGB ", tags)
