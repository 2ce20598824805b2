"""A diffusion prior of a few hundred weights, drawn and not trained: its programs compile in seconds."""

import functools

import jax
import numpy as np

from blindsr_jax.networks.unet import UNetConfig
from blindsr_jax.weights import diffusion

CONFIG = UNetConfig(model_channels=4, channel_mult=(1, 2), num_res_blocks=1, patch=2, normalize=False)


@functools.cache
def params():
    """Random parameters in the shapes of the network; `init` would take much longer to compile."""
    draw = np.random.default_rng(0)
    return jax.tree.map(lambda x: 0.3 * draw.standard_normal(x.shape).astype(np.float32), diffusion.shapes(CONFIG))


def write(folder):
    """The prior as a file."""
    path = folder / "tiny.npz"
    path.write_bytes(diffusion.to_bytes(CONFIG, params()))
    return path
