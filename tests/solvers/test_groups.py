"""The queue of a run: who is solved with whom, what becomes of a group that fails, and second tries."""

from types import SimpleNamespace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem, Result, Status
from blindsr_jax.solvers import batch
from blindsr_jax.solvers.groups import GroupQueue
from blindsr_jax.solvers.loop import Attempt
from tests import small

EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes.")


class Item(NamedTuple):
    attempt: Attempt
    name: str


def item(name, shape=(8, 8, 1)):
    return Item(Attempt(None, Problem(jax.ShapeDtypeStruct(shape, jnp.float32), small.spec())), name)


class Log:
    """A queue whose groups, finished and failed items are noted; `error` of a group is raised."""

    def __init__(self, *, size, error=lambda group: None, lost="", retry=None, **options):
        self.groups, self.finished, self.failed, self.error, self.lost = [], [], [], error, lost
        options.setdefault("fail", lambda item, error: self.failed.append(item.name))
        self.queue = GroupQueue(
            SimpleNamespace(retry=retry),
            size=lambda attempt: size,
            solve=self.solve,
            finish=lambda item, result: self.finished.append((item.name, str(result.status))),
            **options,
        )

    def solve(self, group):
        names = "".join(item.name for item in group)
        self.groups.append(names)
        if (error := self.error(names)) is not None:
            raise error
        return [(item, Result(None, None, {}, self.status(item), None)) for item in group]

    def status(self, item):
        return Status.DIVERGED if item.name in self.lost and item.attempt.number == 0 else Status.OK

    def put(self, names, **options):
        for name in names:
            self.queue.put(item(name, **options))


def test_items_of_one_shape_are_solved_together_once_there_are_enough():
    log = Log(size=2)
    log.put("a")
    log.put("b", shape=(9, 8, 1))
    assert log.groups == []
    log.put("cd")
    assert log.groups == ["ac"]
    log.queue.drain()
    assert log.groups == ["ac", "b", "d"] and [name for name, _ in log.finished] == ["a", "c", "b", "d"]


def test_the_largest_group_goes_first_when_too_many_wait():
    log = Log(size=9, most_waiting=4)
    log.put("a")
    log.put("bcd", shape=(9, 8, 1))
    assert log.groups == ["bcd"]


def test_a_group_that_memory_does_not_hold_is_halved_and_so_are_those_after_it():
    log = Log(size=9, error=lambda names: EXHAUSTED if len(names) > 2 else None)
    log.put("abcdefghijk")
    log.queue.drain()
    assert log.groups == ["abcdefghi", "abcd", "ab", "cd", "ef", "gh", "i", "jk"]
    assert [name for name, _ in log.finished] == list("abcdefghijk") and log.failed == []


def test_what_ails_one_item_fails_it_alone():
    log = Log(size=5, error=lambda names: ValueError("ill") if "c" in names else None, divides=lambda error: True)
    log.put("abcde")
    assert log.groups == ["abcde", "ab", "cd", "c", "d", "e"] and log.failed == ["c"]
    assert log.queue.sizes == {(8, 8, 1): 5}


def test_an_error_that_halving_cannot_mend_ends_all():
    log = Log(size=2, error=lambda names: ValueError("ill"))
    with pytest.raises(ValueError, match="ill"):
        log.put("ab")
    assert log.groups == ["ab"] and log.failed == []


def test_a_lost_item_gets_its_second_try_and_no_third():
    log = Log(size=2, lost="ac", retry="another solver")
    log.put("abcd")
    assert log.groups == ["ab", "cd", "ac"] and [name for name, _ in log.finished] == ["b", "d", "a", "c"]
    alone = Log(size=1, lost="a")
    alone.put("a")
    assert alone.groups == ["a"] and alone.finished == [("a", "diverged")]


def test_the_second_try_has_a_key_and_a_solver_of_its_own():
    attempt, solver = Attempt(jax.random.key(0), None, number=1), SimpleNamespace(retry="another solver")
    key, method = attempt.method(solver)
    assert method == "another solver" and not (jax.random.key_data(key) == jax.random.key_data(attempt.key)).all()
    with pytest.raises(ValueError, match="no second try"):
        attempt.method(SimpleNamespace(retry=None))


def test_a_stack_that_memory_does_not_hold_is_halved(monkeypatch):
    sizes = []

    def solve_group(attempts, solver, **options):
        sizes.append(len(attempts))
        if len(attempts) > 2:
            raise EXHAUSTED
        return [Result(int(one.problem.lr[0]), int(one.kernel), {}, Status.OK, None) for one in attempts]

    monkeypatch.setattr(batch, "solve_group", solve_group)
    problems, options = Problem(jnp.arange(11)[:, None], small.spec()), {"num_steps": 1, "vectorize": True}
    found = batch.solve_batch(small.keys(11), problems, None, kernels=np.arange(11), group=9, **options)
    assert [(one.image, one.kernel) for one in found] == [(i, i) for i in range(11)]
    assert sizes == [9, 4, 2, 2, 2, 2, 1, 2]


@pytest.mark.parametrize("text, calls", [("RESOURCE_EXHAUSTED: too much", [2, 1]), ("INTERNAL: no", [2])])
def test_what_halving_a_stack_cannot_mend_is_an_error(monkeypatch, text, calls):
    sizes = []

    def solve_group(attempts, solver, **options):
        sizes.append(len(attempts))
        raise jax.errors.JaxRuntimeError(text)

    monkeypatch.setattr(batch, "solve_group", solve_group)
    problems = Problem(jnp.zeros((2, 1)), small.spec())
    with pytest.raises(jax.errors.JaxRuntimeError, match=text):
        batch.solve_batch(small.keys(2), problems, None, num_steps=1, vectorize=True)
    assert sizes == calls
