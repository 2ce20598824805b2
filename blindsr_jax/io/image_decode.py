"""From the bytes of an image file to its samples: sizes, frames, channels, orientation, colours.

Pillow decodes, tifffile what Pillow cannot of TIFF, and `png16` colours of 16 bits. imageio would read through the same
two, but it gives no look at the header before it decodes (sizes, tiles, tags, profiles), and it cannot be told to leave
out the formats that run other programs.
"""

import contextlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import PIL.Image

from blindsr_jax.io import colour_profiles, png16
from blindsr_jax.io import tiff as tiff_io
from blindsr_jax.io.files import InputError, refuse

# No formats that run other programs (EPS) or hold drawings.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "TGA")
_ORIENTATION, _BITS, _TILE_WIDTH, _TILE_LENGTH = 274, 258, 322, 323  # tags of TIFF and EXIF


class Decoded(NamedTuple):
    """The samples of a picture and what they mean."""

    samples: np.ndarray  # (H, W, 1 to 4), integers or floats, upright; 2 and 4 channels end with alpha
    notes: tuple[str, ...] = ()  # what was done to the image, or could not be
    is_negative: bool = False  # zero is white
    is_premultiplied: bool = False  # colours are multiplied by alpha
    jpeg_steps: tuple[int, ...] | None = None  # of a JPEG's luminance, 64 in rows of rising vertical frequency


@contextlib.contextmanager
def _no_pillow_limit():
    """Switches off Pillow's own limit, which is lower than ours and is not told to `check`."""
    before, PIL.Image.MAX_IMAGE_PIXELS = PIL.Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        PIL.Image.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Around decoders of TIFF, which log what they think of a damaged file."""
    loggers = [logging.getLogger(name) for name in ("tifffile", "PIL.TiffImagePlugin")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _depth(image, data):
    """Bits per sample in the file, for the formats whose decoder cuts colours down to 8 bits without saying so."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS, (1,)))
    if image.format == "PPM" and image.mode == "RGB":
        arguments = image.tile[0].args
        return 16 if isinstance(arguments, tuple) and arguments[1] > 255 else 8
    if image.format == "JPEG2000":
        start = data.find(b"\xff\x4f\xff\x51")  # the codestream and its SIZ marker
        return (data[start + 42] & 0x7F) + 1
    return 8


def _check_depth(path, image, data):
    depth = _depth(image, data)
    if (depth > 8 and image.mode not in ("I", "I;16", "I;16B", "F")) or depth in (10, 12, 14):
        raise refuse(path, f"{depth}-bit samples in this {image.format} are not supported, save it as a 16-bit PNG")


def _check_tiles(image, check):
    """Decoders reserve memory for a whole tile, which can be larger than its image."""
    if image.format == "TIFF" and _TILE_WIDTH in image.tag_v2 and _TILE_LENGTH in image.tag_v2:
        check(image.tag_v2[_TILE_WIDTH], image.tag_v2[_TILE_LENGTH])


def _deep_samples(image, icc):
    """Samples of an image with more than 8 bits and one channel."""
    samples = np.asarray(image)
    samples = samples if image.mode == "F" else samples.astype(np.uint16)
    return samples[..., None], colour_profiles.unapplied(icc, "L")


def _shallow_samples(path, image, icc):
    """Samples (H, W, C) uint8 of a loaded image, and notes."""
    if image.mode in ("1", "L", "LA", "La"):
        base = "L"
    elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"):
        base = "RGB"
    elif image.mode == "LAB":
        return np.asarray(colour_profiles.lab_to_srgb(image)), ("its colours were converted from Lab to sRGB",)
    else:
        raise refuse(path, f"pixels of kind {image.mode} are not supported, gray or RGB was expected")
    alpha = None
    if image.has_transparency_data:
        image = image.convert(base + "A")
        alpha = np.asarray(image.getchannel("A"))
    colours, notes = colour_profiles.to_srgb(image if image.mode == "CMYK" else image.convert(base), icc)
    samples = np.asarray(colours).reshape(*image.size[::-1], -1)
    return samples if alpha is None else np.concatenate([samples, alpha[..., None]], -1), notes


def _samples(path, image, data, profile) -> Decoded:
    icc = image.info.get("icc_profile") if profile else None
    chunk_notes = colour_profiles.png_notes(data) if profile and image.format == "PNG" else ()
    if png16.is_png16(data):
        try:
            samples = png16.decode(data)
        except ValueError as error:
            raise refuse(path, str(error)) from error
        notes = colour_profiles.unapplied(icc, "L" if samples.shape[-1] < 3 else "RGB")
        return Decoded(samples, (*notes, *chunk_notes))
    _check_depth(path, image, data)
    image.load()
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        samples, notes = _deep_samples(image, icc)
        return Decoded(samples, notes, is_negative=tiff_io.is_negative(image))
    samples, notes = _shallow_samples(path, image, icc)
    return Decoded(samples, (*notes, *chunk_notes))


def _orientation(image):
    """How the camera was held, 1 to 8, and notes."""
    try:
        return image.getexif().get(_ORIENTATION, 1), ()
    except Exception:  # nearly anything; the picture is good without it
        return 1, ("its EXIF data are damaged and were ignored",)


def _upright(samples, orientation):
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return samples[:: -1 if rows else 1, :: -1 if columns else 1]


def _decode_tiff(path, data, check, profile) -> Decoded:
    """A TIFF file that Pillow does not know, or of which it would change the samples."""
    tiff = tiff_io.read(path, data, check=check)
    notes = colour_profiles.unapplied(tiff.icc, "L" if tiff.samples.shape[-1] < 3 else "RGB") if profile else ()
    samples = _upright(tiff.samples, tiff.orientation)
    return Decoded(samples, (*tiff.notes, *notes), tiff.is_negative, tiff.is_premultiplied)


def _decode(path, data, check, profile) -> Decoded:
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name in PIL.Image.OPEN])
    except PIL.UnidentifiedImageError:
        if not tiff_io.is_tiff(data):
            raise
        return _decode_tiff(path, data, check, profile)
    with image:
        check(*image.size)
        _check_tiles(image, check)
        if image.format == "TIFF" and tiff_io.is_beyond_pillow(image):
            return _decode_tiff(path, data, check, profile)
        notes = ()
        # MPO is a camera's JPEG with a preview or a gain map behind the picture.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            notes = ("it holds several frames or pages, only the first was read",)
        decoded = _samples(path, image, data, profile)
        orientation, exif_notes = _orientation(image)
        tables = getattr(image, "quantization", None) or {}
    samples = _upright(decoded.samples, orientation)
    decoded = decoded._replace(jpeg_steps=tuple(tables[min(tables)]) if tables else None)
    return decoded._replace(samples=samples, notes=(*notes, *decoded.notes, *exif_notes))


def _reason(error):
    """What an exception of a decoder means, in words."""
    if isinstance(error, PIL.UnidentifiedImageError):
        return f"it is not an image that can be decoded, one of {', '.join(FORMATS)} or .npy was expected"
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    if "PngImagePlugin.MAX_TEXT" in str(error):
        return "a text or a colour profile in it unpacks to an unusual size, save it without such data"
    return "the image is truncated or damaged, a complete one was expected"


def decode(path: str | os.PathLike, data: bytes, *, check: Callable[[int, int], None], profile: bool = True) -> Decoded:
    """Samples of a file in one of FORMATS, upright, colours of 8 bits in sRGB.

    Args:
      path: file, for messages.
      data: bytes of the file.
      check: function of width and height, called with what the header claims before anything is decoded; it raises
        InputError where that is too much.
      profile: whether colour profiles are applied and spoken of.

    Raises:
      InputError: the file cannot be decoded.
    """
    PIL.Image.init()
    try:
        with _no_pillow_limit(), _quiet():
            return _decode(path, data, check, profile)
    except InputError:
        raise
    except Exception as error:  # decoders raise nearly anything on broken bytes
        raise refuse(path, _reason(error)) from error
