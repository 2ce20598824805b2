"""What is to be measured of a table of a paper: its methods as configs, whole or within a smaller budget."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from blindsr_jax import io
from blindsr_jax.config import load_method
from blindsr_jax.evaluation import benchmark_sets, cells, rivals, tables
from blindsr_jax.evaluation.benchmark_sets import Group, Part
from blindsr_jax.evaluation.protocols import NO_VALUES, Method, Table
from blindsr_jax.io import durable
from blindsr_jax.methods import build


class Plan(NamedTuple):
    """What is to be measured of a table."""

    table: Table
    part: Part
    num_seeds: int
    num_steps: int | None = None  # the most steps of a stage; None: those of the configs
    weights: Mapping[str, str] = NO_VALUES  # by label of a method, the file that it needs
    channels: int | None = None  # the most channels of a deep image prior; None: those of the configs
    scores: tuple[str, ...] = ()  # names of `optional_scores.SCORES` that are wanted too

    @property
    def is_printed_problem(self) -> bool:
        """Whether rows of whole sets may stand beside printed numbers."""
        return self.part == Part() and self.num_steps is None and self.channels is None

    @property
    def keys(self) -> tuple[str, ...]:
        """What has a column."""
        return (*self.table.keys, *self.scores)

    @property
    def settings(self) -> dict[str, Any]:
        """What all cells of a working folder share."""
        return {
            "table": self.table.name,
            **self.part._asdict(),
            "num_steps": self.num_steps,
            "channels": self.channels,
        }


def choose(plan: Plan, labels: Sequence[str] | None) -> tuple[Method, ...]:
    """The methods of a table that are measured; raises ValueError where a label is none of them."""
    known = [method.label for method in plan.table.methods]
    for label in (*(labels or ()), *plan.weights):
        if label not in known:
            raise ValueError(f"{label!r} is no method of {plan.table.name}, expected one of {', '.join(known)}")
    chosen = [m for m in plan.table.methods if labels is None or m.label in labels]
    return tuple(m for m in chosen if m.needs is None or m.label in plan.weights)


def name_of(method: Method) -> str:
    """Of a method's cells."""
    return method.label + (tables.CEILING if method.is_ceiling else "")


def _shorten(config: ConfigDict, most: int) -> None:
    """Lowers the numbers of steps of a config, in place."""
    if config.get("restorer") is None:
        config.num_steps, config.ssim_steps = min(config.num_steps, most), min(config.ssim_steps, most)
        return
    for role in ("estimator", "restorer"):
        name = config[role]
        if name != "given" and build.default_steps(config, role) > most:
            config[f"{role}s"][name].num_steps = most
    config.num_steps = build.num_steps(config)


def _narrow(config: ConfigDict, most: int) -> None:
    """Lowers the channels of the deep image priors of a config, in place; skip branches in the same ratio."""
    if config.get("restorer") is None:
        if config.image.name == "dip" and config.image.channels > most:
            config.image.skip_channels = max(1, config.image.skip_channels * most // config.image.channels)
            config.image.channels = most
        return
    for role in ("estimator", "restorer"):
        name = config[role]
        if name != "given" and (build.stage_option(config, role, "channels") or 0) > most:
            config[f"{role}s"][name].channels = most


def make_config(plan: Plan, method: Method, scale: int) -> ConfigDict:
    """The config of a method at a scale; raises ValueError where a value is wrong."""
    values = dict(method.values)
    if method.label in plan.weights:
        values[method.needs or _weights_option(method)] = weights_file(plan, method, scale)
    place = {"boundary": benchmark_sets.BOUNDARY, "kernel_center": benchmark_sets.CENTER}
    size = plan.table.kernel_sizes.get(scale)
    if size is not None:
        values["kernel_size"] = size
    config = cells.prepare(load_method(method.config), is_ceiling=method.is_ceiling, values=values, **place)
    if plan.num_steps is not None:
        _shorten(config, plan.num_steps)
    if plan.channels is not None:
        _narrow(config, plan.channels)
    return config


def weights_file(plan: Plan, method: Method, scale: int) -> str:
    """The file of --weights for a method at a scale."""
    return plan.weights[method.label].replace("{scale}", str(scale))


def weights_hashes(plan: Plan, scale: int, methods: Sequence[Method]) -> dict[str, str]:
    """SHA-256 of the files of --weights at a scale, by the names of cells.

    Raises:
      InputError: one cannot be read.
    """
    chosen = [m for m in methods if m.label in plan.weights and (m.scales is None or scale in m.scales)]
    return {name_of(m): durable.contents(io.find_inputs(weights_file(plan, m, scale))[0]).sha256 for m in chosen}


def _weights_option(method: Method) -> str:
    """Which value a file of --weights is for, where the method has trained weights but does not need others."""
    config = load_method(method.config)
    if config.get("estimator") is not None:
        return f"estimators.{config.estimator}.weights"
    return "kernel.weights" if config.kernel.name == "flow" else "image.weights"


def groups_configs(plan: Plan, group: Group, methods: Sequence[Method]) -> dict[str, ConfigDict]:
    """The configs of the methods that know a scale, by the names of their cells."""
    chosen = [m for m in methods if m.scales is None or group.scale in m.scales]
    return {name_of(m): make_config(plan, m, group.scale) for m in chosen}


def describe(plan: Plan, methods: Sequence[Method], cards: Sequence[rivals.Card]) -> list[dict[str, Any]]:
    """The rows of the list of methods that a table ends with."""
    rows = []
    for method in methods:
        scale = next(s for s in plan.table.scales if method.scales is None or s in method.scales)
        values = ", ".join(f"{name} = {value}" for name, value in method.values.items())
        config = method.config + (", true kernel" if method.is_ceiling else "")
        number = make_config(plan, method, scale).num_steps
        rows.append({"method": method.label, "config": config, "values": values, "steps": number})
    for card in cards:
        grid = "the usual grid, moved here" if card.grid == "half_pixel" else "the grid of the data"
        rows.append({"method": card.name, "config": "another program", "values": grid, "steps": card.reference})
    return rows
