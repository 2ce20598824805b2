"""Solvers out of solvers: a kernel estimator and then a restorer; a joint solver that starts at an estimate."""

import dataclasses

import jax
import jax.numpy as jnp

from blindsr_jax.methods.interfaces import Solver, State, pair_weights, silent_trace, split_weights

_SECOND = 2**30  # folded into the key of the second solver; no step has that number


def _bare(state: State) -> State:
    """A state without its image: a pair of solvers needs one image, which may be large."""
    return state._replace(image=())


def _kernels(state: State) -> jax.Array:
    """What a restorer starts from: the kernel, or those of the parts of the image."""
    return state.kernel if state.kernel_map is None else state.kernel_map


def sequence(estimator: Solver, restorer: Solver, *, estimator_steps: int, num_steps: int | None = None) -> Solver:
    """An estimator for so many steps, and then a restorer with the kernel that it found, as one solver.

    All that is made for solvers (chunks, resuming, groups, devices) serves the pair.

    Args:
      estimator: its `State.kernel` is the kernel.
      restorer: its `init` takes the kernel; the image that it starts from does not depend on it.
      estimator_steps: how many steps are the estimator's; all later ones are the restorer's, which counts from 0.
      num_steps: of both together, for callers that name none; a restorer that is made for some has these.
    """

    def init(key, problem, kernel=None, weights=None):
        ours, theirs = split_weights(weights)
        first = estimator.init(key, problem, kernel, *ours)
        start = restorer.init(jax.random.fold_in(key, _SECOND), problem, _kernels(first), *theirs)
        second = jax.tree.map(jnp.zeros_like, start)._replace(image=start.image)
        return State(_bare(second), _bare(first), second.image, first.kernel, second.image_std, first.kernel_map)

    def step(key, state, problem, i, weights=None):
        ours, theirs = split_weights(weights)

        def estimate():
            first = state.kernel_state._replace(image=jnp.zeros(problem.canvas_shape, problem.lr.dtype))
            first, trace = estimator.step(key, first, problem, i, *ours)
            return _bare(first), trace

        def wait():
            return state.kernel_state, silent_trace(problem.lr.dtype)

        def restore(carried):
            _, state, _ = carried
            own = jax.random.fold_in(key, _SECOND)
            with_noise = problem
            if estimator.restorer_noise is not None and problem.noise_std is not None:
                noise = estimator.restorer_noise(state.kernel_state, problem)
                with_noise = dataclasses.replace(problem, noise_std=noise)
            second = jax.lax.cond(
                i == estimator_steps,
                lambda: _bare(restorer.init(own, with_noise, _kernels(state), *theirs)),
                lambda: state.image_state,
            )
            second = second._replace(image=state.image)
            second, trace = restorer.step(own, second, with_noise, i - estimator_steps, *theirs)
            state = state._replace(image_state=_bare(second), image=second.image, image_std=second.image_std)
            return jnp.array(True), state, trace

        # The same for all images of a batch, so vmap keeps the choice. The image, which may be large, takes no part in
        # one, which would copy it: it has been there from the start, and a loop of one turn or none leaves it in place.
        first, trace = jax.lax.cond(i < estimator_steps, estimate, wait)
        state = state._replace(kernel_state=first, kernel=first.kernel, kernel_map=first.kernel_map)
        return jax.lax.while_loop(lambda carried: ~carried[0], restore, (i < estimator_steps, state, trace))[1:]

    side = max(estimator.smallest_side, restorer.smallest_side)
    later = (0, *restorer.turns)
    turns = (*estimator.turns, *(estimator_steps + turn for turn in later))
    is_fixed = restorer.has_fixed_steps
    of = restorer.steps_of

    def explain(state):
        words = restorer.message(state.image_state), estimator.message(state.kernel_state)
        return "; ".join(filter(None, words))

    return Solver(
        init,
        step,
        side,
        weights=pair_weights(estimator.weights, restorer.weights),
        num_steps=estimator_steps + restorer.num_steps if is_fixed else num_steps,
        has_fixed_steps=is_fixed,
        turns=turns,
        steps_of=None if of is None else lambda lr_shape: estimator_steps + of(lr_shape),
        uses_noise=estimator.uses_noise or restorer.uses_noise,
        uses_mask=estimator.uses_mask or restorer.uses_mask,
        explain=explain,
    )


def started_by(estimator: Solver, solver: Solver) -> Solver:
    """A solver that starts at the kernel that one step of an estimator finds, unless a kernel is given."""

    def init(key, problem, kernel=None, weights=None):
        ours, theirs = split_weights(weights)
        if kernel is None:
            first = estimator.init(key, problem, None, *ours)
            kernel = estimator.step(key, first, problem, jnp.int32(0), *ours)[0].kernel
        return solver.init(key, problem, kernel, *theirs)

    def step(key, state, problem, i, weights=None):
        return solver.step(key, state, problem, i, *split_weights(weights)[1])

    retry = None if solver.retry is None else started_by(estimator, solver.retry)
    side = max(estimator.smallest_side, solver.smallest_side)
    return solver._replace(
        init=init, step=step, smallest_side=side, retry=retry, weights=pair_weights(estimator.weights, solver.weights)
    )
