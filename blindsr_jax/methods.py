"""From a config to a solver: names in a config are file names in `image_models`, `kernel_models` and `kernels`."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from blindsr_jax.image_models.base import ImageModel
from blindsr_jax.kernel_models.base import KernelModel
from blindsr_jax.kernels.family import KernelFamily, load_family, mixture
from blindsr_jax.problem import Spec, make_spec
from blindsr_jax.solve import Solver, joint


def _load(part: str, name: str):
    """The module `blindsr_jax.PART_models.NAME`, or a ValueError that lists what there is."""
    package = f"{part}_models"
    parent = importlib.import_module(f"blindsr_jax.{package}")
    known = sorted(m.name for m in pkgutil.iter_modules(parent.__path__) if m.name != "base")
    if name not in known:
        raise ValueError(f"config.{part}.name is {name!r}, expected one of {', '.join(known)}")
    return importlib.import_module(f"blindsr_jax.{package}.{name}")


def _call(function, where: str, *args, **options):
    """Calls with options checked by name, so that a slip in a config is one sentence."""
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise ValueError(f"config.{where}.{name} is unknown, expected one of {', '.join(known)}")
    return function(*args, **options)


def build_spec(config: Mapping[str, Any], scale: int) -> Spec:
    """The static part of a problem from a config and a scale.

    Raises:
      ValueError: a value is out of range; one sentence.
    """
    names = ("kernel_size", "boundary", "kernel_center")
    return make_spec(scale=scale, **{name: config[name] for name in names})


def build_family(prior: Mapping[str, Any], spec: Spec) -> KernelFamily:
    """The kernel family that a config names: one family or a mixture.

    Args:
      prior: `families` (names), `weights` (None or one a family), and for each family an optional mapping of options.
      spec: the problem's static part.
    """
    place = {"scale": spec.scale, "kernel_size": spec.kernel_size, "kernel_center": spec.kernel_center}

    def load(name):
        chosen = {key: value for key, value in dict(prior.get(name, {})).items() if value is not None}
        try:
            return load_family(name, **place, **chosen)
        except TypeError as error:  # an option that this family does not have
            raise ValueError(f"config.prior.{name} does not fit the family: {error}") from error

    members = [load(name) for name in prior["families"]]
    if not members:
        raise ValueError("config.prior.families is empty, expected at least one family")
    if len(members) == 1:
        return members[0]
    return mixture(tuple(members), prior.get("weights"))


RETRY_STEP = 0.3  # the learning rates of a second try, in those of the first


def _scaled(function, options: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Options with the learning rate, given or default, times a factor; as they are for a half that has none."""
    rate = inspect.signature(function).parameters.get("learning_rate")
    return (
        dict(options) if rate is None else {**options, "learning_rate": factor * options.get(rate.name, rate.default)}
    )


def build_image_model(config: Mapping[str, Any], spec: Spec, *, rate_factor: float = 1.0) -> ImageModel:
    """The image half that a config describes, its learning rate times a factor.

    Raises:
      ValueError: an unknown name or a bad value; one sentence.
    """
    options = dict(config["image"])
    build = _load("image", options.pop("name")).build
    return _call(build, "image", spec, **_scaled(build, options, rate_factor))


def build_kernel_model(config: Mapping[str, Any], spec: Spec, *, rate_factor: float = 1.0) -> KernelModel:
    """The kernel half that a config describes, see `build_image_model`."""
    options = dict(config["kernel"])
    build = _load("kernel", options.pop("name")).build
    if "family" in inspect.signature(build).parameters:
        options["family"] = build_family(config["prior"], spec)
    return _call(build, "kernel", spec, **_scaled(build, options, rate_factor))


def build_solver(config: Mapping[str, Any], spec: Spec) -> Solver:
    """The solver that a config describes. Make it once a spec: programs are compiled once a solver and shape.

    Its `retry` is the same method with RETRY_STEP times the learning rates.

    Args:
      config: `image` and `kernel` (each a `name` and options), `prior`, `ssim_steps`, `averaging`.
      spec: the problem's static part.

    Raises:
      ValueError: an unknown name or a bad value; one sentence.
    """

    def compose(factor, retry=None):
        return joint(
            build_image_model(config, spec, rate_factor=factor),
            build_kernel_model(config, spec, rate_factor=factor),
            ssim_steps=config["ssim_steps"],
            averaging=config["averaging"],
            retry=retry,
        )

    return compose(1.0, retry=compose(RETRY_STEP))
