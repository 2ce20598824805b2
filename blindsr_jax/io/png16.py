"""PNG files with 16 bits per channel, which Pillow, and imageio with it, cuts down to 8 bits when there is colour.

imagecodecs and OpenCV keep them, at 80 MB; as this is the format of the results, they would be no extra but needed.
Follows the PNG specification (W3C, third edition), sections 5 (chunks), 8 (interlacing), 9 (filtering) and 11 (tRNS).
"""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 4: 2, 2: 3, 6: 4}  # colour type: channels
_COLOR_TYPE = {channels: color for color, channels in _CHANNELS.items()}
_WHOLE = ((0, 0, 1, 1),)  # first row and column of a pass, and the steps to the next
_INTERLACED = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def is_png16(data: bytes) -> bool:
    """Whether bytes start like a PNG file with 16 bits per channel.

    Args:
      data: bytes of a file.

    Returns:
      bool.
    """
    return data[:8] == _SIGNATURE and data[12:16] == b"IHDR" and data[24:25] == b"\x10"


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (type, content) of a PNG file up to the end of the image.

    Raises:
      ValueError: truncated or damaged; the message is a short phrase.
    """
    at = len(_SIGNATURE)
    while True:
        length, kind = struct.unpack(">I4s", data[at : at + 8].ljust(8, b"\0"))
        content = data[at + 8 : at + 8 + length]
        checksum = data[at + 8 + length : at + 12 + length]
        if kind == b"IEND":
            return
        if len(checksum) < 4:
            raise ValueError("the file is truncated")
        if struct.unpack(">I", checksum)[0] != zlib.crc32(content, zlib.crc32(kind)):
            raise ValueError("a checksum is wrong, the file is damaged")
        yield kind, content
        at += 12 + length


def _unfilter(rows, width, pixel_bytes):
    """Undoes the row filters; (H, 1 + width * pixel_bytes) uint8 -> (H, width, pixel_bytes) uint8.

    A byte depends on its left, upper and upper-left neighbours, so all pixels of an anti-diagonal are independent: one
    vector operation each. Only the last two diagonals are needed, held by row number plus one (row 0 stays zero).
    """
    height = len(rows)
    kind = rows[:, :1].astype(np.int16)
    if kind.max() > 4:
        raise ValueError("a row has an unknown filter type")
    # One more column, so that a diagonal is a strided slice of the flattened image also at width 1.
    flat = np.zeros((height, width + 1, pixel_bytes), np.uint8)
    flat[:, :width] = rows[:, 1:].reshape(height, width, pixel_bytes)
    flat = flat.reshape(-1, pixel_bytes)
    current, last, before = (np.zeros((height + 1, pixel_bytes), np.int16) for _ in range(3))
    for diagonal in range(height + width - 1):
        low, high = max(0, diagonal - width + 1), min(height, diagonal + 1)
        start = low * width + diagonal
        place = slice(start, start + (high - low - 1) * width + 1, width)
        left, up, corner = last[low + 1 : high + 1], last[low:high], before[low:high]
        near_left, near_up, near_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
        paeth = np.where(near_up <= near_corner, up, corner)
        paeth = np.where((near_left <= near_up) & (near_left <= near_corner), left, paeth)
        guess = np.choose(kind[low:high], (np.int16(0), left, up, (left + up) >> 1, paeth))
        current[low + 1 : high + 1] = (flat[place] + guess) & 0xFF
        flat[place] = current[low + 1 : high + 1]
        current, last, before = before, current, last
    return flat.reshape(height, width + 1, pixel_bytes)[:, :width]


def _unpack(packed: bytes, shape: tuple[int, int, int], passes: tuple[tuple[int, int, int, int], ...]) -> np.ndarray:
    """Samples (H, W, C) of the compressed rows of one pass or several, each a smaller image."""
    height, width, channels = shape
    places = [(slice(row, None, down), slice(column, None, right)) for row, column, down, right in passes]
    sizes = [(len(range(height)[rows]), len(range(width)[columns])) for rows, columns in places]
    lengths = [h * (1 + 2 * channels * w) if w else 0 for h, w in sizes]
    try:
        raw = zlib.decompressobj().decompress(packed, sum(lengths))
    except zlib.error as error:
        raise ValueError("the compressed data are damaged") from error
    if len(raw) < sum(lengths):
        raise ValueError("the file is truncated")
    samples, at = np.empty(shape, np.uint16), 0
    for place, (h, w), length in zip(places, sizes, lengths, strict=True):
        if length:
            rows = np.frombuffer(raw, np.uint8, length, at).reshape(h, -1)
            samples[place] = np.ascontiguousarray(_unfilter(rows, w, 2 * channels)).view(">u2")
        at += length
    return samples


def decode(data: bytes) -> np.ndarray:
    """Reads a 16-bit PNG image.

    Args:
      data: bytes of the file.

    Returns:
      uint16 array (H, W, C): gray (C = 1), gray and alpha (2), RGB (3) or RGBA (4). A transparent colour becomes alpha.

    Raises:
      ValueError: not such a file, truncated or damaged; the message is a short phrase.
    """
    if not is_png16(data):
        raise ValueError("not a PNG file with 16 bits per channel")
    header, packed, transparent = None, [], None
    for kind, content in chunks(data):
        if kind == b"IHDR":
            header = content
        elif kind == b"IDAT":
            packed.append(content)
        elif kind == b"tRNS":
            transparent = content
    width, height, _, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    if color not in _CHANNELS or not width or not height or interlaced > 1:
        raise ValueError("the header is invalid")
    channels = _CHANNELS[color]
    samples = _unpack(b"".join(packed), (height, width, channels), _INTERLACED if interlaced else _WHOLE)
    if transparent is not None and channels in (1, 3):
        opaque = (samples != np.frombuffer(transparent, ">u2")[:channels]).any(-1, keepdims=True)
        samples = np.concatenate([samples, opaque * np.uint16(65535)], -1)
    return samples


def encode(samples: np.ndarray) -> bytes:
    """Writes a 16-bit PNG image.

    Args:
      samples: uint16 array (H, W, C) with C from 1 to 4, channels as in `decode`.

    Returns:
      bytes of the file.

    Raises:
      ValueError: the dtype or the shape is another one.
    """
    samples = np.asarray(samples)
    if samples.dtype != np.uint16 or samples.ndim != 3 or samples.shape[-1] not in _COLOR_TYPE or not samples.size:
        raise ValueError(f"a uint16 array (H, W, 1 to 4) is needed, got {samples.dtype} {samples.shape}")
    height, width, channels = samples.shape
    octets = np.ascontiguousarray(samples, dtype=">u2").view(np.uint8).reshape(height, -1)
    # Every row as its difference from the row above (filter type 2).
    filtered = np.diff(octets, axis=0, prepend=np.zeros_like(octets[:1]))
    rows = np.concatenate([np.full((height, 1), 2, np.uint8), filtered], 1)
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOR_TYPE[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))
        for kind, content in chunks
    )
