r"""Measures a table of a paper and writes it with the printed numbers beside ours. A second run goes on where it was.

    python launch/reproduce.py --table=dkp_gaussian --data=benchmarks --workdir=out/dkp_gaussian

`--data` holds the sets of sharp images as the releases do: Set5/HR/*.png, Set14/HR, BSD100/HR, Urban100/HR. LR images
are made from them with fixed seeds; every method of the table gets them alone. `--limit` takes the first images of a
set, `--crop` their middle, `--num_steps` fewer steps, `--channels` narrower networks: such rows never stand beside
printed numbers of whole sets. `--rivals=CARD.json` adds the results of another program, `--scores` more columns,
`--expect=table.json` compares with an earlier run. See docs/tables.md.
"""

import os
import sys

from absl import flags

from blindsr_jax import io
from blindsr_jax.evaluation import benchmark_sets, expected, measurement, optional_scores, reproduction, rivals
from blindsr_jax.evaluation.protocols import TABLES, Method
from blindsr_jax.runs import cli, ownership, report

_TABLE = flags.DEFINE_enum("table", None, list(TABLES), "Which table.")
_DATA = flags.DEFINE_string("data", None, "Folder with the sets: Set5/HR/*.png and so on.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; made where missing.")
_LIMIT = flags.DEFINE_integer("limit", None, "The first images of each set only.", lower_bound=1)
_CROP = flags.DEFINE_integer("crop", None, "Side of the middle part of each image that is used.", lower_bound=32)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Seeds 0 ... N - 1 of the methods.", lower_bound=1)
_STEPS = flags.DEFINE_integer("num_steps", None, "The most steps of each stage of a method.", lower_bound=1)
_CHANNELS = flags.DEFINE_integer("channels", None, "The most channels of a deep image prior.", lower_bound=2)
_SETS = flags.DEFINE_list("sets", None, "Sets of the table; default all that are there.")
_METHODS = flags.DEFINE_list("methods", None, "Methods of the table, by their rows; default all.")
_WEIGHTS = flags.DEFINE_multi_string("weights", [], "METHOD=FILE: trained weights; {scale} in FILE is the scale.")
_RIVALS = flags.DEFINE_list("rivals", [], "Cards of other programs whose results are scored too.")
_SCORES = flags.DEFINE_multi_enum("scores", [], list(optional_scores.SCORES), "Scores that the table has too.")
_EXPECT = flags.DEFINE_string("expect", None, "table.json of an earlier run: exit code 1 where this one differs.")
flags.mark_flags_as_required(["table", "data", "workdir"])

SETTINGS = "reproduction.json"  # what a working folder is for


def is_reproduction(folder: str) -> bool:
    """Whether a folder holds a table of this launch, or what one has left that ended early."""
    found = ownership.read_json(os.path.join(folder, SETTINGS))
    return isinstance(found, dict) and {"table", "limit", "crop", "num_steps"} <= found.keys()


LAYOUT = ownership.Layout(
    "table of this launch",
    (SETTINGS, "table.json", "table.md", "table.csv", "index.html", "figure.png"),
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
    budget = {"num_steps": _STEPS.value, "channels": _CHANNELS.value}
    scores = optional_scores_of(_SCORES.value)
    return reproduction.Plan(TABLES[_TABLE.value], part, _SEEDS.value, weights=weights, scores=scores, **budget)


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
    report.check_page(folder)
    images = [p for name in plan.table.datasets for p in benchmark_sets.sharp_images(_DATA.value, name)]
    scales = map(str, plan.table.scales)
    weights = [file.replace("{scale}", scale) for scale in scales for file in plan.weights.values()]
    files = [*images, *_RIVALS.value, *weights]
    inner = [name for group in groups for name in benchmark_sets.folders(group)]
    ownership.check_inputs(files, folder, outputs=[*LAYOUT.places, *(f"{name}/" for name in inner)])
    for name in inner:
        ownership.check_no_link(os.path.join(folder, name), folder)
    path = os.path.join(folder, SETTINGS)
    settings, old = plan.settings, ownership.read_json(path)
    if old is not None and {"channels": None, **old} != settings:
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


def optional_scores_of(names: list[str]) -> tuple[str, ...]:
    """The scores of --scores whose packages are there; of the others a sentence says why their columns are not."""
    absent = optional_scores.missing(names)
    for name in absent:
        print(
            f"--scores={name}: its package is not installed, `pip install 'blindsr_jax[perceptual]'` brings it; "
            "the column is left out",
            file=sys.stderr,
        )
    return tuple(name for name in names if name not in absent)


def compare(folder: str) -> bool:
    """Whether the table says the same as that of --expect; says what differs."""
    old = expected.read(_EXPECT.value)
    found = expected.differences(old, expected.read(os.path.join(folder, "table.json")))
    for words in found:
        print(f"{_EXPECT.value}: {words}", file=sys.stderr)
    if not found:
        print(f"the same data and scores as {_EXPECT.value}: {len(old['cells'])} cells")
    return not found


def main() -> int:
    """Measures what is missing and writes the table after each cell."""
    plan = make_plan()
    methods, cards = read_methods(plan), read_cards(plan)
    try:
        groups, missing = benchmark_sets.usable(_DATA.value, plan.table, _SETS.value)
    except io.InputError as error:
        raise cli.UsageError(f"--data or --sets: {cli.one_line(error)}") from error
    if _EXPECT.value:
        with cli.usage_errors(io.InputError):
            expected.read(_EXPECT.value)
    check_configs(plan, groups, methods)
    folder = check_workdir(plan, groups)
    measured = measurement.Measurement(folder, plan, methods, cards, groups=groups, missing=missing)
    for group in groups:
        measured.add(group, _DATA.value)
    print(measured.write())
    if missing:
        print(f"not there: {', '.join(missing)}", file=sys.stderr)
    is_same = not _EXPECT.value or compare(folder)
    return cli.OK if is_same and not measured.failures else cli.SOME_FAILED


if __name__ == "__main__":
    cli.run(main)
