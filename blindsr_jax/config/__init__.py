"""The config that all configs start from, reading a config file and its variant, and the range of shared values."""

import functools
import runpy
import sys
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import rules


def base_config() -> ConfigDict:
    """Shared values. `image` and `kernel` name a file in `image_models` and `kernel_models`, plus its options."""
    return ConfigDict(
        {
            "boundary": "valid",  # 'valid' for photographs, 'circular' for benchmarks
            "kernel_center": "aligned",  # 'aligned' for photographs, 'release' for benchmarks
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "kernel_sizes": config_dict.placeholder(tuple),  # instead, of the scales 1, 2, ...
            # 'COLUMNSxROWS' parts of an image, each with its own kernel, where an estimator and a restorer can do so.
            "kernel_map": config_dict.placeholder(str),
            "num_steps": 1000,  # updates of the image model
            "ssim_steps": 80,  # the first of them descend 1 - SSIM, the others the squared error
            "chunk_steps": 50,  # steps between two reports
            "kernel_steps": 1,  # steps of the kernel model for each step of the image model
            "averaging": 0.0,  # decay of the running mean that is returned; 0 returns the last step
            # An image stays as it is once its squared LR residual is that share of the measured noise's; 0: never.
            "noise_share": 0.0,
            "uses_mask": False,  # whether values that are clipped, stuck or of a frame are left out
            "trust": False,  # whether the learned posterior judges the kernel that was found (scales 1 to 4)
            "image": {"name": "dip"},
            "kernel": {"name": "dkp"},
            # One step of this estimator names the kernel that the kernel model starts from: a file of `estimators`.
            "kernel_init": config_dict.placeholder(str),
            # In place of the two models: a file of `estimators` ('given' with --kernel) and one of `restorers`.
            "estimator": config_dict.placeholder(str),
            "restorer": config_dict.placeholder(str),
            "estimators": {},  # options of each by name, with `num_steps` where it takes several
            "restorers": {},
            # Where random kernels come from: files of `kernels`, and options of each (None is the family's default).
            "prior": {
                "families": ("gaussian",),
                "weights": config_dict.placeholder(tuple),
                "gaussian": {"variance_range": config_dict.placeholder(object)},
                "line": {"length_range": config_dict.placeholder(tuple)},
                "trajectory": {"major_variance_range": config_dict.placeholder(object)},
                "folder": {"path": config_dict.placeholder(str)},
            },
        }
    )


def load_config(path: str) -> ConfigDict:
    """The config of a file, or of 'FILE:ARGUMENT' as `get_config` takes one.

    Raises:
      ValueError: the file is missing or does not give a config.
    """
    file, *argument = path.split(":", 1)
    make_configs_importable()
    try:
        get_config = runpy.run_path(file).get("get_config")
        config = get_config(*argument) if callable(get_config) else None
    except Exception as error:  # a config file is a program: anything may come out of it
        text = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
        raise ValueError(f"config file {path!r} cannot be used ({text}), expected a file of configs/") from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f"config file {path!r} has no function get_config() that returns a ConfigDict")
    return config


def read_variant(variant: str, **parts: Sequence[str] | range) -> dict[str, Any]:
    """What stands behind the ':' of a config file, for its `get_config`: words joined by '-', each of another part.

    Args:
      variant: 'motion', '32-motion'.
      **parts: name to the words that are known, or to a range of whole numbers.

    Returns:
      Name to word or number, for the parts that are named.

    Raises:
      ValueError: a word that is unknown, missing, or the second of its part.
    """
    found: dict[str, Any] = {}
    for word in variant.split("-"):
        value = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else word
        name = next((name for name, known in parts.items() if value in known and name not in found), None)
        if name is None:
            known = (f"{x[0]} to {x[-1]}" if isinstance(x, range) else ", ".join(x) for x in parts.values())
            raise ValueError(f"the variant is {variant!r}, expected one of {', or of '.join(known)}")
        found[name] = value
    return found


def folder_beside_package(name: str) -> Path:
    """The folder `configs` or `launch`: beside the package in a checkout, inside it where a wheel is installed.

    Raises:
      ValueError: there is none.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package.parent / name, package / name):
        if (folder / ("solve.py" if name == "launch" else "dip_dkp.py")).is_file():
            return folder
    raise ValueError(f"the folder {name!r} is not there, expected it beside or inside {str(package)!r}")


def config_folder() -> Path:
    """The folder of the configs, see `folder_beside_package`."""
    return folder_beside_package("configs")


def make_configs_importable() -> None:
    """Lets a config build on another, `from configs.dip_dkp import get_config`, wherever the package is installed."""
    if "configs" not in sys.modules:
        module = types.ModuleType("configs")
        module.__path__ = [str(config_folder())]
        sys.modules["configs"] = module


def load_method(name: str) -> ConfigDict:
    """The config of a method: 'NAME' or 'NAME:ARGUMENT' of a file of configs/, or the path of a config file.

    Raises:
      ValueError: there is no such method; it lists what there is.
    """
    stem, *argument = name.split(":", 1)
    known = {path.stem: path for path in config_folder().glob("[a-z]*.py")}
    if stem in known:
        return load_config(":".join([str(known[stem]), *argument]))
    if stem.endswith(".py"):
        return load_config(name)
    raise ValueError(f"method is {name!r}, expected one of {', '.join(sorted(known))} or the path of a config file")


def check_name(config: ConfigDict, name: str) -> None:
    """Checks that a dotted name can be set; options of a part that a config leaves at their defaults can.

    Raises:
      ValueError: there is no such name.
    """
    parts, node = name.split("."), config
    for i, part in enumerate(parts):
        if not isinstance(node, ConfigDict):
            raise ValueError(f"config.{name} is unknown, config.{'.'.join(parts[:i])} is a single value")
        is_option = 0 < i == len(parts) - 1
        if part not in node and not is_option:
            unknown = ".".join(parts[: i + 1])
            raise ValueError(f"config.{unknown} is unknown, expected one of {', '.join(sorted(node))}")
        node = node.get(part)


def set_values(config: ConfigDict, values: Mapping[str, Any]) -> None:
    """Sets values of a config, in place, by dotted name; raises ValueError where there is no such name."""
    for name, value in values.items():
        check_name(config, name)
        *parts, last = name.split(".")
        node = functools.reduce(lambda part, key: part[key], parts, config)
        with node.unlocked():
            node[last] = value


# Of the values that all methods share; those of the parts stand beside the arguments of their `build`.
RULES = {
    "boundary": rules.choice("circular", "valid"),
    "kernel_center": rules.choice("release", "aligned"),
    "kernel_size": rules.optional(rules.whole(1, 1025)),
    "kernel_sizes": rules.optional(rules.several(rules.whole(1, 1025))),
    "kernel_map": rules.optional(rules.GRID),
    "num_steps": rules.STEPS,
    "ssim_steps": rules.STEPS_FROM_0,
    "chunk_steps": rules.STEPS,
    "kernel_steps": rules.whole(1, 1000),
    "averaging": rules.below(0, 1),
    "noise_share": rules.number(0, 10),
    "uses_mask": rules.FLAG,
    "trust": rules.FLAG,
    "image.name": rules.NAME,
    "kernel.name": rules.NAME,
    **dict.fromkeys(("kernel_init", "estimator", "restorer"), rules.optional(rules.NAME)),
    "prior.families": rules.several(rules.NAME),
    "prior.weights": rules.optional(rules.several(rules.WEIGHT)),
}


def check_config(config: ConfigDict) -> None:
    """Checks that all shared names are there and no others, and that their values are in the range of `RULES`.

    Names and options of the parts are checked by `methods.build.check_options`.

    Raises:
      ValueError: names the value and what was expected.
    """
    base = base_config()
    _check_known(config, base, "")
    for name, default in base.items():
        if name not in config or isinstance(default, ConfigDict) and not isinstance(config[name], ConfigDict):
            raise ValueError(f"config.{name} is missing or of another kind, expected that of base_config()")
    shared: dict[str, Any] = {name: value for name, value in config.items() if name in RULES}
    for name, *part in (rule.split(".") for rule in RULES):
        if part:
            shared.setdefault(name, {})[part[0]] = config[name].get(part[0])
    rules.check(shared, RULES)
    _check_known(config.prior, (*base.prior, *config.prior.families), "prior.")  # each family may have its options


def _check_known(found: Iterable[str], known: Iterable[str], where: str) -> None:
    for name in found:
        if name not in known:
            raise ValueError(f"config.{where}{name} is unknown, expected one of {', '.join(sorted(known))}")
