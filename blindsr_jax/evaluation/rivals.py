"""Other programs in a table: a folder of their results, and a small card that says what lies where.

A card is JSON: `name`, `folder` (of the results; relative to the card), and where they differ from the defaults

- `pattern`: of the files in the folder, with {set}, {dataset}, {scale}, {family} and {stem}; default {set}/{stem}.png;
- `grid`: where the program puts the pixels of its image: 'data', as the sharp images of the set lie, which a method
  does that heeds the kernels' centre; or 'half_pixel', the usual grid, where LR pixel i is the middle of s by s pixels;
- `kernels`: a pattern of kernel files; `kernel_center`, 'release' or 'aligned'; `kernel_flipped`, whether they are for
  a convolution;
- `reference`: what to cite.
"""

import os
import string
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from blindsr_jax import io
from blindsr_jax.evaluation import benchmark_sets, metrics, optional_scores
from blindsr_jax.evaluation.cases import Case
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.io import documents
from blindsr_jax.io.documents import Key, nullable, one_of, text
from blindsr_jax.kernels import geometry, placement

GRIDS = ("data", "half_pixel")
FIELDS = ("set", "dataset", "scale", "family", "stem")


class Card(NamedTuple):
    """What is known of the results of another program."""

    name: str
    folder: str
    pattern: str = "{set}/{stem}.png"
    grid: str = "data"
    kernels: str | None = None
    kernel_center: str = "release"
    kernel_flipped: bool = False
    reference: str = ""


def _pattern(value: Any) -> str | None:
    if not isinstance(value, str) or not value:
        return "a pattern such as {set}/{stem}.png was expected"
    try:
        parts = list(string.Formatter().parse(value))
    except ValueError:
        return "its braces do not match"
    wrong = [field for _, field, spec, kind in parts if field is not None and (field not in FIELDS or spec or kind)]
    if wrong:
        return f"{{{wrong[0]}}} is unknown, expected " + ", ".join(f"{{{name}}}" for name in FIELDS)
    return None if any(field == "stem" for _, field, _, _ in parts) else "{stem} is missing"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false was expected"


def _named(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a name was expected"


_CARD = documents.object_of(
    {
        "name": Key(_named),
        "folder": Key(_named),
        "pattern": Key(_pattern, is_required=False),
        "grid": Key(one_of(*GRIDS), is_required=False),
        "kernels": Key(nullable(_pattern), is_required=False),
        "kernel_center": Key(one_of("release", "aligned"), is_required=False),
        "kernel_flipped": Key(_flag, is_required=False),
        "reference": Key(text, is_required=False),
    }
)


def read_card(path: str | os.PathLike) -> Card:
    """Reads a card.

    Raises:
      InputError: it is none, a key of it is unknown, or its folder is not there.
    """
    found = documents.require(path, _CARD, "the card of another program was expected")
    unknown = [key for key in found if key not in Card._fields]
    if unknown:
        raise io.InputError(
            f"{str(path)!r}: the key {unknown[0]!r} is unknown, expected one of {', '.join(Card._fields)}"
        )
    folder = os.path.join(os.path.dirname(os.path.abspath(path)), found["folder"])
    if not os.path.isdir(folder):
        raise io.InputError(
            f"{str(path)!r}: {folder!r} is not a folder, that of the results of the program was expected"
        )
    return Card(**{**found, "folder": folder})


def _place(card: Card, pattern: str, group: benchmark_sets.Group, case: Case) -> Path:
    fields = {"set": group.name, **group._asdict(), "stem": benchmark_sets.stem_of(case)}
    return Path(card.folder, pattern.format(**fields))


def to_data_grid(image: np.ndarray, spec: Spec) -> np.ndarray:
    """An image (H, W, c) of the usual grid, moved by whole pixels to where the sharp image lies; it wraps around."""
    middle, usual = (spec.kernel_size - 1) / 2, (spec.scale - 1) / 2
    return np.roll(image, round(spec.center - middle - usual), (0, 1))


def score(
    card: Card, group: benchmark_sets.Group, case: Case, spec: Spec, *, scores: Sequence[str] = ()
) -> dict[str, Any]:
    """The scores of the program's result for a case, as a cell of a table.

    Args:
      card: of the program.
      group: of the case.
      case: which.
      spec: of the group.
      scores: names of `optional_scores.SCORES` that are wanted too.

    Raises:
      InputError: a file is missing, bad, or of another size.
    """
    path = _place(card, card.pattern, group, case)
    image = np.asarray(io.read_image(path).pixels, np.float64)
    h, w, c = case.hr.shape
    if image.shape[:2] != (h, w):
        found = f"{image.shape[1]} x {image.shape[0]} pixels"
        raise io.InputError(f"cannot score {str(path)!r}: {found}, {w} x {h} were expected")
    if image.shape[2] != c:
        raise io.InputError(f"cannot score {str(path)!r}: {image.shape[2]} channels, {c} were expected")
    if card.grid == "half_pixel":
        image = to_data_grid(image, spec)
    found = {"case": case.name, "config": card.name, "seed": 0, "status": "ok"}
    truth = case.hr.astype(np.float64)
    found |= metrics.score_image(image, truth, border=spec.scale)
    found |= optional_scores.score(scores, image, truth, border=spec.scale)
    if card.kernels is not None:
        kernel = io.read_kernel(_place(card, card.kernels, group, case))
        kernel = np.asarray(geometry.flip(kernel)) if card.kernel_flipped else kernel
        place = spec.scale, card.kernel_center, spec.kernel_center
        moved = placement.convert(np.asarray(kernel, np.float32), *place, max(len(kernel), spec.kernel_size))
        found |= metrics.score_kernel(np.asarray(moved, np.float64), case.kernel)
    return found


def score_all(
    cards: Sequence[Card],
    group: benchmark_sets.Group,
    cases: Sequence[Case],
    spec: Spec,
    *,
    scores: Sequence[str] = (),
    on_error: Callable[[str, Exception], None],
) -> Iterator[dict[str, Any]]:
    """The cells of other programs on the cases of a group.

    Args:
      cards: of the programs.
      group: of the cases.
      cases: all of them.
      spec: of the group.
      scores: names of `optional_scores.SCORES` that are wanted too.
      on_error: gets the program and case of a result that cannot be scored, and why.

    Yields:
      One for each result that is there and good.
    """
    for card in cards:
        for case in cases:
            try:
                yield score(card, group, case, spec, scores=scores)
            except Exception as error:  # whatever ails one file
                on_error(f"{card.name}, {case.name}", error)
