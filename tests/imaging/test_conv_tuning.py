import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import conv, conv_tuning
from blindsr_jax.imaging.conv_tuning import Layer, Tuner, candidates, measure

LARGE = Layer((1, 100, 100, 32), (3, 3, 32, 32), 1, "float32", "highest", 0)
PER_IMAGE = LARGE._replace(images=3)


def run(form, x, w):
    return conv._convolve(form, x, w, 1, "highest")


def fixed(**seconds):
    """A measurement that always gives these, and a list of the layers that it was asked for."""
    asked = []

    def found(layer, run):
        asked.append(layer)
        return {form: seconds[form] for form in candidates(layer) if form in seconds}

    return found, asked


@pytest.fixture
def tuned():
    """Sets a tuner for the programs that are traced in a test."""
    conv._adaptive.cache_clear()
    yield conv_tuning.enable
    conv_tuning.enable(None)
    conv._adaptive.cache_clear()


def test_every_candidate_is_timed_and_the_least_of_its_calls_counts():
    small = Layer((1, 12, 12, 8), (3, 3, 8, 8), 1, "float32", "highest", 2)
    ticks = iter(np.cumsum([0, 5, 0, 1, 0, 3, *[0, 9] * 6]).tolist())  # the first form: calls of 5, 1 and 3 seconds
    assert measure(small, run, clock=lambda: next(ticks)) == {"map": 1, "im2col": 9, "winograd": 9}


def test_a_form_that_the_device_cannot_run_has_no_time():
    def broken(form, x, w):
        if form == "xla":
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED")
        return run(form, x, w)

    layer = Layer((1, 12, 12, 4), (3, 3, 4, 4), 1, "float32", "highest", 0)
    assert set(measure(layer, broken)) == {"direct", "im2col"}


def test_a_layer_is_measured_once_and_what_was_found_is_kept():
    found, asked = fixed(xla=3.0, direct=2.0, im2col=1.0, map=1.0, winograd=4.0)
    kept = []
    tuner = Tuner(dict, kept.append, found)
    assert [tuner.best(LARGE, run), tuner.best(LARGE, run), tuner.best(PER_IMAGE, run)] == ["im2col", "im2col", "map"]
    assert asked == [LARGE, PER_IMAGE]
    assert kept[-1] == {LARGE.name: "im2col", PER_IMAGE.name: "map"}
    again = Tuner(lambda: kept[-1], kept.append, found)
    assert again.best(PER_IMAGE, run) == "map" and len(asked) == 2


@pytest.mark.parametrize(
    "known, layer",
    [
        (None, LARGE),  # measuring is off
        ({}, LARGE._replace(x=(1, 20, 20, 32))),  # not worth it
        ({}, LARGE._replace(dtype="float64")),
    ],
)
def test_nothing_is_said_of_a_layer_that_is_not_to_be_measured(known, layer):
    found, asked = fixed(xla=1.0)
    assert Tuner(lambda: known, lambda table: None, found).best(layer, run) is None and not asked


def test_a_form_that_is_none_of_the_layers_is_measured_again():
    found, asked = fixed(xla=1.0, direct=2.0)
    assert Tuner(lambda: {LARGE.name: "rm -rf"}, lambda table: None, found).best(LARGE, run) == "xla" and asked


def test_large_groups_take_the_form_of_a_few_images():
    found, asked = fixed(map=1.0)
    tuner = Tuner(dict, lambda table: None, found)
    assert tuner.best(LARGE._replace(images=64), run) == tuner.best(LARGE._replace(images=500), run) == "map"
    assert [layer.images for layer in asked] == [conv_tuning.MOST_IMAGES]


@pytest.mark.parametrize("batched_x", [True, False])
def test_one_image_after_another_gives_the_numbers_of_the_other_forms(tuned, batched_x):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (3, *LARGE.x) if batched_x else LARGE.x)
    w = jax.random.normal(keys[1], (3, *LARGE.w))

    def gradients(x, w):
        y, pull = jax.vjp(conv.conv2d, x, w)
        return y, *pull(y)

    def program():  # a new one each time, so that it is traced again
        return jax.jit(jax.vmap(lambda x, w: gradients(x, w), (0 if batched_x else None, 0)))

    expected = program()(x, w)
    found, asked = fixed(map=1.0, im2col=2.0)
    tuned(Tuner(dict, lambda table: None, found))
    conv._adaptive.cache_clear()
    text = program().lower(x, w).as_text()
    assert asked == [LARGE, PER_IMAGE]  # jax traces a layer without its batch first
    assert "stablehlo.while" in text and "convolution" in text
    for value, other in zip(program()(x, w), expected, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-3, atol=1e-3 * float(jnp.abs(other).max()))


def test_it_measures_while_a_program_is_traced(tuned):
    """The layer lies in a scan under a gradient: what is timed must not become part of that program."""
    layer = Layer((1, 40, 40, 8), (3, 3, 8, 8), 1, "float32", "highest", 0)
    tables = []

    def timed(layer, run):
        return measure(layer._replace(x=(1, 12, 12, 8)), run)

    tuned(Tuner(dict, tables.append, timed))
    conv_tuning.LEAST_FLOP, least = 0, conv_tuning.LEAST_FLOP
    try:
        x, w = jnp.ones(layer.x), jnp.full(layer.w, 0.1)

        def total(w):
            return jax.lax.scan(lambda c, _: (c + jnp.sum(conv.conv2d(x, w)), None), 0.0, None, 2)[0]

        value = jax.jit(jax.grad(total))(w)
    finally:
        conv_tuning.LEAST_FLOP = least
    assert tables and set(tables[-1]) == {layer.name}
    np.testing.assert_allclose(value, np.full(layer.w, 2 * 38 * 38), rtol=1e-5)
