"""Trainings of one's own: a module of this folder with `build`, named by a config, run by launch/train.py."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import rules
from blindsr_jax.training import values
from blindsr_jax.training.engine import Task


class Recipe(NamedTuple):
    """What `build(*, OPTIONS)` of a module of this folder returns; an option is declared with its rule."""

    task: Task  # on data (m, p, p, 3) uint8: the sharp images in pieces, see `patches.cut`
    least_side: int  # of an image that is of use, pixels
    scores: Callable[[Any, jax.Array], Mapping[str, float]]  # (parameters, held-out pieces) -> the same names each time


def base_config(name: str, **options: Any) -> ConfigDict:
    """The config of a training.

    Args:
      name: of the module of this folder.
      **options: keyword arguments of its `build`, which `--config.training.OPTION` sets.
    """
    return ConfigDict(
        {
            "training": {"name": name, **options},
            "batch_size": 16,
            "num_epochs": 20,
            "steps_per_epoch": 100,
            "seconds": config_dict.placeholder(float),  # it ends after so many at the latest, over all runs
            "learning_rate": 1e-3,
            "schedule": "cosine",  # or constant, or clock: as 'seconds' go by
            "warmup_steps": 200,
            "averaging": 0.999,
            "clip": 1.0,
            "weight_decay": 0.0,
            "validate_every": 5,  # epochs
            "seed": 0,
        }
    )


def _find(name: str) -> Callable[..., Recipe]:
    known = [module.name for module in pkgutil.iter_modules(importlib.import_module(__package__).__path__)]
    module = importlib.import_module(f"{__package__}.{name}") if name in known else None
    if not hasattr(module, "build") or name == "recipes":
        raise ValueError(f"config.training.name is {name!r}, expected a module of blindsr_jax/training with `build`")
    return module.build


def build(config: ConfigDict) -> Recipe:
    """The training that a config like `base_config` names.

    Raises:
      ValueError: an unknown name or option, or a value out of range.
    """
    table = {**values.ENGINE, "training.name": rules.NAME}
    rules.check({"training": {"name": config.training.name}}, table)
    make = _find(config.training.name)
    values.check(config, table | {f"training.{name}": rule for name, rule in rules.options_of(make).items()})
    return make(**{name: value for name, value in config.training.items() if name != "name"})
