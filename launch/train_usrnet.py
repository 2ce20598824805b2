r"""Trains USRNet, which restores an image whose kernel is known.

python launch/train_usrnet.py --config=configs/usrnet.py --input='train/*.jpg' --validation='val/*.jpg' \
    --workdir=out/usrnet

LR patches are made on the device as training goes, from sharp images and drawn kernels. Writes usrnet.npz (the option
`weights` of the restorer 'usrnet' takes it), usrnet.json (what it was made from, and its scores beside those of the
nearest-neighbour enlargement), metrics.jsonl and restored.png. The same command goes on where an interrupted one
stopped.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import io
from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.methods import families
from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.usrnet import USRNet, UsrnetConfig
from blindsr_jax.runs import cli
from blindsr_jax.training import corruption, driver, kernel_pool, values
from blindsr_jax.training.usrnet import Settings, Validation, make_task
from blindsr_jax.weights import usrnet

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/usrnet.py.")
_INPUT = flags.DEFINE_string("input", None, "Sharp images to train on: a quoted glob, a folder or a pack.")
_VALIDATION = flags.DEFINE_string("validation", None, "Sharp images to validate on: likewise.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "input", "validation", "workdir"])

# Shares of examples, with what they are in configs that do not name them.
_SHARES = {"clean": 0.5, "wrong_kernel": 1.0, "kernel_error": 0.0, "other_center": 0.0}


def network_of(config) -> USRNet:
    """The network that a config describes."""
    sizes = UsrnetConfig(tuple(config.widths), config.blocks, config.hidden, config.iterations, config.get("fold", 1))
    return USRNet(sizes, Compute(precision=config.precision), config.data_iterations)


def settings_of(config) -> tuple[tuple[Settings, ...], float]:
    """How examples of each scale are made, and the share of kernels with the other centre.

    Raises:
      ValueError: a value is wrong.
    """
    shares = {name: config.get(name, default) for name, default in _SHARES.items()}
    other_center, spoiled = shares.pop("other_center"), corruption.from_config(config)
    sizes = config.get("kernel_sizes") or [None] * len(config.scales)
    if len(sizes) != len(config.scales):
        raise ValueError(f"config.kernel_sizes has {len(sizes)} entries, expected one for each scale")
    found = []
    for scale, size in zip(config.scales, sizes, strict=True):
        spec = make_spec(scale=scale, kernel_size=size, boundary=config.boundary, kernel_center=config.kernel_center)
        if config.side < spec.kernel_size:
            raise ValueError(f"config.side is {config.side}, expected at least {spec.kernel_size} at scale {scale}")
        found.append(Settings(spec, families.build_family(config.prior, spec), config.side, spoiled, **shares))
    return tuple(found), other_center


def pools_of(config, scales: tuple[Settings, ...], other_center: float):
    """Kernels to train on and to validate on, a pool per scale."""
    key = jax.random.key(config.seed)

    def draw(settings):
        pools = kernel_pool.draw_two(config, settings.family)
        return [kernel_pool.recenter(key, pool, settings.spec, other_center) for pool in pools]

    with ThreadPoolExecutor() as threads:  # most of the time goes into compiling, one program after another
        return tuple(zip(*threads.map(draw, scales), strict=True))


def start_of(config, network: USRNet):
    """The parameters that a config wants to start from, or None."""
    if config.start is None:
        return None
    trained = usrnet.read(config.start)
    if trained.config != network.config:
        raise ValueError(f"config.start={config.start} is {trained.config}, {network.config} was expected")
    return trained.params


def make_write(validation: Validation):
    """Writes the network, its note, and an image of each scale: enlarged, restored, sharp."""

    def write(folder, params, note):
        note |= {"name": "usrnet"}
        note["data"] = {flag.name: driver.data_name(flag.value, flag.name) for flag in (_INPUT, _VALIDATION)}
        note["metrics"] |= {"stored": validation.scores(params), "nearest": validation.baseline}
        driver.write_weights(os.path.join(folder, "usrnet.npz"), usrnet.to_bytes(params, about=note))
        sheet = np.clip(validation.sheet(params), 0, 1).astype(np.float32)
        io.write_image(os.path.join(folder, "restored.png"), io.Image(sheet))

    return write


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    with cli.usage_errors():
        values.check(config, values.USRNET)
        network, (scales, other_center) = network_of(config), settings_of(config)
        task = make_task(network, scales, start=start_of(config, network))
    least = max(settings.patch for settings in scales)
    pieces, held_out = (
        jnp.asarray(driver.pieces(flag.value, flag.name, least=least)) for flag in (_INPUT, _VALIDATION)
    )
    pools, held_pools = pools_of(config, scales, other_center)
    validation = Validation(network, held_out, held_pools, scales, number=config.validation_patches)
    size = sum(x.size for x in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))))
    print(f"{len(pieces)} pieces of {pieces.shape[1]} px, {size} parameters; nearest: {validation.baseline}")
    job = driver.Job(
        config,
        task,
        (pieces, pools),
        validate=validation.scores,
        names=validation.names,
        write=make_write(validation),
        outputs=("usrnet.npz", "usrnet.json", "restored.png"),
    )
    folder = driver.train(job)
    print(f"network in {os.path.join(folder, 'usrnet.npz')}")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
