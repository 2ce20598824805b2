"""USRNet in tiles: the tiles cover the image, no border shows between them, and an image without a blur is enlarged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import gaussian
from blindsr_jax.methods.restorers import cubic, tiles
from blindsr_jax.solvers.loop import solve
from tests import small

SPEC = make_spec(scale=2, kernel_size=7)


def blur(variance=1.5):
    return gaussian.gaussian_kernel(jnp.full(2, variance), jnp.asarray(0.0), kernel_size=7, center=SPEC.center)


def problem(h, w, c=3, noise_std=0.0):
    x = jax.image.resize(jax.random.uniform(jax.random.key(3), (h, w, c)), (*SPEC.canvas_shape((h, w, c)), c), "cubic")
    lr = jnp.clip(degrade(x, blur(), scale=2, boundary="valid"), 0, 1)
    return Problem(lr, SPEC, jnp.float32(noise_std))


def run(where, kernel=None, **options):
    solver = tiles.build(SPEC, **options)
    return solve(jax.random.key(0), where, solver, kernel=blur() if kernel is None else kernel)


@pytest.mark.parametrize("length, side, overlap", [(100, 48, 8), (48, 48, 8), (20, 48, 8), (97, 50, 30), (49, 48, 8)])
def test_the_shares_of_tiles_add_up_to_one_at_each_pixel(length, side, overlap):
    found = tiles.plan(length, side, overlap, 2)
    total = np.zeros(2 * length)
    for start, shares in zip(found.starts, found.shares, strict=True):
        assert 0 <= start and 2 * start + len(shares) <= 2 * length and shares.min() >= 0
        total[2 * start : 2 * start + len(shares)] += shares
    np.testing.assert_allclose(total, 1, atol=1e-12)
    ends = found.starts[:-1] + len(found.shares[0]) // 2
    assert (ends - found.starts[1:] >= min(overlap, length)).all()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The file of a small network with random weights, for what does not depend on what a network has learned."""
    return small.usrnet_file(tmp_path_factory.mktemp("usrnet") / "tiny.npz", 0.5)


def test_the_number_of_steps_is_that_of_the_tiles_and_no_seam_shows():
    where = problem(60, 75)
    whole, parts = run(where, tile=80), run(where, tile=48, overlap=16)
    assert [len(x.trace["loss"]) for x in (whole, parts)] == [1, 4]
    difference = np.abs(np.asarray(parts.image - whole.image)).mean(-1)
    # Between the last pixel of the first tile alone and the first of the second one alone, and elsewhere.
    near = difference[2 * 12 - 2 : 2 * 48 + 2].mean()
    assert near < 2 * difference.mean()
    step = np.abs(np.diff(np.asarray(parts.image) - np.asarray(whole.image), axis=0)).mean((1, 2))
    assert step.max() < 8 * np.median(step) + 1e-4


def test_an_image_without_a_blur_comes_back_enlarged_and_says_so(tiny):
    where, point = problem(52, 60), blur(0.02)
    found = run(where, point, tile=48, overlap=16, weights=tiny)
    expected = jnp.clip(SPEC.crop(cubic.enlarge(where.lr, SPEC), where.lr.shape), 0, 1)
    np.testing.assert_allclose(found.image, expected, atol=1e-5)
    assert found.status == "ok" and "no blur" in found.message


def test_at_scale_1_it_is_the_image_itself(tiny):
    spec = make_spec(scale=1, kernel_size=21)
    point = gaussian.gaussian_kernel(jnp.full(2, 0.01), jnp.asarray(0.0), kernel_size=21, center=spec.center)
    lr = problem(52, 60).lr
    solver = tiles.build(spec, tile=48, overlap=16, weights=tiny)
    found = solve(jax.random.key(0), Problem(lr, spec), solver, kernel=point)
    np.testing.assert_allclose(found.image, lr, atol=1e-6)


def test_it_hears_the_noise_of_the_problem_and_its_own_option_goes_first(tiny):
    quiet, loud = (run(problem(48, 48, noise_std=std), weights=tiny) for std in (0.0, 0.05))
    assert np.abs(np.asarray(quiet.image - loud.image)).mean() > 1e-3
    np.testing.assert_array_equal(run(problem(48, 48, noise_std=0.05), noise_std=0.0, weights=tiny).image, quiet.image)
    unknown = Problem(problem(48, 48).lr, SPEC)  # counts as none
    np.testing.assert_array_equal(run(unknown, weights=tiny).image, quiet.image)


def test_kernels_of_parts_are_interpolated_between_their_middles():
    kernels = jnp.arange(1.0, 7.0).reshape(2, 3, 1, 1) * jnp.ones((2, 3, 3, 3))

    def at(down, across):
        return float(tiles.kernel_at(kernels, (jnp.float32(down), jnp.float32(across)))[0, 0])

    places = [(0.25, 1 / 6), (0.25, 0.5), (0.75, 5 / 6), (0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (0.25, 1 / 3)]
    np.testing.assert_allclose([at(*place) for place in places], [1, 2, 6, 1, 6, 3.5, 1.5], rtol=1e-5)


def test_a_map_of_equal_kernels_is_one_kernel(tiny):
    where, kernels = problem(52, 60), jnp.broadcast_to(blur(), (2, 3, 7, 7))
    options = {"tile": 48, "overlap": 16, "weights": tiny}
    one, many = run(where, **options), run(where, kernels, **options)
    np.testing.assert_allclose(one.image, many.image, atol=1e-5)
    np.testing.assert_allclose(many.kernel, one.kernel, atol=1e-6)


def test_a_solve_goes_on_from_any_tile_bit_for_bit(tiny):
    where, solver = problem(60, 75), tiles.build(SPEC, tile=48, overlap=16, weights=tiny)
    seen = []
    options = {"kernel": blur(), "chunk_steps": 1}
    whole = solve(jax.random.key(0), where, solver, save=lambda x: seen.append(jax.device_get(x)), **options)
    assert [progress.step for progress in seen] == [1, 2, 3]
    for progress in seen:
        later = solve(jax.random.key(0), where, solver, progress=progress, **options)
        np.testing.assert_array_equal(later.image, whole.image)


def test_gray_images_stay_gray(tiny):
    assert run(problem(48, 50, c=1), weights=tiny).image.shape == (96, 100, 1)


@pytest.mark.parametrize("options, expected", [({"overlap": 48, "tile": 48}, "overlap"), ({"tile": 60}, "boundary")])
def test_refusals(options, expected):
    spec = SPEC if "overlap" in options else small.spec("circular")
    with pytest.raises(ValueError, match=expected):
        tiles.build(spec, **options)


def test_what_tells_nothing_is_only_enlarged(tiny):
    where = problem(48, 60)
    mask = jnp.ones(where.lr.shape, bool).at[10:14, 20:25].set(False)
    found = run(Problem(where.lr, SPEC, where.noise_std, mask), weights=tiny).image
    expected = jnp.clip(SPEC.crop(cubic.enlarge(where.lr, SPEC), where.lr.shape), 0, 1)
    np.testing.assert_allclose(found[20:28, 40:50], expected[20:28, 40:50], atol=1e-5)
    assert np.abs(found - expected)[:20].min() > 1e-3


def test_the_mean_of_mirror_images_is_that_of_the_mirrored_image_mirrored(tiny):
    """The same four images are restored, whichever of them is given: this holds for the mean alone."""
    spec = make_spec(scale=2, kernel_size=9, kernel_center="aligned")
    slanted = jnp.zeros((9, 9)).at[4, 3:6].set(0.2).at[5, 5:7].set(0.2)
    kernel = slanted / slanted.sum()
    mirrored = jnp.pad(kernel[:, ::-1], ((0, 0), (1, 0)))[:, :9]
    lr = problem(24, 30).lr

    def image(lr, kernel, flips):
        solver = tiles.build(spec, weights=tiny, flips=flips)
        return solve(jax.random.key(0), Problem(lr, spec, jnp.float32(0.01)), solver, kernel=kernel).image

    apart = []
    for flips in (True, False):
        first, second = image(lr, kernel, flips), image(lr[:, ::-1], mirrored, flips)[:, ::-1]
        apart.append(float(jnp.std(first - second) / jnp.std(first)))
    assert apart[0] < 1e-3 and apart[1] > 0.1, apart
