"""Parity with the released flows, and the two implementations against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks import kernel_flow
from blindsr_jax.weights.convert import fkp_flow
from tests import golden

SCALES = (2, 3, 4)
decode, encode, log_prob = (jax.jit(f) for f in (kernel_flow.decode, kernel_flow.encode, kernel_flow.log_prob))


def released(scale, dtype=jnp.float32):
    flow = fkp_flow(golden.load(f"FKP_x{scale}"))
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), flow)


def close(actual, expected, rtol=0.0, atol=0.0):
    np.testing.assert_allclose(np.asarray(actual), np.squeeze(expected), rtol=rtol, atol=atol)


@pytest.mark.parametrize("scale", SCALES)
def test_the_released_flow_in_float32(scale):
    flow, known = released(scale), golden.load(f"05_flow_x{scale}")
    v, log_det = decode(flow, jnp.asarray(known["z"]))
    close(v, known["inv_x"], atol=3e-5)
    close(log_det, known["inv_logdet"], atol=2e-3)
    close(kernel_flow.to_kernel(v, flow.normalization), known["kernel"], atol=5e-7)
    u, log_det = encode(flow, jnp.asarray(known["fwd_x"].reshape(8, -1)))
    close(u, known["fwd_u"], atol=1e-3)
    close(log_det, known["fwd_logdet"], atol=2e-3)
    close(log_prob(flow, jnp.asarray(known["fwd_x"].reshape(8, -1))), known["fwd_logprob"], atol=5e-3)


@pytest.mark.parametrize("scale", SCALES)
def test_the_released_flow_in_float64(scale):
    with jax.enable_x64(True):
        flow, known = released(scale, jnp.float64), golden.load(f"05_flow_x{scale}")
        v, log_det = decode(flow, jnp.asarray(known["z"], jnp.float64))
        close(v, known["inv_x_f64"], rtol=1e-9, atol=1e-12)
        close(log_det, known["inv_logdet_f64"], rtol=1e-9)
        close(kernel_flow.to_kernel(v, flow.normalization), known["kernel_f64"], rtol=1e-9, atol=1e-14)
        u, log_det = encode(flow, jnp.asarray(known["fwd_x"].reshape(8, -1), jnp.float64))
        close(u, known["fwd_u_f64"], rtol=1e-9, atol=1e-12)
        close(log_det, known["fwd_logdet_f64"], rtol=1e-9)
        x = kernel_flow.to_flow_space(jnp.asarray(known["fwd_kernel"]), flow.normalization, known["fwd_dequant_noise"])
        close(x, known["fwd_x"].reshape(8, -1), atol=2e-6)  # stored in float32, up to 14


@pytest.mark.parametrize("scale", SCALES)
def test_the_gradient_of_the_code(scale):
    flow, known = released(scale), golden.load(f"05_flow_x{scale}")

    def weighted(code):
        kernel = kernel_flow.to_kernel(kernel_flow.decode(flow, code)[0], flow.normalization)
        return jnp.sum(kernel * known["grad_weight"][0, 0])

    gradient = jax.jit(jax.grad(weighted))(jnp.asarray(known["grad_code"][0, 0]))
    close(gradient, known["grad_of_code"], atol=1e-6)


def test_distrax_and_plain_jax_agree():
    from blindsr_jax.training import flow_bijectors

    with jax.enable_x64(True):
        flow, known = released(2, jnp.float64), golden.load("05_flow_x2")
        z = jnp.asarray(known["z"], jnp.float64)
        chain, density = flow_bijectors.chain(flow), flow_bijectors.distribution(flow)
        for ours, theirs in (
            (decode(flow, z), jax.jit(chain.forward_and_log_det)(z)),
            (encode(flow, z), jax.jit(chain.inverse_and_log_det)(z)),
        ):
            for a, b in zip(ours, theirs, strict=True):
                close(a, b, rtol=1e-10, atol=1e-10)
        close(log_prob(flow, z), jax.jit(jax.vmap(density.log_prob))(z), rtol=1e-10)
        v = jax.jit(chain.forward)(z)
        # distrax.Sigmoid takes exp(x) for the sigmoid below -9, where most of a kernel lies.
        entries = flow.normalization / (1 - 2 * kernel_flow.ALPHA) * (jax.nn.sigmoid(v) - kernel_flow.ALPHA)
        found = kernel_flow.to_kernel(decode(flow, z)[0], flow.normalization)
        close(found, entries.reshape(8, 11, 11), rtol=1e-10, atol=1e-15)


def test_a_batch_under_its_own_statistics():
    """With the statistics that a batch gave, the flow with running statistics gives the same density."""
    from blindsr_jax.training import flow_bijectors

    with jax.enable_x64(True):
        params, _ = kernel_flow.init(jax.random.key(0), 9, 4, num_blocks=2)
        v = jax.random.normal(jax.random.key(1), (6, 9), jnp.float64)
        found, stats = jax.jit(flow_bijectors.train_log_prob)(params, v)
        flow = kernel_flow.Flow(params, stats, jnp.asarray(1.0))
        close(log_prob(flow, v), found, rtol=1e-10)
        u = encode(flow, v)[0]
        close(u.mean(0), np.zeros(9), atol=1e-10)
        close(u.std(0, ddof=1), np.ones(9), atol=1e-3)  # the epsilon


def test_decode_inverts_encode():
    with jax.enable_x64(True):
        flow = released(3, jnp.float64)
        v = jnp.asarray(golden.load("05_flow_x3")["fwd_x"].reshape(8, -1), jnp.float64)
        u, there = encode(flow, v)
        again, back = decode(flow, u)
        close(again, v, atol=1e-8)
        close(there, -back, atol=1e-8)
        jacobian = jax.jit(jax.jacfwd(lambda x: kernel_flow.encode(flow, x)[0]))(v[0])
        close(jnp.linalg.slogdet(jacobian)[1], there[0], rtol=1e-8)
