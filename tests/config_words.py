"""Config values as they are typed, through the parser of the launches and as far as the solver, in one process."""

import sys
import warnings

import pytest
from absl import flags
from ml_collections import config_flags

from blindsr_jax.config import check_config
from blindsr_jax.methods import build as methods
from blindsr_jax.runs import cli


def parse(file, *words):
    """The config of a file of configs/ after words such as 'image.levels=3'."""
    argv = ["solve.py", f"--config={file}", *(f"--config.{word}" for word in words)]
    values = flags.FlagValues()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", argv)  # ml_collections looks there
        config_flags.DEFINE_config_file("config", flag_values=values, lock_config=False, accept_new_attributes=True)
        cli._check_config_flags(argv)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the load_module", DeprecationWarning)  # of ml_collections
            values(argv)
        return values["config"].value


def build(file, *words, scale=2):
    """The solver of such a config."""
    config = parse(file, *words)
    check_config(config)
    config.num_steps = methods.num_steps(config)
    return methods.build_solver(config, methods.build_spec(config, scale))


def refusal(file, *words):
    """The sentence that such a command ends with, or None if the solver is built; nothing else may come out of it."""
    try:
        parse(file, *words)
    except Exception as error:  # as `cli._parse` does
        return cli._explain(error)
    try:
        build(file, *words)
    except ValueError as error:
        return cli.one_line(error)
    return None
