"""The output files of a solve: a table with one row per file.

A new file is one row here and one field of `imaging.problem.Result` (its `needs`) that holds what the file shows, or a
property of `Solved` where that follows from the result. A row without `needs` is of all solves, those of old included.
"""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import Result
from blindsr_jax.io import durable
from blindsr_jax.runs import receipt, report, views
from blindsr_jax.runs.records import Record


@dataclass(frozen=True)
class Solved:
    """What the files of an image are made from."""

    name: str
    scale: int
    source: io.Image  # LR
    result: Result  # with arrays on the host
    has_figure: bool = True

    @functools.cached_property
    def enlarged(self) -> np.ndarray:
        """The levels of the LR image, enlarged by bicubic: (s h, s w, c)."""
        return io.bicubic_enlarge(self.source.pixels, self.scale, bits=self.source.bits)

    @functools.cached_property
    def image(self) -> np.ndarray:
        """The levels of the result: (s h, s w, c)."""
        return io.to_levels(self.result.image, self.source.bits)

    @property
    def figure(self) -> np.ndarray | None:
        """What a figure shows, the image, or None where none is wanted."""
        return self.image if self.has_figure else None

    @functools.cached_property
    def residual(self) -> np.ndarray | None:
        """The input less the result as it is written, blurred and sampled again, see `receipt.residual`."""
        kernels = self.result.kernel if self.result.kernel_map is None else self.result.kernel_map
        return receipt.residual(self.source.pixels, self.image, kernels, scale=self.scale)

    def has(self, needs: str | None) -> bool:
        """Whether there is what a row of OUTPUTS needs."""
        found = self if needs is not None and hasattr(type(self), needs) else self.result
        return needs is None or getattr(found, needs) is not None

    def as_input(self, levels: np.ndarray) -> io.Image:
        """Levels (s h, s w, c) as an image with the transparency and the bit depth of the input."""
        return io.Image(levels, self._alpha, self.source.bits)

    @functools.cached_property
    def _alpha(self) -> np.ndarray | None:
        alpha, bits = self.source.alpha, self.source.bits
        return None if alpha is None else io.bicubic_enlarge(alpha, self.scale, bits=bits)


class Output(NamedTuple):
    """One output file per image: WORKDIR/KIND/NAME.SUFFIX."""

    kind: str  # its folder
    suffix: str
    write: Callable[[str, Solved], None]
    caption: str = ""  # on the page, where '{scale}' is the enlargement; none: it is not shown
    place: int = 0  # on the page, from left to right
    needs: str | None = None  # the field of `Result` or `Solved` without which there is no file; None: there always is

    def file(self, name: str) -> str:
        """The file of an image, below the working folder."""
        return f"{self.kind}/{name}{self.suffix}"

    def path(self, workdir: str, name: str) -> str:
        """The path of the file of an image."""
        return output_path(workdir, self.kind, name, self.suffix)


def _image(path: str, solved: Solved) -> None:
    io.write_image(path, solved.as_input(solved.image))


def _input(path: str, solved: Solved) -> None:
    io.write_image(path, solved.as_input(solved.enlarged))


def _kernel_picture(path: str, solved: Solved) -> None:
    io.kernel_png(path, solved.result.kernel)


def _kernel(path: str, solved: Solved) -> None:
    io.write_kernel(path, solved.result.kernel)


def _figure(path: str, solved: Solved) -> None:
    kernel, trace = solved.result.kernel, solved.result.trace
    images = {"enlarged": solved.enlarged, "image": solved.image}
    report.write_figure(path, **images, kernel=kernel, trace=trace, name=solved.name)


def _uncertainty_picture(path: str, solved: Solved) -> None:
    report.write_map(path, solved.result.uncertainty)


def _uncertainty(path: str, solved: Solved) -> None:
    io.write_array(path, solved.result.uncertainty)


def _kernel_map_picture(path: str, solved: Solved) -> None:
    io.kernel_sheet(path, solved.result.kernel_map)


def _kernel_map(path: str, solved: Solved) -> None:
    io.write_array(path, solved.result.kernel_map)


def _kernel_std(path: str, solved: Solved) -> None:
    io.write_array(path, solved.result.belief.kernel_std)


def _view(path: str, solved: Solved) -> None:
    belief = solved.result.belief
    std = None if belief is None else belief.kernel_std
    views.write_view(path, kernel=solved.result.kernel, std=std, trace=solved.result.trace)


def _thumbnail(path: str, solved: Solved) -> None:
    views.write_thumbnail(path, solved.image)


def _residual_picture(path: str, solved: Solved) -> None:
    assert solved.residual is not None
    views.write_residual(path, solved.residual)


VIEW = Output("views", ".js", _view, needs="trace")
# In the order in which they are written and listed.
OUTPUTS = (
    Output("images", ".png", _image, "result, x{scale}", 2),
    Output("inputs", ".png", _input, "LR image, enlarged by bicubic", 1),
    Output("kernels", ".png", _kernel_picture, "kernel", 3),
    Output("figures", ".png", _figure, needs="figure"),
    Output("kernels", ".npy", _kernel),
    Output("kernels", "_std.npy", _kernel_std, needs="belief"),
    Output("uncertainty", ".png", _uncertainty_picture, "uncertainty", 4, needs="uncertainty"),
    Output("uncertainty", ".npy", _uncertainty, needs="uncertainty"),
    Output("kernel_maps", ".png", _kernel_map_picture, "kernels of the parts", 5, needs="kernel_map"),
    Output("kernel_maps", ".npy", _kernel_map, needs="kernel_map"),
    Output("views", ".png", _residual_picture, "residual of the receipt", 6, needs="residual"),
    Output("views", ".jpg", _thumbnail, needs="trace"),
    VIEW,
)
KINDS = tuple(dict.fromkeys(row.kind for row in OUTPUTS))
ALWAYS = tuple(dict.fromkeys(row.kind for row in OUTPUTS if row.needs is None))  # folders that each solve has
SHOWN = tuple(sorted((row for row in OUTPUTS if row.caption), key=lambda row: row.place))  # on the page


def output_path(workdir: str, kind: str, name: str, suffix: str = ".png") -> str:
    """Where an output stands: WORKDIR/KIND/NAME.SUFFIX."""
    return os.path.join(workdir, kind, name + suffix)


def paths_of(workdir: str, name: str) -> list[str]:
    """All files that a solve may write for an image, its record left out."""
    return [row.path(workdir, name) for row in OUTPUTS]


def write(workdir: str, solved: Solved) -> dict[str, dict[str, Any]]:
    """Writes the files of an image; they are on the disk itself when this returns.

    Returns:
      Size and digest per file, as a record promises them.

    Raises:
      OSError: one cannot be written.
    """
    rows = [row for row in OUTPUTS if solved.has(row.needs)]
    for row in rows:
        row.write(row.path(workdir, solved.name), solved)
    found = durable.settle(row.path(workdir, solved.name) for row in rows)
    return {row.file(solved.name): found[row.path(workdir, solved.name)]._asdict() for row in rows}


def remove(workdir: str, name: str) -> None:
    """Deletes the files of an image, whosever they are; its record stays."""
    for path in paths_of(workdir, name):
        Path(path).unlink(missing_ok=True)


def has(workdir: str, record: Record) -> bool:
    """Whether all files of a record are there, of the sizes that it says (any but 0 in records of old)."""
    if not record.status.has_image:
        return True
    promised = record.outputs
    rows = [row for row in OUTPUTS if row.needs is None or _is_promised(row, record)]
    sizes = {row.file(record.name): durable.size(row.path(workdir, record.name)) for row in rows}
    if promised is None:
        return all(sizes.values())
    return sizes == {file: contents["bytes"] for file, contents in promised.items()}


def _is_promised(row: Output, record: Record) -> bool:
    return row.file(record.name) in (record.outputs or {})


def pictures(workdir: str, record: Record) -> list[tuple[str, str]]:
    """Captions and paths of what the page shows of an image: what its record promises, else all that there may be."""
    rows = [row for row in SHOWN if record.outputs is None or _is_promised(row, record)]
    return [(row.caption.format(scale=record.scale), row.path(workdir, record.name)) for row in rows]


def view(workdir: str, record: Record) -> str | None:
    """The path of what the page loads once an image is looked at, if its record promises one: those of old do not."""
    return VIEW.path(workdir, record.name) if _is_promised(VIEW, record) else None
