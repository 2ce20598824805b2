"""Figures and the HTML page of a run."""

import base64
import contextlib
import hashlib
import html
import json
import math
import os
import string
import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from blindsr_jax import io
from blindsr_jax.runs import ownership

_WEB = Path(__file__).parent / "web"  # template, style and scripts of the page
GENERATOR = b'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="generator" content="blindsr_jax">'
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


def _link(folder: str, path: str | os.PathLike) -> str:
    return quote(os.fsencode(os.path.relpath(path, folder)))  # names need not be text


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers that are not finite become words."""
    if isinstance(value, Mapping):
        return {str(key): _plain(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    def show(value):
        return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

    def line(tag, cells):
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    names = list(dict.fromkeys(name for row in rows for name in row))
    body = [line("td", [show(row.get(name)) for name in names]) for row in rows]
    return f"<table>{line('th', map(str, names))}{''.join(body)}</table>"


def _common(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Values that all of several images have, which are told once."""
    first, *others = [entry.get("values") or {} for entry in entries] or [{}]
    return {key: x for key, x in first.items() if others and all(key in y and y[key] == x for y in others)}


def _section(entry: Mapping[str, Any]) -> str:
    """An image on the page of a browser without scripts; its pictures are links."""
    name, parts = html.escape(entry["name"]), [f"<h2>{html.escape(entry['name'])}</h2>"]
    if entry.get("text"):
        kind = ' class="bad"' if entry.get("bad") else ""
        parts.append(f"<p{kind}>{html.escape(entry['text'])}</p>")
    if values := {
        key: x for key, x in (entry.get("values") or {}).items() if not isinstance(x, Mapping | list | tuple)
    }:
        parts.append(_table([values]))
    for caption, link in entry["pictures"]:
        words = html.escape(caption)
        image = f'<img loading="lazy" decoding="async" src="{link}" alt="{words} of {name}">'
        parts.append(f"<figure>{image}<figcaption>{words}</figcaption></figure>")
    return "".join(parts)


def check_page(folder: str, *, flag: str = "workdir") -> None:
    """Refuses an index.html that is no page of ours, in a folder whose earlier run may have had none.

    Raises:
      NotOursError: one stands there.
    """

    def is_ours(path):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            return file.read(len(GENERATOR)) == GENERATOR
        return False

    page = os.path.join(folder, "index.html")
    ownership.check_file(page, flag=flag, kind="a page of an earlier run", is_ours=is_ours)


def write_page(
    path: str,
    *,
    title: str,
    entries: Sequence[Mapping[str, Any]] = (),
    tables: Mapping[str, Sequence[Mapping[str, Any]]] = MappingProxyType({}),
    curves: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """An HTML page that needs nothing but the files that it links: of images, of tables, or of curves.

    Args:
      path: file to write; pictures are linked relative to it.
      title: heading.
      entries: images, each with `name`, `pictures` (a list of (caption, file)), optionally `text` (a sentence), `bad`
        (bool: the sentence is an error), `values` (name to value), `view` (WORKDIR/views/NAME.js, beside which the
        other files of the image are looked for) and `truth` (the true kernel, of `views.kernel_numbers`).
      tables: rows by caption; a row is column to value.
      curves: of `views.curves`.
    """
    folder, shown, plain = os.path.dirname(os.path.abspath(path)), [], []
    common = _common(entries)
    for entry in entries:
        pictures = [(caption, _link(folder, file)) for caption, file in entry["pictures"]]
        view = _link(folder, entry["view"]) if entry.get("view") else None
        values = {key: x for key, x in (entry.get("values") or {}).items() if key not in common}
        found = {**entry, "pictures": pictures, "view": view, "values": values}
        shown.append({key: x for key, x in found.items() if x or key in ("name", "pictures")})
        plain.append(_section(found))
    plain += [_table([common])] if common else []
    plain += [f"<h2>{html.escape(caption)}</h2>{_table(rows)}" for caption, rows in tables.items()]
    data = _plain({"common": common, "entries": shown, "tables": tables, "curves": curves})
    scripts = [(_WEB / name).read_text("utf-8") for name in ("img-comparison-slider.js", "page.js")]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    text = string.Template((_WEB / "page.html").read_text("utf-8")).substitute(
        title=html.escape(title),
        style=(_WEB / "page.css").read_text("utf-8"),
        plain="\n".join(plain),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        scripts="\n".join(f"<script>{text}</script>" for text in scripts),
        allowed=" ".join(f"'sha256-{digest}'" for digest in digests),
    )
    io.write_bytes(path, GENERATOR + text.encode("utf-8", "replace"))
