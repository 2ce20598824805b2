"""One kernel for images that have one blur, as the frames of a camera: what the estimates of them have in common."""

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax import io
from blindsr_jax.imaging.problem import Belief, Problem, Spec
from blindsr_jax.io import documents
from blindsr_jax.kernels import geometry
from blindsr_jax.methods import build, learned
from blindsr_jax.methods.interfaces import Solver, min_lr_side
from blindsr_jax.runs import schemas
from blindsr_jax.runs.cli import say
from blindsr_jax.solvers import loop
from blindsr_jax.solvers.measured import make_problem

_LEAST_ENTRY = 1e-4  # of a kernel: an entry that one image does not see is not ruled out
MOST_IMAGES = 32  # that are looked at, evenly spaced in the list


def earlier(folder: str, spec: Spec) -> np.ndarray | None:
    """The kernel (k, k) of the earlier run in a folder: new images are solved with it too. None: there is none."""
    document = documents.read(os.path.join(folder, "config.json"), schemas.RUN)
    rows = (document or {}).get(schemas.SHARED_KERNEL, [])
    if [len(row) for row in rows] != [spec.kernel_size] * spec.kernel_size or not np.isfinite(rows).all():
        return None
    return np.asarray(rows, np.float32)


def as_document(kernel: np.ndarray) -> dict[str, Any]:
    """What config.json says of a kernel (k, k), for `earlier` and for telling runs apart."""
    values = np.asarray(kernel, np.float32)
    return {
        schemas.SHARED_KERNEL: values.astype(float).tolist(),
        "kernel_sha256": hashlib.sha256(values.tobytes()).hexdigest(),
    }


def _read(path: os.PathLike, spec: Spec, estimator: Solver, white_level: float | None) -> Problem | None:
    """The problem of an image, or None for one that cannot be used: what ails it is said when it is solved."""
    try:
        source = io.fill_hidden(io.read_image(path, white_level=white_level))
    except (io.InputError, OSError):
        return None
    small = min(source.pixels.shape[:2]) < min_lr_side(spec, estimator)
    return None if small else make_problem(source.pixels, spec, estimator, jpeg_steps=source.jpeg_steps)


def own_kernel(problem: Problem, estimator: Solver) -> jax.Array:
    """The kernel (k, k) that an estimator of one step finds."""
    key = jax.random.key(0)  # estimators of one step draw nothing
    state = loop.start(key, problem, None, estimator.arrays, solver=estimator)
    return loop.run_chunk(key, state, problem, jnp.int32(0), estimator.arrays, solver=estimator, length=1)[0].kernel


def pool(kernels: jax.Array) -> jax.Array:
    """The geometric mean (k, k) of the estimates (n, k, k) of one kernel, sum 1: what most of them have.

    It is narrower than the arithmetic mean, which is a smear of estimates that differ.
    """
    pooled = jnp.exp(jnp.mean(jnp.log(jnp.maximum(kernels, 0) + _LEAST_ENTRY), 0)) - _LEAST_ENTRY
    return geometry.normalize(pooled, clip=True)


def _problems(paths: Sequence[os.PathLike], spec: Spec, solver: Solver, white_level: float | None) -> Iterator[Problem]:
    """Those of the images that can be used; of many, of MOST_IMAGES."""
    places = np.unique(np.linspace(0, len(paths) - 1, min(len(paths), MOST_IMAGES)).round().astype(int))
    read = (_read(paths[i], spec, solver, white_level) for i in places)
    return (problem for problem in read if problem is not None)


def estimate(paths: Sequence[os.PathLike], config: Any, spec: Spec, *, white_level: float | None = None) -> np.ndarray:
    """One kernel for several images, (k, k).

    Args:
      paths: files of images; of many, MOST_IMAGES are looked at.
      config: whose estimator gives a kernel for each.
      spec: the static part of their problems.
      white_level: see `io.read_image`.

    Raises:
      ValueError: the config has no estimator of one step, or no image can be used.
    """
    estimator = build.build_estimator(config, spec)
    number = 0

    def counted():
        nonlocal number
        for problem in _problems(paths, spec, estimator, white_level):
            number += 1
            yield problem

    if estimator.common is None:
        own = [own_kernel(problem, estimator) for problem in counted()]
        found = pool(jnp.stack(own)) if own else None
    else:
        found = estimator.common(counted())
    if found is None:
        raise ValueError("--shared_kernel: no image can be read and is large enough, one at least was expected")
    say(f"one kernel for all images, from {number} of them")
    return np.asarray(found, np.float32)


def judge(
    paths: Sequence[os.PathLike], kernel: np.ndarray, solver: Solver, spec: Spec, *, white_level: float | None = None
) -> Solver:
    """The solver with one belief in the kernel (k, k) of all images, from all of them, where it has beliefs at all.

    Images are read when the first belief is asked for.
    """
    if solver.believe is None:
        return solver

    @functools.cache
    def found() -> Belief | None:
        problems = _problems(paths, spec, solver, white_level)
        return learned.believe_together(learned.load(spec), problems, jnp.asarray(kernel))

    return solver._replace(believe=lambda problem, own: found())
