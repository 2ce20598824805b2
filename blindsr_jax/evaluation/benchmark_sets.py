"""Test sets of a table, made from a folder of the benchmarks' sharp images with fixed seeds, and kept."""

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from blindsr_jax import io
from blindsr_jax.evaluation import cases, degraded
from blindsr_jax.evaluation.protocols import Table
from blindsr_jax.evaluation.published import IMAGES
from blindsr_jax.imaging.problem import Spec, make_spec
from blindsr_jax.io import durable
from blindsr_jax.kernels.family import KernelFamily, load_family
from blindsr_jax.runs import ownership

SEED = 1  # of kernels, as in the releases; they depend on the image's name too
BOUNDARY, CENTER = "circular", "release"
FOLDER = "data"  # of the test sets, in that of a table
_SHOWN = ("name", "family", "parameters", "source_sha256", "hr_sha256", "sha256", "kernel_sha256")  # of a manifest


class Group(NamedTuple):
    """What has one row per method."""

    dataset: str
    scale: int
    family: str

    @property
    def name(self) -> str:
        """Of the folder of its test set."""
        return f"{self.dataset}_x{self.scale}_{self.family}"


class Part(NamedTuple):
    """Which part of the sets is used."""

    limit: int | None = None  # first images in the order of their names; None: all
    crop: int | None = None  # side of the middle part of each, HR pixels; None: whole images


def sharp_images(data: str, dataset: str, limit: int | None = None) -> list[Path]:
    """The sharp images of a set, DATA/SET/HR/*.png, sorted; none where there is no such folder."""
    paths = sorted(map(Path, glob.glob(os.path.join(glob.escape(data), dataset, "HR", "*.png"))))
    return paths[:limit]


def folders(group: Group) -> list[str]:
    """The folders of a group's test set, in that of the table."""
    place = f"{FOLDER}/{group.name}"
    return [place, *(f"{place}/{kind}" for kind in degraded.LAYOUT.folders)]


def is_full(group: Group, part: Part, images: int) -> bool:
    """Whether so many results are those of the whole set in whole images: what papers print numbers of."""
    return part == Part() and images == IMAGES[group.dataset]


def make_place(table: Table, group: Group) -> tuple[Spec, KernelFamily]:
    """The problem of a group and where its kernels come from."""
    spec = make_spec(
        scale=group.scale,
        kernel_size=table.kernel_sizes.get(group.scale),
        boundary=BOUNDARY,
        kernel_center=CENTER,
    )
    place = {"scale": spec.scale, "kernel_size": spec.kernel_size, "kernel_center": spec.kernel_center}
    options = {}
    if group.family == "gaussian" and table.variance_range is not None:
        options["variance_range"] = table.variance_range
    return spec, load_family(group.family, **place, **options)


def make(
    table: Table,
    group: Group,
    part: Part,
    *,
    data: str,
    folder: str,
    on_error: Callable[[Path, Exception], None],
) -> list[cases.Case]:
    """The cases of a group: those of an earlier run as they are, the others made now, to 8 bits as the releases do.

    Files and manifest, with the SHA-256 of each, are those of launch/degrade.py.

    Args:
      table: whose kernels they have.
      group: which.
      part: of the set.
      data: folder of the sets.
      folder: of the test sets; one of the group is made in it.
      on_error: gets the path of an image that failed, and why.

    Returns:
      Cases whose names begin with that of the group.
    """
    spec, family = make_place(table, group)
    place = os.path.join(folder, group.name)
    for kind in degraded.LAYOUT.folders:
        os.makedirs(os.path.join(place, kind), exist_ok=True)
    crop = None if part.crop is None else part.crop // spec.scale * spec.scale
    settings = degraded.Settings(place, spec, family, SEED, truncate=True, crop=crop)
    paths = {path.stem: path for path in sharp_images(data, group.dataset, part.limit)}
    manifest = degraded.read_manifest(place)
    unknown = [name for name in paths if name not in manifest]
    known = manifest.keys() | ownership.noted_names(place, flag="workdir")
    ownership.check_new(unknown, known, lambda name: degraded.output_paths(place, name), place)
    missing = {name: path for name, path in paths.items() if not _is_made(settings, manifest.get(name), path)}
    if missing:
        degraded.degrade_all(settings, missing, manifest, on_error=on_error)
    made = {case.name: case for case in cases.read_set(Path(place))}
    return [made[name]._replace(name=f"{group.name}__{name}") for name in paths if name in made]


def _is_made(settings: degraded.Settings, line: dict | None, path: Path) -> bool:
    """Whether a line of the manifest is of this image and these settings, and its files are there."""
    if line is None or line.get("crop") != settings.crop or line["kernel_size"] != settings.spec.kernel_size:
        return False
    same_source = line.get("source_sha256") == durable.contents(path).sha256
    return same_source and degraded.is_whole(settings.folder, line)


def hashes(folder: str, group: Group, found: list[cases.Case]) -> list[dict[str, Any]]:
    """What the manifest says of the cases of a group: kernels, and SHA-256 of source, sharp image, LR image and kernel.

    Args:
      folder: of the test sets, as `make` has it.
      group: which.
      found: its cases.
    """
    lines = degraded.read_manifest(os.path.join(folder, group.name))
    return [{key: lines[stem_of(case)].get(key) for key in _SHOWN} for case in found]


def stem_of(case: cases.Case) -> str:
    """The name of a case's image."""
    return case.name.partition("__")[2]


def usable(data: str, table: Table, wanted: list[str] | None) -> tuple[list[Group], list[str]]:
    """The groups of a table whose sets are there, and the sets that are missing.

    Raises:
      InputError: a wanted set is none of the table's, or none is there.
    """
    unknown = [name for name in wanted or () if name not in table.datasets]
    if unknown:
        raise io.InputError(f"{unknown[0]!r} is no set of {table.name}, expected one of {', '.join(table.datasets)}")
    chosen = [name for name in table.datasets if wanted is None or name in wanted]
    there = [name for name in chosen if sharp_images(data, name, 1)]
    if not there:
        places = " or ".join(os.path.join(data, name, "HR", "*.png") for name in chosen)
        raise io.InputError(f"{data!r} holds none of the sets of {table.name}, expected {places}")
    groups = [Group(name, scale, family) for scale in table.scales for family in table.families for name in there]
    return groups, [name for name in chosen if name not in there]
