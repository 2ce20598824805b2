r"""Measures whether the probabilities of the learned evidence hold, on images that no training has seen.

python launch/calibrate.py --scale=4 --input='val/*.jpg' --workdir=out/calibration_x4

LR patches are made as in the training, with kernels drawn afresh from the network's prior. On half of the images the
temperature is fitted, on the other half coverage, reliability, Brier and log scores are taken, of all and by family.
Writes calibration.json and calibration.png.

With --frames=8 a posterior is that of eight patches with one kernel, as the frames of a camera.

With --config=configs/photo.py the kernels of its estimator are judged by the same posteriors: on the first half the
line is fitted that takes the logit of what they say to that of what happens, on the other half both are scored.
"""

import os
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from blindsr_jax import io
from blindsr_jax.config import check_config, load_config
from blindsr_jax.evaluation import calibration, calibration_figure
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.inference import evidence
from blindsr_jax.kernels.pool import Pool, draw_pool
from blindsr_jax.methods import build, families
from blindsr_jax.networks.evidence import SMALLEST_SIDE
from blindsr_jax.runs import cli, seeds
from blindsr_jax.runs.shared_kernel import own_kernel
from blindsr_jax.solvers.measured import make_problem
from blindsr_jax.training import corruption, driver, packs, patches, synthesis
from blindsr_jax.training.kernel_pool import pick
from blindsr_jax.weights import evidence as evidence_weights

_SCALE = flags.DEFINE_integer("scale", None, "Reduction.", lower_bound=1, upper_bound=8)
_INPUT = flags.DEFINE_string("input", None, "Sharp images, at least two: a quoted glob or a folder.")
_WEIGHTS = flags.DEFINE_string("weights", None, "A file of launch/train_evidence.py; default: the shipped network.")
_PATCHES = flags.DEFINE_integer("patches", 1024, "LR patches, half of them to fit the temperature.", lower_bound=4)
_DRAWS = flags.DEFINE_integer("draws", 4096, "Kernels of the prior that a posterior is over.", lower_bound=16)
_LR_SIDE = flags.DEFINE_integer(
    "lr_side", None, "Side of an LR patch; default: the largest of the training.", lower_bound=SMALLEST_SIDE
)
_GAIN = flags.DEFINE_float(
    "gain", evidence.GAIN, "n windows of a larger patch count as n to this.", lower_bound=0.0, upper_bound=1.0
)
_FRAMES = flags.DEFINE_integer(
    "frames", 1, "Patches with one kernel that a posterior is of.", lower_bound=1, upper_bound=1024
)
_FRAME_GAIN = flags.DEFINE_float(
    "frame_gain", evidence.FRAME_GAIN, "n such patches count as n to this.", lower_bound=0.0, upper_bound=1.0
)
_CONFIG = flags.DEFINE_string("config", None, "A config file whose estimator's kernels are judged too.")
_SEED = flags.DEFINE_integer("seed", 1, "Of patches and kernels.", lower_bound=0, upper_bound=seeds.MAX_SEED)
flags.declare_key_flag("workdir")
flags.mark_flags_as_required(["scale", "input", "workdir"])


def make_data(trained: evidence_weights.Trained):
    """The family of the prior, the settings of the data: those of the training, but for the side of a patch.

    Raises:
      ValueError: the network's note does not say them.
    """
    config = trained.config(_WEIGHTS.value)
    spec = make_spec(scale=trained.scale, kernel_size=trained.kernel_size, kernel_center="release")
    side = _LR_SIDE.value or trained.window
    return (
        families.build_family(config["prior"], spec),
        synthesis.Settings(trained.scale, side, corruption.from_config(config)),
    )


def read_halves(least: int) -> list[np.ndarray]:
    """Pieces of every other image, and of those between."""
    if packs.is_pack(_INPUT.value):
        raise cli.UsageError(f"--input={_INPUT.value}: expected images that no training has seen, a glob or a folder")
    images = driver.read_images(_INPUT.value, "input")
    try:
        if len(images) < 2:
            raise ValueError("one image was found, at least two were expected")
        return [patches.cut(images[first::2], least=least) for first in (0, 1)]
    except ValueError as error:
        raise cli.UsageError(f"--input={_INPUT.value}: {error}") from error


def build_method():
    """Spec, estimator and whole solver of --config."""
    config = load_config(_CONFIG.value)
    check_config(config)
    spec = build.build_spec(config, _SCALE.value)
    return spec, build.build_estimator(config, spec), build.build_solver(config, spec)


class Half(NamedTuple):
    """Patches of one half of the images."""

    lr: np.ndarray  # (n, h, w, 3), with --frames (n, frames, h, w, 3)
    kernels: np.ndarray  # (n, k, k), the true ones
    families: np.ndarray  # (n,)
    scored: calibration.Scored


def synthesize_frames(keys, pieces, pool: Pool, settings: synthesis.Settings):
    """As `synthesize`, of each key --frames patches with one kernel: (n, frames, h, w, 3), and what they share."""

    def one(key):
        kernel_key, *frame_keys = jax.random.split(key, 1 + _FRAMES.value)
        kernel, category = pick(kernel_key, pool)
        own = Pool(kernel[None], category[None])
        return synthesis.synthesize(jnp.stack(frame_keys), pieces, own, settings).lr, kernel, category

    return jax.lax.map(one, keys)


def look_at(keys, params, pieces, pool: Pool, network, window: int, settings: synthesis.Settings):
    """Patches, their kernels and families, and what is seen of each."""
    look = partial(evidence.observe, params, network=network, window=window, gain=_GAIN.value)
    if _FRAMES.value == 1:
        made = synthesis.synthesize(keys, pieces, pool, settings)
        return made.lr, made.kernel, made.category, jax.lax.map(look, made.lr)
    lr, kernel, category = synthesize_frames(keys, pieces, pool, settings)
    join = partial(evidence.together, gain=_FRAME_GAIN.value)
    return lr, kernel, category, jax.lax.map(lambda frames: join(jax.lax.map(look, frames)), lr)


def score_patches(key, trained: evidence_weights.Trained, prior: evidence.Prior, pool, pieces, settings) -> Half:
    """Makes half of the patches, and scores the draws of the prior on them."""
    network = trained.network()

    @jax.jit
    def run(keys, params, pieces, pool, draws):
        lr, kernel, category, seen = look_at(keys, params, pieces, pool, network, trained.window, settings)
        return Half(lr, kernel, category, calibration.score_all(network, params, seen, draws, kernel))

    keys = jax.random.split(key, _PATCHES.value // 2)
    return jax.device_get(run(keys, trained.params, jnp.asarray(pieces), pool, prior.kernels))


def judge_method(halves: tuple[Half, Half], prior: evidence.Prior, temperature: float, method) -> dict:
    """The kernels of a method on both halves: the line that is fitted on the first, and scores of the second."""
    spec, estimator, solver = method
    rows = []
    for half in halves:
        problems = (make_problem(lr, spec, solver) for lr in half.lr)
        kernels = np.stack([np.asarray(own_kernel(problem, estimator)) for problem in problems])
        truth = evidence.shapes(jnp.asarray(half.kernels))
        errors, said = calibration.of_kernels(kernels, half.scored, truth, prior, temperature)
        rows.append((said, (errors < evidence.TOLERANCE).astype(float), errors))
    line = calibration.fit_line(*rows[0][:2])
    said, happened, errors = rows[1]
    mapped = calibration.recalibrate(said, line)
    return {
        "config": os.path.basename(_CONFIG.value),
        "line": line,
        "cov_error": float(np.mean(errors)),
        "cov_error_median": float(np.median(errors)),
        "as_said": calibration.trust(said, happened),
        "recalibrated": calibration.trust(mapped, happened),
    }


def report(folder: str, half: Half, prior: evidence.Prior, names: tuple[str, ...], note: dict) -> None:
    """Writes the scores of a half at temperature 1 and at that of the note, and the picture of the latter."""
    truth = evidence.shapes(jnp.asarray(half.kernels))
    for name, temperature in (("plain", 1.0), ("fitted", note["temperature"])):
        judged = calibration.judge(half.scored, truth, prior, num_families=len(names), temperature=temperature)
        note[name] = calibration.summarize(judged, half.families, names)
    io.write_json(os.path.join(folder, "calibration.json"), note)
    found = note["fitted"]["all"]
    title = (
        f"x{note['scale']}, {found['number']} patches of {note['lr_side']} px, temperature {note['temperature']:.2f}"
    )
    calibration_figure.write(os.path.join(folder, "calibration.png"), judged, found, title)
    shown = {name: round(found[name], 3) for name in ("ece", "brier", "brier_base", "log_score", "cov_error")}
    print(f"{title}: {shown}, width {[round(x, 2) for x in found['coverage']['width']]}")


def main() -> int:
    """Fits on one half of the images, reports on the other."""
    with cli.usage_errors(ValueError, TypeError, KeyError):
        trained = evidence_weights.load(_WEIGHTS.value, _SCALE.value)
        family, settings = make_data(trained)
        if _FRAMES.value > 1 and _CONFIG.value is not None:
            raise ValueError("--frames and --config are both given, expected one of them")
        method = None if _CONFIG.value is None else build_method()
    halves = read_halves(synthesis.crop_side(settings.lr_side, settings.scale, trained.kernel_size))
    folder = cli.make_workdir(driver.WORKDIR.value)
    draws_key, pool_key, *keys = jax.random.split(jax.random.key(_SEED.value), 4)
    prior = evidence.make_prior(*draw_pool(draws_key, family, _DRAWS.value))
    pool = draw_pool(pool_key, family, 4 * _PATCHES.value)
    fit, test = (score_patches(key, trained, prior, pool, x, settings) for key, x in zip(keys, halves, strict=True))
    names = synthesis.category_names(family)
    note = {
        "scale": trained.scale,
        "families": names,
        "lr_side": settings.lr_side,
        "gain": _GAIN.value,
        "frames": _FRAMES.value,
        "frame_gain": _FRAME_GAIN.value,
        "draws": len(prior.families),
        "seed": _SEED.value,
        "data": driver.data_name(_INPUT.value, "input"),
        "device": jax.devices()[0].device_kind,
        "temperature": calibration.fit_temperature(fit.scored),
    }
    if method is not None:
        note["method"] = judge_method((fit, test), prior, float(trained.note.get("temperature", 1.0)), method)
        print(f"{note['method']['config']}: {note['method']}")
    report(folder, test, prior, names, note)
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
