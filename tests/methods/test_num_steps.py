"""A solver knows its number of steps, and takes no other where its result depends on it."""

import jax
import jax.numpy as jnp
import pytest

from blindsr_jax.config import load_config
from blindsr_jax.methods import build as methods
from blindsr_jax.methods.estimators import mean
from blindsr_jax.methods.restorers import cubic, diffusion, dip, zssr
from blindsr_jax.methods.sequence import sequence
from blindsr_jax.solvers.loop import solve
from tests import small, tiny_prior

STEPS = 4


def restorer(name, folder):
    if name == "diffusion":
        return diffusion.build(small.spec(), num_steps=STEPS, weights=str(tiny_prior.write(folder)))
    return zssr.build(small.spec(), num_steps=STEPS, channels=4, layers=2, side=8)


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize("name", ["diffusion", "zssr"])
def test_another_number_is_refused_where_the_last_step_makes_the_image(name, stages, tmp_path):
    solver = restorer(name, tmp_path)
    if stages == 2:
        solver = sequence(mean.build(small.spec(), family=small.family()), solver, estimator_steps=1)
    wanted = STEPS + stages - 1
    assert solver.num_steps == wanted and solver.steps() == wanted
    with pytest.raises(ValueError, match=f"num_steps is {wanted - 1}, expected {wanted}"):
        solve(jax.random.key(0), small.problem(), solver, num_steps=wanted - 1, kernel=jnp.zeros((7, 7)))


def test_other_methods_take_any_number():
    for solver, own in (
        (dip.build(small.spec(), num_steps=STEPS, channels=4), STEPS),
        (cubic.build(small.spec()), 1),
    ):
        assert solver.steps() == own and solver.steps(own + 3) == own + 3


@pytest.mark.parametrize(
    "names",
    ["kenet+cubic", "kernelgan+cubic", "kernelgan_fkp+cubic", "self_similarity+cubic", "dkp+cubic"]
    + ["dip_fkp+cubic", "mean+usrnet", "mean+zssr", "mean+dip", "mean+diffusion"],
)
def test_a_pair_knows_the_steps_of_its_config(names):
    config = load_config(f"configs/pipeline.py:{names}")
    solver = methods.build_solver(config, methods.build_spec(config, 2))
    assert solver.num_steps == methods.num_steps(config)
    assert solver.has_fixed_steps == names.endswith(("zssr", "diffusion"))
