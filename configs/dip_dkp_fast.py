r"""DIP-DKP for a laptop: a small network and few steps.

python launch/solve.py --config=configs/dip_dkp_fast.py --input='photos/*.jpg' --scale=2 --workdir=out/fast
"""

from blindsr_jax.config import base_config


def get_config():
    """A quick look at a result."""
    config = base_config()
    config.num_steps = 300
    config.ssim_steps = 300
    config.averaging = 0.95
    config.image.update({"channels": 32, "skip_channels": 4, "levels": 5, "learning_rate": 1e-2})
    config.kernel.update(
        {
            "num_samples": 512,
            "likelihood": "quadratic",
            "weights": "posterior",
            "temperature": 0.1,
            "prior_weight": 1000.0,
            "learning_rate": 1e-3,
            "hidden": 200,
        }
    )
    config.prior.families = ("gaussian", "trajectory")
    return config
