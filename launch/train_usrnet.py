r"""Trains USRNet, which restores an image whose kernel is known.

python launch/train_usrnet.py --config=configs/usrnet.py --input='train/*.jpg' --validation='val/*.jpg' \
    --workdir=out/usrnet

LR patches are made on the device as training goes, from sharp images and drawn kernels. Writes usrnet.npz (the option
`weights` of the restorer 'usrnet' takes it), usrnet.json (what it was made from, and its scores beside those of the
nearest-neighbour enlargement), metrics.jsonl and restored.png. The same command goes on where an interrupted one
stopped.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from ml_collections import config_flags

from blindsr_jax import cli, io, methods, usrnet_weights
from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.usrnet import USRNet, UsrnetConfig
from blindsr_jax.problem import make_spec
from blindsr_jax.training import driver, values
from blindsr_jax.usrnet_training import Settings, Validation, make_task

_CONFIG = config_flags.DEFINE_config_file("config", None, "The training: a file like configs/usrnet.py.")
_INPUT = flags.DEFINE_string("input", None, "Sharp images to train on: a quoted glob or a folder.")
_VALIDATION = flags.DEFINE_string("validation", None, "Sharp images to validate on: a quoted glob or a folder.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "input", "validation", "workdir"])


def network_of(config) -> USRNet:
    """The network that a config describes."""
    sizes = UsrnetConfig(tuple(config.widths), config.blocks, config.hidden, config.iterations)
    return USRNet(sizes, Compute(precision=config.precision), config.data_iterations)


def settings_of(config) -> tuple[Settings, ...]:
    """How examples of each scale are made; a ValueError where a value is wrong."""
    found = []
    for scale in config.scales:
        spec = make_spec(scale=scale, boundary=config.boundary, kernel_center=config.kernel_center)
        if config.side < spec.kernel_size:
            raise ValueError(f"config.side is {config.side}, expected at least {spec.kernel_size} at scale {scale}")
        family = methods.build_family(config.prior, spec)
        found.append(Settings(spec, family, config.side, config.noise_max, config.clean, config.kernel_error))
    return tuple(found)


def start_of(config, network: USRNet):
    """The parameters that a config wants to start from, or None."""
    if config.start is None:
        return None
    trained = usrnet_weights.read(config.start)
    if trained.config != network.config:
        raise ValueError(f"config.start={config.start} is {trained.config}, {network.config} was expected")
    return trained.params


def make_write(validation: Validation):
    """Writes the network, its note, and an image of each scale: enlarged, restored, sharp."""

    def write(folder, params, note):
        place = os.path.join(folder, "usrnet.npz")
        io.write_bytes(place, usrnet_weights.to_bytes(params))
        note["nearest"] = validation.baseline
        note["data"] = {flag.name: driver.data_name(flag.value) for flag in (_INPUT, _VALIDATION)}
        io.write_json(os.path.join(folder, "usrnet.json"), note)
        sheet = np.clip(validation.sheet(params), 0, 1).astype(np.float32)
        io.write_image(os.path.join(folder, "restored.png"), io.Image(sheet))

    return write


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    try:
        values.check(config, values.USRNET)
        network, scales = network_of(config), settings_of(config)
        task = make_task(network, scales, start=start_of(config, network))
    except (ValueError, TypeError) as error:
        raise cli.UsageError(cli.one_line(error)) from error
    least = max(settings.patch for settings in scales)
    pieces, held_out = (
        jnp.asarray(driver.pieces(flag.value, flag.name, least=least)) for flag in (_INPUT, _VALIDATION)
    )
    validation = Validation(network, held_out, scales, number=config.validation_patches)
    size = sum(x.size for x in jax.tree.leaves(jax.eval_shape(task.init, jax.random.key(0))))
    print(f"{len(pieces)} pieces of {pieces.shape[1]} px, {size} parameters; nearest: {validation.baseline}")
    job = driver.Job(
        config,
        task,
        pieces,
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
