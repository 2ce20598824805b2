"""Cases made from sharp images: the middle of an image, blurred by a random kernel and downsampled."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax import io
from blindsr_jax.evaluation.degraded import make_each
from blindsr_jax.imaging import synthetic
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import KernelFamily, sample_kernels
from blindsr_jax.runs import ownership, seeds

LIST = "cases.json"
MOTION = ("motion", "trajectory", "line")  # families whose kernels must be strong
_DRAWS = 512


class Settings(NamedTuple):
    """How cases are made."""

    folder: str
    spec: Spec
    family: KernelFamily
    family_name: str  # as the user calls it
    side: int  # of the middle part of an image; a rest of the scale is cut off
    seed: int

    def case_name(self, name: str) -> str:
        """The name of a case: what it is made from."""
        return f"{name}_x{self.spec.scale}_{self.family_name}"

    def output_paths(self, case: str) -> list[str]:
        """What is written for a case; the last one is what makes it a case."""
        return [os.path.join(self.folder, case, file) for file in ("hr.png", "kernel.npy", "lr.png")]


def draw_kernel(key: jax.Array, settings: Settings) -> np.ndarray:
    """A kernel; where it is motion, the first that blurs far in one direction and little in the other.

    Raises:
      ValueError: none of many draws does.
    """
    family, scale = settings.family, settings.spec.scale
    if settings.family_name not in MOTION:
        return np.asarray(family.render(family.sample(key)))
    kernels = sample_kernels(key, family, _DRAWS)
    minor, major = np.linalg.eigvalsh(np.asarray(jax.vmap(geometry.covariance)(kernels))).T
    strong = np.flatnonzero((major >= scale) & (major >= 3 * minor))
    if not strong.size:
        raise ValueError(f"none of {_DRAWS} motion kernels is strong at scale {scale}")
    return np.asarray(kernels[strong[0]])


def make_case(path: str | os.PathLike, name: str, key: jax.Array, settings: Settings) -> None:
    """Writes one case; raises InputError where the image is bad or too small."""
    pixels, lr_side = io.read_image(path).pixels, settings.side // settings.spec.scale
    try:
        side = settings.spec.canvas_shape((lr_side, lr_side, 1))[0]
        hr, canvas = synthetic.crop_to_grid(synthetic.middle(pixels, side), settings.spec)
    except ValueError as error:
        raise io.InputError(f"cannot crop {str(path)!r}: {error}") from error
    kernel = draw_kernel(key, settings)
    lr = synthetic.make_lr(canvas, jnp.asarray(kernel), settings.spec)
    hr_path, kernel_path, lr_path = settings.output_paths(settings.case_name(name))
    io.write_image(hr_path, io.Image(hr))
    io.write_kernel(kernel_path, kernel)
    io.write_image(lr_path, io.Image(lr))


def read_list(folder: str) -> set[str]:
    """The names of the cases that earlier runs have made in a folder.

    Raises:
      InputError: its cases.json is something else.
    """
    path = os.path.join(folder, LIST)
    names = ownership.names_in(ownership.read_json(path)) if os.path.lexists(path) else set()
    if names is None:
        raise io.InputError(f"{path!r} is no list of cases, expected that of earlier runs or none")
    return names


def make_cases(
    settings: Settings,
    paths: Mapping[str, Path],
    made: set[str],
    *,
    on_error: Callable[[Path, Exception], None],
) -> int:
    """Makes a case of each image by name and writes the list.

    Args:
      settings: how.
      paths: of the images by name.
      made: names of the cases of earlier runs, to which new ones are added.
      on_error: gets the path of an image that failed, and why.

    Returns:
      How many failed.
    """
    by_case = {settings.case_name(name): (name, path) for name, path in paths.items()}

    def make(path, case):
        make_case(path, by_case[case][0], seeds.image_key(settings.seed, by_case[case][0]), settings)
        made.add(case)

    places = {case: path for case, (_, path) in by_case.items()}
    with ownership.making(settings.folder, by_case):
        failed = make_each(places, make, outputs=settings.output_paths, made=made, on_error=on_error)
        names = [{"name": name} for name in sorted(made)]
        io.write_json(os.path.join(settings.folder, LIST), names)
    return failed
