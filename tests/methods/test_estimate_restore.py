"""Every estimator with every restorer, as configs/pipeline.py composes them; nothing but small parts is run."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.methods import build
from blindsr_jax.methods.interfaces import min_lr_side, weights_args
from blindsr_jax.networks.kenet import KENet
from blindsr_jax.networks.usrnet import USRNet, UsrnetConfig
from blindsr_jax.solvers.loop import solve
from blindsr_jax.weights import kenet as kenet_weights
from blindsr_jax.weights import usrnet as usrnet_weights
from configs import pipeline
from tests import small

SCALE = 2
# Each part once, beside one that is traced quickly where the other kind has none left.
PAIRS = list(itertools.zip_longest(build.part_names("estimator"), reversed(build.part_names("restorer"))))
PAIRS = [(estimator or "mean", restorer or "cubic") for estimator, restorer in PAIRS]
SLOW = {"dkp", "dip_fkp", "chains", "kernelgan_fkp"}  # slowest to trace, and tests of their own solve with them


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Files of a tiny KENet and a tiny USRNet."""
    folder = tmp_path_factory.mktemp("weights")
    kenet = KENet(kernel_size=11, channels=2, hidden=6, reach=2)
    params = small.random_params(kenet, jnp.zeros((1, 8, 8, 3)), std=0.1)
    (folder / "kenet.npz").write_bytes(kenet_weights.to_bytes(params, scale=SCALE, families=("gaussian",), reach=2))
    usrnet, spec = USRNet(UsrnetConfig((4, 4), 1, 4, 1)), make_spec(scale=SCALE)
    inputs = jnp.zeros((1, 8, 8, 3)), jnp.zeros((1, 11, 11)), jnp.zeros(1)
    params = small.random_params(usrnet, *inputs, std=0.1, spec=spec)
    (folder / "usrnet.npz").write_bytes(usrnet_weights.to_bytes(params))
    return folder


def make_config(names, weights):
    config = pipeline.get_config(names)
    config.estimators.kenet.weights = str(weights / "kenet.npz")
    config.restorers.usrnet.weights = str(weights / "usrnet.npz")
    config.restorers.dip.update({"channels": 4, "num_steps": 4})
    config.restorers.zssr.update({"channels": 4, "layers": 2, "num_steps": 4})
    return config


@pytest.mark.parametrize(
    "pair", [pytest.param(p, marks=[pytest.mark.long] * (p[0] in SLOW), id="+".join(p)) for p in PAIRS]
)
def test_each_part_composes(pair, weights):
    """The state keeps its shapes from step to step, which is what a scan, a resumed run and a batch need."""
    config = make_config("+".join(pair), weights)
    spec = build.build_spec(config, SCALE)
    solver = build.build_solver(config, spec)
    side = max(min_lr_side(spec, solver), 16)
    problem, key = Problem(jnp.zeros((side, side + 1, 3)), spec), jax.random.key(0)
    last = weights_args(solver.arrays)
    before = jax.eval_shape(solver.init, key, problem, None, *last)
    after, trace = jax.eval_shape(solver.step, key, before, problem, jnp.int32(1), *last)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), before)
    assert after.image.shape == problem.canvas_shape and after.kernel.shape == (11, 11)
    assert set(trace) == {"loss", "residual", "kernel_loss"}


@pytest.mark.parametrize("name", build.part_names("restorer"))
def test_a_known_kernel_leaves_the_restorer_alone(name, weights):
    config = make_config(f"mean+{name}", weights)
    build.give_kernel(config)
    spec = build.build_spec(config, SCALE)
    assert build.stage_steps(config)[0] == 0 and build.build_solver(config, spec).smallest_side <= 64


def test_a_pair_of_networks_runs(weights):
    config = make_config("kenet+usrnet", weights)
    spec = build.build_spec(config, SCALE)
    problem = Problem(small.smooth_image((12, 13, 1)), spec)
    solver = build.build_solver(config, spec)
    result = solve(jax.random.key(0), problem, solver, num_steps=build.num_steps(config))
    assert result.status == "ok" and result.image.shape == (24, 26, 1)
    # The restorer alone, given the estimate, comes to the same image.
    build.give_kernel(config)
    alone = build.build_solver(config, spec)
    again = solve(jax.random.key(1), problem, alone, num_steps=build.num_steps(config), kernel=result.kernel)
    np.testing.assert_allclose(again.image, result.image, atol=1e-5)
    np.testing.assert_allclose(again.kernel, result.kernel)


def test_names():
    config = pipeline.get_config("mean+cubic+gaussian")
    assert (config.estimator, config.restorer, tuple(config.prior.families)) == ("mean", "cubic", ("gaussian",))
    with pytest.raises(ValueError, match="the parts are 'kenet', expected two names"):
        pipeline.get_config("kenet")
