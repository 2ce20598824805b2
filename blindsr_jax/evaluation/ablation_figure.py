"""The picture of an ablation: what was measured here, with error bars over seeds, beside what the paper prints."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from blindsr_jax import io
from blindsr_jax.evaluation.protocols import Table


class Point(NamedTuple):
    """A method on its curve."""

    at: int
    psnr_y: float  # dB
    error: float  # standard error over seeds, 0 where there is one seed


def curves(table: Table, rows: Sequence[dict[str, Any]]) -> dict[str, list[Point]]:
    """The measured points of each curve of a table, in the order of its methods."""
    found: dict[str, list[Point]] = {}
    measured = {row["method"]: row for row in rows if row.get("measured")}
    for method in table.methods:
        row = measured.get(method.label)
        if method.curve is not None and row is not None and row.get("psnr_y") is not None:
            name, at = method.curve
            found.setdefault(name, []).append(Point(at, row["psnr_y"], row.get("psnr_y_seed_se") or 0.0))
    return found


def printed_curves(table: Table) -> dict[str, list[Point]]:
    """Likewise what is printed of the same methods; empty where the paper does not say what its columns are."""
    printed = {place.method: score for place, score in table.printed.items()}
    found: dict[str, list[Point]] = {}
    for method in table.methods:
        if method.curve is not None and method.label in printed:
            name, at = method.curve
            found.setdefault(name, []).append(Point(at, printed[method.label].psnr_y, 0.0))
    return found


def write(path: str, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Writes a PNG.

    Args:
      path: file to write.
      table: with an `axis`.
      rows: of `paper_tables.make_rows`.
    """
    panels = {"measured here": curves(table, rows), "printed": printed_curves(table)}
    panels = {title: found for title, found in panels.items() if found or title == "measured here"}
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    for axes, (title, found) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, points in found.items():
            at, psnr, error = zip(*points, strict=True)
            axes.errorbar(at, psnr, error, fmt="o-", lw=1, ms=4, capsize=3, label=name)
        axes.set_xscale("symlog", linthresh=1)  # with a place for 0
        places = sorted({point.at for points in found.values() for point in points})
        axes.set_xticks(places, [f"{at:,}" for at in places], fontsize=8)
        axes.minorticks_off()
        axes.set(title=title, xlabel=table.axis, ylabel="PSNR-Y, dB")
        if len(found) > 1:
            axes.legend(fontsize=7)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=110)
    io.write_bytes(path, data.getvalue())
