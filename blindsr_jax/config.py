"""The config that all configs start from, reading a config file, and the range of every value."""

import math
import runpy
from typing import Any

from ml_collections import ConfigDict, config_dict


def base_config() -> ConfigDict:
    """Shared values. `image` and `kernel` name a file in `image_models` and `kernel_models`, plus its options."""
    return ConfigDict(
        {
            "boundary": "valid",  # 'valid' for photographs, 'circular' for benchmarks
            "kernel_center": "aligned",  # 'aligned' for photographs, 'release' for benchmarks
            "kernel_size": config_dict.placeholder(int),  # odd; default min(4 scale + 3, 21)
            "num_steps": 1000,  # updates of the image half
            "ssim_steps": 80,  # the first of them descend 1 - SSIM, the others the squared error
            "chunk_steps": 50,  # steps between two reports
            "kernel_steps": 1,  # steps of the kernel half for each step of the image half
            "averaging": 0.0,  # decay of the running mean that is returned; 0 returns the last step
            "image": {"name": "dip"},
            "kernel": {"name": "dkp"},
            # One step of this estimator names the kernel that the kernel half starts from: a file of `estimators`.
            "kernel_init": config_dict.placeholder(str),
            # In place of the two halves: a file of `estimators` ('given' with --kernel) and one of `restorers`.
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
            },
        }
    )


def load_config(path: str) -> ConfigDict:
    """The config of a file, or of 'FILE:ARGUMENT' as `get_config` takes one.

    Raises:
      ValueError: the file is missing or does not give a config; one sentence.
    """
    file, *argument = path.split(":", 1)
    try:
        get_config = runpy.run_path(file).get("get_config")
        config = get_config(*argument) if callable(get_config) else None
    except Exception as error:  # a config file is a program: anything may come out of it
        text = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
        raise ValueError(f"config file {path!r} cannot be used ({text}), expected a file of configs/") from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f"config file {path!r} has no function get_config() that returns a ConfigDict")
    return config


def check_name(config: ConfigDict, name: str) -> None:
    """Checks that a dotted name can be set; options of a part that a config leaves at their defaults can.

    Raises:
      ValueError: there is no such name; one sentence.
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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(low: int):
    return f"a whole number of at least {low}", lambda v: isinstance(v, int) and _is_number(v) and v >= low


def _is_range(value: Any) -> bool:
    return value is None or isinstance(value, str) or (len(value) == 2 and all(map(_is_number, value)))


_FLAG = "True or False", lambda v: isinstance(v, bool)
_POSITIVE = "a number above 0", lambda v: _is_number(v) and v > 0
_NOT_NEGATIVE = "a number of at least 0", lambda v: _is_number(v) and v >= 0
_OPTIONAL = "a number above 0, or None", lambda v: v is None or _is_number(v) and v > 0
_SHARES = (
    "numbers between 0 and 1",
    lambda v: isinstance(v, tuple | list) and all(_is_number(x) and 0 < x < 1 for x in v),
)
_RANGE = "(low, high)", lambda v: isinstance(v, tuple | list | str | None) and _is_range(v)
# By the last part of a name: an option means the same in every part that has it.
RULES = {
    "num_steps": _whole(1),
    "chunk_steps": _whole(1),
    "averaging": ("a number from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1),
    "families": ("a tuple of names", lambda v: isinstance(v, tuple | list) and all(isinstance(n, str) for n in v)),
    "weights": ("a name, or one number for each family", lambda v: isinstance(v, tuple | list | str | None)),
    "variance_range": _RANGE,
    "length_range": _RANGE,
    "radius_range": _RANGE,
    "major_variance_range": _RANGE,
    "learning_rate": _POSITIVE,
    "temperature": _POSITIVE,
    "error_floor": _POSITIVE,
    "gradient_weight": _NOT_NEGATIVE,
    "redraw": _FLAG,
    "prior_weight": _NOT_NEGATIVE,
    "channels": _whole(2),  # the non-local blocks work on half of them
    "num_points": _whole(32),
    "batch_size": _whole(2),  # a variance needs two
    **dict.fromkeys(("weight_decay", "smoothing"), _NOT_NEGATIVE),
    "decay": ("a number above 0 and at most 1", lambda v: _is_number(v) and 0 < v <= 1),
    "decay_at": _SHARES,
    "normalize": _FLAG,
    "half_precision": _FLAG,
    "hidden_size": ("a whole number of at least 1, or None", lambda v: v is None or _whole(1)[1](v)),
    **dict.fromkeys(("radius", "normalization"), _OPTIONAL),
    **dict.fromkeys(("num_epochs", "kernels_per_epoch", "num_blocks", "sheet_every", "num_starts"), _whole(1)),
    **dict.fromkeys(("ssim_steps", "first_nonlocal", "warmup_steps", "freeze_steps"), _whole(0)),
    **dict.fromkeys(
        ("kernel_steps", "samples", "tile", "iterations", "patch", "model_channels", "steps_per_epoch"), _whole(1)
    ),
    **dict.fromkeys(("patch_size", "validation_size", "validation_images", "validate_every"), _whole(1)),
    **dict.fromkeys(("time_power", "clip", "step_size"), _POSITIVE),
    "noise_std": _NOT_NEGATIVE,
    "weight": _OPTIONAL,
    "overlap": _whole(0),
    "first_time": ("a whole number from 1 to 999", lambda v: _whole(1)[1](v) and v <= 999),
    "eta": ("a number from 0 to 1", lambda v: _is_number(v) and 0 <= v <= 1),
    **dict.fromkeys(("skip_channels", "levels", "num_samples", "prior_every", "data_every", "hidden"), _whole(1)),
}


def check_config(config: ConfigDict) -> None:
    """Checks that all shared names are there and no others, and that values are in the range of `RULES`.

    The names of halves and families and their options are checked where these are built.

    Raises:
      ValueError: one sentence that names the value and what was expected.
    """
    base = base_config()
    prior = config.get("prior", {})
    known_prior = {*base.prior, *(prior.get("families") or ())}  # each family may have its options there
    for where, known, found in (("", base, config), ("prior.", known_prior, prior)):
        for name in found:
            if name not in known:
                raise ValueError(f"config.{where}{name} is unknown, expected one of {', '.join(sorted(known))}")
    for name, default in base.items():
        if name not in config or isinstance(default, ConfigDict) and not isinstance(config[name], ConfigDict):
            raise ValueError(f"config.{name} is missing or of another kind, expected that of base_config()")
    for part in ("image", "kernel"):
        if not isinstance(config[part].get("name"), str):
            raise ValueError(f"config.{part}.name is {config[part].get('name')!r}, expected the name of a file")
    check_values(config, "config.")


def check_values(config: ConfigDict, where: str) -> None:
    """Checks that all values below `where`, such as 'config.', are in the range of `RULES`.

    Raises:
      ValueError: one sentence.
    """
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            check_values(value, f"{where}{name}.")
            continue
        expected, is_valid = RULES.get(name, ("", lambda v: True))
        if not is_valid(value):
            raise ValueError(f"{where}{name} is {value!r}, expected {expected}")
