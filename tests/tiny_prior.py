"""A diffusion prior of a few hundred weights, drawn and not trained: its programs compile in seconds."""

import functools

from blindsr_jax.networks.unet import UNetConfig
from blindsr_jax.weights import diffusion
from tests import small

CONFIG = UNetConfig(model_channels=4, channel_mult=(1, 2), num_res_blocks=1, patch=2, normalize=False)


@functools.cache
def params():
    """Random parameters in the shapes of the network; `init` would take much longer to compile."""
    return small.drawn(diffusion.shapes(CONFIG), 0.3)


def write(folder):
    """The prior as a file."""
    path = folder / "tiny.npz"
    path.write_bytes(diffusion.to_bytes(CONFIG, params()))
    return path
