r"""Trains a network of one's own: the module of blindsr_jax/training that the config names.

python launch/train.py --config=configs/NAME.py --input='train/*.jpg' --validation='val/*.jpg' --workdir=out/NAME

Writes NAME.npz (averaged parameters), NAME.json (what they were made from, and their scores) and metrics.jsonl. The
same command goes on where an interrupted one stopped. CONTRIBUTING.md has a worked example.
"""

import hashlib
import io as buffers
import os

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict
from ml_collections import config_flags

from blindsr_jax import io
from blindsr_jax.runs import cli
from blindsr_jax.training import driver, recipes

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The training: a file of configs/ that uses recipes.", lock_config=False, accept_new_attributes=True
)
_INPUT = flags.DEFINE_string("input", None, "Sharp images to train on: a quoted glob, a folder or a pack.")
_VALIDATION = flags.DEFINE_string("validation", None, "Sharp images to validate on: likewise.")
flags.adopt_module_key_flags(driver)
flags.mark_flags_as_required(["config", "input", "validation", "workdir"])


def write(folder: str, params: dict, note: dict) -> None:
    """Writes the network and its note."""
    name, data = note["config"]["training"]["name"], buffers.BytesIO()
    np.savez_compressed(data, **flatten_dict(params, sep="/"))
    io.write_bytes(os.path.join(folder, f"{name}.npz"), data.getvalue())
    note["sha256"] = hashlib.sha256(data.getvalue()).hexdigest()
    note["data"] = {flag.name: driver.data_name(flag.value, flag.name) for flag in (_INPUT, _VALIDATION)}
    io.write_json(os.path.join(folder, f"{name}.json"), note)


def main() -> int:
    """Goes on where an earlier run of the same working folder stands."""
    config = _CONFIG.value.copy_and_resolve_references()
    with cli.usage_errors(ValueError, TypeError, AttributeError):
        recipe = recipes.build(config)
    pieces, held_out = (
        jnp.asarray(driver.pieces(flag.value, flag.name, least=recipe.least_side)) for flag in (_INPUT, _VALIDATION)
    )
    print(f"{len(pieces)} pieces of {pieces.shape[1]} px")
    name = config.training.name
    job = driver.Job(
        config,
        recipe.task,
        pieces,
        validate=lambda params: recipe.scores(params, held_out),
        names=tuple(recipe.scores(recipe.task.init(jax.random.key(0)), held_out)),
        write=write,
        outputs=(f"{name}.npz", f"{name}.json"),
    )
    folder = driver.train(job)
    print(f"network in {os.path.join(folder, name)}.npz")
    return cli.OK


if __name__ == "__main__":
    cli.run(main)
