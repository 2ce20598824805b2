import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.fcn import KernelFCN
from tests import golden


@pytest.mark.parametrize("factor, suffix", [(1, ""), (20, "_x20")])
def test_golden(factor, suffix):
    data = golden.load("07_kernel_fcn")

    def layer(i):
        weight, bias = (jnp.asarray(factor * data[f"sd/{i}.{n}"], jnp.float32) for n in ("weight", "bias"))
        return {"kernel": weight.T, "bias": bias}

    params = {"params": {"hidden": layer(1), "logits": layer(3)}}
    code, v = jnp.asarray(data["code"]), jnp.asarray(data["grad_weight"])
    net = KernelFCN(11, 64)

    def weighted(p):
        kernel = net.apply(p, code).reshape(-1)
        return jnp.vdot(kernel, v), kernel

    grads, kernel = jax.grad(weighted, has_aux=True)(params)
    np.testing.assert_allclose(kernel, data[f"kernel{suffix}"], atol=1e-6)
    for name, i in (("hidden", 1), ("logits", 3)):
        for ours, theirs in (("kernel", "weight"), ("bias", "bias")):
            reference = data[f"grad{suffix}/{i}.{theirs}"].T
            tolerance = 1e-4 * np.abs(reference).max()
            np.testing.assert_allclose(grads["params"][name][ours], reference, atol=tolerance)


@pytest.mark.parametrize("size, count", [(11, 322_121), (15, 426_225), (19, 562_361), (21, 642_441)])
def test_parameter_counts_of_the_release(size, count):
    params = jax.eval_shape(KernelFCN(size).init, jax.random.key(0), jnp.zeros(200))
    assert sum(p.size for p in jax.tree.leaves(params)) == count


def test_kernels_are_non_negative_and_sum_to_one():
    kernel, _ = KernelFCN(7, 20).init_with_output(jax.random.key(0), jax.random.uniform(jax.random.key(1), (200,)))
    assert kernel.shape == (7, 7) and kernel.min() > 0
    np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-6)
