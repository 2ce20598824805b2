"""Images from and to files, with the bit depth and the channels of the file kept."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import imageio.v3
import numpy as np
import PIL.Image

from blindsr_jax.io import png16
from blindsr_jax.io.files import LIMIT_VARIABLE, max_pixels, read_bytes, read_npy, refuse, write_bytes
from blindsr_jax.io.image_decode import Decoded, decode
from blindsr_jax.io.sample_values import normalize

_EFFORT = 4  # of zlib: a third of the time of the usual 6 for a photograph, the size within 2 %
_STRIP = 256  # rows that are converted at once


class Image(NamedTuple):
    """An image and what is needed to write a result of the same kind."""

    pixels: np.ndarray  # (H, W, 1 or 3) float32, [0, 1]
    alpha: np.ndarray | None = None  # (H, W) float32, [0, 1]
    bits: int = 8  # per channel, 8 or 16
    notes: tuple[str, ...] = ()  # what a person should know of how the file was read
    sha256: str | None = None  # of the very bytes that it was decoded from
    jpeg_steps: tuple[int, ...] | None = None  # of a JPEG's luminance, see `Decoded`

    @property
    def mode(self):
        """Channels by name: L, LA, RGB or RGBA."""
        return ("L" if self.pixels.shape[-1] == 1 else "RGB") + ("" if self.alpha is None else "A")


def _check_size(path, width, height):
    if width < 1 or height < 1:
        raise refuse(path, f"it has {width} x {height} pixels, at least one pixel was expected")
    limit = max_pixels()
    if width * height > limit:
        found = f"{width} x {height} pixels are more than the limit of {limit / 1e6:g} megapixels"
        raise refuse(path, f"{found} ({LIMIT_VARIABLE} raises it)")


def _read_array(path, data):
    """Samples (H, W, C) of a .npy file."""

    def check(shape):
        if len(shape) != 2 and (len(shape) != 3 or shape[-1] not in (1, 3, 4)):
            raise refuse(path, f"the shape {shape} is not that of an image, (H, W) or (H, W, 1, 3 or 4) was expected")
        _check_size(path, shape[1], shape[0])

    array = read_npy(path, data, check=check)
    if array.dtype.kind not in "iuf":
        raise refuse(path, f"values of type {array.dtype} are not supported, floats or integers were expected")
    return array.reshape(*array.shape[:2], -1)


def decode_image(path: str | os.PathLike, data: bytes, *, white_level: float | None = None) -> Image:
    """The image in the bytes of a file; see `read_image`."""
    with warnings.catch_warnings():  # of decoders, about metadata and about sizes, which are checked here
        warnings.simplefilter("ignore")
        if Path(path).suffix.lower() == ".npy" or data.startswith(b"\x93NUMPY"):
            decoded = Decoded(_read_array(path, data))
        else:
            decoded = decode(path, data, check=lambda *size: _check_size(path, *size))
    samples = decoded.samples
    values, notes = normalize(path, samples, white_level=white_level, is_negative=decoded.is_negative)
    has_alpha = values.shape[-1] in (2, 4)
    pixels, alpha = (values[..., :-1], values[..., -1]) if has_alpha else (values, None)
    if decoded.is_premultiplied:
        pixels = np.minimum(pixels / np.maximum(alpha, 1e-6)[..., None], 1)
    bits = 8 if samples.dtype.itemsize == 1 else 16
    return Image(pixels, alpha, bits, (*decoded.notes, *notes), hashlib.sha256(data).hexdigest(), decoded.jpeg_steps)


def read_image(path: str | os.PathLike, *, white_level: float | None = None) -> Image:
    """Reads an image: PNG, JPEG, TIFF, WebP, BMP, GIF, PPM, JPEG 2000, TGA or .npy.

    PNG and TIFF keep 16 bits in all their channels. The orientation noted by a camera is applied; palettes, CMYK and
    Lab become RGB, negatives (MinIsWhite) positives; 8-bit colours of another profile become sRGB; of an animation or
    several pages the first is taken. The notes say what a person should know of this. An array is (H, W) or
    (H, W, 1, 3 or 4). Integers of 8 and 16 bits are divided by the largest of their type, floats are in [0, 1].

    Args:
      path: file.
      white_level: the value of white, above 0, in files whose type does not say it: floats up to 255, 12 bits in 16.

    Returns:
      Image.

    Raises:
      InputError: the file cannot be read, is damaged, claims more pixels than `files.max_pixels` or has channels or
        values other than these.
    """
    return decode_image(path, read_bytes(path), white_level=white_level)


def write_image(path: str | os.PathLike, image: Image) -> None:
    """Writes a PNG file with the channels and the bit depth of the image, whole or not at all.

    Args:
      path: file to write.
      image: Image (any float dtype; values are clipped to [0, 1] and rounded to the nearest level, half to even), or
        one whose pixels and transparency are levels (uint8 or uint16, as its bits say).

    Raises:
      ValueError: shapes do not fit together, or there are NaNs.
      OSError: the folder cannot be written.
    """
    pixels = np.asarray(image.pixels)
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or image.bits not in (8, 16):
        raise ValueError(f"pixels (H, W, 1 or 3) with 8 or 16 bits are needed, got {pixels.shape}, {image.bits} bits")
    if image.alpha is not None:
        pixels = np.concatenate([pixels, np.asarray(image.alpha)[..., None]], -1)
    levels = to_levels(pixels, image.bits)
    if image.bits == 16:
        write_bytes(path, png16.encode(levels))
        return
    write_bytes(path, png_bytes(levels[..., 0] if levels.shape[-1] == 1 else levels))


def _type_of_levels(bits: int) -> type:
    return np.uint16 if bits == 16 else np.uint8


def to_levels(pixels: np.ndarray, bits: int) -> np.ndarray:
    """The levels (H, W, C) of an image in [0, 1], uint8 or uint16, a strip of rows at a time: images may be large.

    Levels stay as they are.

    Raises:
      ValueError: there are NaNs.
    """
    dtype = _type_of_levels(bits)
    if pixels.dtype == dtype:
        return pixels
    # In the precision of the array, like `metrics.quantize`: a score in memory is then the score of the file.
    wide, white = np.promote_types(pixels.dtype, np.float32), np.iinfo(dtype).max
    levels = np.empty(pixels.shape, dtype)
    for i in range(0, len(pixels), _STRIP):
        strip = pixels[i : i + _STRIP].astype(wide)
        if np.isnan(strip).any():
            raise ValueError("an image with NaNs cannot be written")
        levels[i : i + _STRIP] = np.rint(white * np.clip(strip, 0, 1))
    return levels


def to_floats(pixels: np.ndarray) -> np.ndarray:
    """Levels (uint8 or uint16) or floats as floats in [0, 1]."""
    return np.clip(pixels / (np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1), 0, 1)


def png_bytes(levels: np.ndarray) -> bytes:
    """An 8-bit PNG file in memory.

    Args:
      levels: uint8 array (H, W) or (H, W, 2, 3 or 4).

    Returns:
      bytes.
    """
    return imageio.v3.imwrite("<bytes>", levels, extension=".png", plugin="pillow", compress_level=_EFFORT)


def bicubic_enlarge(pixels: np.ndarray, scale: int, *, bits: int | None = None) -> np.ndarray:
    """Bicubic enlargement on the aligned grid: the image exactly covers the same area.

    Args:
      pixels: float array (H, W, C) or (H, W), values in [0, 1].
      scale: factor, positive int.
      bits: 8 or 16 for the levels of the enlargement, None for floats.

    Returns:
      Array (scale * H, scale * W, C) or (scale * H, scale * W): float32 clipped to [0, 1], or levels, see `to_levels`.
    """
    pixels = np.asarray(pixels, np.float32)
    h, w = pixels.shape[:2]
    kind = np.float32 if bits is None else _type_of_levels(bits)
    enlarged = np.empty((scale * h, scale * w, *pixels.shape[2:]), kind)
    planes = (
        np.moveaxis(pixels.reshape(h, w, -1), -1, 0),
        np.moveaxis(enlarged.reshape(scale * h, scale * w, -1), -1, 0),
    )
    for plane, target in zip(*planes, strict=True):
        image = PIL.Image.fromarray(np.ascontiguousarray(plane))
        for i in range(0, h, _STRIP):
            last = min(i + _STRIP, h)
            size, box = (scale * w, scale * (last - i)), (0, i, w, last)
            strip = np.clip(np.asarray(image.resize(size, PIL.Image.Resampling.BICUBIC, box)), 0, 1)
            target[scale * i : scale * last] = strip if bits is None else to_levels(strip, bits)
    return enlarged
