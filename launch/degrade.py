r"""Makes LR images with known kernels from sharp ones, for tests and benchmarks.

python launch/degrade.py --input='hr/*.png' --scale=4 --family=gaussian --workdir=out/set
"""

import math
from functools import partial

from absl import flags

from blindsr_jax import io
from blindsr_jax.evaluation import degraded
from blindsr_jax.imaging.problem import Spec, make_spec
from blindsr_jax.kernels.family import KernelFamily, family_names, load_family, mixture
from blindsr_jax.kernels.folder import options as folder_options
from blindsr_jax.runs import cli, ownership, seeds

_INPUT = flags.DEFINE_string("input", None, "Sharp images: a file or a quoted glob.")
_SCALE = flags.DEFINE_integer("scale", None, "Reduction.", lower_bound=1, upper_bound=8)
_FAMILY = flags.DEFINE_enum("family", "gaussian", [*family_names(), "mixture"], "Where kernels come from.")
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
_KERNELS = flags.DEFINE_string("kernels", None, "With --family=folder: a folder of .npy and .mat files, or a pattern.")
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


def make_family(spec: Spec) -> KernelFamily:
    """The family that --family names; 'mixture' is Gaussian and motion in equal parts."""
    names = ("gaussian", "motion") if _FAMILY.value == "mixture" else (_FAMILY.value,)
    place = {"scale": spec.scale, "kernel_size": spec.kernel_size, "kernel_center": spec.kernel_center}
    options = {"gaussian": {"variance_range": variance_range()}} if _VARIANCES.value else {}
    options["folder"] = folder_options(_FAMILY.value, _KERNELS.value)
    families = [load_family(name, **place, **options.get(name, {})) for name in names]
    return families[0] if len(families) == 1 else mixture(families)


def main() -> int:
    """Degrades all images; one bad file is reported and the rest goes on."""
    if not math.isfinite(_NOISE_STD.value):
        raise cli.UsageError(f"--noise_std={_NOISE_STD.value} is not finite, expected a number of at least 0")
    with cli.usage_errors(ValueError):
        place = {"kernel_size": _SIZE.value, "boundary": _BOUNDARY.value, "kernel_center": _CENTER.value}
        spec = make_spec(scale=_SCALE.value, **place)
        family = make_family(spec)
        paths = io.find_inputs(_INPUT.value)
    folder, names = _WORKDIR.value, io.unique_stems(paths)
    ownership.check_inputs(paths, folder, outputs=degraded.LAYOUT.places)
    ownership.check_folder(folder, degraded.LAYOUT)
    with cli.usage_errors(io.InputError):
        manifest = degraded.read_manifest(folder)
    outputs = partial(degraded.output_paths, folder)
    ownership.check_new(names, manifest.keys() | ownership.noted_names(folder), outputs, folder)
    folder = cli.make_workdir(folder, folders=degraded.LAYOUT.folders)
    settings = degraded.Settings(folder, spec, family, _SEED.value, _NOISE_STD.value, _LEGACY.value)
    failed = degraded.degrade_all(settings, dict(zip(names, paths, strict=True)), manifest, on_error=cli.say_failure)
    print(f"{len(paths) - failed} of {len(paths)} images degraded into {folder}")
    return cli.SOME_FAILED if failed else cli.OK


if __name__ == "__main__":
    cli.run(main)
