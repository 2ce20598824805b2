"""The picture of a calibration: what was said beside what was found."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from blindsr_jax import io
from blindsr_jax.evaluation.calibration import Judged
from blindsr_jax.inference.evidence import LEVELS

_BAND = 1.63  # of the Kolmogorov statistic: 99 % of uniform samples stay within this over the root of their number


def _ranks(axes, judged: Judged) -> None:
    """How far the ranks of the truth are from uniform, with a band that uniform ones would not leave."""
    count = len(judged.width_rank)
    places = (np.arange(count) + 0.5) / count
    for label, ranks in (("width", judged.width_rank), ("direction", judged.direction_rank)):
        axes.plot(np.sort(ranks), places - np.sort(ranks), label=label, lw=1)
    axes.axhspan(-_BAND / count**0.5, _BAND / count**0.5, color="0.9")
    axes.set(title="ranks: found - said", xlabel="rank", xlim=(0, 1))
    axes.legend(fontsize=7)


def write(path: str, judged: Judged, summary: Mapping[str, Any], title: str) -> None:
    """Writes a PNG.

    Args:
      path: file to write.
      judged: of `calibration.judge`.
      summary: of all images, of `calibration.summarize`.
      title: one line.
    """
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    intervals, probabilities, ranks = figure.subplots(1, 3)
    for axes in (intervals, probabilities):
        axes.plot((0, 1), (0, 1), color="0.8", lw=1)
        axes.set(xlabel="said", ylabel="found", xlim=(0, 1), ylim=(0, 1))
    for label, found in summary["coverage"].items():
        intervals.plot(LEVELS, found, "o-", label=label, lw=1)
    intervals.set_title("coverage of intervals", fontsize=10)
    intervals.legend(fontsize=7)
    rows = summary["reliability"]
    said, found, number = (np.array([row[name] for row in rows]) for name in ("said", "found", "number"))
    probabilities.errorbar(said, found, np.sqrt(found * (1 - found) / number), fmt="o-", lw=1)
    probabilities.set_title(f"covariance error below 25 %: ECE {summary['ece']:.3f}", fontsize=10)
    _ranks(ranks, judged)
    figure.suptitle(title, fontsize=10, parse_math=False)
    data = BytesIO()
    figure.savefig(data, format="png", dpi=110)
    io.write_bytes(path, data.getvalue())
