"""The evidence network as a task of the training engine: pairs against pairs, and its scores on a fixed set."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.evaluation import calibration
from blindsr_jax.inference.evidence import Observation, make_prior, shapes
from blindsr_jax.kernels.pool import Pool
from blindsr_jax.networks.evidence import SMALLEST_SIDE, Evidence, score
from blindsr_jax.training.engine import Task
from blindsr_jax.training.synthesis import Sample, Settings, synthesize

_VALIDATION_KEY = 2026
_WHOLE = 0.5  # share of the examples that keep all of their patch
_BATCH = 32  # examples at once
_WORST = 3.0  # losses of a guess among all kernels


class Views(NamedTuple):
    """Parts of LR patches, each in the corner of a frame."""

    lr: jax.Array  # (n, h, w, 3)
    sizes: jax.Array  # (n, 2) int32


def view(key: jax.Array, lr: jax.Array, least: int) -> Views:
    """A random part of an LR patch (h, h, 3), sides from `least` to all of it; half of the time all of it."""
    side = lr.shape[0]
    size_key, place_key, whole_key = jax.random.split(key, 3)
    sizes = jax.random.randint(size_key, (2,), min(least, side), side + 1)
    sizes = jnp.where(jax.random.bernoulli(whole_key, _WHOLE), side, sizes)
    first = jax.random.randint(place_key, (2,), 0, side - sizes + 1)
    return Views(jnp.roll(lr, -first, (0, 1)), sizes)


def draw(keys: jax.Array, data: tuple[jax.Array, Pool], settings: Settings, least: int) -> tuple[Sample, Views]:
    """Examples of `kenet.synthesis.synthesize`, and the parts of them that are shown; each depends on its key alone."""
    examples = synthesize(keys, *data, settings)
    return examples, jax.vmap(lambda key, lr: view(jax.random.fold_in(key, 1), lr, least))(keys, examples.lr)


def info_nce(scores: jax.Array) -> jax.Array:
    """The loss (): row i of scores (n, m), m at least n, is to choose column i of all m kernels, drawn from a prior.

    A row far worse than a guess counts as no more than that and moves nothing: one lost image or kernel of hundreds
    would otherwise be all of the step.
    """
    own = jnp.diagonal(scores)  # of the first n columns
    worst = _WORST * jnp.log(jnp.asarray(scores.shape[1], scores.dtype))
    return jnp.mean(jnp.minimum(jax.nn.logsumexp(scores, 1) - own, worst))


def make_task(network: Evidence, settings: Settings, *, others: int, least_side: int = 24) -> Task:
    """The task on data (pieces, pool): each image chooses among the kernels of its batch and others.

    Args:
      network: any size.
      settings: how LR patches are made.
      others: kernels of the pool beside those of the batch.
      least_side: of the part of a patch that is shown.
    """
    least = max(least_side, SMALLEST_SIDE)

    def init(key):
        k = network.kernel_size
        return network.init(key, jnp.zeros((1, SMALLEST_SIDE, SMALLEST_SIDE, 3)), jnp.full((1, k, k), 1 / k**2))

    def loss(params, keys, data):
        examples, views = draw(keys, data, settings, least)
        pool = data[1].kernels
        chosen = jax.random.randint(jax.random.fold_in(keys[0], 2), (others,), 0, len(pool))
        kernels = jnp.concatenate([examples.kernel, pool[chosen]])
        image = network.apply(params, *views, method="observe")
        scores = score(image, *network.apply(params, kernels, method="describe"))
        found = info_nce(scores)
        best = jnp.argmax(scores, 1) == jnp.arange(len(scores))
        # What an image tells about its kernel, in nats: a lower bound, at most log of the number of kernels.
        return found, {"information": jnp.log(scores.shape[1]) - found, "best": jnp.mean(best)}

    return Task(init, loss)


class Validation:
    """A fixed set of examples, the same for each training on this data."""

    def __init__(
        self,
        network: Evidence,
        data: tuple[jax.Array, Pool],
        settings: Settings,
        names: tuple[str, ...],
        *,
        number: int,
        least_side: int,
        num_prior: int = 4096,
    ):
        """Makes examples from held-out pieces and a pool of kernels of the prior.

        Args:
          network: the module.
          data: pieces and the pool.
          settings: how LR patches are made.
          names: of the families of the pool's categories.
          number: of examples.
          least_side: of the part of a patch that is shown.
          num_prior: kernels of the pool that the posterior is over.
        """
        keys = jax.random.split(jax.random.key(_VALIDATION_KEY), number)
        make = jax.jit(lambda keys, data: draw(keys, data, settings, least_side))
        self.truth, self.views = jax.device_get(make(keys, data))
        chosen = jax.random.permutation(jax.random.key(_VALIDATION_KEY), len(data[1].categories))[:num_prior]
        self.prior = make_prior(data[1].kernels[chosen], data[1].categories[chosen])
        self._shapes, self._names = shapes(jnp.asarray(self.truth.kernel)), names
        self._score = jax.jit(partial(_scores, network))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores."""
        number = len(self.truth.category)
        blank = calibration.Scored(np.zeros((number, len(self.prior.families))), np.zeros(number))
        return tuple(calibration.flat(self.summary(blank)))

    def scored(self, params: Any) -> calibration.Scored:
        """Log evidences of the prior and of the truth for all examples."""
        number = len(self.truth.category)
        parts = [slice(i, i + _BATCH) for i in range(0, number, _BATCH)]
        found = [
            jax.device_get(
                self._score(
                    params,
                    Views(*(x[part] for x in self.views)),
                    self.prior.kernels,
                    self.truth.kernel[part],
                )
            )
            for part in parts
        ]
        return calibration.Scored(*map(np.concatenate, zip(*found, strict=True)))

    def summary(self, scored: calibration.Scored, temperature: float = 1.0) -> dict[str, Any]:
        """All scores of a network, see `calibration.summarize`."""
        options = {"num_families": len(self._names), "temperature": temperature}
        judged = calibration.judge(scored, self._shapes, self.prior, **options)
        return calibration.summarize(judged, self.truth.category, self._names)

    def scores(self, params: Any) -> Mapping[str, float]:
        """A few scores of a network, named as `names` says."""
        return calibration.flat(self.summary(self.scored(params)))


def _scores(network: Evidence, params: Any, views: Views, draws: jax.Array, truths: jax.Array) -> calibration.Scored:
    embedding = network.apply(params, *views, method="observe")
    examples = Observation(embedding, jnp.ones(len(embedding), embedding.dtype))
    return calibration.score_all(network, params, examples, draws, truths)
