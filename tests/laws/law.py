"""Laws: statements about all inputs, tried on drawn ones; a few each time, a thousand in the long tests."""

import functools

import hypothesis.strategies as st
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra import numpy as drawn

from blindsr_jax.imaging.problem import BOUNDARIES, Problem, Spec, least_kernel_size, make_spec
from blindsr_jax.kernels.geometry import CENTERS

FEW, MANY = 10, 1000
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def law(few: int = FEW, **strategies):
    """A test of a function of drawn values; the same values each time, so that its programs are compiled once."""

    def wrap(function):
        @pytest.mark.parametrize("examples", [few, pytest.param(MANY, marks=pytest.mark.long)])
        def test(examples):
            options = {"max_examples": examples, "derandomize": True, "deadline": None, "database": None}
            settings(**options, suppress_health_check=SLOW)(given(**strategies)(function))()

        functools.update_wrapper(test, function, assigned=("__name__", "__doc__", "__module__"))
        del test.__wrapped__  # pytest would look for fixtures of these names
        return test

    return wrap


def arrays(*shape, low=0.0, high=1.0, dtype=np.float64):
    """Arrays of a shape whose entries lie between two numbers."""
    elements = st.floats(low, high, width=32, allow_subnormal=False)
    return drawn.arrays(dtype, shape, elements=elements, fill=elements)


@st.composite
def specs(draw, more=(0, 1, 2, 3)) -> Spec:
    """Static parts of problems; `more` is what the half width of the kernel may have beyond the least one."""
    scale = draw(st.integers(1, 8))
    boundary, center = draw(st.sampled_from(BOUNDARIES)), draw(st.sampled_from(CENTERS))
    least = least_kernel_size(scale, boundary) // 2
    half = least + draw(st.sampled_from(more))
    return make_spec(scale=scale, kernel_size=2 * half + 1, boundary=boundary, kernel_center=center)


@st.composite
def kernels(draw, size: int, margin: int = 0):
    """Kernels (size, size) of unit sum, zero in so many rows and columns of their border."""
    inner = draw(arrays(size - 2 * margin, size - 2 * margin)) + 1e-3
    return np.pad(inner / inner.sum(), margin)


@st.composite
def scenes(draw):
    """A spec, an image or canvas (H, W, C) of it and a kernel, in float64; and the shape of the LR image."""
    spec = draw(specs())
    # An image that is smaller than the kernel cannot be wrapped around.
    least = -(-spec.kernel_size // spec.scale)
    shape = (draw(st.integers(least, least + 2)), draw(st.integers(least, least + 2)), draw(st.sampled_from((1, 3))))
    image = draw(arrays(*spec.canvas_shape(shape), shape[2]))
    return spec, image, draw(kernels(spec.kernel_size)), shape


@st.composite
def masks(draw, shape):
    """Masks (h, w, c) of an LR image: where all counts, where nothing does, and of single values."""
    kind = draw(st.sampled_from(("some", "some", "all", "none")))
    return draw(drawn.arrays(bool, shape)) if kind == "some" else np.full(shape, kind == "all")


@st.composite
def problems(draw):
    """A problem in float64 whose LR image has nothing to do with the scene, with mask and noise; an image, a kernel.

    Two shapes for each scale and boundary, so that programs are compiled a hundred times and not a thousand.
    """
    spec = draw(specs(more=(1,)))
    least = -(-spec.kernel_size // spec.scale)
    shape = (least, least + 1, draw(st.sampled_from((1, 3))))
    image = draw(arrays(*spec.canvas_shape(shape), shape[2]))
    lr, mask, noise = draw(arrays(*shape)), draw(masks(shape)), draw(st.floats(0, 0.2))
    problem = Problem(jnp.asarray(lr), spec, jnp.asarray(noise), jnp.asarray(mask))
    return problem, jnp.asarray(image), jnp.asarray(draw(kernels(spec.kernel_size)))
