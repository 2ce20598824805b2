import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family
from blindsr_jax.kernels.gaussian import gaussian_kernel
from blindsr_jax.methods.estimators import base, gan_losses, kernelgan
from blindsr_jax.methods.interfaces import min_lr_side
from blindsr_jax.networks.kernelgan import Discriminator, implied_kernel, init_generator
from blindsr_jax.solvers.loop import run_chunk, start
from tests import golden, small
from tests.methods.estimators import released


@pytest.fixture(scope="module")
def losses():
    return golden.load("10_kernelgan_losses")


KERNEL_LOSSES = {
    "sum2one": gan_losses.sum_loss,
    "boundaries": gan_losses.boundary_loss,
    "sparse": gan_losses.sparsity_loss,
    "centralized": lambda kernel: gan_losses.center_loss(kernel, kernelgan.CENTER),
}


def test_kernel_losses_equal_the_vectors(losses):
    with jax.enable_x64(True):
        kernels = jnp.asarray(losses["loss_kernels"], jnp.float64)

        def run(kernels):
            return {name: jax.vmap(jax.value_and_grad(loss))(kernels) for name, loss in KERNEL_LOSSES.items()}

        for name, (values, grads) in jax.jit(run)(kernels).items():
            np.testing.assert_allclose(values, losses[f"loss_{name}"], rtol=1e-5, err_msg=name)
            rtol = 1e-3 if name == "sparse" else 1e-4
            np.testing.assert_allclose(grads, losses[f"loss_{name}_grad"], rtol=rtol, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(gan_losses.boundary_mask(13), losses["boundary_mask"], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(losses["central_target"], [kernelgan.CENTER] * 2)


def test_losses_of_images_equal_the_vectors(losses):
    with jax.enable_x64(True):
        crop, output = (released.image(losses[f"bicubic_g_{name}"], jnp.float64) for name in ("input", "output"))
        for name, legacy in (("bicubic_downscaled_depthwise", False), ("bicubic_downscaled", True)):
            found = gan_losses.halve(crop, (26, 26), legacy=legacy)
            np.testing.assert_allclose(found, released.image(losses[name], jnp.float64), atol=1e-5)
        loss, grad = jax.value_and_grad(lambda x: gan_losses.bicubic_loss(x, crop, legacy=True))(output)
        np.testing.assert_allclose(loss, losses["bicubic_loss"], rtol=1e-5)
        expected = released.image(losses["bicubic_grad_g_output"], jnp.float64)
        np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-6)
        judged = jnp.asarray(losses["gan_map"])
        found = [gan_losses.gan_loss(judged, real) for real in (True, False)]
        np.testing.assert_allclose(found, losses["gan_loss_real_fake"], rtol=1e-5)


def test_the_generators_loss_equals_the_vectors():
    vectors = golden.load("10_kernelgan_nets")
    with jax.enable_x64(True):
        variables = released.discriminator(vectors, jnp.float64)
        crop = released.image(vectors["g_input"], jnp.float64)
        loss_weights = kernelgan.LossWeights(jnp.float64(5), jnp.float64(1), jnp.float64(5), jnp.int32(3))

        def judge(x):
            return Discriminator().apply(variables, x, mutable=["spectral"])

        def loss_of(weights):
            return kernelgan.generator_loss(weights, judge, crop, loss_weights, sum_weight=0.5, legacy=True)

        weights = released.generator(vectors, jnp.float64)
        (loss, (game, *_)), grads = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(weights)
    np.testing.assert_allclose(loss, vectors["total_g_loss_original"], rtol=1e-5)
    np.testing.assert_allclose(game, vectors["gan_g_loss"], rtol=1e-5)
    expected = released.weight(vectors["total_grad_original/first_layer.weight"])
    np.testing.assert_allclose(grads[0], expected, atol=1e-3 * np.abs(expected).max())


def test_the_balance_of_losses_follows_the_schedule():
    loss_weights, near, far = kernelgan.initial_loss_weights(jnp.float32), jnp.float32(0.1), jnp.float32(0.9)
    step = jax.jit(lambda loss_weights, bicubic, i: kernelgan.next_loss_weights(loss_weights, bicubic, i, near=0.4))
    bicubics = {1: near, 2: near, 3: far, 7: near, 8: near, 9: near}
    weights = {}
    for i in [*range(11), 199, 200, 201, 400, 600, 800, 1000]:
        loss_weights = step(loss_weights, bicubics.get(i, far), jnp.int32(i))
        weights[i] = [float(x) for x in loss_weights[:3]]
        assert (int(loss_weights.near) == 3) == (i >= 9)
    np.testing.assert_allclose(weights[199], [5, 0, 0])
    np.testing.assert_allclose(weights[200], [0.05, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(weights[201], [0.05, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(weights[400], [5e-4, 1, 5], rtol=1e-5)
    for i in (600, 800, 1000):
        np.testing.assert_allclose(weights[i], [5e-6, 1, 5], rtol=1e-5)


@pytest.fixture(scope="module")
def solved():
    """The problem, x4 of a gray image; the state before some steps; two runs of them."""
    spec = make_spec(scale=4, boundary="circular")
    solver = kernelgan.build(spec, family=load_family("gaussian", scale=4), crop=32)
    problem = Problem(small.smooth_image((35, 36, 1)), spec)
    before = jax.tree.map(np.asarray, start(jax.random.key(0), problem, None, solver=solver))
    copies = (jax.tree.map(jnp.array, before) for _ in range(2))  # run_chunk takes them
    key, first = jax.random.key(0), jnp.int32(0)
    return problem, before, [run_chunk(key, copy, problem, first, solver=solver, length=8) for copy in copies]


@pytest.mark.long
def test_the_estimate_is_a_kernel(solved):
    problem, before, [(after, trace), _] = solved
    for kernel in (before.kernel, after.kernel):
        assert kernel.shape == (problem.spec.kernel_size,) * 2 and float(kernel.min()) >= 0
        np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    assert np.abs(before.kernel - after.kernel).max() > 1e-3
    assert after.image.shape == problem.canvas_shape and not after.image.any()
    assert set(trace) == {"loss", "residual", "kernel_loss"} and all(np.isfinite(x).all() for x in trace.values())


@pytest.mark.long
def test_both_players_move_and_a_run_can_be_repeated(solved):
    _, before, [(after, _), (again, _)] = solved
    for player in (
        lambda state: state.kernel_state.generator,
        lambda state: state.kernel_state.discriminator["params"],
    ):
        first, last = (jax.tree.leaves(player(state)) for state in (before, after))
        # The bias before a batch normalisation has no effect and no gradient.
        assert np.mean([np.abs(a - b).max() > 1e-4 for a, b in zip(first, last, strict=True)]) > 0.7
    jax.tree.map(np.testing.assert_array_equal, after, again)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kernel_center", ["release", "aligned"])
def test_estimates_are_finished_at_the_centre_of_the_problem(scale, kernel_center):
    spec = make_spec(scale=scale, kernel_center=kernel_center)
    raw = gaussian_kernel(jnp.array([1.5, 0.7]), jnp.array(0.4), kernel_size=13, center=6.5)
    found, empty = jax.jit(lambda raw: (base.finish(raw, spec), base.finish(0 * raw, spec)))(raw)
    np.testing.assert_allclose(geometry.center_of_mass(found), spec.center, atol=0.02)
    # Blurring and downsampling by two twice: the second blur is twice as wide, in pixels of the first.
    factor = 1 if scale == 2 else 5
    np.testing.assert_allclose(geometry.covariance(found), factor * geometry.covariance(raw), rtol=0.03, atol=0.02)
    np.testing.assert_allclose(geometry.center_of_mass(empty), spec.center, atol=0.05)


def test_only_what_the_game_changes_is_carried_over():
    spec = make_spec(scale=4, kernel_center="release")
    first, other = (
        gaussian_kernel(jnp.array(v), jnp.array(0.4), kernel_size=13, center=6.5) for v in ([1.5, 0.7], [1.0, 0.7])
    )
    known = gaussian_kernel(jnp.array([4.0, 3.0]), jnp.array(0.4), kernel_size=19, center=spec.center)

    @jax.jit
    def run(known):
        stands_for = base.finish(first, spec), base.finish(other, spec)
        rests = [base.unexplained(x, first, spec) for x in (known, stands_for[0])]
        return stands_for, base.carry_over(first, rests[0], spec), base.carry_over(other, rests[1], spec)

    (_, expected), same, changed = run(known)
    np.testing.assert_allclose(same, known, atol=1e-3)
    np.testing.assert_allclose(changed, expected, atol=1e-3)


def test_the_smallest_image_and_wrong_options():
    spec = make_spec(scale=4)
    assert min_lr_side(spec, kernelgan.build(spec, anchor_weight=0)) == kernelgan.SMALLEST_SIDE
    with pytest.raises(ValueError, match="scales 2 and 4, got scale 3"):
        kernelgan.build(make_spec(scale=3))
    with pytest.raises(ValueError, match="crop 16"):
        kernelgan.build(spec, anchor_weight=0, crop=16)
    with pytest.raises(ValueError, match="anchor_weight 1000.0 and no kernel family"):
        kernelgan.build(spec)
    with pytest.raises(ValueError, match="anchor_weight -1, expected a number of at least 0"):
        kernelgan.build(spec, anchor_weight=-1)


def test_the_loss_draws_the_kernel_to_the_anchor():
    """Its part of the loss is the squared distance, and the image of the first kernel takes the bicubic one's place."""
    keys = jax.random.split(jax.random.key(0), 2)
    weights, crop = (
        jax.jit(lambda key: init_generator(key, jnp.float32))(keys[0]),
        jax.random.uniform(keys[1], (40, 40, 3)),
    )
    kernel = jax.jit(implied_kernel)(weights)
    first, loss_weights = jnp.zeros_like(kernel).at[6, 6].set(1), kernelgan.initial_loss_weights(jnp.float32)

    @jax.jit
    def parts(first, pull):
        def judge(x):
            return jnp.ones(x.shape[:2]), None

        return kernelgan.generator_loss(weights, judge, crop, loss_weights, anchor=first, anchor_weight=pull)[1]

    (_, bicubic, shape, small, _), (_, _, free, _, _) = parts(first, 3.0), parts(first, 0.0)
    np.testing.assert_allclose(shape - free, 3 * np.square(kernel - first).sum(), rtol=1e-4)
    np.testing.assert_allclose(bicubic, np.square(small - crop[6:-6:2, 6:-6:2]).mean(), rtol=1e-4)
