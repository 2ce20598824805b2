"""Whether the probabilities of a posterior over kernels hold, on images whose kernels are known."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, special

from blindsr_jax.inference import evidence as posteriors
from blindsr_jax.inference.evidence import LEVELS, TOLERANCE, Observation, Prior, Shapes
from blindsr_jax.networks.evidence import Evidence, score

TEMPERATURES = tuple(np.geomspace(0.5, 8.0, 33).tolist())  # those that are tried
BINS = 7  # of the reliability curve
_AT_ONCE = 64  # posteriors


class Scored(NamedTuple):
    """Log evidences on n images."""

    prior: np.ndarray  # (n, m) of the draws of the prior
    truth: np.ndarray  # (n,) of the true kernels

    def part(self, chosen: Any) -> "Scored":
        """Those of some images."""
        return Scored(self.prior[chosen], self.truth[chosen])


def score_all(network: Evidence, params: Any, seen: Observation, draws: jax.Array, truths: jax.Array) -> Scored:
    """Log evidences of m draws (m, k, k) and of the true kernels (n, k, k) on n images with these observations."""
    every = score(seen.embedding, *network.apply(params, draws, method="describe"), seen.strength)
    own = score(seen.embedding, *network.apply(params, truths, method="describe"), seen.strength)
    return Scored(every, jnp.diagonal(own))


class Judged(NamedTuple):
    """How the posteriors of n images stand to the truth; the kernel is the posterior mean."""

    cov_error: np.ndarray  # (n,) of the kernel
    confidence: np.ndarray  # (n,) said probability that it is below TOLERANCE
    log_score: np.ndarray  # (n,) nats by which the true kernel gains over the prior
    width_rank: np.ndarray  # (n,) in [0, 1], probability of a smaller width than the true one; uniform if right
    direction_rank: np.ndarray  # (n,) in [0, 1], probability of being nearer to the mean axis; uniform if right
    families: np.ndarray  # (n, F) probabilities
    effective_size: np.ndarray  # (n,) draws


def log_scores(scored: Scored, temperature: float) -> np.ndarray:
    """(n,): log of the posterior's density at the true kernel over that of the prior, at most log(m + 1)."""
    truth = scored.truth[:, None] / temperature
    every = np.concatenate([truth, scored.prior / temperature], 1)
    top = every.max(1)
    return truth[:, 0] - top - np.log(np.mean(np.exp(every - top[:, None]), 1))


def fit_temperature(scored: Scored) -> float:
    """The temperature of TEMPERATURES under which the true kernels are most probable."""
    return max(TEMPERATURES, key=lambda t: float(np.mean(log_scores(scored, t))))


@partial(jax.jit, static_argnames="num_families")
def _judge(evidence, truth: Shapes, prior: Prior, temperature, *, num_families: int):
    def one(evidence, truth):
        found = posteriors.posterior(evidence, prior, num_families=num_families, temperature=temperature)
        distance = partial(posteriors.axis_distance, found.direction.center)
        return (
            posteriors.covariance_errors(found.kernel_mean, truth.covariance[None])[0],
            posteriors.confidence(found.kernel_mean, found.weights, prior),
            posteriors.probability(found.weights, prior.shapes.width < truth.width),
            posteriors.probability(found.weights, distance(prior.shapes.direction) < distance(truth.direction)),
            found.families,
            posteriors.effective_size(found.weights),
        )

    return jax.lax.map(lambda pair: one(*pair), (evidence, truth), batch_size=min(len(evidence), _AT_ONCE))


def judge(scored: Scored, truth: Shapes, prior: Prior, *, num_families: int, temperature: float) -> Judged:
    """Compares posteriors with the true kernels' shapes, n of them."""
    found = _judge(jnp.asarray(scored.prior), truth, prior, temperature, num_families=num_families)
    error, said, *rest = map(np.asarray, found)
    return Judged(error, said, log_scores(scored, temperature), *rest)


def coverage(judged: Judged) -> dict[str, list[float]]:
    """Shares of the images whose width and direction lie within the intervals of LEVELS."""
    levels = np.asarray(LEVELS)[:, None]
    width, direction = 2 * np.abs(judged.width_rank - 0.5) < levels, judged.direction_rank < levels
    return {"width": np.mean(width, 1).tolist(), "direction": np.mean(direction, 1).tolist()}


def reliability(said: np.ndarray, happened: np.ndarray) -> list[dict[str, float]]:
    """Said probabilities (n,) and what happened (n,), in BINS of equal width; empty ones are left out."""
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    groups = [bins == i for i in range(BINS)]
    return [
        {"said": float(np.mean(said[g])), "found": float(np.mean(happened[g])), "number": int(np.sum(g))}
        for g in groups
        if g.any()
    ]


def _logits(said: np.ndarray) -> np.ndarray:
    said = np.clip(said, 1e-3, 1 - 1e-3)  # what is said to be certain is not
    return np.log(said / (1 - said))


def recalibrate(said: np.ndarray, line: tuple[float, float]) -> np.ndarray:
    """Probabilities (n,) whose logits are a + b times those of the ones that were said, `line` (a, b) (Platt 1999)."""
    return special.expit(line[0] + line[1] * _logits(said))


def fit_line(said: np.ndarray, happened: np.ndarray) -> tuple[float, float]:
    """The (a, b) of `recalibrate` under which what happened (n,) is most probable.

    A prior of the weight of one image holds it at (0, 1), so that it exists whatever happened.
    """
    logits = _logits(said)

    def loss(line):
        z = line[0] + line[1] * logits
        return np.sum(np.logaddexp(0, z) - happened * z) + np.sum((line - [0.0, 1.0]) ** 2) / 2

    found = optimize.minimize(loss, np.array([0.0, 1.0])).x
    return float(found[0]), float(found[1])


def calibration_error(said: np.ndarray, happened: np.ndarray) -> float:
    """ECE: the mean over the images of the distance between said and found in their bin."""
    return sum(row["number"] * abs(row["said"] - row["found"]) for row in reliability(said, happened)) / len(said)


def trust(said: np.ndarray, happened: np.ndarray) -> dict[str, float]:
    """How probabilities (n,) stand to what happened (n,): their mean, its share, Brier scores, ECE."""
    base = float(np.mean(happened))
    return {
        "confidence": float(np.mean(said)),
        "share_close": base,
        "brier": float(np.mean((said - happened) ** 2)),
        "brier_base": base * (1 - base),
        "ece": calibration_error(said, happened),
    }


def summarize(judged: Judged, families: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The scores of n images: of all, and of each true family (n,), whose names are `names`."""
    rows = {"all": np.ones(len(families), bool)} | {name: families == i for i, name in enumerate(names)}
    return {name: _summary(judged, families, chosen) for name, chosen in rows.items() if chosen.any()}


def _summary(judged: Judged, families: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    judged, families = Judged(*(x[chosen] for x in judged)), families[chosen]
    happened = (judged.cov_error < TOLERANCE).astype(float)
    return {
        "number": len(families),
        "cov_error": float(np.mean(judged.cov_error)),
        "cov_error_median": float(np.median(judged.cov_error)),
        "log_score": float(np.mean(judged.log_score)),
        "coverage": coverage(judged),
        **trust(judged.confidence, happened),
        "reliability": reliability(judged.confidence, happened),
        "family_accuracy": float(np.mean(judged.families.argmax(1) == families)),
        "confusion": judged.families.mean(0).tolist(),
        "effective_size": float(np.mean(judged.effective_size)),
    }


def of_kernels(kernels: np.ndarray, scored: Scored, truth: Shapes, prior: Prior, temperature: float) -> np.ndarray:
    """What posteriors say of kernels (n, k, k) that something else found: (2, n), their errors and `confidence`."""

    def one(evidence, truth, kernel):
        weights = posteriors.weigh(evidence, temperature)
        error = posteriors.covariance_errors(kernel, truth.covariance[None])[0]
        return jnp.stack([error, posteriors.confidence(kernel, weights, prior)])

    every = jnp.asarray(scored.prior), truth, jnp.asarray(kernels)
    return np.asarray(jax.lax.map(lambda x: one(*x), every, batch_size=min(len(kernels), _AT_ONCE))).T


def flat(summary: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The few numbers of a summary that a training shows as it goes."""
    found = {name: summary["all"][name] for name in ("log_score", "brier", "ece", "family_accuracy")}
    found |= {f"width_{round(100 * p)}": x for p, x in zip(LEVELS, summary["all"]["coverage"]["width"], strict=True)}
    return found | {f"cov_error_{name}": row["cov_error"] for name, row in summary.items() if name != "all"}
