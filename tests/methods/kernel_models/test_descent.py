"""The halves that descend the data loss: flow, fcn, softmax, gaussian. Each takes a few steps with one image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import geometry, placement
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.interfaces import StepContext
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import fcn, flow, gaussian, softmax
from blindsr_jax.methods.kernel_models.base import round_kernel
from blindsr_jax.networks import kernel_flow as flow_model
from blindsr_jax.solvers.loop import solve
from blindsr_jax.weights import flow as flow_weights
from tests import small

STEPS = 6
FREEZE = {"flow": 2, "softmax": 2, "fcn": 0, "gaussian": 0}


@pytest.fixture(scope="module")
def tiny_flow(tmp_path_factory):
    """An untrained flow for kernels of 7 at scale 2."""
    params, stats = flow_model.init(jax.random.key(0), 49, 4, num_blocks=2)
    path = tmp_path_factory.mktemp("flow") / "tiny.npz"
    path.write_bytes(flow_weights.to_bytes(flow_model.Flow(params, stats, np.float32(2 / 49)), 2))  # sums of about one
    return str(path)


def build(name, tiny_flow, spec=None, **options):
    spec = spec or small.spec()
    if name == "flow":
        return flow.build(spec, **{"weights": tiny_flow, "freeze_steps": 2} | options)
    if name == "softmax":
        return softmax.build(spec, **{"freeze_steps": 2} | options)
    if name == "fcn":
        return fcn.build(spec, **{"hidden": 64, "learning_rate": 1e-3, "warmup_steps": 600} | options)
    return gaussian.build(spec, **options)


@functools.cache
def compiled(name, tiny_flow):
    """`start(seed, kernel) -> state` and `step(i, state) -> (state, kernel, info)`, compiled once for all tests."""
    model, problem = build(name, tiny_flow), small.problem()
    init, step, image = jax.jit(model.init), jax.jit(model.step), small.smooth_image(problem.canvas_shape)

    def advance(i, state):
        return step(jax.random.key(i), state, image, problem, StepContext(jnp.int32(i), jnp.bool_(False)))

    return lambda seed, kernel=None: init(jax.random.key(seed), problem, kernel), advance


@functools.cache
def run(name, tiny_flow):
    """Kernels, losses and parameters of a few steps."""
    start, step = compiled(name, tiny_flow)
    state, found = start(0), []
    for i in range(STEPS):
        state, kernel, info = step(i, state)
        found.append((np.asarray(kernel), float(info.loss), state.params))
    return tuple(zip(*found, strict=True))


@pytest.mark.parametrize("name", FREEZE)
def test_kernels_are_kernels_and_the_loss_falls(name, tiny_flow):
    kernels, losses, _ = run(name, tiny_flow)
    for kernel in kernels:
        assert kernel.shape == (7, 7) and kernel.min() >= 0
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name, freeze", FREEZE.items())
def test_the_kernel_rests_first(name, freeze, tiny_flow):
    kernels, _, _ = run(name, tiny_flow)
    still = [np.array_equal(a, b) for a, b in zip(kernels, kernels[1:], strict=False)]
    assert still == [i < freeze for i in range(STEPS - 1)]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name != "fcn")) for name in FREEZE])
def test_a_batch_and_another_dtype_can_be_traced(name, tiny_flow):
    """As shapes only, which compiles nothing: a solver of a batch, in float64."""
    with jax.enable_x64(True):
        solver = joint(small.image_model(), build(name, tiny_flow), ssim_steps=2)
        problem = Problem(jax.ShapeDtypeStruct((3, *small.LR_SHAPE), jnp.float64), small.spec())
        keys = jax.eval_shape(lambda: small.keys(3))
        state = jax.eval_shape(jax.vmap(solver.init), keys, problem)
        step = jax.vmap(solver.step, (0, 0, 0, None))
        moved, trace = jax.eval_shape(step, keys, state, problem, jax.ShapeDtypeStruct((), jnp.int32))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), moved) == jax.tree.map(lambda x: (x.shape, x.dtype), state)
    assert moved.kernel.shape == (3, 7, 7) and trace["kernel_loss"].dtype == jnp.float64


@pytest.mark.parametrize("name", FREEZE)
def test_a_solve(name, tiny_flow):
    solver = joint(small.pixels(), build(name, tiny_flow), ssim_steps=2)
    result = solve(jax.random.key(0), small.problem(), solver, num_steps=6, chunk_steps=6)
    assert result.status == "ok" and result.image.shape == (20, 24, 3)
    assert result.trace["loss"][-1] < result.trace["loss"][0]
    np.testing.assert_allclose(result.kernel.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["softmax", "gaussian", "fcn"])
def test_a_given_kernel_is_the_start(name, tiny_flow):
    kernel = gaussian_kernel(jnp.asarray([1.2, 0.5]), jnp.asarray(0.6), kernel_size=7, center=small.spec().center)
    start, step = compiled(name, tiny_flow)
    used = step(0, start(0, kernel))[1]
    assert float(jnp.abs(used - kernel).max()) < (0.05 if name == "fcn" else 0.01)


@pytest.mark.parametrize("build", [softmax.build, fcn.build])
def test_a_round_start_is_at_the_centre(build):
    spec = make_spec(scale=4)
    kernel = round_kernel(spec, jnp.float32)
    np.testing.assert_allclose(geometry.center_of_mass(kernel), spec.center, atol=1e-3)
    with pytest.raises(ValueError, match="config.kernel.start is 'up', expected one of uniform, round"):
        build(spec, start="up")


def test_softmax_takes_the_round_start():
    model = softmax.build(small.spec(), start="round")
    state = model.init(jax.random.key(0), small.problem(), None)
    np.testing.assert_allclose(jax.nn.softmax(state.params, (0, 1)), round_kernel(small.spec(), jnp.float32), atol=1e-4)


def test_moments_of_a_gaussian_give_it_back():
    with jax.enable_x64(True):
        for variances, angle in (([1.2, 0.5], 0.6), ([1.2, 0.5], 2.4), ([1.5, 0.7], 0.0)):
            kernel = gaussian_kernel(jnp.asarray(variances), jnp.asarray(angle), kernel_size=21, center=10.0)
            found = gaussian.from_moments(kernel)
            np.testing.assert_allclose(jnp.exp(found.log_variances), variances, rtol=1e-2)
            np.testing.assert_allclose((float(found.angle) - angle + 0.1) % np.pi, 0.1, atol=1e-2)


def test_a_flow_starts_from_a_kernel_it_can_make(tiny_flow):
    """The code of a kernel that the flow made comes back; the pedestal and the sum are lost, so not bit for bit."""
    model, problem = build("flow", tiny_flow, small.spec()._replace(kernel_center="release")), small.problem()
    trained, _ = flow_weights.read(tiny_flow)
    code = model.init(jax.random.key(3), problem, None).params
    kernel = flow_model.to_kernel(flow_model.decode(trained, code)[0], trained.normalization)
    found = model.init(jax.random.key(4), problem, kernel).params
    assert float(jnp.vdot(found, code)) > 0.95 * 36


def test_codes_stay_on_the_sphere(tiny_flow):
    codes = [compiled("flow", tiny_flow)[0](0).params, *run("flow", tiny_flow)[2]]
    np.testing.assert_allclose(jnp.linalg.norm(jnp.stack(codes), axis=1), 6, rtol=1e-5)


@pytest.mark.parametrize("start", ["mean", "spectrum"])
def test_a_start_is_one_of_several_codes(start, tiny_flow):
    model = build("flow", tiny_flow, start=start, num_starts=5)
    state = model.init(jax.random.key(0), small.problem(), None)
    codes = jax.random.normal(jax.random.key(0), (5, 49))
    cosines = codes @ state.params / jnp.linalg.norm(codes, axis=1) / 6
    np.testing.assert_allclose(cosines.max(), 1, rtol=1e-5)


def test_a_flow_in_another_window(tiny_flow):
    """A larger window pads, and the centre follows the convention."""
    spec = small.spec()._replace(kernel_size=11)
    rendered = [
        jax.jit(build("flow", tiny_flow, s, normalize=n).init)(jax.random.key(0), small.problem(), None)
        for s, n in ((spec, True), (small.spec(), False))
    ]
    np.testing.assert_array_equal(rendered[0].params, rendered[1].params)
    wide = placement.convert(jnp.eye(7), 2, "release", "aligned", 11)
    assert wide.sum() == 7
    np.testing.assert_allclose(geometry.center_of_mass(wide), [6, 6])  # 3 in a window of 7, moved by s - 1


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights": "disc"}, "there is no shipped flow 'disc_x2', expected one of gaussian_x1"),
        ({"weights": "nowhere.npz"}, "cannot read the flow 'nowhere.npz': there is no such file"),
        ({"weights": "x", "start": "up"}, "config.kernel.start is 'up', expected one of random, mean, spectrum"),
    ],
)
def test_what_a_flow_half_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        flow.build(small.spec(), **options)


def test_a_flow_for_another_scale_is_refused(tiny_flow):
    with pytest.raises(ValueError, match="is for scale 2, one for scale 3 was expected"):
        flow.build(small.spec(scale=3), weights=tiny_flow)
