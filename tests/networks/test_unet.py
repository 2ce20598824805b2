import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.networks.unet import (
    RELEASED,
    UNet,
    UNetConfig,
    depth_to_space,
    multiple,
    space_to_depth,
    time_embedding,
)
from tests import golden, small

CONFIG = UNetConfig(3, 6, 32, (1, 2, 2), 1, (2, 4), 16, 10)
FLAT = UNetConfig(model_channels=8, channel_mult=(1,), attention_rates=(1,), head_channels=4, num_classes=4)
TINY = UNetConfig(model_channels=8, channel_mult=(1, 2), attention_rates=(2,), head_channels=8, num_classes=4)


def to_params(sd, like, dtype):
    """Our parameters from a state dict, told by names and ranks."""

    def convert(path, value):
        *names, leaf = (p.key for p in path[1:])
        suffix = [] if leaf == "label_emb" else ["bias" if leaf == "bias" else "weight"]
        weight = sd["sd/" + ".".join([*names, *([leaf, "weight"] if leaf == "label_emb" else suffix)])]
        if leaf == "kernel":
            weight = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.reshape(weight.shape[:2]).T
        assert weight.shape == value.shape, path
        return jnp.asarray(weight, dtype)

    return jax.tree_util.tree_map_with_path(convert, like)


def nhwc(x):
    return np.moveaxis(x, 1, -1)


@pytest.fixture(scope="module")
def released():
    """Vectors, parameters and a compiled call that also gives the outputs of all submodules."""
    data = golden.load("11_unet")
    like = jax.eval_shape(UNet(CONFIG).init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)), jnp.zeros(1))
    assert len(jax.tree.leaves(like)) == sum(name.startswith("sd/") for name in data)

    @jax.jit
    def call(params, x, t, labels=None):
        return UNet(CONFIG).apply(params, x, t, labels, capture_intermediates=True)

    return data, to_params(data, like, jnp.float32), call


def changed(params, **values):
    return {"params": params["params"] | values}


def test_golden_with_classes(released):
    data, params, call = released
    out, _ = call(params, nhwc(data["x"]), data["timesteps"].astype(np.float32), data["y"])
    np.testing.assert_allclose(out, nhwc(data["out_classcond"]), atol=5e-5)


def test_golden_of_another_size_without_labels(released):
    """A class is the same as another bias of the time's last layer; so this is the network that is given none."""
    data, params, call = released
    for i, label in enumerate(data["y"]):
        layer = params["params"]["time_embed.2"]
        layer = layer | {"bias": layer["bias"] + params["params"]["label_emb"][label]}
        x, t = nhwc(data["x"])[i : i + 1, :16, :24], data["timesteps"][i : i + 1].astype(np.float32)
        out, _ = call(changed(params, **{"time_embed.2": layer}), x, t)
        np.testing.assert_allclose(out, nhwc(data["out_classcond_16x24"])[i : i + 1], atol=5e-5)


def test_golden_without_classes_and_its_activations(released):
    data, params, call = released
    params = changed(params, label_emb=jnp.zeros_like(params["params"]["label_emb"]))
    out, state = call(params, nhwc(data["x"]), data["timesteps"].astype(np.float32), data["y"])
    np.testing.assert_allclose(out, nhwc(data["out_uncond"]), atol=5e-5)
    names = {
        "input0": "input_blocks.0.0",
        "input1": "input_blocks.1.0",
        "input2_down": "input_blocks.2.0",
        "input3_attn": "input_blocks.3.1",
        "middle": "middle_block.2",
    }
    for ours, theirs in names.items():
        reference = nhwc(data[f"mid/{ours}"])
        found = state["intermediates"][theirs]["__call__"][0][: len(reference)]
        np.testing.assert_allclose(found, reference, atol=5e-5, err_msg=ours)
    found = state["intermediates"]["time_embed.2"]["__call__"][0]
    np.testing.assert_allclose(found, data["mid/time_embed"], atol=5e-5)


@pytest.mark.parametrize("dim", [32, 33, 256])
def test_golden_time_embeddings(dim):
    data = golden.load("11_unet")
    np.testing.assert_allclose(time_embedding(jnp.asarray(data["te_t"]), dim), data[f"te_{dim}"], atol=2e-4)


def inputs(n=2, side=8, dtype=jnp.float32):
    x = jax.random.normal(jax.random.key(0), (n, side, side, 3), dtype)
    return x, jnp.linspace(10.5, 700, n).astype(dtype), jnp.arange(n)


def random_params(config, dtype=np.float32):
    """Parameters of a network whose output is not zero."""
    return small.random_params(UNet(config), jnp.zeros((1, 8, 8, config.in_channels), dtype), jnp.zeros(1), std=0.15)


def test_parameter_count_of_the_release():
    def count(config):
        x = jnp.zeros((1, 64, 64, 3))
        params = jax.eval_shape(UNet(config).init, jax.random.key(0), x, jnp.zeros(1))
        return sum(p.size for p in jax.tree.leaves(params)), len(jax.tree.leaves(params))

    assert count(RELEASED) == (553_838_086, 567)
    assert count(RELEASED._replace(num_classes=None)) == (552_814_086, 566)


def test_a_new_network_predicts_zero():
    x, t, labels = inputs()
    out, _ = jax.jit(UNet(FLAT).init_with_output)(jax.random.key(1, impl="rbg"), x, t, labels)
    np.testing.assert_array_equal(out, jnp.zeros_like(x))


def test_patches_come_back_and_widen_the_multiple():
    x = jax.random.uniform(jax.random.key(0), (2, 6, 4, 3))
    assert space_to_depth(x, 2).shape == (2, 3, 2, 12)
    np.testing.assert_array_equal(space_to_depth(x, 2)[1, 2, 1, 6:9], x[1, 5, 2])
    np.testing.assert_array_equal(depth_to_space(space_to_depth(x, 2), 2), x)
    config = TINY._replace(patch=2, attention_rates=())
    assert (multiple(config), multiple(RELEASED)) == (4, 32)
    out = jax.eval_shape(UNet(config).init_with_output, jax.random.key(0), jnp.zeros((1, 12, 8, 3)), jnp.zeros(1))[0]
    assert out.shape == (1, 12, 8, 3)


@pytest.mark.long
def test_gradients_and_checkpointing_in_float64():
    with jax.enable_x64(True):
        x, t, labels = inputs(dtype=jnp.float64)
        params = random_params(FLAT, np.float64)
        assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype("float64")}

        def loss(p, config=FLAT):
            return jnp.mean(UNet(config).apply(p, x, t, labels) ** 3)

        # Blocks that are computed again have the gradient of the network that keeps them.
        grads = jax.jit(jax.grad(lambda p: loss(p, FLAT._replace(checkpoint=True))))(params)
        length = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
        plain = jax.jit(loss)
        before, after = (
            plain(jax.tree.map(lambda p, g, s=s: p + s * g / length, params, grads)) for s in (-1e-5, 1e-5)
        )
        np.testing.assert_allclose((after - before) / 2e-5, length, rtol=1e-6)


def test_a_checkpointed_network_keeps_less_for_its_gradient():
    x, t, _ = inputs(side=32)

    def kept(config):
        net = UNet(config)
        params = jax.eval_shape(net.init, jax.random.key(0), x, t)
        pullback = jax.eval_shape(lambda p: jax.vjp(lambda p: net.apply(p, x, t), p)[1], params)
        return sum(leaf.size for leaf in jax.tree.leaves(pullback))

    plain = FLAT._replace(attention_rates=())
    assert kept(plain._replace(checkpoint=True)) < kept(plain) / 2


def test_bfloat16_keeps_float32_parameters_and_results():
    x, t, labels = inputs()
    params = random_params(FLAT)
    coarse = UNet(FLAT._replace(precision="bfloat16"))
    fine, rough = (jax.jit(net.apply)(params, x, t, labels) for net in (UNet(FLAT), coarse))
    assert rough.dtype == jnp.float32
    assert 1e-5 < jnp.linalg.norm(fine - rough) / jnp.linalg.norm(fine) < 5e-2
    like = jax.eval_shape(coarse.init, jax.random.key(0), x, t, labels)
    assert {p.dtype for p in jax.tree.leaves(like)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    "config, shape, labels, message",
    [
        (TINY, (1, 8, 9, 3), None, "the image is 8 x 9, multiples of 2 were expected"),
        (TINY, (1, 8, 8, 1), None, "the image has 1 channels, 3 were expected"),
        (TINY._replace(num_classes=None), (1, 8, 8, 3), jnp.zeros(1, int), "a network without classes"),
        (TINY._replace(precision="half"), (1, 8, 8, 3), None, "the precision is 'half'"),
        (TINY._replace(head_channels=5), (1, 8, 8, 3), None, "16 channels are no multiple of head_channels = 5"),
    ],
)
def test_inputs_that_do_not_fit(config, shape, labels, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(UNet(config).init, jax.random.key(0), jnp.zeros(shape), jnp.zeros(1), labels)
