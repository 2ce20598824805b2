import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.kernels.pool import draw_pool
from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.usrnet import Denoiser, UsrnetConfig
from blindsr_jax.training import usrnet
from blindsr_jax.training.corruption import Corruption
from blindsr_jax.training.usrnet import Settings, frame, over_lr, restore, synthesize
from tests import small

CONFIG = UsrnetConfig((4, 6), 1, 4, 1)


@pytest.mark.parametrize("fold", [1, 2])
def test_training_starts_with_a_denoiser_that_does_nothing(fold):
    config = CONFIG._replace(fold=fold)
    settings = Settings(small.spec(), small.family(), 12)
    network = usrnet.USRNet(config)
    params = jax.jit(usrnet.make_task(network, (settings,)).init)(jax.random.key(0))
    image = jax.random.uniform(jax.random.key(1), (2, 11, 9, 3))

    @jax.jit
    def run(params):
        out, pull = jax.vjp(lambda p: Denoiser(config, Compute()).apply({"params": p}, image, jnp.ones(2)), params)
        return out, pull(image)[0]

    out, slopes = run(params["params"]["p"])
    np.testing.assert_allclose(out, image, atol=1e-6)
    # But it can learn: what adds nothing has a slope.
    assert np.abs(slopes["m_tail"]["kernel"]).max() > 0
    assert fold > 1 or np.abs(slopes["m_up1.0"]["kernel"]).max() > 0


def test_kernels_that_are_wrong_are_shown_beside_noise_only():
    make = jax.jit(synthesize, static_argnums=3)
    keys, pieces = small.keys(24), jnp.full((1, 40, 40, 3), 128, jnp.uint8)
    place = small.spec(), small.family(), 12, Corruption(noise_max=0.1)
    pool = draw_pool(jax.random.key(2), small.family(), 64)
    right, wrong = (make(keys, pieces, pool, Settings(*place, clean=0.5, kernel_error=error)) for error in (0.0, 0.5))
    np.testing.assert_array_equal(right.lr, wrong.lr)  # the image is blurred with the true one
    np.testing.assert_array_equal(right.noise_std, wrong.noise_std)
    noisy = np.asarray(right.noise_std > 0)
    assert 0 < noisy.sum() < 24
    change = np.abs(right.kernel - wrong.kernel).max((1, 2))
    assert np.all(change[~noisy] == 0) and np.all(change[noisy] > 0)
    np.testing.assert_allclose(wrong.kernel.sum((1, 2)), 1, rtol=1e-5)
    # At most half of another kernel.
    assert np.all(wrong.kernel >= 0.5 * right.kernel - 1e-7)


def test_frames_of_several_scales_give_what_the_network_gives():
    """An image in a frame, beside others of other scales, is restored as it is by itself."""
    network = usrnet.USRNet(CONFIG, data_iterations=2)
    specs = (small.spec(scale=3), small.spec("circular"))
    scales = tuple(Settings(spec, small.family(), 12) for spec in specs)
    pieces = jax.random.randint(jax.random.key(3), (2, 40, 40, 3), 0, 256).astype(jnp.uint8)
    pool = draw_pool(jax.random.key(4), small.family(), 8)
    params = jax.jit(usrnet.make_task(network, scales).init)(jax.random.key(5))
    together = jax.jit(lambda frames: restore(network, params, frames, scales))
    for index, settings in enumerate(scales):
        seen = jax.jit(synthesize, static_argnums=3)(small.keys(2), pieces, pool, settings)
        alone = jax.jit(network.apply, static_argnames="spec")(
            params, seen.lr, seen.kernel, seen.noise_std, spec=settings.spec
        )
        found = together(frame(seen, index, scales))
        np.testing.assert_allclose(over_lr(found, settings), settings.spec.crop(alone, seen.lr.shape[1:]), atol=1e-5)


def test_the_noise_that_is_told_is_the_noise_there_is():
    """After JPEG it is the error that is left."""
    pool = draw_pool(jax.random.key(6), small.family(), 8)
    pieces = jnp.full((1, 80, 80, 3), 128, jnp.uint8)
    corruption = Corruption(0.1, noisy=0.7, correlated=0.6, gray=0.2, jpeg=0.5, quantize=False)
    settings = Settings(small.spec(), small.family(), 64, corruption, clean=0.2)
    seen = jax.jit(synthesize, static_argnums=3)(small.keys(64), pieces, pool, settings)
    found = np.sqrt(np.mean((np.asarray(seen.lr) - 128 / 255) ** 2, (1, 2, 3)))
    told = np.asarray(seen.noise_std)
    assert 0.2 < np.mean(told < 0.002) < 0.7 and told.max() > 0.05
    np.testing.assert_allclose(found, told, rtol=0.1, atol=0.002)
