"""Colour profiles (ICC): pixels of another colour space become sRGB, as the files written here carry no profile."""

import io
import itertools
import struct

import numpy as np
import PIL.Image
from PIL import ImageCms

from blindsr_jax.io import png16

_SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}
_SAME = 1  # levels of 255 by which a profile may differ from sRGB and still be taken for it
# What the chunks of a PNG file say of sRGB, in units of 1e-5: white, red, green, blue as x, y.
_SRGB_GAMMA = 45455
_SRGB_PRIMARIES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
_SRGB_CODE = bytes([1, 13])  # primaries and transfer function
_CLOSE = 500


def _describe(profile):
    text = "".join(c if c.isprintable() else " " for c in ImageCms.getProfileDescription(profile))
    return repr(" ".join(text.split())[:60] or "without a name")


def _conversion(icc, mode):
    """Name and function of a profile, the function None where it changes nothing; any exception on broken ones."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    space = profile.profile.xcolor_space.strip()
    if space not in _SPACES[mode]:
        raise ValueError("the profile is one for other channels")
    source = {"GRAY": "L"}.get(space, space)
    # Without optimisation, which loses the shadows of steep curves in grays; there it costs one row of pixels.
    flags = ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), source, "RGB", flags=flags)

    def convert(image):
        return ImageCms.applyTransform(image.convert(source), transform)

    if mode == "CMYK":
        return _describe(profile), convert
    if mode == "L":
        ramp = np.arange(256, dtype=np.uint8)[None]
        grays = convert(PIL.Image.fromarray(ramp)).convert("L")
        same = abs(np.asarray(grays).astype(int) - ramp).max() <= _SAME
        return _describe(profile), None if same else lambda image: image.point(list(grays.tobytes()))
    # A few colours tell whether this is sRGB by any name: its pixels then stay as they are.
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(16, -1, 3)
    same = abs(np.asarray(convert(PIL.Image.fromarray(probe))).astype(int) - probe).max() <= _SAME
    return _describe(profile), None if same else convert


def to_srgb(image: PIL.Image.Image, icc: bytes | None) -> tuple[PIL.Image.Image, tuple[str, ...]]:
    """Converts an image by its profile.

    Args:
      image: PIL image of mode L, RGB or CMYK.
      icc: bytes of the profile, None where there is none.

    Returns:
      (image, notes): of mode L or RGB; notes is a tuple of what a person should know. A profile that is damaged or one
      for other channels is ignored.
    """
    plain = image.convert("RGB") if image.mode == "CMYK" else image
    if not icc:
        known = plain is image
        return plain, () if known else ("it is CMYK without a colour profile, its colours are approximate",)
    try:
        name, convert = _conversion(icc, image.mode)
        if convert is None:
            return plain, ()
        return convert(image), (f"its colours were converted from the profile {name} to sRGB",)
    except ImportError:
        return plain, ("its colour profile was ignored, as this Pillow lacks LittleCMS",)
    except Exception:  # a broken profile ends in several kinds of errors, and the pixels are good without it
        return plain, ("its colour profile is damaged or for other channels and was ignored",)


def unapplied(icc: bytes | None, mode: str) -> tuple[str, ...]:
    """What to say of an image that has too many bits for a conversion.

    Args:
      icc: bytes of the profile, None where there is none.
      mode: L or RGB.

    Returns:
      tuple of at most one note; empty where the profile is sRGB or cannot be read.
    """
    try:
        name, convert = _conversion(icc, mode) if icc else ("", None)
    except Exception:
        return ()
    return () if convert is None else (f"its colour profile {name} was not applied, as it has more than 8 bits",)


def lab_to_srgb(image: PIL.Image.Image) -> PIL.Image.Image:
    """Converts an image of mode LAB (D50) to RGB.

    Raises:
      ImportError: this Pillow lacks LittleCMS.
    """
    lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
    return ImageCms.applyTransform(image, ImageCms.buildTransform(lab, srgb, "LAB", "RGB"))


def _differs(content: bytes, expected: tuple[int, ...]) -> bool:
    values = struct.unpack(f">{len(content) // 4}I", content[: len(content) // 4 * 4])
    return len(values) != len(expected) or any(abs(a - b) > _CLOSE for a, b in zip(values, expected, strict=True))


def png_notes(data: bytes) -> tuple[str, ...]:
    """What to say of the chunks of a PNG file that describe other colours than sRGB without a profile.

    Args:
      data: bytes of the file.

    Returns:
      tuple of at most one note; empty where a chunk that outranks the others says sRGB or is a profile.
    """
    try:
        found = dict(itertools.takewhile(lambda chunk: chunk[0] != b"IDAT", png16.chunks(data)))
    except ValueError:
        return ()  # damaged, which the decoder says
    if b"cICP" in found:
        said = [] if found[b"cICP"][:2] == _SRGB_CODE else ["cICP"]
    elif b"iCCP" in found or b"sRGB" in found:
        said = []
    else:
        wanted = {"gAMA": (_SRGB_GAMMA,), "cHRM": _SRGB_PRIMARIES}
        said = [name for name in wanted if name.encode() in found and _differs(found[name.encode()], wanted[name])]
    return (f"its colours were taken for sRGB, although it says otherwise ({' and '.join(said)})",) if said else ()
