import jax.numpy as jnp
import numpy as np

from blindsr_jax.inference.windows import best, information


def test_detail_in_all_directions_counts_and_clipped_pixels_do_not():
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.2, 0.8, (16, 16, 1))
    stripes = np.broadcast_to(rng.uniform(0.2, 0.8, (16, 1, 1)), (16, 16, 1))
    clipped = np.where(rng.random((16, 16, 1)) < 0.5, 0.0, 1.0)
    flat = np.full((16, 16, 1), 0.5)
    found = np.asarray(information(jnp.asarray(np.stack([noise, stripes, clipped, flat]), jnp.float32)))
    assert found[0] > 0.01 and (np.abs(found[1:]) < 1e-6).all()


def test_the_best_windows_are_those_with_detail():
    image = np.full((32, 64, 3), 0.5, np.float32)
    image[:16, 32:48] = np.random.default_rng(1).uniform(0.2, 0.8, (16, 16, 3))
    windows = best(jnp.asarray(image), 16, 1)
    np.testing.assert_array_equal(windows, image[None, :16, 32:48])
    assert best(jnp.asarray(image), 16, 100).shape == (8, 16, 16, 3)
