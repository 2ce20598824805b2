"""From a config's prior to a kernel family; a family's name is that of its file in `kernels`."""

from collections.abc import Mapping
from typing import Any

from blindsr_jax.config import rules
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.kernels.family import KernelFamily, find_family, load_family, mixture

_PLACE = ("scale", "kernel_size", "kernel_center")  # what a kernel family is told by the problem


def family_rules(name: str) -> dict[str, rules.Rule | None]:
    """The options of a kernel family, each with its rule; scale, size and centre are those of the problem."""
    return {option: rule for option, rule in rules.options_of(find_family(name)).items() if option not in _PLACE}


def check_families(prior: Mapping[str, Any]) -> None:
    """Checks the options of all families that a prior names; raises ValueError."""
    for name, options in prior.items():
        if name not in ("families", "weights"):
            rules.check(_chosen(options), family_rules(name), f"prior.{name}.")


def _chosen(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a family without those that are left to it."""
    return {name: value for name, value in options.items() if value is not None}


def build_family(prior: Mapping[str, Any], spec: Spec) -> KernelFamily:
    """The kernel family that a config names: one family or a mixture.

    Args:
      prior: `families` (names), `weights` (None or one a family), and for each family an optional mapping of options.
      spec: the problem's static part.

    Raises:
      ValueError: an unknown family or option, or a bad value.
    """
    place = {option: getattr(spec, option) for option in _PLACE}
    check_families(prior)
    members = [load_family(name, **place, **_chosen(prior.get(name, {}))) for name in prior["families"]]
    if not members:
        raise ValueError("config.prior.families is empty, expected at least one family")
    if len(members) == 1:
        return members[0]
    return mixture(tuple(members), prior.get("weights"))
