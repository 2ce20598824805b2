r"""DIP-DKP, the default: random kernels of two families scored through the quadratic data term, a 32-channel network.

python launch/solve.py --config=configs/dip_dkp.py --input='photos/*.jpg' --scale=4 --workdir=out/photos
"""

from blindsr_jax.config import base_config


def get_config():
    """The default method."""
    config = base_config()
    config.num_steps = 800
    config.ssim_steps = 800
    config.averaging = 0.95
    config.image.update({"channels": 32, "skip_channels": 4, "levels": 5, "learning_rate": 5e-3})
    config.kernel.update(
        {
            "num_samples": 2048,
            "likelihood": "quadratic",
            "weights": "posterior",
            "temperature": 0.1,
            "prior_weight": 1000.0,
            "learning_rate": 1e-3,
        }
    )
    config.prior.families = ("gaussian", "trajectory")
    return config
