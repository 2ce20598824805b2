"""Figures and the HTML page of a run."""

import html
import os
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from blindsr_jax import io

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fafafa}
h1{font-size:1.4rem} h2{font-size:1.05rem;margin:2rem 0 .3rem} p{margin:.2rem 0}
.row{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start}
figure{margin:0} figcaption{font-size:.85rem;color:#555}
img{display:block;max-width:32vw;min-width:17rem;image-rendering:auto;border:1px solid #ccc}
img.kernel{image-rendering:pixelated;min-width:0;width:190px} .bad{color:#a00}
table{border-collapse:collapse} td,th{padding:.1rem .8rem .1rem 0;text-align:left;font-size:.9rem}
"""
_LONGEST_TITLE = 100  # characters of a figure's title
_MARGINS = {"left": 0.005, "right": 0.995, "bottom": 0.07, "top": 0.86, "wspace": 0.18}  # of a figure
_MOST_PIXELS = 700  # of a side of an image in a figure, at least; of a larger one every second, third ... is drawn


def _show(axes, pixels: np.ndarray, title: str) -> None:
    step = max(1, max(pixels.shape) // _MOST_PIXELS)
    pixels = io.to_floats(pixels[::step, ::step])
    axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def write_figure(
    path: str,
    *,
    enlarged: np.ndarray,
    image: np.ndarray,
    kernel: np.ndarray,
    trace: Mapping[str, np.ndarray],
    name: str,
) -> None:
    """One PNG: the LR image enlarged by bicubic, the result, the kernel, the losses.

    Args:
      path: file to write.
      enlarged: (H, W, C) in [0, 1], or levels (uint8 or uint16).
      image: likewise.
      kernel: (k, k).
      trace: one (steps,) array per quantity, all positive.
      name: the title.
    """
    figure = Figure(figsize=(13, 4))  # a layout that fits itself to its contents takes half the time of the drawing
    axes = figure.subplots(1, 4, gridspec_kw=_MARGINS)
    _show(axes[0], enlarged, "LR image, enlarged by bicubic")
    _show(axes[1], image, "result")
    axes[2].imshow(kernel, cmap="viridis")
    axes[2].set_title(f"kernel, {kernel.shape[0]} x {kernel.shape[1]}", fontsize=9)
    axes[2].set_axis_off()
    for label, values in trace.items():
        axes[3].semilogy(
            np.arange(1, len(values) + 1), np.maximum(values, 1e-12), label=label.replace("_", " "), lw=0.8
        )
    axes[3].set_title("losses by step", fontsize=9)
    axes[3].legend(fontsize=7)
    axes[3].tick_params(labelsize=7)
    title = name if len(name) <= _LONGEST_TITLE else name[:_LONGEST_TITLE] + " ..."
    figure.suptitle(title, fontsize=10, parse_math=False)
    data = BytesIO()
    with warnings.catch_warnings():  # about letters that the font lacks, drawn as boxes
        warnings.simplefilter("ignore")
        figure.savefig(data, format="png", dpi=110)
    io.write_bytes(path, data.getvalue())


def write_map(path: str, values: np.ndarray) -> None:
    """A PNG of a map (H, W) of numbers from 0 on: black is 0, bright the largest.

    Args:
      path: file to write.
      values: (H, W), not negative.
    """
    top = float(values.max())
    colours = matplotlib.colormaps["inferno"](values / top if top > 0 else values)[..., :3]
    io.write_image(path, io.Image(colours.astype(np.float32)))


def _picture(folder: str, path: str, caption: str) -> str:
    link = quote(os.fsencode(os.path.relpath(path, folder)))  # names need not be text
    kind = ' class="kernel"' if "kernel" in caption else ""
    image = f'<img{kind} src="{link}" alt="" loading="lazy">'  # as it comes into sight: there may be thousands
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _table(values: Mapping[str, Any]) -> str:
    def show(value):
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    head = "".join(f"<th>{html.escape(str(key))}</th>" for key in values)
    cells = "".join(f"<td>{html.escape(show(value))}</td>" for value in values.values())
    return f"<table><tr>{head}</tr><tr>{cells}</tr></table>"


def write_page(path: str, *, title: str, entries: Sequence[Mapping[str, Any]]) -> None:
    """An HTML page, one section per entry.

    Args:
      path: file to write; pictures are linked relative to it.
      title: heading.
      entries: each with `name`, `pictures` (a list of (caption, file)), optionally `text` (a sentence), `bad` (bool:
        the sentence is an error) and `values` (name to value).
    """
    folder = os.path.dirname(os.path.abspath(path))
    parts = [f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"]
    parts.append(f"<h1>{html.escape(title)}</h1>")
    for entry in entries:
        parts.append(f"<h2>{html.escape(entry['name'])}</h2>")
        if entry.get("text"):
            kind = ' class="bad"' if entry.get("bad") else ""
            parts.append(f"<p{kind}>{html.escape(entry['text'])}</p>")
        if entry.get("values"):
            parts.append(_table(entry["values"]))
        pictures = "".join(_picture(folder, file, caption) for caption, file in entry["pictures"])
        parts.append(f'<div class="row">{pictures}</div>')
    io.write_bytes(path, ("\n".join(parts) + "\n").encode("utf-8", "replace"))
