import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging import tiling
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import gaussian, geometry
from blindsr_jax.methods.estimators import kenet
from blindsr_jax.methods.interfaces import State
from blindsr_jax.networks.kenet import KENet
from blindsr_jax.weights import kenet as kenet_weights
from tests import small

SCALE, SIZE = 2, 7
NET = KENet(kernel_size=SIZE, channels=2, hidden=6, categories=2)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A network whose answers lie where released kernels do: nothing in the last row and column."""
    params = small.random_params(NET, jnp.zeros((1, 8, 8, 3)), std=0.5)
    bias = np.full((SIZE, SIZE), -60, np.float32)
    bias[:-1, :-1] = 0
    params["params"]["kernel"]["bias"] = bias.reshape(-1)
    path = tmp_path_factory.mktemp("kenet") / "kenet.npz"
    path.write_bytes(kenet_weights.to_bytes(params, scale=SCALE, families=("gaussian", "trajectory"), half=False))
    return path


@pytest.fixture(scope="module")
def run(file):
    """The state after the one step."""

    @functools.cache
    def programs(spec, window):
        solver = kenet.build(spec, weights=file, window=window)
        return solver, jax.jit(solver.init), jax.jit(solver.step)

    def call(lr, window=None, **place):
        spec = make_spec(scale=SCALE, **{"kernel_size": SIZE, "kernel_center": "release"} | place)
        solver, init, step = programs(spec, window)
        problem = Problem(lr, spec)
        key = jax.random.key(0)
        state = init(key, problem, None, solver.arrays)
        after, trace = step(key, state, problem, jnp.int32(0), solver.arrays)
        assert jax.tree.structure(after) == jax.tree.structure(state)
        assert set(trace) == {"loss", "residual", "kernel_loss"}
        return after

    return call


@pytest.fixture(scope="module")
def image():
    return jax.random.uniform(jax.random.key(1), (20, 17, 3))


def test_it_is_the_network_on_the_whole_image(run, file, image):
    state = run(image)
    said = jax.jit(NET.apply)(kenet_weights.read(file).params, image[None])
    np.testing.assert_allclose(state.kernel, said.kernel[0], atol=1e-6)
    np.testing.assert_allclose(state.kernel_state.probabilities, jax.nn.softmax(said.category_logits[0]), atol=1e-6)
    assert state.image.shape == (2 * 20 + SIZE - 2, 2 * 17 + SIZE - 2, 3) and not state.image.any()


def test_size_and_centre_follow_the_problem(run, image):
    plain = run(image).kernel
    aligned = run(image, kernel_center="aligned").kernel
    np.testing.assert_allclose(aligned[1:, 1:], plain[:-1, :-1], atol=1e-6)
    large = run(image, kernel_size=11).kernel
    np.testing.assert_allclose(large, np.pad(plain, 2), atol=1e-6)
    small = run(image, kernel_size=5).kernel
    inner = plain[1:-1, 1:-1]
    np.testing.assert_allclose(small, inner / inner.sum(), atol=1e-6)
    large = run(image, kernel_size=11, kernel_center="aligned").kernel
    shift = geometry.center_of_mass(large) - geometry.center_of_mass(plain)
    np.testing.assert_allclose(shift, 2 + SCALE - 1, atol=1e-4)


def test_gray_images_are_three_equal_colours(run, image):
    gray = image[..., :1]
    np.testing.assert_allclose(run(gray).kernel, run(jnp.repeat(gray, 3, -1)).kernel, atol=1e-6)
    assert run(gray).image.shape[-1] == 1


def test_windows_cover_the_image_and_are_averaged(run, file, image):
    parts = tiling.cut(image, 12)
    assert parts.shape == (4, 12, 12, 3)
    seen = np.zeros((20, 17), int)
    for i in tiling.starts(20, 12):
        for j in tiling.starts(17, 12):
            seen[i : i + 12, j : j + 12] += 1
    assert seen.min() == 1 and tiling.starts(8, 12) == [0]
    kernels = jax.jit(NET.apply)(kenet_weights.read(file).params, parts).kernel
    np.testing.assert_allclose(run(image, window=12).kernel, kernels.mean(0), atol=1e-6)


def test_refusals(file):
    spec = make_spec(scale=SCALE)
    with pytest.raises(ValueError, match="no shipped network .kenet_x7."):
        kenet.build(make_spec(scale=7))
    with pytest.raises(ValueError, match="is for scale 2, one for scale 3 was expected"):
        kenet.build(make_spec(scale=3), weights=file)
    with pytest.raises(ValueError, match="window is 4"):
        kenet.build(spec, weights=file, window=4)
    with pytest.raises(ValueError, match="precision is 'half'"):
        kenet.build(spec, weights=file, precision="half")


def test_parts_of_an_image_get_their_own_kernels(file):
    spec = make_spec(scale=SCALE, kernel_size=SIZE)
    solver = kenet.build(spec, weights=file, window=12, num_windows=4, kernel_map=(2, 3))
    lr = jax.random.uniform(jax.random.key(1), (40, 61, 3))
    problem, key = Problem(lr, spec), jax.random.key(0)
    state = jax.jit(solver.init)(key, problem, None, solver.arrays)
    after, _ = jax.jit(solver.step)(key, state, problem, jnp.int32(0), solver.arrays)
    assert jax.tree.structure(after) == jax.tree.structure(state) and after.kernel_map.shape == (2, 3, SIZE, SIZE)
    np.testing.assert_allclose(after.kernel_map.sum((2, 3)), 1, rtol=1e-5)
    part = kenet.build(spec, weights=file, window=12, num_windows=4)
    last = Problem(lr[20:, 41:], spec)
    (alone, _) = jax.jit(part.step)(key, part.init(key, last, None, part.arrays), last, jnp.int32(0), part.arrays)
    np.testing.assert_allclose(after.kernel_map[1, 2], alone.kernel, atol=1e-5)


def test_windows_that_disagree_are_told(file):
    solver = kenet.build(make_spec(scale=SCALE, kernel_size=SIZE), weights=file, window=12)
    kernel = jnp.full((SIZE, SIZE), 1 / SIZE**2)
    for unevenness, word in ((0.1, ""), (0.9, "disagree")):
        belief = kenet.Findings(jnp.array([0.5, 0.5]), jnp.float32(unevenness), jnp.float32(1))
        assert word in solver.message(State((), belief, (), kernel)) and (word != "") == bool(
            solver.message(State((), belief, (), kernel))
        )


def test_a_kernel_of_a_smaller_image_is_enlarged_about_its_centre():
    spec = make_spec(scale=1, kernel_size=61)
    settings = kenet.Settings(spec, None, 96, 4, None, 2, 3)
    small_kernel = gaussian.gaussian_kernel(jnp.array([4.0, 2.0]), jnp.asarray(0.4), kernel_size=21, center=10.0)
    for factor in (2, 3):
        kernel = kenet._placed(settings, small_kernel, factor)
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
        np.testing.assert_allclose(geometry.center_of_mass(kernel), [30, 30], atol=1e-3)
        widths = [float(kenet.axis_variance(x)) ** 0.5 for x in (kernel, small_kernel)]
        assert widths[0] / widths[1] == pytest.approx(factor, rel=0.05)


def test_a_block_counts_where_all_of_it_does():
    x = jnp.arange(4 * 6 * 1.0).reshape(4, 6, 1)
    np.testing.assert_allclose(kenet._reduced(x, 2)[..., 0], [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]])
    assert kenet._reduced(x != 7, 2)[..., 0].tolist() == [[False, True, True], [True, True, True]]


def test_a_kernel_of_a_smaller_image_is_doubted():
    problem = Problem(jnp.zeros((8, 8, 3)), make_spec(scale=1, kernel_size=61), jnp.float32(0))
    state = State((), kenet.Findings(jnp.array([1.0, 0.0]), jnp.float32(0), jnp.float32(1)), jnp.zeros(1), jnp.zeros(1))
    told = [
        float(kenet._restorer_noise((0.0, 6.0), x, problem))
        for x in (state, state._replace(kernel_state=state.kernel_state._replace(reduction=jnp.float32(2))))
    ]
    np.testing.assert_allclose(told, [0, kenet.ENLARGED_DOUBT / 255], atol=1e-7)
