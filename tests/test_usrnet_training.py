import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax import usrnet_training
from blindsr_jax.networks.layers import Compute
from blindsr_jax.networks.usrnet import Denoiser, UsrnetConfig
from blindsr_jax.usrnet_training import Settings, synthesize
from tests import small

CONFIG = UsrnetConfig((4, 6), 1, 4, 1)


def test_training_starts_with_a_denoiser_that_does_nothing():
    settings = Settings(small.spec(), small.family(), 12)
    network = usrnet_training.USRNet(CONFIG)
    params = jax.jit(usrnet_training.make_task(network, (settings,)).init)(jax.random.key(0))
    image = jax.random.uniform(jax.random.key(1), (2, 11, 9, 3))

    @jax.jit
    def run(params):
        out, pull = jax.vjp(lambda p: Denoiser(CONFIG, Compute()).apply({"params": p}, image, jnp.ones(2)), params)
        return out, pull(image)[0]

    out, slopes = run(params["params"]["p"])
    np.testing.assert_allclose(out, image, atol=1e-6)
    # But it can learn: what adds nothing has a slope.
    assert np.abs(slopes["m_up1.0"]["kernel"]).max() > 0 and np.abs(slopes["m_tail"]["kernel"]).max() > 0


def test_kernels_that_are_wrong_are_shown_beside_noise_only():
    make = jax.jit(synthesize, static_argnums=2)
    keys, pieces = small.keys(24), jnp.full((1, 40, 40, 3), 128, jnp.uint8)
    place = small.spec(), small.family(), 12
    right, wrong = (
        make(keys, pieces, Settings(*place, noise_max=0.1, clean=0.5, kernel_error=error)) for error in (0.0, 0.5)
    )
    np.testing.assert_array_equal(right.lr, wrong.lr)  # the image is blurred with the true one
    np.testing.assert_array_equal(right.noise_std, wrong.noise_std)
    noisy = np.asarray(right.noise_std > 0)
    assert 0 < noisy.sum() < 24
    change = np.abs(right.kernel - wrong.kernel).max((1, 2))
    assert np.all(change[~noisy] == 0) and np.all(change[noisy] > 0)
    np.testing.assert_allclose(wrong.kernel.sum((1, 2)), 1, rtol=1e-5)
    # At most half of another kernel.
    assert np.all(wrong.kernel >= 0.5 * right.kernel - 1e-7)
