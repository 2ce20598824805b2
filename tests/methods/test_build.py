import importlib.util
import pathlib

import jax
import pytest

from blindsr_jax.config import base_config, load_config
from blindsr_jax.methods import build as methods

ALL = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.py"))
# Of trainings, of a network that is no part of this project, of parts that are chosen by name.
OTHERS = {"flow", "diffusion", "kenet", "usrnet", "evidence", "diff_dkp_imagenet", "pipeline"}
CONFIGS = [path for path in ALL if path.stem not in OTHERS]


def load(path):
    spec = importlib.util.spec_from_file_location("config", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Lines of 39 pixels do not fit the window of the motion config above scale 2; the networks of others are of 1 to 4.
ONLY = {"dip_dkp_motion": (1, 2), "photo": (1, 2, 3, 4), "posterior": (1, 2, 3, 4)}
SLOW = {"photo", "posterior", "diff_dkp"}  # they read weights
SCALES = [
    pytest.param(p, s, marks=pytest.mark.long) if p.stem in SLOW and s != 2 else (p, s)
    for p in CONFIGS
    for s in ONLY.get(p.stem, (1, 2, 3, 4, 8))
]


@pytest.mark.parametrize("path, scale", SCALES, ids=lambda value: getattr(value, "stem", str(value)))
def test_every_config_builds_at_every_scale(path, scale):
    config = load(path).get_config()
    spec = methods.build_spec(config, scale)
    assert methods.build_solver(config, spec).smallest_side > 1


@pytest.mark.parametrize("path", ALL, ids=lambda p: p.stem)
def test_every_config_shows_its_command(path):
    assert f"--config=configs/{path.name}" in load(path).__doc__


def test_the_release_config_holds_the_released_settings():
    config = load(next(p for p in CONFIGS if p.stem == "dip_dkp_release")).get_config()
    assert (config.num_steps, config.ssim_steps, config.boundary, config.kernel_center) == (
        1000,
        405,
        "circular",
        "release",
    )
    assert config.image.to_dict() == {
        "name": "dip", "channels": 128, "skip_channels": 16, "levels": 5, "learning_rate": 5e-3,
    }  # fmt: skip
    assert config.kernel.to_dict() == {
        "name": "dkp", "num_samples": 5, "prior_every": 5, "data_every": 3, "learning_rate": 1e-4,
    }  # fmt: skip
    family = methods.build_family(config.prior, methods.build_spec(config, 4))
    variances = family.sample(jax.random.key(0)).variances
    assert (variances >= 3.7).all() and (variances <= 20).all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": {"name": "nope"}}, "config.image.name is 'nope', expected one of diffusion, dip"),
        ({"kernel": {"name": "nope"}}, "expected one of dkp, fcn, flow, gaussian, given, posterior, softmax"),
        ({"kernel": {"name": "dkp", "wings": 2}}, "config.kernel.wings is unknown, expected one of cooling"),
        ({"prior": {"families": ("nope",)}}, "unknown kernel family 'nope'"),
        ({"prior": {"families": ("line",), "line": {"wings": 2}}}, "config.prior.line.wings is unknown"),
        ({"prior": {"families": ()}}, "prior.families is empty"),
        (
            {"prior": {"families": ("gaussian",), "gaussian": {"variance_range": "vast"}}},
            "gaussian.variance_range=vast",
        ),
    ],
)
def test_slips_in_a_config_are_one_sentence(change, message):
    config = base_config().to_dict() | change
    with pytest.raises(ValueError, match=message):
        methods.build_solver(config, methods.build_spec(config, 2))


def test_solvers_of_a_mixture_and_of_one_family():
    config = base_config()
    spec = methods.build_spec(config, 4)
    config.prior.families = ("gaussian", "trajectory")
    assert len(methods.build_family(config.prior, spec).members) == 2
    config.prior.families = ("line",)
    assert methods.build_family(config.prior, spec).name == "line"


def test_the_second_try_takes_smaller_steps():
    def build(spec, *, learning_rate=0.5, other=1):
        raise AssertionError

    assert methods._scaled(build, {"other": 2}, 0.1) == {"other": 2, "learning_rate": 0.05}
    assert methods._scaled(build, {"learning_rate": 2.0}, 0.1) == {"learning_rate": 0.2}
    assert methods._scaled(lambda spec: None, {}, 0.1) == {}
    config = base_config()
    solver = methods.build_solver(config, methods.build_spec(config, 2))
    assert solver.retry is not None and solver.retry.retry is None


@pytest.mark.parametrize(
    "file, expected",
    {
        "dip_dkp.py": ("image.learning_rate", "kernel.learning_rate"),
        "diff_dkp.py": ("kernel.learning_rate",),
        "diff_dkp.py:posterior": (),
        "pipeline.py:kenet+usrnet": (),
        "pipeline.py:mean+cubic": (),
        "pipeline.py:kernelgan_fkp+zssr": (
            "estimators.kernelgan_fkp.code_rate",
            "estimators.kernelgan_fkp.critic_rate",
            "restorers.zssr.learning_rate",
        ),
    }.items(),
)
def test_the_learning_rates_that_a_method_has(file, expected):
    config = load_config(str(ALL[0].parent / file))
    assert methods.rate_options(config) == expected
    methods.give_kernel(config)
    assert methods.rate_options(config) == tuple(name for name in expected if name.startswith(("image", "restorers")))


def test_the_effort_of_photo_chooses_the_estimator():
    path = next(str(path) for path in ALL if path.stem == "photo")
    chosen = [load_config(path + more) for more in ("", ":low", ":normal", ":high", ":joint")]
    assert [config.estimator for config in chosen] == ["ensemble", "kenet", "ensemble", "ensemble", "dkp"]
    assert chosen[0].to_dict() == chosen[2].to_dict()
    assert [config.restorers.tiles.flips for config in chosen] == [False, False, False, True, False]
    for config in chosen:
        methods.check_options(config)
    with pytest.raises(ValueError, match="expected one of low, normal, high, joint"):
        load_config(path + ":vast")
