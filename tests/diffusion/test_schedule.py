import numpy as np
import pytest

from blindsr_jax.diffusion.schedule import linear_betas, make_schedule, moves, schedule_jump, space_timesteps
from tests import golden


@pytest.mark.parametrize("steps", [100, 25])
def test_golden_tables(steps):
    data, schedule = golden.load("12_diffusion"), make_schedule(str(steps))
    assert schedule.num_steps == steps
    for name, table in schedule._asdict().items():
        np.testing.assert_allclose(table, data[f"{name}_{steps}"], rtol=1e-12, err_msg=name)


def test_golden_whole_chain_and_kept_steps():
    data = golden.load("12_diffusion")
    np.testing.assert_allclose(linear_betas(), data["betas_1000"], rtol=1e-12)
    np.testing.assert_allclose(make_schedule().alphas_cumprod, data["alphas_cumprod_1000"], rtol=1e-12)
    for steps in (100, 25, 250):
        np.testing.assert_array_equal(space_timesteps(str(steps)), data[f"timestep_map_{steps}"])
    np.testing.assert_array_equal(space_timesteps("ddim25"), data["ddim25_timesteps"])
    np.testing.assert_array_equal(space_timesteps("10,15,20", 300), data["sections_10_15_20_of_300"])


@pytest.mark.parametrize("steps, length, number", [(100, 1, 1), (25, 1, 1), (250, 10, 3), (20, 4, 2)])
def test_golden_walks(steps, length, number):
    data = golden.load("12_diffusion")
    walk = schedule_jump(steps, 1, length, number)
    np.testing.assert_array_equal(walk, data[f"schedule_T{steps}_len{length}_n{number}"])
    index, forward = moves(walk)
    assert forward.sum() == (number - 1) * length * len(range(0, steps - length, length))
    assert index.min() == 0 and index.max() == steps - 1 and len(index) == len(walk) - 1


def test_repeated_single_steps():
    assert schedule_jump(4, 2) == [3, 2, 1, 2, 1, 0, 1, 0, -1]
    index, forward = moves([3, 2, 3, 2])
    assert index.tolist() == [3, 3, 3] and forward.tolist() == [False, True, False]


def test_a_chain_of_one_step_and_the_shortest_walk():
    schedule = make_schedule("1")
    assert schedule.timestep_map.tolist() == [0] and schedule.posterior_variance.tolist() == [0]
    assert all(np.isfinite(table).all() for table in schedule)
    assert schedule_jump(1) == [0, -1]


@pytest.mark.parametrize(
    "text, message",
    [
        ("x", "'100', '10,15,20' or 'ddim25' was expected"),
        ("ddim2,3", "was expected"),
        ("0", "0 of 1000 steps cannot be kept"),
        ("600,1", "600 of 500 steps cannot be kept"),
        ("ddim999", "no whole stride keeps 999 of 1000 steps"),
    ],
)
def test_respacings_that_make_no_sense(text, message):
    with pytest.raises(ValueError, match=message):
        space_timesteps(text)


def test_a_walk_needs_steps():
    with pytest.raises(ValueError, match="at least 1"):
        schedule_jump(10, 1, 0)
