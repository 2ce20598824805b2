import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.training import kenet_losses

TRUTH = jnp.asarray([[0.5, 0.04], [0.003, 0.457]])  # shares of the peak: 1, 0.08, 0.006, 0.914
ESTIMATE = jnp.asarray([[0.4, 0.1], [0.1, 0.4]])
ERRORS = np.array([[0.1, 0.06], [0.097, 0.057]])


def test_l1_sums_over_entries():
    np.testing.assert_allclose(kenet_losses.l1(ESTIMATE, TRUTH), ERRORS.sum(), rtol=1e-5)
    assert kenet_losses.l1(ESTIMATE[None], TRUTH[None]).shape == (1,)


def test_attention_by_hand():
    # Everywhere 0.01; 0.1 more above one percent of the peak; 1 more above ten percent.
    by_hand = (0.01 + 0.1 + 1) * (0.1 + 0.057) + (0.01 + 0.1) * 0.06 + 0.01 * 0.097
    np.testing.assert_allclose(kenet_losses.attention(ESTIMATE, TRUTH), by_hand, rtol=1e-5)
    both = kenet_losses.attention(jnp.stack([ESTIMATE, TRUTH]), jnp.stack([TRUTH, TRUTH]))
    np.testing.assert_allclose(both, [by_hand, 0], rtol=1e-5)


def test_attention_with_one_rate_is_l1():
    plain = kenet_losses.attention(ESTIMATE, TRUTH, rates=(1.0,), thresholds=())
    np.testing.assert_allclose(plain, kenet_losses.l1(ESTIMATE, TRUTH), rtol=1e-6)


def test_cross_entropy():
    logits = jnp.log(jnp.asarray([[0.2, 0.8], [0.5, 0.5]])) + 3
    found = kenet_losses.cross_entropy(logits, jnp.asarray([1, 0]))
    np.testing.assert_allclose(found, -np.log([0.8, 0.5]), rtol=1e-5)


def test_names():
    assert (
        kenet_losses.kernel_loss("l1") is kenet_losses.l1
        and kenet_losses.kernel_loss("attention") is kenet_losses.attention
    )
    with pytest.raises(ValueError, match="loss is 'l2', expected one of l1, attention"):
        kenet_losses.kernel_loss("l2")
