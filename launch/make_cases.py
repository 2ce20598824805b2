r"""Makes cases for launch/table.py: the middle of sharp images, blurred by a random kernel and downsampled.

python launch/make_cases.py --input='hr/*.png' --scale=4 --family=motion --crop=160 --workdir=out/cases

Each case is a folder STEM_xSCALE_FAMILY with hr.png, lr.png and kernel.npy, in the conventions of the benchmarks
(circular boundary, centre 'release'); with --boundary=valid as a photograph sees it, hr.png is then what lies over the
LR image. Motion kernels are drawn until they are strong: at least `scale` square pixels of
variance along the path, and that at least three times the variance across it.
"""

import os

from absl import flags

from blindsr_jax import io
from blindsr_jax.evaluation import case_making
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.kernels.family import family_names, load_family
from blindsr_jax.kernels.folder import options as folder_options
from blindsr_jax.runs import cli, ownership, seeds

_INPUT = flags.DEFINE_string("input", None, "Sharp images: a file or a quoted glob.")
_SCALE = flags.DEFINE_integer("scale", None, "Reduction.", lower_bound=1, upper_bound=8)
_FAMILY = flags.DEFINE_enum("family", "gaussian", family_names(), "Where kernels come from.")
_CROP = flags.DEFINE_integer("crop", 160, "Side of the middle part of the image that is used.", lower_bound=16)
_BOUNDARY = flags.DEFINE_enum("boundary", "circular", ["circular", "valid"], "'valid' cuts a border off the HR image.")
_SEED = flags.DEFINE_integer(
    "seed", 1, "A kernel depends on it and on the image's name.", lower_bound=0, upper_bound=seeds.MAX_SEED
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the cases; made where missing.")
_KERNELS = flags.DEFINE_string("kernels", None, "With --family=folder: a folder of .npy and .mat files, or a pattern.")
flags.mark_flags_as_required(["input", "scale", "workdir"])


def main() -> int:
    """Makes a case of each image; one bad file is reported and the rest goes on."""
    with cli.usage_errors(ValueError):
        spec = make_spec(scale=_SCALE.value, boundary=_BOUNDARY.value, kernel_center="release")
        options = folder_options(_FAMILY.value, _KERNELS.value)
        family = load_family(_FAMILY.value, scale=spec.scale, kernel_center=spec.kernel_center, **options)
        paths = io.find_inputs(_INPUT.value)
    if _CROP.value < spec.kernel_size + spec.scale:
        raise cli.UsageError(f"--crop={_CROP.value} is too small, expected at least {spec.kernel_size + spec.scale}")
    folder, names = _WORKDIR.value, io.unique_stems(paths)
    settings = case_making.Settings(folder, spec, family, _FAMILY.value, _CROP.value, _SEED.value)
    try:
        made = case_making.read_list(folder)
    except io.InputError as error:
        raise cli.UsageError(f"--workdir={folder}: {error}") from error
    cases = list(map(settings.case_name, names))
    ownership.check_inputs(paths, folder, outputs=[f"{case}/" for case in cases])
    for case in cases:
        ownership.check_no_link(os.path.join(folder, case), folder)
    ownership.check_new(cases, made | ownership.noted_names(folder), settings.output_paths, folder)
    cli.make_workdir(folder)
    failed = case_making.make_cases(settings, dict(zip(names, paths, strict=True)), made, on_error=cli.say_failure)
    print(f"{len(paths) - failed} of {len(paths)} cases made in {folder}")
    return cli.SOME_FAILED if failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
