r"""Measures a table of a paper and writes it with the printed numbers beside ours. A second run goes on where it was.

    python launch/reproduce.py --table=dkp_gaussian --data=benchmarks --workdir=out/dkp_gaussian

`--data` holds the sets of sharp images as the releases do: Set5/HR/*.png, Set14/HR, BSD100/HR, Urban100/HR. LR images
are made from them with fixed seeds; every method of the table gets them alone. `--limit` takes the first images of a
set, `--crop` their middle, `--num_steps` fewer steps: such rows never stand beside printed numbers of whole sets.
`--rivals=CARD.json` adds the results of another program, see docs/tables.md.
"""

import os
import sys
from collections.abc import Iterator

from absl import flags

from blindsr_jax import io
from blindsr_jax.evaluation import benchmark_sets, cells, reproduction, rivals
from blindsr_jax.evaluation.cases import Case
from blindsr_jax.evaluation.protocols import TABLES, Method
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.runs import cli, ownership
from blindsr_jax.runs.compile_clock import CompileClock

_TABLE = flags.DEFINE_enum("table", None, list(TABLES), "Which table.")
_DATA = flags.DEFINE_string("data", None, "Folder with the sets: Set5/HR/*.png and so on.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_LIMIT = flags.DEFINE_integer("limit", None, "The first images of each set only.", lower_bound=1)
_CROP = flags.DEFINE_integer("crop", None, "Side of the middle part of each image that is used.", lower_bound=32)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Seeds 0 ... N - 1 of the methods.", lower_bound=1)
_STEPS = flags.DEFINE_integer("num_steps", None, "The most steps of each stage of a method.", lower_bound=1)
_SETS = flags.DEFINE_list("sets", None, "Sets of the table; default all that are there.")
_METHODS = flags.DEFINE_list("methods", None, "Methods of the table, by their rows; default all.")
_WEIGHTS = flags.DEFINE_multi_string("weights", [], "METHOD=FILE: trained weights; {scale} in FILE is the scale.")
_RIVALS = flags.DEFINE_list("rivals", [], "Cards of other programs whose results are scored too.")
flags.mark_flags_as_required(["table", "data", "workdir"])

SETTINGS = "reproduction.json"  # what a working folder is for


def is_reproduction(folder: str) -> bool:
    """Whether a folder holds a table of this launch, or what one has left that ended early."""
    found = ownership.read_json(os.path.join(folder, SETTINGS))
    return isinstance(found, dict) and {"table", "limit", "crop", "num_steps"} == found.keys()


LAYOUT = ownership.Layout(
    "table of this launch",
    (SETTINGS, "table.json", "table.md", "table.csv"),
    ("cells", benchmark_sets.FOLDER),
    is_reproduction,
)


def make_plan() -> reproduction.Plan:
    """What the flags ask for."""
    weights = {}
    for text in _WEIGHTS.value:
        label, equals, file = text.rpartition("=")
        if not equals or not label or not file:
            raise cli.UsageError(f"--weights={text}: METHOD=FILE was expected")
        weights[label] = file
    part = benchmark_sets.Part(_LIMIT.value, _CROP.value)
    return reproduction.Plan(TABLES[_TABLE.value], part, _SEEDS.value, _STEPS.value, weights)


def read_methods(plan: reproduction.Plan) -> tuple[Method, ...]:
    """The methods that --methods names."""
    try:
        methods = reproduction.choose(plan, _METHODS.value)
    except ValueError as error:
        raise cli.UsageError(f"--methods or --weights: {cli.one_line(error)}") from error
    if not methods and not _RIVALS.value:
        raise cli.UsageError("--methods: none is left, expected --weights=METHOD=FILE for those that need a file")
    return methods


def read_cards(plan: reproduction.Plan) -> list[rivals.Card]:
    """The cards of --rivals; their names are those of rows, so each is another one."""
    cards, taken = [], {method.label for method in plan.table.methods} | {p.method for p in plan.table.printed}
    for path in _RIVALS.value:
        try:
            card = rivals.read_card(path)
        except io.InputError as error:
            raise cli.UsageError(f"--rivals={path}: {cli.one_line(error)}") from error
        if card.name in taken:
            raise cli.UsageError(f"--rivals={path}: {card.name!r} is the name of another row, expected one of its own")
        taken.add(card.name)
        cards.append(card)
    return cards


def check_workdir(plan: reproduction.Plan, groups: list[benchmark_sets.Group]) -> str:
    """Makes the working folder; refuses one of something else or of another table."""
    folder = _WORKDIR.value
    ownership.check_folder(folder, LAYOUT)
    images = [p for name in plan.table.datasets for p in benchmark_sets.sharp_images(_DATA.value, name)]
    scales = map(str, plan.table.scales)
    weights = [file.replace("{scale}", scale) for scale in scales for file in plan.weights.values()]
    files = [*images, *_RIVALS.value, *weights]
    inner = [name for group in groups for name in benchmark_sets.folders(group)]
    ownership.check_inputs(files, folder, outputs=[*LAYOUT.places, *(f"{name}/" for name in inner)])
    for name in inner:
        ownership.check_no_link(os.path.join(folder, name), folder)
    path = os.path.join(folder, SETTINGS)
    settings = {"table": plan.table.name, **plan.part._asdict(), "num_steps": plan.num_steps}
    old = ownership.read_json(path)
    if old is not None and old != settings:
        words = ", ".join(f"{name} {value}" for name, value in old.items() if value is not None)
        raise cli.UsageError(f"--workdir={folder}: it holds {words}, expected the same flags or another folder")
    cli.make_workdir(folder, folders=LAYOUT.folders)
    io.write_json(path, settings)
    return folder


def check_configs(plan: reproduction.Plan, groups: list[benchmark_sets.Group], methods: tuple[Method, ...]) -> None:
    """Builds every config once, so that what is wrong with one is said before anything is solved."""
    for group in groups:
        spec = benchmark_sets.make_place(plan.table, group)[0]
        if plan.part.crop is not None and plan.part.crop < spec.kernel_size + spec.scale:
            least = spec.kernel_size + spec.scale
            raise cli.UsageError(f"--crop={plan.part.crop} is too small, expected at least {least}")
        with cli.usage_errors(ValueError):
            reproduction.groups_configs(plan, group, methods)
        try:
            reproduction.weights_hashes(plan, group.scale, methods)
        except io.InputError as error:
            raise cli.UsageError(f"--weights: {cli.one_line(error)}") from error


class Failures:
    """How many images, cells or results of other programs failed; each is said on stderr."""

    def __init__(self):
        """None so far."""
        self.number = 0

    def say(self, what: str | os.PathLike, error: Exception) -> None:
        """Reports one."""
        self.number += 1
        cli.say_failure(what, error)


def rival_cells(
    cards: list[rivals.Card], group: benchmark_sets.Group, spec: Spec, found: list[Case], failures: Failures
) -> Iterator[dict]:
    """The scores of other programs on the cases of a group."""
    for card in cards:
        for case in found:
            try:
                yield rivals.score(card, group, case, spec)
            except Exception as error:  # whatever ails one file
                failures.say(f"{card.name}, {case.name}", error)


def describe(plan: reproduction.Plan, methods: tuple[Method, ...], cards: list[rivals.Card]) -> list[dict]:
    """The rows of the list of methods."""

    rows = []
    for method in methods:
        scale = next(s for s in plan.table.scales if method.scales is None or s in method.scales)
        values = ", ".join(f"{name} = {value}" for name, value in method.values.items())
        config = method.config + (", true kernel" if method.is_ceiling else "")
        number = reproduction.make_config(plan, method, scale).num_steps
        rows.append({"method": method.label, "config": f"`{config}`", "values": values, "steps": number})
    for card in cards:
        grid = "the usual grid, moved here" if card.grid == "half_pixel" else "the grid of the data"
        rows.append({"method": card.name, "config": "another program", "values": grid, "steps": card.reference})
    return rows


def main() -> int:
    """Measures what is missing and writes the table after each cell."""
    plan = make_plan()
    methods, cards = read_methods(plan), read_cards(plan)
    try:
        groups, missing = benchmark_sets.usable(_DATA.value, plan.table, _SETS.value)
    except io.InputError as error:
        raise cli.UsageError(f"--data or --sets: {cli.one_line(error)}") from error
    check_configs(plan, groups, methods)
    folder, failures = check_workdir(plan, groups), Failures()
    runner = cells.Runner(CompileClock().seconds, estimates_memory="estimated_memory_mb" in plan.table.keys)
    listed = describe(plan, methods, cards)
    rows, contents, counts = [], [], {}
    for group in groups:
        place = {"data": _DATA.value, "folder": os.path.join(folder, benchmark_sets.FOLDER), "on_error": failures.say}
        found = benchmark_sets.make(plan.table, group, plan.part, **place)
        counts[group.dataset] = len(found)
        about = reproduction.header(plan, groups, counts, missing)
        configs = reproduction.groups_configs(plan, group, methods)
        labels = {reproduction.name_of(m): m for m in methods if reproduction.name_of(m) in configs}
        labels |= dict.fromkeys(card.name for card in cards)
        spec = benchmark_sets.make_place(plan.table, group)[0]
        own = list(rival_cells(cards, group, spec, found, failures))
        hashes = reproduction.weights_hashes(plan, group.scale, methods)
        wanted = cells.all_cells(found, configs, num_seeds=plan.num_seeds, border=None, files=hashes)
        for cell, content, is_new in cells.fill(os.path.join(folder, "cells"), wanted, runner.run):
            if isinstance(content, Exception):
                failures.say(cell.stem, content)
                continue
            own.append(content)
            if is_new:
                so_far = rows + reproduction.make_rows(plan, group, own, labels)
                reproduction.write(folder, plan, about, so_far, contents + own, listed)
                score = f"{content['psnr_y']:.2f} dB" if "psnr_y" in content else content["status"]
                print(f"{cell.stem}: {score}", flush=True)
        failures.number += sum("psnr_y" not in cell for cell in own)
        rows, contents = rows + reproduction.make_rows(plan, group, own, labels), contents + own
    about = reproduction.header(plan, groups, counts, missing)
    print(reproduction.write(folder, plan, about, rows, contents, listed))
    if missing:
        print(f"not there: {', '.join(missing)}", file=sys.stderr)
    return cli.SOME_FAILED if failures.number else cli.OK


if __name__ == "__main__":
    cli.run(main)
