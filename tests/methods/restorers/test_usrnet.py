import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import gaussian
from blindsr_jax.methods.interfaces import min_lr_side
from blindsr_jax.methods.restorers import usrnet
from blindsr_jax.networks.usrnet import USRNet, UsrnetConfig
from blindsr_jax.weights import usrnet as usrnet_weights
from tests import golden, small

TINY = UsrnetConfig(widths=(4, 6), blocks=1, hidden=5, iterations=2)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small network with random weights."""
    inputs = jnp.ones((1, 4, 4, 3)), jnp.ones((1, 5, 5)), jnp.ones(1)
    params = small.random_params(USRNet(TINY), *inputs, std=0.1, spec=make_spec(scale=2, kernel_size=5))
    path = tmp_path_factory.mktemp("usrnet") / "tiny.npz"
    path.write_bytes(usrnet_weights.to_bytes(params))
    return path


def run(spec, lr, kernel, **options):
    """The state and the trace of the one step."""
    solver = usrnet.build(spec, **options)
    problem = Problem(lr, spec)
    state = jax.jit(solver.init)(jax.random.key(0), problem, kernel, solver.arrays)
    after, trace = jax.jit(solver.step)(jax.random.key(0), state, problem, jnp.int32(0), solver.arrays)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert after.image.shape == problem.canvas_shape and after.image.dtype == lr.dtype
    return after, trace


def blur_kernel(spec):
    return gaussian.gaussian_kernel(
        jnp.asarray([2.4, 0.8]), jnp.asarray(0.7), kernel_size=spec.kernel_size, center=spec.center
    )


def test_a_gray_image_is_the_mean_of_three_equal_colours(tiny):
    spec = make_spec(scale=2, kernel_size=5)
    kernel = blur_kernel(spec)
    side = min_lr_side(spec, usrnet.build(spec, weights=tiny))
    gray = jax.random.uniform(jax.random.key(0), (side, side + 1, 1))  # the smallest images that are taken
    found, trace = run(spec, gray, kernel, weights=tiny)
    colours, _ = run(spec, jnp.repeat(gray, 3, -1), kernel, weights=tiny)
    np.testing.assert_allclose(found.image, colours.image.mean(-1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(found.kernel, kernel)
    residual = degrade(found.image, kernel, scale=2, boundary="valid") - gray
    np.testing.assert_allclose(trace["residual"], np.mean(residual**2), rtol=1e-4)
    assert set(trace) == {"loss", "residual", "kernel_loss"}


def test_images_of_a_batch_know_nothing_of_each_other(tiny):
    spec = make_spec(scale=2, kernel_size=5, boundary="circular")
    solver = usrnet.build(spec, weights=tiny, noise_std=0.01)
    lr = jax.random.uniform(jax.random.key(0), (2, 4, 6, 3))
    kernels = jax.nn.softmax(jax.random.normal(jax.random.key(1), (2, 25))).reshape(2, 5, 5)

    def restore(lr, kernel, weights):
        problem = Problem(lr, spec)
        state = solver.init(jax.random.key(0), problem, kernel, weights)
        return solver.step(jax.random.key(0), state, problem, jnp.int32(0), weights)[0].image

    restore = jax.jit(jax.vmap(restore, (0, 0, None)))
    together = restore(lr, kernels, solver.arrays)
    for i in range(2):
        twice = restore(jnp.stack([lr[i]] * 2), jnp.stack([kernels[i]] * 2), solver.arrays)
        np.testing.assert_array_equal(twice[0], twice[1])
        np.testing.assert_allclose(together[i], twice[i], atol=1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"noise_std": -1.0}, "noise_std"),
        ({"noise_std": float("nan")}, "noise_std"),
        ({"data_iterations": 0}, "data_iterations"),
        ({"precision": "half"}, "precision"),
        ({"weights": "none.npz"}, "no such file"),
    ],
)
def test_bad_options(tiny, options, message):
    with pytest.raises(ValueError, match=message):
        usrnet.build(make_spec(scale=2), **({"weights": tiny} | options))


def test_without_a_kernel(tiny):
    spec = make_spec(scale=2, kernel_size=5)
    solver = usrnet.build(spec, weights=tiny)
    with pytest.raises(ValueError, match="needs a kernel"):
        solver.init(jax.random.key(0), Problem(jnp.zeros((4, 4, 3)), spec), None, solver.arrays)


def photograph(height, width):
    """Discs and a slope: edges that meet the border at all angles, and opposite borders that differ."""
    i, j = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([0.2 + 0.5 * i / height, 0.7 - 0.5 * j / width, 0.5 + 0 * i], -1)
    rng = np.random.default_rng(3)
    for y, x, radius in zip(*(rng.uniform(0, n, 20) for n in (height, width, 12)), strict=True):
        cover = np.clip(radius - np.hypot(i - y, j - x), 0, 1)[..., None]
        image = (1 - cover) * image + cover * rng.random(3)
    return jnp.asarray(image, jnp.float32)


@pytest.mark.long
def test_a_photograph_is_as_good_at_its_border(tmp_path):
    (tmp_path / "tiny.npz").write_bytes(usrnet_weights.tensors_to_bytes(golden.load("USRNet_tiny")))
    spec = make_spec(scale=2)
    canvas = photograph(*spec.canvas_shape((32, 36, 3)))
    kernel = blur_kernel(spec)
    lr = jnp.round(255 * degrade(canvas, kernel, scale=2, boundary="valid")) / 255
    truth = spec.crop(canvas, lr.shape)

    def errors(boundary):
        place = spec._replace(boundary=boundary)
        state, _ = run(place, lr, kernel, weights=tmp_path / "tiny.npz")
        error = np.mean((place.crop(state.image, lr.shape) - truth) ** 2, -1)
        inner = np.zeros(error.shape, bool)
        inner[8:-8, 8:-8] = True
        return error[~inner].mean(), error[inner].mean()

    border, inside = errors("valid")
    wrapped, _ = errors("circular")
    assert border < 2 * inside
    assert border < 0.1 * wrapped
