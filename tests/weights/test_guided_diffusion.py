import math

import jax
import numpy as np
import pytest

from blindsr_jax.networks.classifier import ClassifierConfig
from blindsr_jax.networks.unet import RELEASED, UNetConfig
from blindsr_jax.weights import classifier, diffusion, guided_diffusion
from blindsr_jax.weights import convert as registry
from tests import golden
from tests.networks.test_unet import CONFIG, to_params

CLASSIFIER = ClassifierConfig(3, 5, 8, (1, 2), 1, (2,), 8, 16)


def empty(shapes):
    """Tensors of these shapes that take no memory."""
    return {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}


def drawn(shapes):
    rng = np.random.default_rng(0)
    return {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}


@pytest.fixture
def released():
    """The state dict of the vectors."""
    return {k.removeprefix("sd/"): v for k, v in golden.load("11_unet").items() if k.startswith("sd/")}


def equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def count(shapes):
    return len(shapes), sum(map(math.prod, shapes.values()))


def test_the_table_of_the_released_unet():
    shapes = guided_diffusion.shapes_of(RELEASED)
    assert count(shapes) == (567, 553_838_086)
    assert count(guided_diffusion.shapes_of(RELEASED._replace(num_classes=None))) == (566, 552_814_086)
    some = {
        "time_embed.2.weight": (1024, 1024),
        "label_emb.weight": (1000, 1024),
        "input_blocks.0.0.weight": (256, 3, 3, 3),
        "input_blocks.13.0.skip_connection.weight": (1024, 512, 1, 1),
        "input_blocks.13.1.qkv.weight": (3072, 1024, 1),
        "middle_block.1.proj_out.bias": (1024,),
        "output_blocks.5.0.in_layers.2.weight": (1024, 1536, 3, 3),
        "output_blocks.8.2.emb_layers.1.weight": (1024, 1024),
        "output_blocks.11.1.out_layers.3.weight": (512, 512, 3, 3),
        "output_blocks.12.0.skip_connection.weight": (256, 768, 1, 1),
        "out.0.weight": (256,),
        "out.2.weight": (6, 256, 3, 3),
    }
    assert {key: shapes[key] for key in some} == some
    assert guided_diffusion.config_of(empty(shapes)) == RELEASED


def test_the_table_of_the_released_classifier():
    shapes = guided_diffusion.shapes_of(ClassifierConfig())
    assert count(shapes) == (249, 54_096_360)
    assert shapes["out.2.positional_embedding"] == (512, 65)
    assert shapes["out.2.qkv_proj.weight"] == (1536, 512, 1) and shapes["out.2.c_proj.weight"] == (1000, 512, 1)
    assert guided_diffusion.classifier_config_of(empty(shapes)) == ClassifierConfig()


def test_golden_state_dict(released):
    assert {key: value.shape for key, value in released.items()} == guided_diffusion.shapes_of(CONFIG)
    assert guided_diffusion.config_of(released, head_channels=16) == CONFIG
    params = guided_diffusion.unet_params(released)
    equal(params, to_params({f"sd/{k}": v for k, v in released.items()}, params, np.float32))
    equal(guided_diffusion.tensors_of(params), released)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(1, 2, 8, (1,), 2),
        UNetConfig(3, 3, 8, (2, 1, 4), 3, (1, 4)),
        UNetConfig(3, 3, 16, (1, 2), 1, (), num_classes=7),
    ],
)
def test_sizes_are_recognised(config):
    assert guided_diffusion.config_of(empty(guided_diffusion.shapes_of(config))) == config


@pytest.mark.parametrize(
    "config",
    [
        CLASSIFIER._replace(head_channels=64),
        ClassifierConfig(1, 2, 8, (1, 1, 2), 3, (1, 2), 64, 32),
        ClassifierConfig(3, 4, 8, (1,), 2, (1,), 64, 4),
    ],
)
def test_sizes_of_classifiers_are_recognised(config):
    assert guided_diffusion.classifier_config_of(empty(guided_diffusion.shapes_of(config))) == config


@pytest.mark.parametrize("older", [False, True])
def test_a_converted_prior_is_read_back_as_the_denoiser_takes_it_and_halves_stay_half(released, tmp_path, older):
    path = tmp_path / "unet.npz"
    half = {k: v.astype(np.float16) if v.ndim == 4 else v.astype(np.float32) for k, v in released.items()}
    assert registry.check(half) == "guided_diffusion"
    if older:  # of the time when a file kept the keys and layouts of torch
        np.savez(path, **half)
    else:
        path.write_bytes(registry.MODELS["guided_diffusion"].convert(half))
        with np.load(path) as archive:
            assert {str(x.dtype) for name, x in archive.items() if name != "metadata"} == {"float16", "float32"}
    assert registry.is_archive(path)
    config, params = diffusion.read(path)
    assert config == CONFIG._replace(head_channels=64) and {str(p.dtype) for p in jax.tree.leaves(params)} == {
        "float32"
    }
    equal(params, guided_diffusion.unet_params(half)["params"])
    assert jax.tree.map(np.shape, params) == jax.tree.map(lambda x: x.shape, diffusion.shapes(config))


@pytest.mark.parametrize("older", [False, True])
def test_a_converted_classifier_is_read_back(tmp_path, older):
    tensors = drawn(guided_diffusion.shapes_of(CLASSIFIER))
    path = tmp_path / "classifier.npz"
    assert registry.check(tensors) == "guided_diffusion_classifier"
    if older:
        np.savez(path, **tensors)
    else:
        path.write_bytes(registry.MODELS["guided_diffusion_classifier"].convert(tensors))
    config, params = classifier.read(path)
    assert registry.is_archive(path) and config == CLASSIFIER._replace(head_channels=64)
    equal(guided_diffusion.tensors_of(params), tensors)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("input_blocks.4.0.in_layers.2.bias"), r"it lacks input_blocks\.4\.0\.in_layers\.2\.bias$"),
        (lambda t: t.pop("time_embed.0.weight"), r"it lacks time_embed\.0\.weight$"),
        (lambda t: t.update(extra=np.zeros(1)), "it has extra, which was not expected"),
        (
            lambda t: t.update({"out.2.bias": np.zeros(7)}),
            r"its out\.2\.bias is float64 \(7,\), .* shape \(6,\) were expected",
        ),
        (lambda t: t.update({"out.2.bias": np.full(6, np.nan)}), r"its out\.2\.bias is not finite"),
        (lambda t: t.update({"out.2.weight": np.zeros(7)}), r"shape \(7,\), one of 4 dimensions was expected"),
        (lambda t: t.pop("output_blocks.3.2.in_layers.0.weight"), "lacks|it has 6 output blocks"),
        (lambda t: t.clear(), "it has 0 output blocks"),
    ],
)
def test_other_state_dicts_are_refused(released, change, message):
    change(released)
    with pytest.raises(ValueError, match=message):
        guided_diffusion.unet_params(released)


def test_the_registry_names_what_is_wrong(released):
    del released["out.0.bias"]
    with pytest.raises(ValueError, match=r"^as guided_diffusion it lacks out\.0\.bias$"):
        registry.check(released)
    tensors = drawn(guided_diffusion.shapes_of(CLASSIFIER)) | {
        "out.2.positional_embedding": np.zeros((16, 64), np.float32)
    }
    with pytest.raises(ValueError, match="is for 63 positions, those of a square were expected"):
        registry.check(tensors)
