r"""Makes LR images with known kernels from sharp ones, for tests and benchmarks.

python launch/degrade.py --input='hr/*.png' --scale=4 --family=gaussian --workdir=out/set
"""

import hashlib
import math
import os
import sys
from pathlib import Path

import jax
import numpy as np
from absl import flags

from blindsr_jax import io
from blindsr_jax.imaging import degradation
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.io import documents
from blindsr_jax.kernels.family import family_names, load_family, mixture
from blindsr_jax.runs import cli, ownership, schemas, seeds
from blindsr_jax.runs.workdir import output_path

_INPUT = flags.DEFINE_string("input", None, "Sharp images: a file or a quoted glob.")
_SCALE = flags.DEFINE_integer("scale", None, "Reduction.", lower_bound=1, upper_bound=8)
_NAMES = {"trajectory": "motion"}  # the words of --family for those of the package
_FAMILIES = [*sorted(set(family_names()) - set(_NAMES)), "mixture"]
_FAMILY = flags.DEFINE_enum("family", "gaussian", _FAMILIES, "Where kernels come from.")
_NOISE_STD = flags.DEFINE_float("noise_std", 0.0, "Standard deviation of the noise, [0, 1] scale.", 0)
_SEED = flags.DEFINE_integer(
    "seed", 1, "A kernel depends on it and on the image's name.", lower_bound=0, upper_bound=seeds.MAX_SEED
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_BOUNDARY = flags.DEFINE_enum("boundary", "circular", ["circular", "valid"], "'valid' cuts a border off the HR image.")
_CENTER = flags.DEFINE_enum("kernel_center", "release", ["release", "aligned"], "Centre of the kernels.")
_SIZE = flags.DEFINE_integer("kernel_size", None, "Odd; default min(4 scale + 3, 21).")
_VARIANCES = flags.DEFINE_list(
    "variance_range", None, "LOW,HIGH: variances of Gaussian kernels, square pixels of the sharp image."
)
_LEGACY = flags.DEFINE_boolean("legacy_png", False, "Truncate to 8 bits as the releases do, instead of rounding.")
flags.mark_flags_as_required(["input", "scale", "workdir"])


def variance_range() -> tuple[float, float]:
    """The numbers of --variance_range; a ValueError where they are none or no family uses them."""
    text = ",".join(_VARIANCES.value)
    if _FAMILY.value not in ("gaussian", "mixture"):
        raise ValueError(f"--variance_range={text} is of no use, expected --family=gaussian or mixture beside it")
    try:
        low, high = map(float, _VARIANCES.value)
    except ValueError as error:
        raise ValueError(f"--variance_range={text}: two numbers LOW,HIGH were expected") from error
    return low, high


def make_family(spec):
    """The family that --family names; 'mixture' is Gaussian and motion in equal parts."""
    names = ("gaussian", "motion") if _FAMILY.value == "mixture" else (_FAMILY.value,)
    place = {"scale": spec.scale, "kernel_size": spec.kernel_size, "kernel_center": spec.kernel_center}
    options = {"gaussian": {"variance_range": variance_range()}} if _VARIANCES.value else {}
    families = [load_family(name, **place, **options.get(name, {})) for name in names]
    return families[0] if len(families) == 1 else mixture(families)


def parameters(family, latent) -> tuple[str, dict]:
    """Name of the family that a latent belongs to, and its scalar and short parameters."""
    if family.members:
        index = int(latent.index)
        return parameters(family.members[index], latent.members[index])
    values = {name: np.asarray(value) for name, value in latent._asdict().items()}
    short = {name: value.tolist() for name, value in values.items() if value.size <= 4}
    return _NAMES.get(family.name, family.name), short


def crop_to_grid(pixels, spec):
    """HR image, and the canvas that its LR image is made from."""
    s = spec.scale
    h, w = (n // s * s for n in pixels.shape[:2])
    if spec.boundary == "circular":
        return pixels[:h, :w], pixels[:h, :w]
    margin = spec.kernel_size - s
    h, w = ((n - margin) // s * s for n in pixels.shape[:2])
    canvas = pixels[: h + margin, : w + margin]
    return spec.crop(canvas, (h // s, w // s, 1)), canvas


def output_paths(name: str) -> list[str]:
    """What is written for an image."""
    outputs = (("hr", ".png"), ("lr", ".png"), ("kernels", ".npy"), ("kernels", ".mat"))
    return [output_path(_WORKDIR.value, kind, name, suffix) for kind, suffix in outputs]


def degrade_file(path, name, spec, family) -> dict:
    """Writes the HR image, the LR image and the kernel of one file; returns its line of the manifest."""
    source = io.read_image(path)
    if min(source.pixels.shape[:2]) < spec.kernel_size + spec.scale:
        h, w, _ = source.pixels.shape
        raise io.InputError(
            f"cannot degrade {str(path)!r}: {w} x {h} pixels are too few for a kernel of {spec.kernel_size}, "
            f"sides of at least {spec.kernel_size + spec.scale} were expected"
        )
    kernel_key, noise_key = jax.random.split(seeds.image_key(_SEED.value, name))
    latent = family.sample(kernel_key)
    kernel = family.render(latent)
    hr, canvas = crop_to_grid(source.pixels, spec)
    lr = degradation.degrade(jax.numpy.asarray(canvas), kernel, scale=spec.scale, boundary=spec.boundary)
    if _NOISE_STD.value:
        lr = degradation.add_noise(noise_key, lr, _NOISE_STD.value)
    lr = np.asarray(lr)
    if _LEGACY.value:
        lr = np.floor(255 * np.clip(lr, 0, 1)) / 255

    hr_path, lr_path, npy_path, mat_path = output_paths(name)
    io.write_image(hr_path, io.Image(hr, None, source.bits))
    io.write_image(lr_path, io.Image(lr, None, 8 if _LEGACY.value else source.bits))
    io.write_kernel(npy_path, kernel)
    io.write_kernel_mat(mat_path, kernel)
    with open(lr_path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    family_name, values = parameters(family, latent)
    return {
        "name": name,
        "source": str(path),
        "family": family_name,
        "parameters": values,
        "seed": _SEED.value,
        "scale": spec.scale,
        "kernel_size": spec.kernel_size,
        "noise_std": _NOISE_STD.value,
        "boundary": spec.boundary,
        "kernel_center": spec.kernel_center,
        "sha256": digest,
    }


def is_set(folder: str) -> bool:
    """Whether a folder holds a set of an earlier run, or what one has left that ended early."""
    manifest = os.path.join(folder, "manifest.json")
    if os.path.lexists(manifest):
        return ownership.names_in(ownership.read_json(manifest)) is not None
    return bool(ownership.noted_names(folder))


SET = ownership.Layout("set of this launch", ("manifest.json",), ("hr", "lr", "kernels"), is_set)


def read_manifest(folder) -> dict[str, dict]:
    """Lines of an earlier run into the same folder, by name: a set can be made in several runs."""
    path = os.path.join(folder, "manifest.json")
    if not os.path.isfile(path):
        return {}
    try:
        expected = "the manifest of an earlier run or none was expected"
        lines = documents.require(path, schemas.MANIFEST, expected, limit=documents.LIST_BYTES)
    except io.InputError as error:
        raise cli.UsageError(cli.one_line(error)) from error
    return {line["name"]: line for line in lines}


def degrade_all(folder: str, paths: dict[str, Path], manifest: dict[str, dict], spec, family) -> int:
    """Degrades images by name and writes the manifest with new lines; returns how many failed."""
    failed = 0
    with ownership.making(folder, paths):
        try:
            for name, path in paths.items():
                try:
                    manifest[name] = degrade_file(path, name, spec, family)
                except Exception as error:  # whatever ails one image, the others go on
                    failed += 1
                    print(cli.failure(path, error), file=sys.stderr)
                    for output in () if name in manifest else output_paths(name):
                        Path(output).unlink(missing_ok=True)
        finally:  # an interrupted run keeps what it has made
            io.write_json(os.path.join(folder, "manifest.json"), list(manifest.values()))
    return failed


def main() -> int:
    """Degrades all images; one bad file is reported and the rest goes on."""
    if not math.isfinite(_NOISE_STD.value):
        raise cli.UsageError(f"--noise_std={_NOISE_STD.value} is not finite, expected a number of at least 0")
    try:
        place = {"kernel_size": _SIZE.value, "boundary": _BOUNDARY.value, "kernel_center": _CENTER.value}
        spec = make_spec(scale=_SCALE.value, **place)
        family = make_family(spec)
        paths = io.find_inputs(_INPUT.value)
    except ValueError as error:
        raise cli.UsageError(cli.one_line(error)) from error
    ownership.check_inputs(paths, _WORKDIR.value, outputs=SET.places)
    ownership.check_folder(_WORKDIR.value, SET)
    manifest, names = read_manifest(_WORKDIR.value), io.unique_stems(paths)
    ownership.check_new(names, manifest.keys() | ownership.noted_names(_WORKDIR.value), output_paths, _WORKDIR.value)
    folder = cli.make_workdir(_WORKDIR.value, folders=SET.folders)
    failed = degrade_all(folder, dict(zip(names, paths, strict=True)), manifest, spec, family)
    print(f"{len(paths) - failed} of {len(paths)} images degraded into {folder}")
    return cli.SOME_FAILED if failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
