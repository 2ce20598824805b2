r"""Trains a diffusion prior on a folder of images.

python launch/train_diffusion.py --config=configs/diffusion.py --input='train/*.jpg' --validation='val/*.jpg' \
    --workdir=out/prior

Writes prior.npz (--config.image.weights of configs/diff_dkp.py takes it), prior.json (what it was made from and how
well it removes noise, beside non-local means), metrics.jsonl and denoised.png. The same command goes on where an
interrupted one stopped.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import io
from blindsr_jax.diffusion import denoiser
from blindsr_jax.evaluation.metrics import mean_psnr
from blindsr_jax.networks.unet import UNetConfig
from blindsr_jax.runs import cli
from blindsr_jax.training import driver, values
from blindsr_jax.training.diffusion import make_task
from blindsr_jax.weights import archive, diffusion

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/diffusion.py.")
_INPUT = flags.DEFINE_string("input", None, "Training images: a quoted glob or a folder.")
_VALIDATION = flags.DEFINE_string("validation", None, "Images to validate on: a quoted glob or a folder.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "input", "validation", "workdir"])


def network_of(config) -> UNetConfig:
    """The network that a config describes; whatever is wrong with it is a usage error."""
    with cli.usage_errors(TypeError, ValueError, AttributeError):
        values.check(config, values.DIFFUSION)
        options = {key: tuple(x) if isinstance(x, list) else x for key, x in config.network.items()}
        return UNetConfig(out_channels=6 if config.learn_variance else 3, **options)


def validation_set(config) -> np.ndarray:
    """The middle of each validation image, (n, size, size, 3) in [0, 1]."""
    size, found = config.validation_size, []
    for x in driver.read_images(_VALIDATION.value, "validation"):
        h, w, _ = x.shape
        if min(h, w) >= size and len(found) < config.validation_images:
            top, left = (h - size) // 2, (w - size) // 2
            middle = x[top : top + size, left : left + size].astype(np.float32) / 255
            found.append(np.broadcast_to(middle, (size, size, 3)))
    if not found:
        raise cli.UsageError(f"--validation={_VALIDATION.value}: no image has sides of {size}, some were expected")
    return np.stack(found)


def noisy_sets(config, clean: np.ndarray) -> dict[str, tuple[float, np.ndarray]]:
    """For each level its name, the noise's standard deviation, and the images with it."""
    draws = np.random.default_rng(0).standard_normal(clean.shape).astype(np.float32)
    return {f"psnr_{level:g}": (level / 255, clean + level / 255 * draws) for level in config.noise_levels}


def non_local_means(clean: np.ndarray, sets) -> dict[str, float] | None:
    """What non-local means (Buades et al. 2005) reaches, told the noise; None without scikit-image."""
    try:
        from skimage.restoration import denoise_nl_means
    except ImportError:
        return None
    scores = {}
    for name, (std, noisy) in sets.items():
        options = {"h": 0.8 * std, "sigma": std, "patch_size": 5, "patch_distance": 6, "channel_axis": -1}
        scores[name] = mean_psnr(np.stack([denoise_nl_means(x, **options) for x in noisy]), clean)
    return scores


def make_validate(network: UNetConfig, clean: np.ndarray, sets):
    """Parameters -> PSNR at each noise level."""
    denoise = jax.jit(denoiser.denoise, static_argnums=0)

    def validate(params):
        return {
            name: mean_psnr(np.concatenate([denoise(network, params, x[None], std) for x in noisy]), clean)
            for name, (std, noisy) in sets.items()
        }

    return validate


def make_write(network: UNetConfig, clean: np.ndarray, sets, baseline):
    """Writes the prior, its note, and the first images: clean, noisy, denoised."""

    def write(folder, params, note):
        params = archive.half(params)  # as they are stored
        note |= {"name": "prior", "data": driver.data_name(_INPUT.value, "input")}
        note["metrics"]["non_local_means"] = baseline
        driver.write_weights(os.path.join(folder, "prior.npz"), diffusion.to_bytes(network, params, about=note))
        std, noisy = list(sets.values())[len(sets) // 2]
        found = denoiser.denoise(network, params, jnp.asarray(noisy[:4]), std)
        rows = [np.concatenate(list(x[:4]), 1) for x in (clean, noisy, np.asarray(found))]
        sheet = np.clip(np.concatenate(rows), 0, 1).astype(np.float32)
        io.write_image(os.path.join(folder, "denoised.png"), io.Image(sheet))

    return write


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    network = network_of(config)
    with cli.usage_errors(ValueError):
        task = make_task(network, patch_size=config.patch_size, time_power=config.time_power)
    pieces = driver.pieces(_INPUT.value, "input", least=config.patch_size)
    clean = validation_set(config)
    sets = noisy_sets(config, clean)
    baseline = non_local_means(clean, sets)
    print(f"{len(pieces)} pieces of {pieces.shape[1]} px, non-local means reaches {baseline}", flush=True)
    job = driver.Job(
        config,
        task,
        jnp.asarray(pieces),
        validate=make_validate(network, clean, sets),
        names=tuple(sets),
        write=make_write(network, clean, sets, baseline),
        outputs=("prior.npz", "prior.json", "denoised.png"),
    )
    folder = driver.train(job)
    print(f"prior in {os.path.join(folder, 'prior.npz')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
