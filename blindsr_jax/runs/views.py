"""What the page of a run loads of one image once it is looked at: numbers of the kernel, curves, small pictures."""

import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
import PIL.Image

from blindsr_jax import io

THUMBNAIL = 96  # pixels of the longer side
RESIDUAL_RANGE = 16  # 255ths: a residual of so much is black or white in its picture
_MOST_POINTS = 240  # of a curve
_LEVELS = 1000  # of a kernel's entries


def kernel_numbers(kernel: np.ndarray) -> dict[str, Any]:
    """A kernel (k, k) in few characters: `peak`, and `levels`, its entries in thousandths of the peak."""
    peak = max(float(np.abs(kernel).max()), 1e-12)
    return {"peak": float(f"{peak:.5g}"), "levels": np.rint(_LEVELS * np.asarray(kernel) / peak).astype(int).tolist()}


def _curve(values: np.ndarray) -> list[float | None]:
    parts = np.array_split(np.asarray(values, float), min(len(values), _MOST_POINTS))
    known = [part[np.isfinite(part)] for part in parts]
    return [float(f"{part[-1]:.4g}") if len(part) else None for part in known]


def curves(trace: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Curves of a trace with one (steps,) array per quantity, thinned out: `steps`, and `values` by name,
    None where no number is finite."""
    series = {name: np.asarray(values) for name, values in trace.items() if np.ndim(values) == 1 and len(values)}
    return {"steps": max(map(len, series.values()), default=0), "values": {n: _curve(x) for n, x in series.items()}}


def write_view(path: str, *, kernel: np.ndarray, std: np.ndarray | None, trace: Mapping[str, np.ndarray]) -> None:
    """A script that hands numbers to the page: browsers load no other data from the file system.

    Args:
      path: file to write.
      kernel: (k, k).
      std: (k, k), the standard deviation of each entry, where it is known.
      trace: one (steps,) array per quantity.
    """
    view = {"kernel": kernel_numbers(kernel), "curves": curves(trace)}
    if std is not None:
        view["spread"] = kernel_numbers(std)
    io.write_text(path, f"window.blindsrView={json.dumps(view, separators=(',', ':'))};\n")


def write_thumbnail(path: str, levels: np.ndarray) -> None:
    """A small JPEG of levels (H, W, 1 or 3), 8 or 16 bits."""
    step = max(1, min(levels.shape[:2]) // (4 * THUMBNAIL))
    pixels = np.rint(255 * io.to_floats(levels[::step, ::step])).astype(np.uint8)
    image = PIL.Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    data = BytesIO()
    image.save(data, "JPEG", quality=85)
    io.write_bytes(path, data.getvalue())


def write_residual(path: str, residual: np.ndarray) -> None:
    """A PNG of a residual (h, w, c): gray is none, black and white are RESIDUAL_RANGE 255ths below and above."""
    shade = 0.5 + np.clip(residual * 255 / RESIDUAL_RANGE, -1, 1) / 2
    io.write_image(path, io.Image(shade.astype(np.float32), None, 8))
