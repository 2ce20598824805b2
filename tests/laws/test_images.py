"""Laws of resizing, tiles, JPEG, and of kernels: geometry and families."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging import jpeg, resize, tiling
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import find_family
from tests.laws.law import arrays, kernels, law

compress = jax.jit(jpeg.compress)
shift = jax.jit(geometry.shift)
moments = jax.jit(lambda kernel: (geometry.center_of_mass(kernel), geometry.covariance(kernel)))
METHODS = st.sampled_from(("cubic", "lanczos3", "box", "linear"))


@law(few=200, length=st.integers(1, 5000), size=st.integers(1, 700), data=st.data())
def test_tiles_cover_a_side_and_share_the_overlap(length, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    found = tiling.starts(length, size, overlap=overlap)
    assert found[0] == 0 and max(found[-1] + size, size) >= length and found[-1] <= max(length - size, 0)
    steps = np.diff(found)
    assert (steps > 0).all() and (steps <= size - overlap).all(), found


@law(few=100, old=st.integers(1, 40), new=st.integers(1, 40), method=METHODS, antialias=st.booleans())
def test_rows_of_a_resizing_sum_to_one_and_are_mirrored(old, new, method, antialias):
    matrix = resize.resize_matrix(old, new, new / old, method=method, antialias=antialias)
    assert matrix.shape == (new, old)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=1e-9)
    if method != "box":  # whose border may fall on a sample, which then belongs to one side
        np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-9)


@law(few=4, shape=st.tuples(*[st.integers(1, 9)] * 2), scale=st.integers(1, 8), method=METHODS, data=st.data())
def test_resizing_turns_with_the_image_and_keeps_constants(shape, scale, method, data):
    image = data.draw(arrays(*shape, 3, dtype=np.float32))
    enlarge = jax.jit(lambda x: resize.imresize(x, scale, method=method))
    larger = np.asarray(enlarge(jnp.asarray(image)))
    assert larger.shape == (scale * shape[0], scale * shape[1], 3) and larger.dtype == np.float32
    turned = np.asarray(enlarge(jnp.asarray(image.swapaxes(0, 1))))
    np.testing.assert_allclose(turned.swapaxes(0, 1), larger, atol=1e-5)
    if scale == 1:
        np.testing.assert_allclose(larger, image, atol=1e-6)


@law(
    few=4,
    shape=st.tuples(*[st.integers(1, 20)] * 2),
    quality=st.integers(1, 100),
    level=st.integers(0, 255),
    data=st.data(),
)
def test_jpeg_keeps_shape_range_and_whole_levels_and_turns_with_the_image(shape, quality, level, data):
    image = jnp.asarray(data.draw(arrays(*shape, 3, dtype=np.float32)))
    coded = np.asarray(compress(image, jnp.int32(quality)))
    assert coded.shape == image.shape and coded.min() >= 0 and coded.max() <= 1
    np.testing.assert_allclose(255 * coded, np.rint(255 * coded), atol=1e-3)
    gray = np.asarray(compress(jnp.full((*shape, 3), level / 255, jnp.float32), jnp.int32(quality)))
    assert np.ptp(gray) == 0 and abs(255 * gray[0, 0, 0] - level) <= np.asarray(jpeg.tables(quality))[0, 0, 0] / 16 + 1


@law(few=6, half=st.integers(1, 5), more=st.integers(0, 4), data=st.data())
def test_sizes_and_turns_of_kernels_come_back(half, more, data):
    size = 2 * half + 1
    kernel = jnp.asarray(data.draw(kernels(size)), jnp.float32)
    larger = geometry.resize(kernel, size + 2 * more)
    np.testing.assert_array_equal(geometry.resize(larger, size), kernel)
    np.testing.assert_array_equal(geometry.flip(geometry.flip(kernel)), kernel)
    (middle, spread), (turned, turned_spread) = moments(kernel), moments(geometry.flip(kernel))
    np.testing.assert_allclose(middle + turned, size - 1, atol=1e-4)
    np.testing.assert_allclose(moments(larger)[0], middle + more, atol=1e-4)
    np.testing.assert_allclose(turned_spread, spread, atol=1e-3)


@law(few=6, half=st.integers(1, 4), steps=st.tuples(*[st.integers(-3, 3)] * 2), data=st.data())
def test_a_shift_by_whole_pixels_moves_the_pixels(half, steps, data):
    kernel = np.pad(data.draw(kernels(2 * half + 1)), 3).astype(np.float32)
    moved = shift(jnp.asarray(kernel), jnp.asarray(steps, jnp.float32))
    np.testing.assert_allclose(moved, np.roll(kernel, steps, (0, 1)), atol=1e-5)


@law(
    few=6,
    name=st.sampled_from(("gaussian", "line", "disc", "impulse", "trajectory")),
    scale=st.integers(1, 8),
    more=st.integers(0, 3),
    kernel_center=st.sampled_from(geometry.CENTERS),
    seed=st.integers(0, 2**31 - 1),
)
def test_drawn_kernels_of_any_window_are_kernels_in_their_place(name, scale, more, kernel_center, seed):
    size = geometry.default_kernel_size(scale) + 2 * more
    family = find_family(name)(scale=scale, kernel_size=size, kernel_center=kernel_center)

    @jax.jit
    def draw(key):
        latent = family.sample(key)
        return family.render(latent), family.log_prior(latent)

    kernel, log_density = map(np.asarray, draw(jax.random.key(seed)))
    assert kernel.shape == (size, size) and kernel.min() >= 0 and np.isfinite(log_density)
    np.testing.assert_allclose(kernel.sum(), 1, rtol=1e-5)
    center = geometry.center(size, scale, kernel_center)
    np.testing.assert_allclose(moments(jnp.asarray(kernel))[0], center, atol=0.05)
