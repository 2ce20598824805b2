import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family
from blindsr_jax.methods.estimators import gan_losses, kernelgan_fkp
from blindsr_jax.methods.interfaces import min_lr_side
from blindsr_jax.networks.kernelgan import PatchCritic
from blindsr_jax.solvers.loop import run_chunk, start
from blindsr_jax.weights.convert import fkp_flow
from tests import golden, small
from tests.methods.estimators import released


@pytest.fixture(scope="module")
def vectors():
    return golden.load("10_kernelganfkp")


def near(found, expected, share=1e-3):
    np.testing.assert_allclose(found, expected, atol=share * np.abs(expected).max())


def test_generator_equals_the_vectors(vectors):
    flow = fkp_flow(golden.load("FKP_x2"))
    with jax.enable_x64(True):
        code = jnp.asarray(vectors["kernel_code"].reshape(-1), jnp.float64)
        kernel = kernelgan_fkp.flow_kernel(flow, code, normalize=False)
        np.testing.assert_allclose(kernel, vectors["kernel"], atol=2e-6)
        found = kernelgan_fkp.shrink(released.images(vectors["g_input"], jnp.float64), kernel)
        np.testing.assert_allclose(found, released.images(vectors["g_output"], jnp.float64), atol=2e-6)


def test_critic_and_its_loss_equal_the_vectors(vectors):
    with jax.enable_x64(True):
        params = released.critic(vectors, jnp.float64)
        real, fake = (released.images(vectors[name], jnp.float64) for name in ("d_input", "g_output"))
        critic, mix = PatchCritic(), jnp.asarray(vectors["gp_alpha"], jnp.float64)

        @jax.jit
        def run(params):
            """What the critic says, its loss, and the gradient of the penalty alone: that of the two others is off."""
            grads, (gap, penalty) = jax.grad(kernelgan_fkp.critic_loss, has_aux=True)(params, critic, real, fake, mix)
            said = [critic.apply(params, x) for x in (real, fake)]
            others = jax.grad(lambda p: critic.apply(p, fake).mean() - critic.apply(p, real).mean())(params)
            return said, gap, penalty, jax.tree.map(jnp.subtract, grads, others)["params"]

        (on_real, on_fake), gap, penalty, grads = jax.device_get(run(params))
    np.testing.assert_allclose(on_real, vectors["d_real"][:, 0], atol=1e-4)
    np.testing.assert_allclose(on_fake, vectors["d_fake"][:, 0], atol=1e-4)
    np.testing.assert_allclose(gap, on_real.mean() - on_fake.mean(), rtol=1e-9)
    np.testing.assert_allclose(0.1 * penalty, vectors["gp"], rtol=1e-4)
    near(grads["kernel0"], released.weight(vectors["gp_grad/head.conv.weight"]))
    near(grads["kernel4"], released.weight(vectors["gp_grad/tail.weight"]))


def test_gradient_of_the_code_equals_the_vectors(vectors):
    flow = fkp_flow(golden.load("FKP_x2"))
    with jax.enable_x64(True):
        params = released.critic(vectors, jnp.float64)
        fathers = released.images(vectors["g_input"], jnp.float64)

        def loss_of(code):
            kernel = kernelgan_fkp.flow_kernel(flow, code, normalize=False)
            return -jnp.mean(PatchCritic().apply(params, kernelgan_fkp.shrink(fathers, kernel)))

        loss, grad = jax.jit(jax.value_and_grad(loss_of))(jnp.asarray(vectors["kernel_code"].reshape(-1), jnp.float64))
        np.testing.assert_allclose(loss, vectors["g_loss"], rtol=1e-4)
        near(grad, vectors["g_loss_grad_code"].reshape(-1))


def test_penalty_is_zero_where_every_slope_is_one():
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (2, 3, 3, 2), jnp.float64)
        steep = jnp.asarray([[[[0.6, 0.8]]]])
        assert float(gan_losses.gradient_penalty(lambda x: x * steep, x)) == pytest.approx(0, abs=1e-15)
        assert float(gan_losses.gradient_penalty(lambda x: x * steep, x, axis=None)) == pytest.approx(4)
        assert float(gan_losses.gradient_penalty(jnp.zeros_like, x)) == 1


@pytest.fixture(scope="module")
def solved():
    """The spec, the code before and the state after two steps, x4 of a gray image."""
    spec = make_spec(scale=4, boundary="circular", kernel_center="aligned")
    family = load_family("gaussian", scale=4, kernel_center="aligned")
    solver = kernelgan_fkp.build(spec, family=family, batch=2, moves=2, crop=34, code_rate=0.1)
    lr = small.smooth_image((35, 36, 1))
    problem = Problem(lr, spec)
    before = start(jax.random.key(0), problem, None, solver=solver)
    code = np.asarray(before.kernel_state.code)
    after, trace = run_chunk(jax.random.key(0), before, problem, jnp.int32(0), solver=solver, length=2)
    return spec, code, after, trace


@pytest.mark.long
def test_the_estimate_is_a_kernel_and_the_code_moves_on_its_sphere(solved):
    spec, code, after, trace = solved
    kernel = after.kernel
    assert kernel.shape == (spec.kernel_size,) * 2
    np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose([np.linalg.norm(code), jnp.linalg.norm(after.kernel_state.code)], 10, rtol=1e-5)
    assert np.abs(after.kernel_state.code - code).max() > 0.1
    first = after.kernel_state.anchor  # where the flow's kernels have their centre
    np.testing.assert_allclose([first.sum(), *geometry.center_of_mass(first)], [1, 4.5, 4.5], atol=0.02)
    assert set(trace) == {"loss", "residual", "kernel_loss"} and all(np.isfinite(x).all() for x in trace.values())


def test_the_smallest_image():
    spec = make_spec(scale=2)
    solver = kernelgan_fkp.build(spec, anchor_weight=0)
    side = min_lr_side(spec, solver)
    shapes = jax.eval_shape(solver.init, jax.random.key(0), Problem(jnp.zeros((side, side, 3)), spec))
    assert side == 32 and shapes.kernel.shape == (11, 11)


def test_wrong_options():
    with pytest.raises(ValueError, match="scales 2 and 4, got scale 3"):
        kernelgan_fkp.build(make_spec(scale=3))
    with pytest.raises(ValueError, match="crop 10"):
        kernelgan_fkp.build(make_spec(scale=2), anchor_weight=0, crop=10)
    with pytest.raises(ValueError, match="'kernelgan_fkp' has anchor_weight 100.0 and no kernel family"):
        kernelgan_fkp.build(make_spec(scale=2))
