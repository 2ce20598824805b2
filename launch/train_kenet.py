r"""Trains KENet, a network that names the blur kernel of an LR image in one pass.

python launch/train_kenet.py --config=configs/kenet.py --config.scale=2 --input='train/*.jpg' \
    --validation='val/*.jpg' --workdir=out/kenet_x2

LR patches are made on the device as training goes, from sharp images and drawn kernels. Writes kenet.npz (the option
`weights` of the estimator 'kenet' takes it), kenet.json (what it was made from, and its scores beside those of the mean
kernel), metrics.jsonl and kernels.png. The same command goes on where an interrupted one stopped.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import io
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.methods import families
from blindsr_jax.networks.kenet import KENet
from blindsr_jax.networks.layers import Compute
from blindsr_jax.runs import cli
from blindsr_jax.training import corruption, driver, kernel_pool, synthesis, values
from blindsr_jax.training.kenet import Validation, make_task, score_names
from blindsr_jax.weights import archive, kenet

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/kenet.py.")
_INPUT = flags.DEFINE_string("input", None, "Sharp images to train on: a quoted glob, a folder or a pack.")
_VALIDATION = flags.DEFINE_string("validation", None, "Sharp images to validate on: likewise.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "input", "validation", "workdir"])

_SHEET = 24  # kernels in a row of kernels.png


def check(config):
    """What a config describes: spec, family, settings of the data, network; a ValueError where it is wrong."""
    if config.scale is None:
        raise ValueError("config.scale is not given, expected --config.scale=N with N from 1 to 8")
    values.check(config, values.KENET)
    spec = make_spec(scale=config.scale, kernel_size=config.kernel_size, kernel_center="release")
    family = families.build_family(config.prior, spec)
    settings = synthesis.Settings(config.scale, config.lr_side, corruption.from_config(config))
    categories = len(synthesis.category_names(family))
    sizes = spec.kernel_size, config.channels, config.hidden, categories, config.reach
    return spec, family, settings, KENet(*sizes, Compute(precision=config.precision))


def make_write(config, family, validation):
    """Writes the network, its note, and the first kernels of the validation: true ones above estimates."""

    def write(folder, params, note):
        names, params = synthesis.category_names(family), archive.half(params)  # the scores of what is stored
        note |= {"name": f"kenet_x{config.scale}"}
        note["data"] = {flag.name: driver.data_name(flag.value, flag.name) for flag in (_INPUT, _VALIDATION)}
        note["metrics"] |= {"stored": validation.scores(params), "mean_kernel": validation.baseline}
        data = kenet.to_bytes(params, scale=config.scale, families=names, reach=config.reach, about=note)
        driver.write_weights(os.path.join(folder, "kenet.npz"), data)
        rows = np.stack([validation.truth.kernel[:_SHEET], validation.kernels(params)[0][:_SHEET]])
        io.kernel_sheet(os.path.join(folder, "kernels.png"), rows)

    return write


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    with cli.usage_errors():
        spec, family, settings, network = check(config)
        task = make_task(network, family, settings, loss=config.loss, category_weight=config.category_weight)
    least = synthesis.crop_side(settings.lr_side, settings.scale, spec.kernel_size)
    pieces = jnp.asarray(driver.pieces(_INPUT.value, "input", least=least))
    held_out = jnp.asarray(driver.pieces(_VALIDATION.value, "validation", least=least))
    pool, held_pool = kernel_pool.draw_two(config, family)
    validation = Validation(network, held_out, held_pool, family, settings, number=config.validation_patches)
    size = sum(x.size for x in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))))
    print(f"{len(pieces)} pieces of {pieces.shape[1]} px, {size} parameters; mean kernel: {validation.baseline}")
    job = driver.Job(
        config,
        task,
        (pieces, pool),
        validate=validation.scores,
        names=score_names(family),
        write=make_write(config, family, validation),
        outputs=("kenet.npz", "kenet.json", "kernels.png"),
    )
    folder = driver.train(job)
    print(f"network in {os.path.join(folder, 'kenet.npz')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
