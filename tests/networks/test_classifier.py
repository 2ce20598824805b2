import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.classifier import AttentionPool, Classifier, ClassifierConfig, guidance
from tests import small

TINY = ClassifierConfig(3, 5, 8, (1,), 1, (1,), 8, 4)


def random_params(config, dtype):
    x = jnp.zeros((1, config.image_size, config.image_size, 3), dtype)
    return small.random_params(Classifier(config), x, jnp.zeros(1), std=0.4)


def test_pooling_step_by_step():
    """Written out for torch's layout (N, C, L): all of q, then all of k, then all of v, each cut into heads."""
    rng = np.random.default_rng(0)
    n, c, heads, classes = 2, 6, 2, 5
    x = rng.normal(size=(n, 2, 2, c))
    params = {
        "positional_embedding": rng.normal(size=(c, 5)),
        "qkv_proj": {"kernel": rng.normal(size=(c, 3 * c)), "bias": rng.normal(size=3 * c)},
        "c_proj": {"kernel": rng.normal(size=(c, classes)), "bias": rng.normal(size=classes)},
    }
    tokens = x.reshape(n, 4, c).transpose(0, 2, 1)
    tokens = np.concatenate([tokens.mean(-1, keepdims=True), tokens], -1) + params["positional_embedding"]
    expected = []
    for token in tokens:
        qkv = params["qkv_proj"]["kernel"].T @ token + params["qkv_proj"]["bias"][:, None]
        q, k, v = qkv[:c], qkv[c : 2 * c], qkv[2 * c :]
        parts = []
        for head in range(heads):
            rows = slice(head * c // heads, (head + 1) * c // heads)
            weights = np.exp(q[rows].T @ k[rows] / np.sqrt(c // heads))
            weights /= weights.sum(1, keepdims=True)
            parts.append(v[rows] @ weights.T)
        out = params["c_proj"]["kernel"].T @ np.concatenate(parts) + params["c_proj"]["bias"][:, None]
        expected.append(out[:, 0])
    with jax.enable_x64(True):
        found = AttentionPool(classes, c // heads).apply({"params": params}, jnp.asarray(x))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_guidance_is_the_gradient_of_the_log_probability():
    with jax.enable_x64(True):
        params = random_params(TINY, jnp.float64)
        x, way = jax.random.normal(jax.random.key(1), (2, 2, 4, 4, 3), jnp.float64)
        t, labels = jnp.array([5.0, 700.0]), jnp.array([0, 3])

        @jax.jit
        def logs(x):
            return log_softmax(Classifier(TINY).apply(params, x, t))[jnp.arange(2), labels]

        found = jax.jit(lambda x: guidance(TINY, params, x, t, labels))(x)
        slope = (logs(x + 1e-5 * way) - logs(x - 1e-5 * way)) / 2e-5
        np.testing.assert_allclose((found * way).sum((1, 2, 3)), slope, rtol=1e-6)
        assert found.shape == x.shape and float(jnp.abs(slope).min()) > 1e-4


def log_softmax(x):
    return x - jnp.log(jnp.exp(x).sum(-1, keepdims=True))


def test_a_classifier_takes_its_size_only():
    with pytest.raises(ValueError, match="the image is 8 x 4, a classifier for 4 x 4 was given"):
        jax.eval_shape(Classifier(TINY).init, jax.random.key(0), jnp.zeros((1, 8, 4, 3)), jnp.zeros(1))
