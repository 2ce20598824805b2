"""Noise schedules: how much noise each step adds, which steps a shorter chain keeps, and in which order it walks.

Everything is float64 NumPy on the host; `steps` looks entries up in the precision of the image.
"""

from typing import NamedTuple

import numpy as np

NUM_STEPS = 1000  # of the whole chain, in the releases
_BETAS = (1e-4, 0.02)  # first and last for 1000 steps (Ho et al. 2020)


class Schedule(NamedTuple):
    """Tables of a chain of n steps, each float64 (n,) but for the first; index 0 is the step with least noise."""

    timestep_map: np.ndarray  # int64, the time in the whole chain, which the network is told
    betas: np.ndarray  # variance that a step adds
    alphas_cumprod: np.ndarray  # share of the image's variance that is left
    alphas_cumprod_prev: np.ndarray  # the same a step earlier, 1 before the first
    sqrt_recip_alphas_cumprod: np.ndarray
    sqrt_recipm1_alphas_cumprod: np.ndarray
    posterior_variance: np.ndarray  # of x_(i-1) given x_i and x_0
    posterior_log_variance_clipped: np.ndarray  # its log, where the first is 0 the second is taken
    posterior_mean_coef1: np.ndarray  # of x_0
    posterior_mean_coef2: np.ndarray  # of x_i

    @property
    def num_steps(self) -> int:
        """n."""
        return len(self.betas)


def linear_betas(num_steps: int = NUM_STEPS) -> np.ndarray:
    """Betas that grow linearly; a chain of other length than 1000 adds the same noise in all. (n,)"""
    scale = NUM_STEPS / num_steps
    return np.linspace(scale * _BETAS[0], scale * _BETAS[1], num_steps, dtype=np.float64)


def _evenly(start: int, size: int, count: int, of: str) -> list[int]:
    """`count` of `size` steps from `start` on, with the first and the last among them."""
    if not 1 <= count <= size:
        raise ValueError(f"respacing {of!r}: {count} of {size} steps cannot be kept")
    stride = (size - 1) / (count - 1) if count > 1 else 1.0
    steps, position = [], 0.0
    for _ in range(count):
        steps.append(start + round(position))
        position += stride  # summed rather than multiplied: ties of rounding fall as in the release
    return steps


def space_timesteps(respacing: str, num_steps: int = NUM_STEPS) -> np.ndarray:
    """Which steps of the whole chain a shorter one keeps (Nichol & Dhariwal 2021), in the release's notation.

    For parity with the released code; solves name the kept steps themselves.

    Args:
      respacing: 'N' keeps N steps evenly, 'N1,N2,...' so many of each of equal sections, 'ddimN' every s-th step from
        0 on with a whole s that gives N, '' all.
      num_steps: of the whole chain.

    Returns:
      Increasing int64 array.

    Raises:
      ValueError: on a text that is none of these, or more steps than there are.
    """
    if not respacing:
        return np.arange(num_steps)
    ddim = respacing.startswith("ddim")
    try:
        counts = [int(n) for n in respacing.removeprefix("ddim").split(",")]
    except ValueError:
        counts = []
    if not counts or ddim and len(counts) > 1:
        raise ValueError(f"respacing {respacing!r}: '100', '10,15,20' or 'ddim25' was expected")
    if ddim:
        for stride in range(1, num_steps + 1):
            if len(kept := np.arange(0, num_steps, stride)) == counts[0]:
                return kept
        raise ValueError(f"respacing {respacing!r}: no whole stride keeps {counts[0]} of {num_steps} steps")
    size, longer = divmod(num_steps, len(counts))
    steps, start = [], 0
    for section, count in enumerate(counts):
        length = size + (section < longer)
        steps += _evenly(start, length, count, respacing)
        start += length
    return np.array(steps)


def make_schedule(respacing: str = "", *, num_steps: int = NUM_STEPS, kept: np.ndarray | None = None) -> Schedule:
    """The linear schedule, respaced: the kept steps have the noise level that they have in the whole chain.

    Args:
      respacing: see `space_timesteps`.
      num_steps: of the whole chain.
      kept: increasing steps of the whole chain in place of `respacing`.

    Raises:
      ValueError: see `space_timesteps`.
    """
    kept = space_timesteps(respacing, num_steps) if kept is None else kept
    levels = np.cumprod(1 - linear_betas(num_steps))[kept]
    betas = 1 - levels / np.append(1.0, levels[:-1])
    alphas = np.cumprod(1 - betas)
    before = np.append(1.0, alphas[:-1])
    variance = betas * (1 - before) / (1 - alphas)
    return Schedule(
        timestep_map=kept,
        betas=betas,
        alphas_cumprod=alphas,
        alphas_cumprod_prev=before,
        sqrt_recip_alphas_cumprod=np.sqrt(1 / alphas),
        sqrt_recipm1_alphas_cumprod=np.sqrt(1 / alphas - 1),
        posterior_variance=variance,
        posterior_log_variance_clipped=np.log(np.append(variance[1:2], variance[1:]) if len(betas) > 1 else betas),
        posterior_mean_coef1=betas * np.sqrt(before) / (1 - alphas),
        posterior_mean_coef2=(1 - before) * np.sqrt(1 - betas) / (1 - alphas),
    )


def schedule_jump(num_steps: int, n_sample: int = 1, jump_length: int = 1, jump_n_sample: int = 1) -> list[int]:
    """The walk of RePaint down the chain and partly up again (Lugmayr et al. 2022, appendix).

    Args:
      num_steps: of the respaced chain.
      n_sample: how often each single step is taken.
      jump_length: how far up a jump goes; there is a place for one at every multiple of it.
      jump_n_sample: how often each such stretch is walked down.

    Returns:
      Noise levels from num_steps - 1 to -1, neighbours differ by one. Descending by default.

    Raises:
      ValueError: a number below 1.
    """
    if min(num_steps, n_sample, jump_length, jump_n_sample) < 1:
        raise ValueError("a walk needs at least 1 step, and a length and numbers of at least 1")
    jumps = dict.fromkeys(range(0, num_steps - jump_length, jump_length), jump_n_sample - 1)
    walk, level = [], num_steps
    while level > 0:
        level -= 1
        walk.append(level)
        if level + 2 < num_steps:
            walk += [level + 1, level] * (n_sample - 1)
        if jumps.get(level, 0) > 0:
            jumps[level] -= 1
            walk += range(level + 1, level + jump_length + 1)
            level += jump_length
    return [*walk, -1]


def jump_walk(num_steps: int, *, jump_length: int, jump_count: int) -> list[int]:
    """The longest walk of `schedule_jump` with at most so many steps down, and the rest as levels above all jumps.

    Args:
      num_steps: steps down, each of which asks the network once.
      jump_length: of `schedule_jump`.
      jump_count: how often each stretch of that length is walked down; 1 is straight down.

    Returns:
      Noise levels from the top of a chain, which is shorter than `num_steps` where there are jumps, to -1.

    Raises:
      ValueError: a number below 1.
    """

    def spare(levels):
        repeated = jump_length * (jump_count - 1) * len(range(0, levels - jump_length, jump_length))
        return num_steps - levels - repeated

    levels = next(n for n in range(num_steps, 0, -1) if n == 1 or spare(n) >= 0)
    top = levels + spare(levels)
    return [*range(top - 1, levels - 1, -1), *schedule_jump(levels, 1, jump_length, jump_count)]


def moves(walk: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The steps between the levels of a walk.

    Returns:
      int32 (m,), the index in the chain of the step taken, and bool (m,), whether it adds noise.
    """
    levels = np.array(walk, np.int32)
    forward = levels[1:] > levels[:-1]
    return np.where(forward, levels[1:], levels[:-1]), forward
