import io
import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from blindsr_jax.io import png16


def random_samples(channels, shape=(13, 9), seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.integers(-900, 900, (*shape, channels)), 0) + 30000
    return smooth.astype(np.uint16)


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def paeth(a, b, c):
    distances = [abs(a + b - c - n) for n in (a, b, c)]
    return (a, b, c)[distances.index(min(distances))]


def filtered_png(samples, kinds, *, interlace=0, color=None, extra=b""):
    """A PNG made pixel by pixel as the specification has it, with one filter type per row."""
    height, width, channels = samples.shape
    rows = filtered_rows(samples, kinds)
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels] if color is None else color
    packed = zlib.compress(rows)
    header = struct.pack(">IIBBBBB", width, height, 16, color, 0, 0, interlace)
    data = chunk(b"IDAT", packed[:50]) + chunk(b"IDAT", packed[50:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + data + chunk(b"IEND", b"")


def filtered_rows(samples, kinds):
    height, _, channels = samples.shape
    octets = samples.astype(">u2").view(np.uint8).reshape(height, -1).astype(int)
    step, rows = 2 * channels, bytearray()
    for i in range(height):
        rows.append(kinds[i])
        for j in range(octets.shape[1]):
            a = octets[i, j - step] if j >= step else 0
            b = octets[i - 1, j] if i else 0
            c = octets[i - 1, j - step] if i and j >= step else 0
            rows.append((octets[i, j] - (0, a, b, (a + b) // 2, paeth(a, b, c))[kinds[i] % 5]) % 256)
    return bytes(rows)


# The pass of each pixel of 8 x 8, as the specification draws it.
PASSES = np.array(
    [list(row) for row in "16462646 77777777 56565656 77777777 36463646 77777777 56565656 77777777".split()]
)


def interlaced_png(samples):
    """A PNG in seven passes, each with another filter."""
    height, width, channels = samples.shape
    of_pixel = np.tile(PASSES, (height // 8 + 1, width // 8 + 1))[:height, :width]
    rows = b""
    for number in "1234567":
        at_rows, at_columns = ((of_pixel == number).any(axis) for axis in (1, 0))
        part = samples[at_rows][:, at_columns]
        rows += filtered_rows(part, [int(number) % 5] * len(part)) if part.size else b""
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(13, 9), (1, 7), (7, 1), (1, 1)])
def test_round_trip(channels, shape):
    samples = random_samples(channels, shape)
    data = png16.encode(samples)
    assert png16.is_png16(data)
    np.testing.assert_array_equal(png16.decode(data), samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_filters(channels):
    for seed, shape in enumerate([(13, 9), (4, 20), (20, 2), (9, 1)]):
        samples = random_samples(channels, shape, seed)
        kinds = np.random.default_rng(seed).integers(0, 5, shape[0])
        np.testing.assert_array_equal(png16.decode(filtered_png(samples, kinds)), samples)
        for kind in range(5):
            np.testing.assert_array_equal(png16.decode(filtered_png(samples, [kind] * shape[0])), samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(13, 9), (8, 8), (3, 4), (1, 7), (7, 1), (1, 1), (2, 2)])
def test_interlaced_files(channels, shape):
    samples = random_samples(channels, shape)
    np.testing.assert_array_equal(png16.decode(interlaced_png(samples)), samples)


def test_the_interlacing_of_these_tests_is_that_of_pillow():
    samples = random_samples(1, (13, 9))
    with PIL.Image.open(io.BytesIO(interlaced_png(samples))) as image:
        np.testing.assert_array_equal(np.asarray(image), samples[..., 0])


def test_gray_agrees_with_pillow(tmp_path):
    samples = random_samples(1, (40, 31))
    path = tmp_path / "gray.png"
    PIL.Image.fromarray(samples[..., 0]).save(path)
    np.testing.assert_array_equal(png16.decode(path.read_bytes()), samples)
    path.write_bytes(png16.encode(samples))
    with PIL.Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), samples[..., 0])


def test_colour_is_readable_elsewhere(tmp_path):
    samples = random_samples(4, (30, 21))
    path = tmp_path / "colour.png"
    path.write_bytes(png16.encode(samples))
    with PIL.Image.open(path) as image:  # which keeps the upper byte
        np.testing.assert_array_equal(np.asarray(image), samples >> 8)


def test_transparent_colour_becomes_alpha():
    samples = random_samples(3)
    key = chunk(b"tRNS", samples[2, 3].astype(">u2").tobytes())
    read = png16.decode(filtered_png(samples, [0] * 13, extra=key))
    np.testing.assert_array_equal(read[..., :3], samples)
    assert read[2, 3, 3] == 0 and (read[..., 3] == 65535).sum() == 13 * 9 - 1


def test_bad_files():
    samples = random_samples(3)
    data = png16.encode(samples)
    with pytest.raises(ValueError, match="header"):
        png16.decode(filtered_png(samples, [0] * 13, interlace=2))
    with pytest.raises(ValueError, match="truncated"):
        png16.decode(interlaced_png(samples)[:-40])
    with pytest.raises(ValueError, match="header"):
        png16.decode(filtered_png(samples, [0] * 13, color=3))
    with pytest.raises(ValueError, match="filter"):
        png16.decode(filtered_png(samples, [5] * 13))
    for length in range(len(data) - 12):
        with pytest.raises(ValueError, match="truncated|16 bits"):
            png16.decode(data[:length])
    for position in range(33, len(data) - 12):
        broken = bytearray(data)
        broken[position] ^= 255
        with pytest.raises(ValueError, match="truncated|damaged"):
            png16.decode(bytes(broken))
    short = chunk(b"IHDR", data[16:29]) + chunk(b"IDAT", zlib.compress(b"\0" * 50)) + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="truncated"):
        png16.decode(data[:8] + short)
    junk = chunk(b"IHDR", data[16:29]) + chunk(b"IDAT", b"junk") + chunk(b"IEND", b"")
    with pytest.raises(ValueError, match="compressed"):
        png16.decode(data[:8] + junk)
    for bad in (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16), np.zeros((0, 2, 1), np.uint16)):
        with pytest.raises(ValueError, match="uint16"):
            png16.encode(bad)
