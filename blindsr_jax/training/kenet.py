"""KENet as a task of the training engine, and its scores on a fixed set."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.evaluation import metrics
from blindsr_jax.kernels.family import KernelFamily
from blindsr_jax.kernels.pool import Pool
from blindsr_jax.networks.kenet import SMALLEST_SIDE, KENet
from blindsr_jax.training import kenet_losses
from blindsr_jax.training.engine import Task
from blindsr_jax.training.synthesis import Sample, Settings, category_names, mean_kernels, synthesize

_SCORES = ("kernel_psnr", "kernel_correlation", "kernel_cov_error")
_VALIDATION_KEY, _MEAN_KEY = 2024, 2025
_BATCH = 32  # examples at once
_LEAST_SHARE = 1e-5  # of a kernel, in the first guess


def make_task(
    network: KENet, family: KernelFamily, settings: Settings, *, loss: str = "attention", category_weight: float = 0.02
) -> Task:
    """The task on data (pieces, pool); training starts from the network that always answers the mean kernel.

    Args:
      network: with as many categories as the family has.
      family: of kernels, or a mixture.
      settings: how LR patches are made.
      loss: of `kenet_losses.LOSSES`.
      category_weight: of the cross entropy of the category.

    Raises:
      ValueError: an unknown loss.
    """
    distance = kenet_losses.kernel_loss(loss)

    def init(key):
        params = network.init(key, jnp.zeros((1, SMALLEST_SIDE, SMALLEST_SIDE, 3)))
        mean = jnp.mean(mean_kernels(jax.random.key(_MEAN_KEY), family), 0)
        params["params"]["kernel"]["bias"] = jnp.log(mean.reshape(-1) + _LEAST_SHARE)
        return params

    def total(params, keys, data):
        examples = synthesize(keys, *data, settings)
        prediction = network.apply(params, examples.lr)
        kernel_loss = jnp.mean(distance(prediction.kernel, examples.kernel))
        category_loss = jnp.mean(kenet_losses.cross_entropy(prediction.category_logits, examples.category))
        l1 = jnp.mean(kenet_losses.l1(prediction.kernel, examples.kernel))
        return kernel_loss + category_weight * category_loss, {
            "kernel_loss": kernel_loss,
            "category_loss": category_loss,
            "l1": l1,
        }

    return Task(init, total)


def score_names(family: KernelFamily) -> tuple[str, ...]:
    """The names of the scores of `scores_of`, by category where there are several."""
    names = tuple(f"{score}_{name}" for name in category_names(family) for score in _SCORES)
    return (*names, "category_accuracy") if family.members else names


def scores_of(kernels: np.ndarray, categories: np.ndarray, truth: Sample, family: KernelFamily) -> dict[str, float]:
    """Mean scores of estimates (n, k, k) with their categories (n,), by true category."""
    found = {}
    for index, name in enumerate(category_names(family)):
        chosen = np.flatnonzero(np.asarray(truth.category) == index)
        rows = [metrics.score_kernel(kernels[i], truth.kernel[i]) for i in chosen]
        found |= {f"{score}_{name}": float(np.mean([row[score] for row in rows])) for score in _SCORES}
    if family.members:
        found["category_accuracy"] = float(np.mean(np.asarray(categories) == np.asarray(truth.category)))
    return found


class Validation:
    """A fixed set of examples, the same for each training on this data."""

    def __init__(
        self,
        network: KENet,
        pieces: jax.Array,
        pool: Pool,
        family: KernelFamily,
        settings: Settings,
        *,
        number: int,
    ):
        """Makes `number` examples from held-out pieces and a pool of kernels of the family.

        `truth` are the examples, `baseline` the scores of the mean kernel of the true category, which is the best guess
        of who knows the category and sees no image.
        """
        keys = jax.random.split(jax.random.key(_VALIDATION_KEY), number)
        make = jax.jit(lambda keys, *data: synthesize(keys, *data, settings))
        self.truth, self._family = jax.device_get(make(keys, pieces, pool)), family
        self._apply = jax.jit(lambda params, lr: network.apply(params, lr))
        means = np.asarray(mean_kernels(jax.random.key(_MEAN_KEY), family))[self.truth.category]
        self.baseline = scores_of(means, self.truth.category, self.truth, family)

    def kernels(self, params: Any) -> tuple[np.ndarray, np.ndarray]:
        """Estimates (n, k, k) and categories (n,)."""
        parts = np.array_split(self.truth.lr, -(-len(self.truth.lr) // _BATCH))
        prediction = [jax.device_get(self._apply(params, part)) for part in parts]
        return np.concatenate([x.kernel for x in prediction]), np.concatenate(
            [x.category_logits for x in prediction]
        ).argmax(-1)

    def scores(self, params: Any) -> dict[str, float]:
        """Mean scores of a network, named as `score_names` says."""
        return scores_of(*self.kernels(params), self.truth, self._family)
