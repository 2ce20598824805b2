"""Images that wait for others of their shape, to be solved in groups: the one place of halving and of second tries."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

from blindsr_jax.imaging.problem import Result
from blindsr_jax.methods.interfaces import Solver
from blindsr_jax.solvers.loop import Attempt
from blindsr_jax.solvers.memory import is_out_of_memory


class HasAttempt(Protocol):
    """A NamedTuple with an attempt, and whatever else belongs to its image."""

    @property
    def attempt(self) -> Attempt:
        """What is to be solved."""

    def _replace(self, *, attempt: Attempt) -> Self: ...


Item = TypeVar("Item", bound=HasAttempt)


def _raise(item: Any, error: Exception) -> None:
    raise error


class GroupQueue(Generic[Item]):
    """Solves items in groups of one `Attempt.place`, each once there are enough of them.

    A group that fails is solved in parts: in halves, and where memory was exhausted those after it as well. An item
    whose numbers are lost goes back into the queue for its second try, if the solver has one.

    Attributes:
      sizes: how many items of a shape to solve at once, by the shape of their LR images.
    """

    def __init__(
        self,
        solver: Solver,
        *,
        size: Callable[[Attempt], int],
        solve: Callable[[Sequence[Item]], Sequence[tuple[Item, Result]]],
        finish: Callable[[Item, Result], None],
        fail: Callable[[Item, Exception], None] = _raise,
        divides: Callable[[Exception], bool] = is_out_of_memory,
        most_waiting: int | None = None,
    ):
        """Makes an empty queue.

        Args:
          solver: of all items.
          size: the number of items of its shape to solve at once to begin with; asked once per shape.
          solve: runs a group; gives each item, as it has become, with its result.
          finish: takes an item that needs no further try, with its result.
          fail: takes an item that fails alone; the default raises its error.
          divides: whether a group is solved in parts after an error; any other error ends all.
          most_waiting: items that wait at most, before the largest group is solved though it is not full.
        """
        self._solver, self._size, self._run = solver, size, solve
        self._finish, self._fail, self._divides, self._most_waiting = finish, fail, divides, most_waiting
        self._waiting: dict[Any, list[Item]] = {}  # by `Attempt.place`
        self.sizes: dict[tuple[int, ...], int] = {}

    def put(self, item: Item) -> None:
        """Adds an item, and solves those of its kind once there are enough of them."""
        place, shape = item.attempt.place, item.attempt.problem.lr.shape
        if shape not in self.sizes:
            self.sizes[shape] = self._size(item.attempt)
        self._waiting.setdefault(place, []).append(item)
        if len(self._waiting[place]) >= self.sizes[shape]:
            self._solve(self._waiting.pop(place))
        elif self._most_waiting is not None and sum(map(len, self._waiting.values())) >= self._most_waiting:
            self._solve(self._waiting.pop(max(self._waiting, key=lambda place: len(self._waiting[place]))))

    def drain(self) -> None:
        """Solves the items that still wait."""
        while self._waiting:
            self._solve(self._waiting.pop(next(iter(self._waiting))))

    def _solve(self, group: Sequence[Item]) -> None:
        done = self._try(group)
        if done is None:
            self._solve_in_parts(group)
            return
        lost = []
        for item, result in done:
            following = item.attempt.following(result, self._solver)
            if following is None:
                self._finish(item, result)
            else:
                lost.append(item._replace(attempt=following))
        for item in lost:
            self.put(item)

    def _try(self, group: Sequence[Item]) -> Sequence[tuple[Item, Result]] | None:
        """Items and results; None where the group is to be solved in parts.

        That is done outside, when the error is gone: it holds on to the memory that is to be freed.
        """
        try:
            return self._run(group)
        except Exception as error:
            if not self._divides(error):
                raise
            if len(group) == 1:
                self._fail(group[0], error)
                return []
            if is_out_of_memory(error):
                self.sizes[group[0].attempt.problem.lr.shape] = len(group) // 2
        return None

    def _solve_in_parts(self, group: Sequence[Item]) -> None:
        shape, half = group[0].attempt.problem.lr.shape, len(group) // 2
        while group:
            count = min(half, self.sizes[shape])  # a part may have found that fewer fit
            self._solve(group[:count])
            group = group[count:]
