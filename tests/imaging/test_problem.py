import jax
import jax.numpy as jnp
import pytest

from blindsr_jax.imaging.problem import Problem, Result, least_kernel_size, make_spec


@pytest.mark.parametrize("scale, size", [(1, 7), (2, 11), (3, 15), (4, 19), (5, 21), (8, 21)])
def test_default_kernel_sizes(scale, size):
    assert make_spec(scale=scale).kernel_size == size


def test_centres_of_the_two_conventions():
    assert make_spec(scale=4, kernel_center="release").center == 7.5
    assert make_spec(scale=4, kernel_center="aligned").center == 10.5


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
def test_the_cropped_canvas_is_the_sr_image(scale):
    for boundary in ("valid", "circular"):
        problem = Problem(jnp.zeros((9, 11, 3)), make_spec(scale=scale, boundary=boundary))
        canvas = jnp.zeros(problem.canvas_shape)
        assert problem.spec.crop(canvas, problem.lr.shape).shape == (9 * scale, 11 * scale, 3)
        least = make_spec(scale=scale, boundary=boundary, kernel_size=least_kernel_size(scale, boundary) // 2 * 2 + 1)
        canvas = jnp.zeros((*least.canvas_shape(problem.lr.shape), 3))
        assert least.crop(canvas, problem.lr.shape).shape == (9 * scale, 11 * scale, 3)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"scale": 0}, "scale is 0, expected a whole number from 1 to 8"),
        ({"scale": 9}, "scale is 9"),
        ({"scale": 2, "kernel_size": 10}, "kernel_size is 10, expected an odd number"),
        ({"scale": 8, "kernel_size": 5, "boundary": "circular"}, "at least 8"),
        ({"scale": 4, "kernel_size": 5}, "at least 7 at scale 4"),  # whose canvas ends before the image
        ({"scale": 2, "boundary": "wrap"}, "boundary is 'wrap', expected one of circular, valid"),
        ({"scale": 2, "kernel_center": "middle"}, "middle"),
    ],
)
def test_bad_values_are_one_sentence(values, message):
    with pytest.raises(ValueError, match=message):
        make_spec(**values)


def test_the_truth_has_no_place():
    assert set(Problem.__dataclass_fields__) == {
        "lr",
        "spec",
        "noise_std",
        "mask",
    }  # the last two are measured in the LR image
    known = {"image", "kernel", "trace", "status", "state", "uncertainty", "message", "kernel_map", "belief"}
    assert set(Result._fields) == known


def test_a_stack_of_problems_keeps_its_spec():
    one = Problem(jnp.zeros((4, 5, 3)), make_spec(scale=2))
    stack = jax.tree.map(lambda x: jnp.stack([x, x]), one)
    assert stack.spec == one.spec and stack.canvas_shape == one.canvas_shape
