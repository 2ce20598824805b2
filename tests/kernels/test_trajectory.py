import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels import geometry, trajectory
from tests.kernels import moments


def draw(family, seed, num):
    return jax.jit(jax.vmap(family.sample))(jax.random.split(jax.random.key(seed), num))


def draw_and_render(family, seed, num):
    """Latents and kernels in one compiled call."""

    def one(key):
        latent = family.sample(key)
        return latent, family.render(latent)

    return jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(seed), num))


def test_top_of_the_range_blurs():
    assert trajectory.default_variance_range(4, 7.5) == (1.0, 12.0)
    family = trajectory.family(scale=4, major_variance_range=(12.0, 12.0))
    major = moments.principal_variances(draw_and_render(family, 0, 400)[1])[:, 1]
    assert (major >= 10).mean() > 0.95  # the rest were made smaller to fit
    assert major.max() < 12.3


@pytest.mark.parametrize("scale", [1, 8])
def test_major_variance_is_the_requested_one(scale):
    family = trajectory.family(scale=scale)
    latent, kernels = draw_and_render(family, 1, 300)
    error = moments.principal_variances(kernels)[:, 1] - np.asarray(latent.major_variance)
    assert np.abs(np.quantile(error, [0.25, 0.75])).max() < 0.1
    assert error.max() < 0.3


def test_paths_bend():
    family = trajectory.family(scale=4, major_variance_range=(8.0, 12.0))
    kernels = np.asarray(draw_and_render(family, 2, 400)[1])
    minor, major = moments.principal_variances(kernels).T
    # Neither straight lines only (0.02 here) nor blobs (1), and thinner than the Gaussian of that covariance.
    assert 0.05 < np.median(minor / major) < 0.4
    gaussian_peak = 1 / (2 * np.pi * np.sqrt(minor * major))
    assert np.median(kernels.max((1, 2)) / gaussian_peak) > 1.3


def test_statistics_do_not_depend_on_the_number_of_points():
    """Against the 2000-step process written out in complex numbers."""
    rng, num, steps = np.random.default_rng(0), 500, 2000
    delta = 10.0 / (steps - 1)
    anxiety = rng.choice(trajectory.ANXIETY, num)
    pull, impulse, noise = 0.7 * rng.random(num), 0.2 * rng.random(num), 10 * rng.random(num)
    velocity = np.exp(2j * np.pi * rng.random(num)) * delta
    path = np.zeros((steps, num), complex)
    for t in range(steps - 1):
        kicked = rng.random(num) < impulse * anxiety
        kick = np.where(kicked, 2 * velocity * np.exp(1j * (np.pi + rng.random(num) - 0.5)), 0)
        normal = rng.normal(size=num) + 1j * rng.normal(size=num)
        velocity = velocity + kick + anxiety * (noise * normal - pull * path[t]) * delta
        velocity *= delta / np.abs(velocity)
        path[t + 1] = path[t] + velocity
    reference = np.sort(np.sqrt(np.mean(np.abs(path - path.mean(0)) ** 2, axis=0)))
    for num_points in (64, 256):
        family = trajectory.family(scale=4, num_points=num_points)
        paths = np.asarray(jax.jit(jax.vmap(trajectory.trajectory))(draw(family, 3, 2000)))
        spread = np.sqrt(paths.var(axis=1).sum(-1))
        wanted = np.quantile(reference, [0.1, 0.25, 0.5, 0.75, 0.9])
        np.testing.assert_allclose(np.quantile(spread, [0.1, 0.25, 0.5, 0.75, 0.9]), wanted, rtol=0.15)
        steps_taken = np.linalg.norm(np.diff(paths, axis=1), axis=-1)
        np.testing.assert_allclose(steps_taken, 10 / num_points, rtol=1e-3)


@pytest.mark.parametrize(
    ("scale", "size", "kernel_center"),
    [(1, 7, "release"), (2, None, "aligned"), (3, 3, "release")],
)
def test_laws(scale, size, kernel_center):
    family = trajectory.family(scale=scale, kernel_size=size, kernel_center=kernel_center, num_points=32)
    size, center, _ = geometry.window(scale, size, kernel_center)
    kernels = np.asarray(draw_and_render(family, 4, 50)[1])
    assert kernels.shape == (50, size, size)
    assert kernels.min() >= 0
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(moments.mean(kernels), center, atol=5e-5)


def test_huge_requests_lose_no_mass():
    points = trajectory.fit_path(jax.random.normal(jax.random.key(0), (100, 2)), jnp.float32(500.0), half_width=7.5)
    assert float(jnp.abs(points).max()) == pytest.approx(7.5, abs=1e-5)
    np.testing.assert_allclose(points.mean(0), 0, atol=1e-5)


def test_render_is_deterministic_and_respects_dtype():
    with jax.enable_x64(True):
        family = trajectory.family(scale=2, num_points=64)
        latent = family.sample(jax.random.key(5))
        wide, again = jax.jit(family.render)(latent), jax.jit(family.render)(latent)
        assert wide.dtype == jnp.float64
        narrow = jax.jit(family.render)(
            jax.tree.map(lambda x: x.astype("float32") if x.dtype == "float64" else x, latent)
        )
        assert narrow.dtype == jnp.float32
        assert float(family.log_prior(latent)) > -np.inf
    np.testing.assert_array_equal(wide, again)
    np.testing.assert_allclose(narrow, wide, atol=1e-3)


def test_the_wide_range_holds_the_default_twice_as_far_down_and_all_that_fits():
    low, high = trajectory.default_variance_range(4, 7.5)
    wide = trajectory.wide_variance_range(4, 7.5)
    assert wide[0] == low / 2 and high < wide[1] == 14**2 / 12
    with pytest.raises(ValueError, match="expected \\(low, high\\) or 'wide'"):
        trajectory.family(scale=4, major_variance_range="narrow")


def test_log_prior_support():
    family = trajectory.family(scale=2, num_points=32)
    latent = family.sample(jax.random.key(6))
    for name, value in (("major_variance", 99.0), ("pull", 0.8), ("noise", -1.0)):
        assert float(family.log_prior(latent._replace(**{name: jnp.float32(value)}))) == -np.inf
    assert float(family.log_prior(latent._replace(level=jnp.int32(8)))) == -np.inf
    with pytest.raises(ValueError, match="num_points"):
        trajectory.family(scale=2, num_points=3)
