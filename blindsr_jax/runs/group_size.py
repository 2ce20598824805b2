"""How many images are solved at once, and which are refused, by the memory that they are estimated to take."""

import math
import os
import sys

import jax

from blindsr_jax import io
from blindsr_jax.runs.cli import say
from blindsr_jax.runs.task import ImageTask, Run
from blindsr_jax.solvers import memory
from blindsr_jax.solvers.loop import Attempt

MOST_AT_ONCE = 64  # images of a group, per device
MEMORY_SHARE = 0.75  # of what is free: the estimate is rough, and others use the machine too


class GroupSizes:
    """Sizes of groups by the shape of their images; each shape is estimated once."""

    def __init__(self, run: Run):
        """Knows no shape yet."""
        self._run = run
        self._needed: dict[tuple[int, ...], int] = {}  # bytes of an image of a shape
        self._widths: dict[tuple[int, ...], int] = {}  # of the last program of a shape

    def free(self) -> float:
        """Bytes that an image or a group may take."""
        given = self._run.memory_gb
        return MEMORY_SHARE * memory.available() if given is None else 1e9 * given

    def needed(self, attempt: Attempt) -> int:
        """Bytes that an image like this one takes, estimated."""
        shape = attempt.problem.lr.shape
        if shape not in self._needed:
            run = self._run
            estimated = memory.estimate(
                attempt.key, attempt.problem, run.solver, **run.steps(attempt.problem.lr.shape), kernel=attempt.kernel
            )
            self._needed[shape] = estimated
        return self._needed[shape]

    def certainly_fit(self, attempt: Attempt, count: int, free: float) -> bool:
        """Whether the estimate for another shape with as many colours says so: it spares tracing the program for each.

        A part of what a solve takes grows with its pixels, the rest is the same for all.
        """
        shape, spec = attempt.problem.lr.shape, self._run.spec
        pixels = math.prod(spec.canvas_shape(shape))
        bounds = [
            needed * max(1.0, pixels / math.prod(spec.canvas_shape(other)))
            for other, needed in self._needed.items()
            if other[-1] == shape[-1]
        ]
        return count * memory.SLACK * min(bounds, default=math.inf) < free

    def check(self, task: ImageTask) -> None:
        """Refuses an image that is too large, and says so where one nearly is.

        Raises:
          InputError: memory does not hold it.
        """
        free = self.free()
        if self.certainly_fit(task.attempt, 1, free):
            return
        needed = self.needed(task.attempt)
        if needed > free and self._run.memory_check:
            raise self.too_large(task)
        if needed > free / 2:
            say(f"{task.name}: {memory.in_words(needed, free)}", sys.stderr)

    def too_large(self, task: ImageTask) -> io.InputError:
        """What to say of an image that memory does not hold."""
        (h, w, _), scale = task.attempt.problem.lr.shape, self._run.spec.scale
        channels = self._run.config.image.get("channels")
        options = f"take fewer --config.image.channels (now {channels}) or crop it" if channels else "crop it"
        if self._run.config.get("restorer") != "tiles":
            options += ", or take configs/photo.py, which works in tiles"
        return io.InputError(
            f"cannot solve {os.fspath(task.path)!r}: {w} x {h} pixels at scale {scale} are solved whole, "
            f"{memory.in_words(self.needed(task.attempt), self.free())}, {options}"
        )

    def size(self, attempt: Attempt, num_left: int) -> int:
        """How many images like this one to solve at once, of at most `num_left`."""
        wanted = self._run.group_size
        is_cpu, num_devices = jax.default_backend() == "cpu", jax.local_device_count()
        most = wanted or (1 if is_cpu else MOST_AT_ONCE * num_devices)
        free = self.free() * (1 if is_cpu else num_devices)  # the CPUs that jax can be told to see are one memory
        if most > 1 and self._run.memory_check and not self.certainly_fit(attempt, most, free):
            most = max(1, min(most, int(free / self.needed(attempt))))
        # Groups of one size share a program: 100 images are 50 and 50 rather than 64 and 36.
        return most if wanted else math.ceil(num_left / math.ceil(num_left / most))

    def width(self, shape: tuple[int, ...], count: int, size: int) -> int:
        """What a group of `count` images is to be filled up to, where a whole one has `size`.

        On a CPU to its full size, so that the bits of an image do not depend on what an interruption left of its group;
        on an accelerator if that is cheaper than compiling another program.
        """
        if jax.default_backend() == "cpu":
            return size
        last = self._widths.get(shape, 1)
        self._widths[shape] = last if 0.75 * last <= count <= last else count
        return self._widths[shape]
