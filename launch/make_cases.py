r"""Makes cases for launch/table.py: the middle of sharp images, blurred by a random kernel and downsampled.

python launch/make_cases.py --input='hr/*.png' --scale=4 --family=motion --crop=160 --workdir=out/cases

Each case is a folder STEM_xSCALE_FAMILY with hr.png, lr.png and kernel.npy, in the conventions of the benchmarks
(circular boundary, centre 'release'). Motion kernels are drawn until they are strong: at least `scale` square pixels of
variance along the path, and that at least three times the variance across it.
"""

import os
import sys
from pathlib import Path

import jax
import numpy as np
from absl import flags

from blindsr_jax import io
from blindsr_jax.imaging import degradation
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import family_names, load_family, sample_kernels
from blindsr_jax.runs import cli, ownership, seeds

_INPUT = flags.DEFINE_string("input", None, "Sharp images: a file or a quoted glob.")
_SCALE = flags.DEFINE_integer("scale", None, "Reduction.", lower_bound=1, upper_bound=8)
_FAMILIES = sorted(set(family_names()) - {"trajectory"})  # which is another word for motion
_FAMILY = flags.DEFINE_enum("family", "gaussian", _FAMILIES, "Where kernels come from.")
_CROP = flags.DEFINE_integer("crop", 160, "Side of the middle part of the image that is used.", lower_bound=16)
_SEED = flags.DEFINE_integer(
    "seed", 1, "A kernel depends on it and on the image's name.", lower_bound=0, upper_bound=seeds.MAX_SEED
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the cases; made where missing.")
flags.mark_flags_as_required(["input", "scale", "workdir"])

_DRAWS = 512
LIST = "cases.json"


def draw(key, family, scale: int) -> np.ndarray:
    """A kernel; where it is motion, the first that blurs far in one direction and little in the other."""
    if _FAMILY.value != "motion":
        return np.asarray(family.render(family.sample(key)))
    kernels = sample_kernels(key, family, _DRAWS)
    minor, major = np.linalg.eigvalsh(np.asarray(jax.vmap(geometry.covariance)(kernels))).T
    strong = np.flatnonzero((major >= scale) & (major >= 3 * minor))
    if not strong.size:
        raise ValueError(f"none of {_DRAWS} motion kernels is strong at scale {scale}")
    return np.asarray(kernels[strong[0]])


def make_case(path, name: str, spec, family) -> None:
    """Writes one case."""
    side = _CROP.value // spec.scale * spec.scale
    pixels = io.read_image(path).pixels
    h, w, _ = pixels.shape
    if min(h, w) < side:
        raise io.InputError(f"cannot crop {str(path)!r}: {w} x {h} pixels, sides of at least {side} were expected")
    top, left = (h - side) // 2, (w - side) // 2
    hr = pixels[top : top + side, left : left + side]
    kernel = draw(seeds.image_key(_SEED.value, name), family, spec.scale)
    lr = degradation.degrade(jax.numpy.asarray(hr), jax.numpy.asarray(kernel), scale=spec.scale, boundary=spec.boundary)
    hr_path, kernel_path, lr_path = output_paths(case_name(name))
    io.write_image(hr_path, io.Image(hr))
    io.write_kernel(kernel_path, kernel)
    io.write_image(lr_path, io.Image(np.asarray(lr)))  # last: it is what makes a case


def case_name(name: str) -> str:
    """The name of a case: what it is made from."""
    return f"{name}_x{_SCALE.value}_{_FAMILY.value}"


def output_paths(case: str) -> list[str]:
    """What is written for a case."""
    return [os.path.join(_WORKDIR.value, case, file) for file in ("hr.png", "kernel.npy", "lr.png")]


def read_list(folder: str) -> set[str]:
    """The names of the cases that earlier runs have made in a folder.

    Raises:
      UsageError: its cases.json is something else.
    """
    path = os.path.join(folder, LIST)
    names = ownership.names_in(ownership.read_json(path)) if os.path.lexists(path) else set()
    if names is None:
        raise cli.UsageError(f"--workdir={folder}: {path!r} is no list of cases, expected that of earlier runs or none")
    return names


def make_cases(paths: dict[str, Path], made: set[str], spec, family) -> int:
    """Makes a case of each image by name and writes the list; returns how many failed."""
    failed, folder = 0, _WORKDIR.value
    with ownership.making(folder, map(case_name, paths)):
        for name, path in paths.items():
            try:
                make_case(path, name, spec, family)
                made.add(case_name(name))
            except Exception as error:  # whatever ails one image, the others go on
                failed += 1
                print(cli.failure(path, error), file=sys.stderr)
                for output in () if case_name(name) in made else output_paths(case_name(name)):
                    Path(output).unlink(missing_ok=True)
        io.write_json(os.path.join(folder, LIST), [{"name": name} for name in sorted(made)])
    return failed


def main() -> int:
    """Makes a case of each image; one bad file is reported and the rest goes on."""
    try:
        spec = make_spec(scale=_SCALE.value, boundary="circular", kernel_center="release")
        family = load_family(_FAMILY.value, scale=spec.scale, kernel_center=spec.kernel_center)
        paths = io.find_inputs(_INPUT.value)
    except ValueError as error:
        raise cli.UsageError(cli.one_line(error)) from error
    if _CROP.value < spec.kernel_size + spec.scale:
        raise cli.UsageError(f"--crop={_CROP.value} is too small, expected at least {spec.kernel_size + spec.scale}")
    folder, names = _WORKDIR.value, io.unique_stems(paths)
    cases, made = [case_name(name) for name in names], read_list(folder)
    ownership.check_inputs(paths, folder, outputs=[f"{case}/" for case in cases])
    for case in cases:
        ownership.check_no_link(os.path.join(folder, case), folder)
    ownership.check_new(cases, made | ownership.noted_names(folder), output_paths, folder)
    cli.make_workdir(folder)
    failed = make_cases(dict(zip(names, paths, strict=True)), made, spec, family)
    print(f"{len(paths) - failed} of {len(paths)} cases made in {_WORKDIR.value}")
    return cli.SOME_FAILED if failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
