import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.skip import SkipNet, smallest_side
from tests import conftest, golden

CASES = {"3s": "3s", "3s_odd": "3s", "5s": "5s", "5s_odd": "5s"}


def torch_name(path: tuple[str, ...], levels: int) -> str:
    """The state_dict key of one of our parameters."""
    leaf = {"kernel": "weight", "scale": "weight", "bias": "bias"}[path[-1]]
    if path[0] == "image":
        return f"9.1.{leaf}"
    block, level = re.match(r"([a-z]+)(\d)", path[0]).groups()
    level = int(level)
    # Each level nests in its parent's second branch; deeper branches have the non-local block as an extra entry.
    prefix = "".join(f"1.1.{8 if i >= 2 else 7}." for i in range(level))
    extra = 1 if level >= 2 else 0
    shift = {"decode": 3, "mix": 6}
    if block == "skip":
        place = {"conv": "1.0.1.1", "norm": "1.0.2"}[path[1]]
    elif block == "down":
        place = {"conv": "1.1.1.1", "norm": "1.1.2"}[path[1]]
    elif block == "nonlocal":
        inner = {"out": "W.0", "norm": "W.1", "phi": "phi.0", "g": "g.0", "theta": "theta"}[path[1]]
        place = f"1.1.4.{inner}"
    elif block == "encode":
        place = {"conv": f"1.1.{4 + extra}.1", "norm": f"1.1.{5 + extra}"}[path[1]]
    elif block == "merge":
        place = "2"
    else:
        place = {"conv": f"{shift[block]}.1", "norm": f"{shift[block] + 1}"}[path[1]]
    return f"{prefix}{place}.{leaf}"


def load_params(sd, params, levels, dtype):
    def convert(path, value):
        name = torch_name(tuple(p.key for p in path if p.key != "params"), levels)
        weight = sd[f"sd/{name}"]
        weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight
        assert weight.shape == value.shape, name
        return jnp.asarray(weight, dtype)

    return jax.tree_util.tree_map_with_path(convert, params)


def run(case, dtype, nonlocal_off=False):
    data, weights = golden.load(f"07_skip_{case}"), golden.load(f"07_skip_{CASES[case]}")
    levels = int(case[0])
    x = jnp.asarray(np.moveaxis(data["x"][0], 0, -1), dtype)
    net = SkipNet(16, 4, levels)
    params = jax.eval_shape(net.init, jax.random.key(0), x)
    params = load_params(weights, params, levels, dtype)
    if nonlocal_off:
        off = {
            k: v | {"norm": jax.tree.map(jnp.zeros_like, v["norm"])}
            for k, v in params["params"].items()
            if "nonlocal" in k
        }
        params = {"params": params["params"] | off}
    v = jnp.asarray(np.moveaxis(data["grad_weight"][0], 0, -1), dtype)

    def weighted(p):
        out = net.apply(p, x)
        return jnp.sum(out * v), out

    # In float32 compiled as in use: the programs of tests, compiled quickly, round sums in another order.
    options = {
        "xla_backend_optimization_level": 3,
        "xla_llvm_disable_expensive_passes": False,
    }
    if "fusion_emitters" in conftest.QUICK:  # which later versions of XLA do not know
        options["xla_cpu_use_fusion_emitters"] = True
    options = options if dtype == jnp.float32 else {}
    grad = jax.jit(jax.grad(weighted, has_aux=True), compiler_options=options)
    grads, out = grad(params)
    flat = jax.tree_util.tree_flatten_with_path(grads)[0]
    return data, out, {torch_name(tuple(p.key for p in path if p.key != "params"), levels): g for path, g in flat}


@pytest.mark.long  # in float64 below, and without the nonlocal blocks, always
@pytest.mark.parametrize("case", CASES)
def test_golden_output_and_gradients_in_float32(case):
    data, out, grads = run(case, jnp.float32)
    np.testing.assert_allclose(out, np.moveaxis(data["out"][0], 0, -1), atol=5e-5)
    check_gradients(data, grads, "grad/", 1e-3)


@pytest.mark.parametrize("case", ["3s_odd", pytest.param("5s", marks=pytest.mark.long)])
def test_golden_output_and_gradients_in_float64(case):
    with jax.enable_x64(True):
        data, out, grads = run(case, jnp.float64)
        np.testing.assert_allclose(out, np.moveaxis(data["out_f64"][0], 0, -1), atol=1e-8)
        check_gradients(data, grads, "grad_f64/", 1e-8)


def check_gradients(data, grads, prefix, tolerance):
    names = [n for n in data if n.startswith(prefix)]
    assert len(names) >= 6
    for name in names:
        reference = data[name]
        reference = reference.transpose(2, 3, 1, 0) if reference.ndim == 4 else reference
        np.testing.assert_allclose(
            grads[name.removeprefix(prefix)], reference, atol=tolerance * np.abs(reference).max(), err_msg=name
        )


def test_golden_without_the_nonlocal_blocks():
    with jax.enable_x64(True):  # whose program compiles more quickly
        data, out, _ = run("3s", jnp.float64, nonlocal_off=True)
    np.testing.assert_allclose(out, np.moveaxis(data["out_nonlocal_off"][0], 0, -1), atol=5e-5)


def test_parameter_count_of_the_release():
    params = jax.eval_shape(SkipNet().init, jax.random.key(0), jnp.zeros((256, 256, 3)))
    assert sum(p.size for p in jax.tree.leaves(params)) == 2_359_939


@pytest.mark.parametrize("side", [(5, 7), (12, 9)])
def test_output_has_the_size_of_the_input(side):
    net = SkipNet(4, 2, 2, outputs=1, first_nonlocal=1)
    assert min(side) >= smallest_side(2)
    noise = jax.random.uniform(jax.random.key(0), (*side, 2))
    out, _ = jax.jit(net.init_with_output)(jax.random.key(1), noise)
    assert out.shape == (*side, 1) and bool(jnp.isfinite(out).all())


def test_nonlocal_block_is_the_identity_at_first():
    noise = jax.random.uniform(jax.random.key(0), (16, 16, 3))
    params = jax.jit(SkipNet(4, 2, 2, first_nonlocal=1).init)(jax.random.key(1), noise)
    plain = {"params": {k: v for k, v in params["params"].items() if "nonlocal" not in k}}
    with_blocks = jax.jit(SkipNet(4, 2, 2, first_nonlocal=1).apply)(params, noise)
    np.testing.assert_array_equal(with_blocks, jax.jit(SkipNet(4, 2, 2, first_nonlocal=2).apply)(plain, noise))


def net(levels=2, **options):
    return SkipNet(8, 2, levels, first_nonlocal=levels - 1, **options)


def gradient(network, params, noise):
    return jax.jit(jax.value_and_grad(lambda p: jnp.mean(network.apply(p, noise)[::2] ** 2)))(params)


@pytest.mark.long
def test_a_checkpointed_network_has_the_same_parameters_and_gradients():
    with jax.enable_x64(True):
        noise = jax.random.uniform(jax.random.key(0), (12, 9, 3))
        params, again = (jax.jit(net(checkpoint=c).init)(jax.random.key(1), noise) for c in (False, True))
        assert jax.tree.structure(params) == jax.tree.structure(again)
        (value, grads), (value_2, grads_2) = (gradient(net(checkpoint=c), params, noise) for c in (False, True))
        np.testing.assert_allclose(value, value_2, atol=1e-14)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), grads, grads_2)


def test_a_checkpointed_network_keeps_less_for_its_gradient():
    noise = jnp.zeros((64, 64, 3))
    params = jax.eval_shape(net().init, jax.random.key(1), noise)

    def kept(checkpoint):
        pullback = jax.eval_shape(lambda p: jax.vjp(lambda p: net(checkpoint=checkpoint).apply(p, noise), p)[1], params)
        return sum(leaf.size for leaf in jax.tree.leaves(pullback))

    assert kept(True) < kept(False) / 4


def test_bfloat16_activations_keep_float32_parameters_and_results():
    noise = jax.random.uniform(jax.random.key(0), (16, 16, 3))
    fine, coarse = net(levels=1), net(levels=1, compute=Compute(precision="bfloat16"))
    params = jax.jit(coarse.init)(jax.random.key(1), noise)
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert jax.eval_shape(coarse.apply, params, noise).dtype == jnp.float32
    (value, grads), (value_2, grads_2) = (gradient(n, params, noise) for n in (fine, coarse))
    assert 1e-7 < abs(value - value_2) / value < 3e-2
    assert {g.dtype for g in jax.tree.leaves(grads_2)} == {jnp.dtype("float32")}
    fine, rough = (jnp.concatenate([g.ravel() for g in jax.tree.leaves(tree)]) for tree in (grads, grads_2))
    # Normalisation over few pixels amplifies the rounding of 8 bits; the direction of descent stays.
    assert fine @ rough > 0.95 * jnp.linalg.norm(fine) * jnp.linalg.norm(rough)


def test_the_precision_of_products_reaches_every_one_of_them():
    noise = jnp.zeros((12, 12, 3))
    for precision, name in (("float32", "HIGHEST"), ("tf32", "HIGH")):
        network = net(compute=Compute(precision=precision))
        params = jax.eval_shape(network.init, jax.random.key(1), noise)
        grad = jax.grad(lambda p, network=network: jnp.sum(network.apply(p, noise)))
        text = jax.jit(grad).lower(params).as_text()
        products = [line for line in text.splitlines() if "dot_general" in line or "stablehlo.convolution" in line]
        found = [set(re.findall(r"HIGH\w*|DEFAULT", line)) for line in products]
        assert len(products) > 20 and all(names == {name} for names in found), precision
