"""Images from and to files, with the bit depth and the channels of the file kept."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image

from blindsr_jax import png16
from blindsr_jax.files import InputError, read_bytes, read_npy, refuse, write_bytes

MAX_PIXELS = 120_000_000  # larger images are refused, as a small file can hold a huge one
# No formats that run other programs (EPS) or hold drawings.
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "TGA")
_ORIENTATION_TAG = 274
_BITS_TAG = 258


class Image(NamedTuple):
    """An image and what is needed to write a result of the same kind."""

    pixels: np.ndarray  # (H, W, 1 or 3) float32, [0, 1]
    alpha: np.ndarray | None = None  # (H, W) float32, [0, 1]
    bits: int = 8  # per channel, 8 or 16

    @property
    def mode(self):
        """Channels by name: L, LA, RGB or RGBA."""
        return ("L" if self.pixels.shape[-1] == 1 else "RGB") + ("" if self.alpha is None else "A")


def _image_of_npy(path, array):
    """Samples (H, W, C) of an array."""
    if array.dtype.kind != "f" and array.dtype not in (np.uint8, np.uint16):
        raise refuse(path, f"values of type {array.dtype} are not supported, float, uint8 or uint16 was expected")
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        raise refuse(path, f"the shape {array.shape} is not that of an image, (H, W) or (H, W, 1, 3 or 4) was expected")
    return array


def _check_size(path, width, height):
    if not width or not height:
        raise refuse(path, f"it has {width} x {height} pixels, at least one pixel was expected")
    if width * height > MAX_PIXELS:
        raise refuse(path, f"{width} x {height} pixels are more than the limit of {MAX_PIXELS // 10**6} megapixels")


def _samples(path, image):
    """Samples (H, W, C) of an opened and loaded image, uint8, uint16 or float."""
    mode = image.mode
    depth = max(image.tag_v2.get(_BITS_TAG, (1,))) if image.format == "TIFF" else 8
    if depth > 8 and mode not in ("I;16", "I;16B", "F") or depth in (10, 12, 14):
        # The decoder would cut such colours down to 8 bits without saying so.
        raise refuse(path, f"{depth}-bit samples in this TIFF are not supported, save it as a 16-bit PNG")
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        return np.asarray(image).astype(np.uint16)[..., None]
    if mode == "F":
        return np.asarray(image)[..., None]
    if mode in ("1", "L", "LA", "La"):
        image = image.convert("LA" if image.has_transparency_data else "L")
    elif mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    else:
        raise refuse(path, f"pixels of kind {mode} are not supported, gray or RGB was expected")
    samples = np.asarray(image)
    return samples if samples.ndim == 3 else samples[..., None]


def _decode(path, data):
    """Samples (H, W, C) of a file in one of the image formats, upright."""
    PIL.Image.init()
    with PIL.Image.open(io.BytesIO(data), formats=[name for name in _FORMATS if name in PIL.Image.OPEN]) as image:
        _check_size(path, *image.size)
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # MPO: a camera's JPEG with a preview behind the picture
            raise refuse(path, f"it holds {frames} frames, a single image was expected")
        if png16.is_png16(data):
            try:
                samples = png16.decode(data)
            except ValueError as error:
                raise refuse(path, str(error)) from error
        else:
            image.load()
            samples = _samples(path, image)
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return samples[:: -1 if rows else 1, :: -1 if columns else 1]


def read_image(path):
    """Reads an image: PNG, JPEG, TIFF, WebP, BMP, GIF, PPM, JPEG 2000, TGA or .npy.

    PNG keeps 16 bits in all its channels. The orientation noted by a camera is applied; palettes and CMYK become RGB.
    An array is (H, W) or (H, W, 1, 3 or 4), float in [0, 1], uint8 or uint16.

    Args:
      path: file.

    Returns:
      Image.

    Raises:
      InputError: the file cannot be read, is damaged, holds several frames, has more than MAX_PIXELS pixels or channels
        or values other than these.
    """
    data = read_bytes(path)
    if Path(path).suffix.lower() == ".npy" or data.startswith(b"\x93NUMPY"):
        samples = _image_of_npy(path, read_npy(path, data))
    else:
        try:
            with warnings.catch_warnings():  # about metadata, and about sizes, which are checked here
                warnings.simplefilter("ignore")
                samples = _decode(path, data)
        except InputError:
            raise
        except PIL.UnidentifiedImageError as error:
            known = ", ".join(_FORMATS)
            raise refuse(
                path, f"it is not an image that can be decoded, one of {known} or .npy was expected"
            ) from error
        except PIL.Image.DecompressionBombError as error:
            raise refuse(path, f"it has more pixels than the limit of {MAX_PIXELS // 10**6} megapixels") from error
        except Exception as error:  # decoders raise nearly anything on broken bytes
            raise refuse(path, "the image is truncated or damaged, a complete one was expected") from error
    _check_size(path, samples.shape[1], samples.shape[0])
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise refuse(path, "it contains NaN or infinite values, finite ones in [0, 1] were expected")
        low, high = float(samples.min()), float(samples.max())
        if low < 0 or high > 1:
            raise refuse(path, f"it has values from {low:.4g} to {high:.4g}, floats in [0, 1] were expected")
        levels = 1
    else:
        levels = np.iinfo(samples.dtype).max
    values = np.ascontiguousarray(samples, dtype=np.float32) / np.float32(levels)
    has_alpha = values.shape[-1] in (2, 4)
    pixels, alpha = (values[..., :-1], values[..., -1]) if has_alpha else (values, None)
    return Image(pixels=pixels, alpha=alpha, bits=8 if samples.dtype == np.uint8 else 16)


def write_image(path, image):
    """Writes a PNG file with the channels and the bit depth of the image, whole or not at all.

    Args:
      path: file to write.
      image: Image (any float dtype); values are clipped to [0, 1] and rounded to the nearest level, half to even.

    Raises:
      ValueError: shapes do not fit together, or there are NaNs.
      OSError: the folder cannot be written.
    """
    pixels = np.asarray(image.pixels)
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or image.bits not in (8, 16):
        raise ValueError(f"pixels (H, W, 1 or 3) with 8 or 16 bits are needed, got {pixels.shape}, {image.bits} bits")
    if image.alpha is not None:
        pixels = np.concatenate([pixels, np.asarray(image.alpha)[..., None]], -1)
    if np.isnan(pixels).any():
        raise ValueError("an image with NaNs cannot be written")
    # In the precision of the array, like `metrics.quantize`: a score in memory is then the score of the file.
    pixels = pixels.astype(np.promote_types(pixels.dtype, np.float32))
    if image.bits == 16:
        write_bytes(path, png16.encode(np.rint(65535 * np.clip(pixels, 0, 1)).astype(np.uint16)))
        return
    levels = np.rint(255 * np.clip(pixels, 0, 1)).astype(np.uint8)
    write_bytes(path, png_bytes(levels[..., 0] if levels.shape[-1] == 1 else levels))


def png_bytes(levels):
    """An 8-bit PNG file in memory.

    Args:
      levels: uint8 array (H, W) or (H, W, 2, 3 or 4).

    Returns:
      bytes.
    """
    data = io.BytesIO()
    PIL.Image.fromarray(levels).save(data, "PNG")
    return data.getvalue()


def bicubic_enlarge(pixels, scale):
    """Bicubic enlargement on the aligned grid: the image exactly covers the same area.

    Args:
      pixels: float array (H, W, C) or (H, W), values in [0, 1].
      scale: factor, positive int.

    Returns:
      float32 array (scale * H, scale * W, C) or (scale * H, scale * W), clipped to [0, 1].
    """
    pixels = np.asarray(pixels, np.float32)
    if pixels.ndim == 3:
        return np.stack([bicubic_enlarge(channel, scale) for channel in np.moveaxis(pixels, -1, 0)], -1)
    size = (scale * pixels.shape[1], scale * pixels.shape[0])
    return np.clip(np.asarray(PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BICUBIC)), 0, 1)
