"""TIFF files that Pillow cannot read or would read wrongly: signed, floating-point, and deep samples in colour.

tifffile reads them: it needs NumPy alone. Compressed ones need imagecodecs beside it, which is 80 MB and therefore an
extra of the package; its decoders are told how many bytes to expect, where those without it would unpack a bomb.
imageio reads TIFF through tifffile too, but hides the tags that decide what the numbers mean, and decodes at once.
"""

import importlib.util
import io
import math
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import PIL.Image
import tifffile

from blindsr_jax.io.files import refuse

_BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION, _FORMAT, _ICC = 258, 259, 262, 274, 339, 34675  # tags
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3  # sample formats
_KINDS = {(_UNSIGNED, 8): "u1", (_UNSIGNED, 16): "u2", (_UNSIGNED, 32): "u4"}
_KINDS |= {(_SIGNED, 8): "i1", (_SIGNED, 16): "i2", (_SIGNED, 32): "i4"}
_KINDS |= {(_FLOAT, 16): "f2", (_FLOAT, 32): "f4", (_FLOAT, 64): "f8"}
_CHANNELS = {0: 1, 1: 1, 2: 3}  # by photometric interpretation: white is zero, black is zero, RGB
_PACKED = (5, 8, 32773, 32946, 50000)  # LZW, deflate, PackBits, deflate, Zstandard
_PREDICTORS = (1, 2, 3)
_MOST_SAMPLES = 8  # of a pixel
_ALPHA = {1: "associated", 2: "unassociated"}  # kinds of a further channel


class Tiff(NamedTuple):
    """The first picture of a file, as it is stored."""

    samples: np.ndarray  # (H, W, 1 to 4) of any kind; 2 and 4 channels end with alpha
    is_negative: bool  # zero is white
    is_premultiplied: bool  # colours are multiplied by alpha
    orientation: int  # 1 to 8
    icc: bytes | None
    notes: tuple[str, ...]


def is_tiff(data: bytes) -> bool:
    """Whether bytes start like a TIFF or a BigTIFF file."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_negative(image: PIL.Image.Image) -> bool:
    """Whether zero is white in the TIFF file of an opened image, which Pillow knows of 8 bits only."""
    return image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0


def is_beyond_pillow(image: PIL.Image.Image) -> bool:
    """Whether Pillow would take the samples of an opened TIFF file for others or cut them down."""
    kinds, depth = image.tag_v2.get(_FORMAT, (_UNSIGNED,)), max(image.tag_v2.get(_BITS, (1,)))
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if image.mode == "F":
        return False
    return _SIGNED in kinds or depth > 8 and not image.mode.startswith("I;16")


def has_codecs() -> bool:
    """Whether the decoders of compressed files are installed."""
    return importlib.util.find_spec("imagecodecs") is not None


def _refuse_unusual(path, page: tifffile.TiffPage) -> None:
    """Refuses what cannot be read rightly, from the tags alone."""
    bits, kind = page.bitspersample, page.sampleformat
    if page.photometric not in _CHANNELS:
        name = getattr(page.photometric, "name", page.photometric)
        raise refuse(path, f"{bits}-bit pixels of the kind {name} are not supported, gray or RGB was expected")
    if (kind, bits) not in _KINDS:
        name = {_UNSIGNED: "", _SIGNED: " signed", _FLOAT: " floating-point"}.get(kind, " complex")
        raise refuse(path, f"{bits}-bit{name} samples in this TIFF are not supported, save it as a 16-bit PNG")
    if page.samplesperpixel > _MOST_SAMPLES or page.imagedepth != 1:
        found = f"{page.samplesperpixel} channels and a depth of {page.imagedepth}"
        raise refuse(path, f"it has {found}, one gray or RGB picture was expected")
    if page.compression == 1 and page.predictor == 1:
        return
    if page.compression not in (1, *_PACKED) or page.predictor not in _PREDICTORS:
        name = getattr(page.compression, "name", page.compression)
        raise refuse(path, f"its compression {name} is not supported for {bits}-bit samples, save it without")
    if not has_codecs():
        advice = "save it without compression or install the extra: pip install 'blindsr_jax[tiff]'"
        raise refuse(path, f"{bits}-bit samples are compressed in this TIFF, {advice}")


def _check_segments(page: tifffile.TiffPage, size: int) -> None:
    """tifffile fills parts that are missing with zeros, which must not pass for a picture."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if (
        not ends
        or len(ends) < math.prod(page.chunked)
        or min(page.databytecounts) < 1
        or min(page.dataoffsets) < 8
        or max(ends) > size
    ):
        raise ValueError("a part of the picture is missing")


def _split(path, page: tifffile.TiffPage, samples: np.ndarray) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Colours and alpha of all channels, whether those are multiplied by this, and notes."""
    base, extra = _CHANNELS[page.photometric], tuple(page.extrasamples)
    if samples.shape[-1] < base or (base == 1 and samples.shape[-1] > 1 and (not extra or extra[0] not in _ALPHA)):
        raise refuse(path, f"it has {samples.shape[-1]} channels of unknown meaning, gray or RGB was expected")
    kept = base + (bool(extra) and extra[0] in _ALPHA)
    notes = ("its further channels were ignored",) if samples.shape[-1] > kept else ()
    return samples[..., :kept], kept > base and extra[0] == 1, notes


def read(path: str | os.PathLike, data: bytes, *, check: Callable[[int, int], None]) -> Tiff:
    """Reads the first picture of a TIFF file, gray or RGB with any alpha.

    Args:
      path: file, for messages.
      data: bytes of the file.
      check: function of width and height, called with what the header claims before anything is decoded; it raises
        InputError where that is too much.

    Raises:
      InputError: colours, samples or a compression that are not supported, the sentence says which.
      Exception: of any kind, on damaged files.
    """
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        check(page.imagewidth, page.imagelength)
        if page.is_tiled:
            check(page.tilewidth, page.tilelength)
        _check_segments(page, len(data))  # first: what is cut off in its tags looks unusual too
        _refuse_unusual(path, page)
        samples = page.asarray(squeeze=False, maxworkers=1)[:, 0]  # (planes, H, W, channels of a plane)
        samples = samples[0] if len(samples) == 1 else np.moveaxis(samples[..., 0], 0, -1)
        samples, is_premultiplied, notes = _split(path, page, samples)
        if file.pages.is_multipage:
            notes = ("it holds several frames or pages, only the first was read", *notes)
        orientation, icc = (page.tags.valueof(tag) for tag in (_ORIENTATION, _ICC))
    return Tiff(samples, page.photometric == 0, is_premultiplied, orientation or 1, icc, notes)
