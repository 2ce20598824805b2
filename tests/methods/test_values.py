"""Every value of a config has a type and a range, whether or not the config names it."""

import inspect
import os
import pathlib
import pkgutil
import random

import pytest
from ml_collections import ConfigDict

from blindsr_jax import kernels
from blindsr_jax.config import RULES, base_config, check_config, load_config, rules
from blindsr_jax.kernels.family import find_family
from blindsr_jax.methods import build as methods
from blindsr_jax.methods import estimators, families, image_models, kernel_models, restorers
from blindsr_jax.training import values
from tests.config_words import build, refusal

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = {"image.name": image_models, "kernel.name": kernel_models, "estimator": estimators, "restorer": restorers}
FROM_THE_PROBLEM = {"scale", "kernel_size", "kernel_center"}  # arguments of families that are no options
FROM_THE_CONFIG = {"family", "kernel_map", "num_steps"}  # arguments of parts that other values of the config make
PAIR, DKP = "configs/pipeline.py:mean+cubic+gaussian", "configs/dip_dkp.py"
TRAININGS = {name: getattr(values, name.upper()) for name in ("flow", "kenet", "usrnet", "diffusion")}


def parts():
    for where, package in PACKAGES.items():
        for module in pkgutil.iter_modules(package.__path__):
            if methods._has_build(f"{package.__name__}.{module.name}"):
                yield where, module.name, methods._load(where, module.name).build
    for module in pkgutil.iter_modules(kernels.__path__):
        try:
            yield "prior", module.name, find_family(module.name)
        except ValueError:  # not a family
            continue


PARTS = list(parts())


@pytest.mark.parametrize("where, name, function", PARTS, ids=[f"{where}-{name}" for where, name, _ in PARTS])
def test_every_option_of_every_part_has_a_rule_that_its_default_obeys(where, name, function):
    found, parameters = rules.options_of(function), inspect.signature(function).parameters
    without = {option for option, rule in found.items() if rule is None}
    assert without <= (FROM_THE_PROBLEM if where == "prior" else FROM_THE_CONFIG)
    assert not [p for p in parameters.values() if p.kind is p.VAR_KEYWORD]  # these would have no rule
    for option, rule in found.items():
        default = parameters[option].default
        if option not in without and not (where == "prior" and default is None):  # None is the family's own
            assert rule.is_valid(default), (option, default)


def test_every_shared_value_has_a_rule():
    base = base_config()
    names = {name for name, value in base.items() if not isinstance(value, ConfigDict)}
    names |= {"image.name", "kernel.name", "prior.families", "prior.weights"}
    assert set(RULES) == names


@pytest.mark.parametrize("name", TRAININGS)
def test_every_value_of_a_training_has_a_rule(name):
    config = load_config(str(ROOT / f"configs/{name}.py"))
    found = [
        f"{key}.{inner}" if isinstance(value, ConfigDict) else key
        for key, value in config.items()
        for inner in (value if isinstance(value, ConfigDict) else [None])
    ]
    assert {key for key in found if not key.startswith("prior.")} <= set(TRAININGS[name])
    if "scale" in config:
        config.scale = 2
    values.check(config, TRAININGS[name])


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 2**31, -1, "abc"])
def test_a_training_refuses_what_no_value_can_be(name, bad):
    for option in ("learning_rate", "num_epochs", "batch_size"):
        config = load_config(str(ROOT / f"configs/{name}.py"))
        del config[option]
        config[option] = bad
        with pytest.raises(ValueError, match=f"^--config.{option}={bad} is not valid, expected "):
            values.check(config, TRAININGS[name])


HUGE = "1000000000000"
# What was taken without a word, or found image by image.
BAD = {
    DKP: (
        "image.checkpoint=abc", "image.learning_rate=1e308", "image.channels=100000", "image.levels=40",
        "image.num_steps=7", "kernel.family=3", f"kernel.hidden={HUGE}", f"kernel.data_every={HUGE}",
        f"kernel.num_samples={HUGE}", "kernel.num_samples=100000000", f"kernel_steps={HUGE}", f"ssim_steps={HUGE}",
        "num_steps=2147483648", "chunk_steps=2147483647", "kernel_size=2147483649", "kernel.prior_weight=nan",
        "kernel.temperature=inf", "averaging=nan", "prior.trajectory.num_points=inf", "prior.weights=(nan,1)",
        "prior.gaussian.variance_range=(nan,1)", "prior.gaussian.exact_release=maybe", "kernel.redraw=2",
        f"kernel.learning_rate=0x{'f' * 4000}", f"image.skip_channels={'9' * 400}",
    ),
    "configs/diff_dkp.py": ("image.samples=2147483648", "image.step_size=nan", "image.label=-1", "image.tile=2"),
    PAIR: (
        "restorers.zssr.augment=2", "restorers.zssr.back_projections=-1", "restorers.zssr.augment=None",
        "restorers.usrnet.conv=abc", "restorers.dip.precision=abc", "restorers.dip.wings=2",
        "estimators.kernelgan.decay_every=0", "estimators.kernelgan.decay_every=-1",
        "estimators.kernelgan.sum_weight=-1", "estimators.kernelgan.near=nan", "estimators.kernelgan.sum_weight=nan",
        "estimators.kernelgan.noise_std=0.1", "estimators.kernelgan_fkp.code_rate=-1",
        "estimators.kernelgan_fkp.code_rate=nan", "estimators.kenet.window=1e3", "estimators.kenet.num_steps=0",
        "estimators.mean.num_samples=2147483648",
    ),
}  # fmt: skip


@pytest.mark.parametrize("file, word", [(file, word) for file, words in BAD.items() for word in words])
def test_a_bad_value_is_refused_by_name_before_any_image(file, word):
    sentence = refusal(file, word)
    assert sentence and f"config.{word.split('=')[0]}" in sentence and "expected" in sentence, sentence
    assert len(sentence) < 400


def test_more_random_kernels_than_memory_holds_are_refused_when_the_solver_is_built():
    for file, option in (
        (PAIR, "estimators.mean.num_samples"),
        ("configs/pipeline.py:self_similarity+cubic", "estimators.self_similarity.num_samples"),
        (DKP, "kernel.num_samples"),
        ("configs/dip_fkp.py", "kernel.num_starts"),
    ):
        sentence = refusal(file, "kernel_size=1001", f"{option}=100000")
        assert sentence and option.split(".")[-1] in sentence and "at most 535 kernels" in sentence, sentence


def test_values_at_the_ends_of_their_ranges_are_taken():
    assert build(DKP, "image.learning_rate=1000", "kernel.num_samples=1000000", "kernel.hidden=65536")
    assert build(DKP, "image.learning_rate=1", "image.checkpoint=True", "kernel.freeze_steps=0", "kernel_size=257")
    assert build(PAIR, "restorers.zssr.back_projections=0", "estimators.kernelgan.num_kept=None")


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.py")), ids=lambda path: path.stem)
@pytest.mark.parametrize("variant", ["", "moton", "128-gaussian-moton", "motion-motion", "7", "99999999999", "-", "²"])
def test_every_config_refuses_a_variant_that_it_does_not_know(path, variant):
    with pytest.raises(ValueError, match="config file .*(the variant is|the parts are|positional argument)") as caught:
        load_config(f"{path}:{variant}")
    assert repr(f"{path}:{variant}") in str(caught.value)


def test_variants_that_a_config_does_not_take_apart_are_refused_when_the_solver_is_built():
    for names in ("moton+cubic", "mean+moton"):
        assert "'moton', expected one of" in refusal(f"configs/pipeline.py:{names}")
    for names in ("mean+cubic+moton", "mean+cubic+motion+more", "mean", "+"):
        assert "the parts are" in refusal(f"configs/pipeline.py:{names}")


@pytest.mark.parametrize(
    "name, variants",
    {
        "dip_dkp": ("kenet", "mean"),
        "dip_dkp_release": ("32", "motion", "32-motion", "motion-32", "128-gaussian"),
        "dip_fkp": ("motion",),
        "dip_fkp_release": ("32",),
        "diff_dkp": ("posterior",),
        "diff_fkp": ("motion",),
        "flow": ("motion", "release", "line-release", "trajectory"),
        "kenet": ("paper", "motion"),
        "pipeline": ("kernelgan+zssr", "mean+cubic+both"),
        "usrnet": ("cpu",),
        "diffusion": ("gpu",),
    }.items(),
)
def test_known_variants_are_taken(name, variants):
    for variant in variants:
        config = load_config(str(ROOT / f"configs/{name}.py:{variant}"))
        if name not in TRAININGS:
            check_config(config)
            methods.check_options(config)


# A config of each kind of solver; options of other parts can be set too.
FILES = (
    DKP, "configs/diff_dkp.py", "configs/dip_fkp.py", "configs/dip_gaussian.py", "configs/dip_softmax.py",
    "configs/double_dip.py", PAIR, "configs/pipeline.py", "configs/pipeline.py:kernelgan+zssr+gaussian",
)  # fmt: skip
WORDS = (
    "nan", "inf", "-inf", "-1", "0", "1", "2", "3", "0.5", "0.0", "1e308", "-1e308", "1e-320", "1e400", "2147483647",
    "2147483648", "-2147483649", HUGE, "9" * 400, "9" * 5000, "0x" + "f" * 5000, "True", "False", "None", "abc", "",
    "''", "()", "(1,)", "(1,2)", "(5,1)", "(nan,1)", "('a','b')", "[1,2]", "[[[]]]", "{}", "{'a':1}", "{'a':{'b':1}}",
    "b'x'", "1j", "\u00e9", "a b", "'", "1_0", "1,2", "wide", "auto", "float32", "random", "/dev/zero", "/", "\n",
)  # fmt: skip


def random_case(rng):
    """A config, and an option with a value of any kind."""
    file = rng.choice(FILES)
    config = load_config(file)
    names = [name for name in RULES if "." not in name] + ["image.name", "prior.families", "prior.weights", "wings"]
    names += [
        f"{half}.{x}" for half in ("image", "kernel") for x in methods.part_rules(f"{half}.name", config[half].name)
    ]
    names += [f"prior.{x}.{y}" for x in ("gaussian", "line", "trajectory") for y in families.family_rules(x)]
    for role, where in methods._STAGES.items():
        names += 2 * [f"{role}.{x}.{y}" for x in config[role] for y in methods.part_rules(where, x)]
    # Between the two ranges, kernels that a part draws when it is built would take long.
    number = rng.choice((1, -1)) * 10 ** rng.choice((rng.uniform(-10, 4), rng.uniform(7, 13)))
    value = rng.choice((*WORDS, *2 * (f"{number:.6g}", f"{number:.0f}", f"({number:.3g},{2 * number:.3g})")))
    return file, f"{rng.choice(names)}={value}"


def check_random_values(count):
    seed = int(os.environ.get("BLINDSR_TEST_SEED", 15))
    print(f"BLINDSR_TEST_SEED={seed}")
    rng, refused = random.Random(seed), 0
    for _ in range(count):
        file, word = random_case(rng)
        try:
            sentence = refusal(file, word)
        except Exception as error:
            raise AssertionError(f"{file} --config.{word[:80]}") from error
        refused += sentence is not None
        if sentence is not None:
            assert sentence and "\n" not in sentence and len(sentence) < 600, (file, word[:80], sentence[:600])
            assert "Error" not in sentence, (file, word[:80], sentence)
    assert 0.3 * count < refused < count  # both were met


def test_a_tuple_without_commas_is_refused_with_what_was_expected():
    sentence = refusal("configs/diff_dkp.py", "prior.line.length_range=1 2")
    assert sentence.endswith(
        "--config.prior.line.length_range=1 2 is not valid, expected values with commas between them, such as (1, 2)"
    )


def test_some_random_values_are_taken_or_refused_in_a_sentence():
    check_random_values(60)


@pytest.mark.long
def test_a_thousand_random_values_are_taken_or_refused_in_a_sentence():
    check_random_values(1000)
