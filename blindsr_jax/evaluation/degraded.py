"""Sets of LR images with their truth, made from sharp images: files, manifest, and going on with an earlier set."""

import os
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging import synthetic
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.io import documents, durable
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.runs import ownership, schemas, seeds
from blindsr_jax.runs.outputs import output_path

_NAMES = {"trajectory": "motion"}  # the words of the manifest for those of the package
_OUTPUTS = (("hr", ".png"), ("lr", ".png"), ("kernels", ".npy"), ("kernels", ".mat"))


class Settings(NamedTuple):
    """How a set is made."""

    folder: str
    spec: Spec
    family: KernelFamily
    seed: int
    noise_std: float = 0.0  # [0, 1] scale
    truncate: bool = False  # to 8 bits, as the releases do, instead of rounding
    crop: int | None = None  # side of the middle part that is used of each image; None: the whole image


def _is_set(folder: str) -> bool:
    """Whether a folder holds a set of an earlier run, or what one has left that ended early."""
    manifest = os.path.join(folder, "manifest.json")
    if os.path.lexists(manifest):
        return ownership.names_in(ownership.read_json(manifest)) is not None
    return bool(ownership.noted_names(folder))


LAYOUT = ownership.Layout("set of this launch", ("manifest.json",), ("hr", "lr", "kernels"), _is_set)


def output_paths(folder: str, name: str) -> list[str]:
    """The files of an image: HR image, LR image, kernel in two formats."""
    return [output_path(folder, kind, name, suffix) for kind, suffix in _OUTPUTS]


def read_manifest(folder: str) -> dict[str, dict[str, Any]]:
    """Lines of an earlier run into the same folder, by name: a set can be made in several runs.

    Raises:
      InputError: the manifest is something else.
    """
    path = os.path.join(folder, "manifest.json")
    if not os.path.isfile(path):
        return {}
    expected = "the manifest of an earlier run or none was expected"
    lines = documents.require(path, schemas.MANIFEST, expected, limit=documents.LIST_BYTES)
    return {line["name"]: line for line in lines}


def latent_values(family: KernelFamily, latent: Any) -> tuple[str, dict[str, Any]]:
    """Name of the family that a latent belongs to, and its scalar and short parameters."""
    if family.members:
        index = int(latent.index)
        return latent_values(family.members[index], latent.members[index])
    values = {name: np.asarray(value) for name, value in latent._asdict().items()}
    short = {name: value.tolist() for name, value in values.items() if value.size <= 4}
    return _NAMES.get(family.name, family.name), short


def degrade_file(path: str | os.PathLike, name: str, key: jax.Array, settings: Settings) -> dict[str, Any]:
    """Writes the HR image, the LR image and the kernel of one file; returns its line of the manifest.

    Args:
      path: of the sharp image.
      name: of the outputs.
      key: typed PRNG key that kernel and noise depend on.
      settings: how.

    Raises:
      InputError: the image is bad or too small.
    """
    spec, source = settings.spec, io.read_image(path)
    if settings.crop is not None:
        try:
            source = source._replace(pixels=synthetic.middle(source.pixels, settings.crop))
        except ValueError as error:
            raise io.InputError(f"cannot crop {str(path)!r}: {error}") from error
    least = spec.kernel_size + spec.scale
    if min(source.pixels.shape[:2]) < least:
        h, w, _ = source.pixels.shape
        raise io.InputError(
            f"cannot degrade {str(path)!r}: {w} x {h} pixels are too few for a kernel of {spec.kernel_size}, "
            f"sides of at least {least} were expected"
        )
    kernel_key, noise_key = jax.random.split(key)
    latent = settings.family.sample(kernel_key)
    kernel = settings.family.render(latent)
    hr, canvas = synthetic.crop_to_grid(source.pixels, spec)
    noise = {"noise_key": noise_key, "noise_std": settings.noise_std}
    lr = synthetic.make_lr(canvas, kernel, spec, **noise, truncate=settings.truncate)

    hr_path, lr_path, npy_path, mat_path = output_paths(settings.folder, name)
    io.write_image(hr_path, io.Image(hr, None, source.bits))
    io.write_image(lr_path, io.Image(lr, None, 8 if settings.truncate else source.bits))
    io.write_kernel(npy_path, kernel)
    io.write_kernel_mat(mat_path, kernel)
    family, values = latent_values(settings.family, latent)
    return {
        "name": name,
        "source": str(path),
        "family": family,
        "parameters": values,
        "seed": settings.seed,
        "scale": spec.scale,
        "kernel_size": spec.kernel_size,
        "noise_std": settings.noise_std,
        "boundary": spec.boundary,
        "kernel_center": spec.kernel_center,
        "crop": settings.crop,
        "sha256": durable.contents(lr_path).sha256,
        "hr_sha256": durable.contents(hr_path).sha256,
        "kernel_sha256": durable.contents(npy_path).sha256,
        "source_sha256": source.sha256,
    }


def is_whole(folder: str, line: Mapping[str, Any]) -> bool:
    """Whether the files of an image are those that its line of the manifest speaks of."""
    hr, lr, kernel, _ = output_paths(folder, line["name"])
    wanted = {lr: "sha256", hr: "hr_sha256", kernel: "kernel_sha256"}
    return all(os.path.isfile(path) and durable.contents(path).sha256 == line.get(key) for path, key in wanted.items())


def make_each(
    paths: Mapping[str, Path],
    make: Callable[[Path, str], None],
    *,
    outputs: Callable[[str], list[str]],
    made: Collection[str],
    on_error: Callable[[Path, Exception], None],
) -> int:
    """Makes something of each image; one that fails leaves no half of its outputs, and the others go on.

    Args:
      paths: of the images by name.
      make: (path, name) -> None.
      outputs: name -> the files that `make` writes.
      made: names of finished ones, which keep their files; asked after each failure.
      on_error: gets the path of an image that failed, and why.

    Returns:
      How many failed.
    """
    failed = 0
    for name, path in paths.items():
        try:
            make(path, name)
        except Exception as error:  # whatever ails one image
            for output in () if name in made else outputs(name):
                Path(output).unlink(missing_ok=True)
            failed += 1
            on_error(path, error)
    return failed


def degrade_all(
    settings: Settings,
    paths: Mapping[str, Path],
    manifest: dict[str, dict],
    *,
    on_error: Callable[[Path, Exception], None],
) -> int:
    """Degrades images by name and writes the manifest with new lines, also when it is interrupted.

    Args:
      settings: how; the folders of `LAYOUT` are there.
      paths: of the images by name.
      manifest: lines by name, to which new ones are added.
      on_error: gets the path of an image that failed, and why.

    Returns:
      How many failed.
    """

    def make(path, name):
        manifest[name] = degrade_file(path, name, seeds.image_key(settings.seed, name), settings)

    with ownership.making(settings.folder, paths):
        try:
            outputs = partial(output_paths, settings.folder)
            return make_each(paths, make, outputs=outputs, made=manifest, on_error=on_error)
        finally:  # an interrupted run keeps what it has made
            io.write_json(os.path.join(settings.folder, "manifest.json"), list(manifest.values()))
