import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.evaluation import metrics
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.inference import self_similarity as evidence
from blindsr_jax.kernels import gaussian, geometry
from blindsr_jax.methods.estimators import mean, self_similarity
from blindsr_jax.methods.interfaces import min_lr_side

SCALE = 2
SPEC = make_spec(scale=SCALE, boundary="circular", kernel_center="release")


def family(spec=SPEC):
    return gaussian.family(scale=spec.scale, kernel_size=spec.kernel_size, kernel_center=spec.kernel_center)


def same_at_all_sizes(side):
    """An image whose amplitude falls with the frequency as those of photographs do."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    spectrum = np.fft.rfft2(np.random.default_rng(0).normal(size=(side, side)))
    image = np.fft.irfft2(spectrum / np.maximum(frequency, 1 / side), (side, side))
    return jnp.asarray((image - image.min()) / np.ptp(image), jnp.float32)[..., None]


def kernel_of(variances, angle, spec=SPEC):
    return gaussian.gaussian_kernel(
        jnp.asarray(variances), jnp.asarray(angle), kernel_size=spec.kernel_size, center=spec.center
    )


@pytest.fixture(scope="module")
def steps():
    """The estimator and the one that looks at no image, as (image) -> kernel."""
    candidates = family()
    solvers = (module.build(SPEC, family=candidates) for module in (self_similarity, mean))

    def run(solver):
        def call(lr):
            problem = Problem(lr, SPEC)
            return solver.step(jax.random.key(0), solver.init(jax.random.key(0), problem), problem, jnp.int32(0))[0]

        return jax.jit(lambda lr: call(lr).kernel)

    return [run(solver) for solver in solvers]


@pytest.mark.parametrize("variances, angle", [((4.0, 0.8), 0.5), ((1.0, 0.6), 2.0)])
def test_an_image_that_is_the_same_at_all_sizes_tells_its_kernel(steps, variances, angle):
    truth = kernel_of(variances, angle)
    lr = degrade(same_at_all_sizes(256), truth, scale=SCALE, boundary="circular")
    found, blind = (np.asarray(step(lr), np.float64) for step in steps)
    np.testing.assert_allclose(found.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(jnp.asarray(found)), SPEC.center, atol=0.05)
    errors = [metrics.score_kernel(x, np.asarray(truth, np.float64))["kernel_cov_error"] for x in (found, blind)]
    assert errors[0] < 0.35 and errors[0] < 0.6 * errors[1]


@pytest.mark.parametrize("scale, center", [(2, "release"), (4, "release"), (4, "aligned"), (3, "release")])
def test_smaller_kernels_have_the_covariance_that_adds_up(scale, center):
    spec = make_spec(scale=scale, kernel_center=center)
    variances = jnp.asarray([0.5, 0.35]) * (scale**2 - 1)
    kernel = kernel_of(variances, 0.4, spec)
    (small,) = evidence.smaller(kernel[None], spec, 13)
    np.testing.assert_allclose(small.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(geometry.center_of_mass(small), 6.5, atol=0.05)
    wanted = geometry.covariance(kernel) * 3 / (scale**2 - 1)
    # Interpolation widens a little.
    np.testing.assert_allclose(geometry.covariance(small), wanted, rtol=0.12, atol=0.25)


def test_weights():
    found = jnp.asarray([0.2, 0.1, 0.4])
    weights = evidence.weigh(found, 0.5)
    np.testing.assert_allclose(weights, np.exp([-2, 0, -6]) / np.exp([-2, 0, -6]).sum(), rtol=1e-5)
    assert np.isfinite(evidence.weigh(jnp.zeros(3))).all()


def test_the_smallest_image_and_wrong_options():
    solver = self_similarity.build(SPEC, family=family(), num_samples=8)
    assert min_lr_side(SPEC, solver) == 32
    with pytest.raises(ValueError, match="scales from 2 on, got scale 1"):
        self_similarity.build(make_spec(scale=1), family=family())
    with pytest.raises(ValueError, match="num_samples 0 and temperature 0.7"):
        self_similarity.build(SPEC, family=family(), num_samples=0)
