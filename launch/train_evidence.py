r"""Trains the learned evidence, a network that says how well a blur kernel fits an LR image.

python launch/train_evidence.py --config=configs/evidence.py --config.scale=2 --input='train/*.jpg' \
    --validation='val/*.jpg' --workdir=out/evidence_x2

LR patches are made on the device as training goes, from sharp images and drawn kernels, and none is seen twice. Writes
evidence.npz, evidence.json (what it was made from, and its scores) and metrics.jsonl. The same command goes on where an
interrupted one stopped.
"""

import os

import jax
import jax.numpy as jnp
from absl import flags
from ml_collections import config_flags

from blindsr_jax.evaluation import calibration
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.methods import families
from blindsr_jax.networks.evidence import Evidence, default_reach
from blindsr_jax.networks.layers import Compute
from blindsr_jax.runs import cli
from blindsr_jax.training import corruption, driver, kernel_pool, synthesis, values
from blindsr_jax.training.evidence import Validation, make_task
from blindsr_jax.weights import evidence

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/evidence.py.")
_INPUT = flags.DEFINE_string("input", None, "Sharp images to train on: a quoted glob, a folder or a pack.")
_VALIDATION = flags.DEFINE_string("validation", None, "Sharp images to validate on: likewise.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "input", "validation", "workdir"])


def check(config):
    """What a config describes: spec, family, settings of the data, network; a ValueError where it is wrong."""
    if config.scale is None:
        raise ValueError("config.scale is not given, expected --config.scale=N with N from 1 to 8")
    values.check(config, values.EVIDENCE)
    if config.least_side > config.lr_side:
        raise ValueError(f"config.least_side is {config.least_side}, expected at most config.lr_side, {config.lr_side}")
    spec = make_spec(scale=config.scale, kernel_size=config.kernel_size, kernel_center="release")
    reach = default_reach(spec.scale, spec.kernel_size) if config.reach is None else config.reach
    family = families.build_family(config.prior, spec)
    settings = synthesis.Settings(config.scale, config.lr_side, corruption.from_config(config))
    sizes = spec.scale, spec.kernel_size, config.channels, config.hidden, config.features, reach
    return spec, family, settings, Evidence(*sizes, Compute(precision=config.precision))


def make_write(config, network, families, validation):
    """Writes the network and its note."""

    def write(folder, params, note):
        scored = validation.scored(params)
        note |= {"name": f"evidence_x{config.scale}", "temperature": calibration.fit_temperature(scored)}
        note["data"] = {flag.name: driver.data_name(flag.value, flag.name) for flag in (_INPUT, _VALIDATION)}
        note["metrics"]["scores"] = validation.summary(scored)
        data = evidence.to_bytes(params, network, window=config.lr_side, families=families, note=note)
        driver.write_weights(os.path.join(folder, "evidence.npz"), data)

    return write


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    with cli.usage_errors():
        spec, family, settings, network = check(config)
    task = make_task(network, settings, others=config.others, least_side=config.least_side)
    least = synthesis.crop_side(settings.lr_side, settings.scale, spec.kernel_size)
    pieces = jnp.asarray(driver.pieces(_INPUT.value, "input", least=least))
    held_out = jnp.asarray(driver.pieces(_VALIDATION.value, "validation", least=least))
    pool, held_pool = kernel_pool.draw_two(config, family)
    families = synthesis.category_names(family)
    options = {"number": config.validation_patches, "least_side": config.least_side}
    validation = Validation(network, (held_out, held_pool), settings, families, **options)
    size = sum(x.size for x in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))))
    print(f"{len(pieces)} pieces of {pieces.shape[1]} px, {size} parameters")
    job = driver.Job(
        config,
        task,
        (pieces, pool),
        validate=validation.scores,
        names=validation.names,
        write=make_write(config, network, families, validation),
        outputs=("evidence.npz", "evidence.json"),
    )
    folder = driver.train(job)
    print(f"network in {os.path.join(folder, 'evidence.npz')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
