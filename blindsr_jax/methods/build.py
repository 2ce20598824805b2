"""From a config to a solver: names in a config are names of files, in `image_models`, `estimators` and so on."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import partial
from typing import Any

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec, make_spec
from blindsr_jax.methods import learned
from blindsr_jax.methods.families import build_family, check_families
from blindsr_jax.methods.interfaces import ImageModel, KernelModel, Solver
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.sequence import sequence, started_by

_PACKAGES = {
    "image.name": "image_models",
    "kernel.name": "kernel_models",
    "estimator": "estimators",
    "restorer": "restorers",
    "kernel_init": "estimators",
}
_HALVES = {"image": "image.name", "kernel": "kernel.name"}  # where the options of a part stand, and its name
_STAGES = {"estimators": "estimator", "restorers": "restorer"}


def _has_build(name: str) -> bool:
    return hasattr(importlib.import_module(name), "build")


def part_names(where: str) -> tuple[str, ...]:
    """The names of all parts that the value `config.WHERE` can have, in alphabetical order: those of the files."""
    package = f"blindsr_jax.methods.{_PACKAGES[where]}"
    names = [m.name for m in pkgutil.iter_modules(importlib.import_module(package).__path__)]
    return tuple(sorted(name for name in names if _has_build(f"{package}.{name}")))


def _load(where: str, name: str, *, besides: tuple[str, ...] = ()):
    """The module that the value `config.WHERE` names, or a ValueError that lists what there is."""
    package = f"blindsr_jax.methods.{_PACKAGES[where]}"
    parent = importlib.import_module(package)
    known = [m.name for m in pkgutil.iter_modules(parent.__path__)]
    if name in known and _has_build(f"{package}.{name}"):
        return importlib.import_module(f"{package}.{name}")
    raise ValueError(f"config.{where} is {name!r}, expected one of {', '.join(sorted([*part_names(where), *besides]))}")


def part_rules(where: str, name: str) -> dict[str, rules.Rule | None]:
    """The options of a part that a config can set, each with its rule.

    Args:
      where: a key of `_PACKAGES`, which says what kind of part it is.
      name: of the part.

    Raises:
      ValueError: there is no such part.
    """
    found = rules.options_of(_load(where, name).build)
    return found if where in _HALVES.values() else {**found, "num_steps": rules.STEPS}


def check_options(config: Mapping[str, Any]) -> None:
    """Checks the options of all parts that a config names, whether or not it uses them.

    Raises:
      ValueError: an unknown part or option, or a value out of range.
    """
    for half, where in _HALVES.items():
        options = {name: value for name, value in config[half].items() if name != "name"}
        rules.check(options, part_rules(where, config[half]["name"]), f"{half}.")
    for role, where in _STAGES.items():
        for name, options in config.get(role, {}).items():
            if options:
                rules.check(options, part_rules(where, name), f"{role}.{name}.")
    check_families(config["prior"])


def rate_options(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The learning rates of the parts that a config uses, as names below `config`: 'image.learning_rate'."""
    if config.get("restorer") is None:
        places = {half: part_rules(where, config[half]["name"]) for half, where in _HALVES.items()}
    else:
        chosen = {role: (where, config[where]) for role, where in _STAGES.items() if config[where] != "given"}
        places = {f"{role}.{part[1]}": part_rules(*part) for role, part in chosen.items()}
    return tuple(
        f"{place}.{name}" for place, found in places.items() for name, rule in found.items() if rule is rules.RATE
    )


def build_spec(config: Mapping[str, Any], scale: int) -> Spec:
    """The static part of a problem from a config and a scale.

    Raises:
      ValueError: a value is out of range.
    """
    size, sizes = config["kernel_size"], config.get("kernel_sizes")
    if size is None and sizes is not None and 1 <= scale <= len(sizes):
        size = sizes[scale - 1]
    names = ("boundary", "kernel_center")
    return make_spec(scale=scale, kernel_size=size, **{name: config[name] for name in names})


RETRY_STEP = 0.3  # the learning rates of a second try, in those of the first


def _scaled(function, options: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Options with the learning rate, given or default, times a factor; as they are for a half that has none."""
    rate = inspect.signature(function).parameters.get("learning_rate")
    return (
        dict(options) if rate is None else {**options, "learning_rate": factor * options.get(rate.name, rate.default)}
    )


def build_image_model(config: Mapping[str, Any], spec: Spec, *, rate_factor: float = 1.0) -> ImageModel:
    """The image model that a config describes, its learning rate times a factor.

    Raises:
      ValueError: an unknown name or a bad value.
    """
    options = dict(config["image"])
    build = _load("image.name", options.pop("name")).build
    if "num_steps" in inspect.signature(build).parameters:
        options["num_steps"] = config["num_steps"]
    return build(spec, **_scaled(build, options, rate_factor))


def build_kernel_model(config: Mapping[str, Any], spec: Spec, *, rate_factor: float = 1.0) -> KernelModel:
    """The kernel model that a config describes, see `build_image_model`."""
    options = dict(config["kernel"])
    build = _load("kernel.name", options.pop("name")).build
    if "family" in inspect.signature(build).parameters:
        options["family"] = build_family(config["prior"], spec)
    return build(spec, **_scaled(build, options, rate_factor))


def _build_stage(config: Mapping[str, Any], where: str, spec: Spec, num_steps: int) -> Solver:
    """An estimator or a restorer."""
    name = config[where]
    build = _load(where, name).build
    options = dict(config["restorers" if where == "restorer" else "estimators"].get(name, {}))
    parameters = inspect.signature(build).parameters
    options.pop("num_steps", None)
    if "num_steps" in parameters:
        options["num_steps"] = num_steps
    if "family" in parameters:
        options["family"] = build_family(config["prior"], spec)
    if "kernel_map" in parameters and config.get("kernel_map"):
        columns, rows = map(int, config["kernel_map"].split("x"))
        options["kernel_map"] = rows, columns
    return build(spec, **options)


def stage_option(config: Mapping[str, Any], where: str, option: str) -> Any:
    """The value of an option of a stage: of the config, or the default of its `build`; None where it has none."""
    name = config[where]
    module = _load(where, name, besides=("given",))
    options = config["restorers" if where == "restorer" else "estimators"].get(name, {})
    own = inspect.signature(module.build).parameters.get(option)
    return options.get(option) or (None if own is None else own.default)


def default_steps(config: Mapping[str, Any], where: str) -> int:
    """How many steps a stage takes: of the config, or the default of its `build`, or one."""
    return stage_option(config, where, "num_steps") or 1


def stage_steps(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Steps of the estimator (0: the kernel is given) and of the restorer; None for a joint solver.

    Chunks are of one length, so a stage of several steps takes some more, up to a whole number of chunks.

    Raises:
      ValueError: an unknown name or a bad value of any part, or one of the two without the other.
    """
    check_options(config)
    estimator, restorer = config.get("estimator"), config.get("restorer")
    if estimator is None and restorer is None:
        return None
    if estimator is None or restorer is None:
        missing = "estimator" if estimator is None else "restorer"
        raise ValueError(f"config.{missing} is not given, expected config.estimator and config.restorer or neither")
    first = 0 if estimator == "given" else default_steps(config, "estimator")
    second = default_steps(config, "restorer")
    rest = -(first + second) % config["chunk_steps"] if first + second > config["chunk_steps"] else 0
    return (first + rest, second) if first > 1 else (first, second + rest)


def build_estimator(config: Mapping[str, Any], spec: Spec) -> Solver:
    """The estimator of a config alone.

    Raises:
      ValueError: the config names none, or one of several steps.
    """
    if config.get("estimator") in (None, "given") or default_steps(config, "estimator") > 1:
        raise ValueError(f"config.estimator is {config.get('estimator')!r}, expected an estimator of one step: kenet")
    return _build_stage(config, "estimator", spec, 1)


def give_kernel(config: Any) -> None:
    """Makes a config (a ConfigDict, in place) non-blind: its kernel is the one that a solve is given."""
    config.kernel_init = None
    if config.get("estimator") is None:
        config.kernel = type(config)({"name": "given"})
    else:
        config.estimator = "given"


def num_steps(config: Mapping[str, Any]) -> int:
    """Steps of a whole solve; raises ValueError as `stage_steps` does."""
    stages = stage_steps(config)
    return config["num_steps"] if stages is None else sum(stages)


def _check_map(config: Mapping[str, Any]) -> None:
    """Refuses `kernel_map` where the method has no use for it."""
    estimator, restorer = config.get("estimator"), config.get("restorer")
    if restorer is None or not getattr(_load("restorer", restorer), "TAKES_MAPS", False):
        raise ValueError(
            f"config.kernel_map is given and config.restorer is {restorer!r}, expected tiles: configs/photo.py has it"
        )
    if estimator != "given" and "kernel_map" not in part_rules("estimator", estimator):
        raise ValueError(f"config.kernel_map is given and the estimator {estimator!r} gives one kernel, expected kenet")


def build_solver(config: Mapping[str, Any], spec: Spec) -> Solver:
    """The solver that a config describes. Make it once a spec: programs are compiled once a solver and shape.

    Its `retry` is the same method with RETRY_STEP times the learning rates. With `trust` it has `believe`, where there
    is a network for the scale.

    Args:
      config: `image` and `kernel` (each a `name` and options), `prior`, `ssim_steps` and the like, or `estimator` and
        `restorer`.
      spec: the problem's static part.

    Raises:
      ValueError: an unknown name or a bad value.
    """
    solver = _build_method(config, spec)
    believe = learned.judge(spec) if config.get("trust") else None
    return solver if believe is None else solver._replace(believe=believe, prepare=partial(learned.prepare, spec))


def _build_method(config: Mapping[str, Any], spec: Spec) -> Solver:
    stages = stage_steps(config)
    if config.get("kernel_map"):
        _check_map(config)
    if stages is not None:
        restorer = _build_stage(config, "restorer", spec, stages[1])
        if not stages[0]:
            return restorer._replace(num_steps=stages[1])
        estimator = _build_stage(config, "estimator", spec, stages[0])
        return sequence(estimator, restorer, estimator_steps=stages[0], num_steps=sum(stages))

    def compose(factor, retry=None):
        return joint(
            build_image_model(config, spec, rate_factor=factor),
            build_kernel_model(config, spec, rate_factor=factor),
            ssim_steps=config["ssim_steps"],
            averaging=config["averaging"],
            noise_share=config["noise_share"],
            uses_mask=config["uses_mask"],
            kernel_steps=config["kernel_steps"],
            num_steps=config["num_steps"],
            retry=retry,
        )

    solver = compose(1.0, retry=compose(RETRY_STEP))
    if config.get("kernel_init") is None:
        return solver
    if default_steps(config, "kernel_init") > 1:
        raise ValueError(f"config.kernel_init is {config['kernel_init']!r}, expected an estimator of one step: kenet")
    return started_by(_build_stage(config, "kernel_init", spec, 1), solver)
