"""How many images are solved at once, without solving any."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from blindsr_jax.imaging.problem import Problem
from blindsr_jax.runs.group_size import MEMORY_SHARE, MOST_AT_ONCE, GroupSizes
from blindsr_jax.solvers import memory
from blindsr_jax.solvers.loop import Attempt
from tests import small

SHAPE = (10, 12, 3)


def attempt(shape=SHAPE, spec=None):
    return Attempt(None, Problem(jax.ShapeDtypeStruct(shape, jnp.float32), spec or small.spec()))


def sizes_of(*, spec=None, needed=None, wanted=None, memory_check=True, memory_gb=None):
    """Sizes of groups, with the bytes that an image of a shape needs."""
    options = {"group_size": wanted, "memory_check": memory_check, "memory_gb": memory_gb}
    sizes = GroupSizes(SimpleNamespace(spec=spec or small.spec(), **options))
    sizes._needed.update({SHAPE: 1000} if needed is None else needed)
    return sizes


@pytest.fixture
def accelerator(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(memory, "available", lambda: math.inf)


def test_an_estimate_stands_for_other_shapes_with_room_to_spare():
    spec = small.spec("circular")

    def fits(shape, free, needed=None):
        return sizes_of(spec=spec, needed=needed).certainly_fit(attempt(shape, spec), 1, free)

    assert fits((20, 24, 3), 8001) and not fits((20, 24, 3), 8000)
    assert fits((5, 6, 3), 2001) and not fits((5, 6, 3), 2000)  # a part may be the same for all
    assert not fits((10, 12, 1), math.inf) and not fits((10, 12, 3), math.inf, {})  # not known


def test_on_a_cpu_a_group_has_the_size_that_was_asked_for_or_one():
    assert sizes_of().size(attempt(), 10) == 1 and sizes_of(wanted=4).size(attempt(), 2) == 4


@pytest.mark.parametrize("num_left, size", [(100, 50), (MOST_AT_ONCE, MOST_AT_ONCE), (3, 3), (129, 43)])
def test_on_an_accelerator_groups_have_one_size_and_so_one_program(accelerator, num_left, size):
    assert sizes_of().size(attempt(), num_left) == size


@pytest.mark.parametrize("memory_check, size", [(True, 4), (False, 9)])
def test_a_group_takes_a_share_of_the_memory(accelerator, monkeypatch, memory_check, size):
    monkeypatch.setattr(memory, "available", lambda: 4999 / MEMORY_SHARE)
    assert sizes_of(wanted=9, memory_check=memory_check).size(attempt(), 9) == size


def test_the_user_says_how_much_memory_may_be_taken(accelerator):
    assert sizes_of(wanted=9, memory_gb=4999e-9).size(attempt(), 9) == 4


def test_on_a_cpu_a_group_is_filled_up_to_its_full_size():
    assert sizes_of().width(SHAPE, 2, 8) == 8


def test_on_an_accelerator_a_group_is_filled_up_if_that_is_cheaper_than_another_program(accelerator):
    sizes = sizes_of()
    assert [sizes.width(SHAPE, count, 8) for count in (8, 6, 5, 8, 3)] == [8, 8, 5, 8, 3]
    assert sizes.width((9, 9, 1), 2, 8) == 2  # no program of that shape yet
