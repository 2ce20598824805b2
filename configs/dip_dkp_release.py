r"""DIP-DKP with the settings of its release (Yang et al. 2024), for comparison: benchmark conventions, 128 channels.

    python launch/solve.py --config=configs/dip_dkp_release.py --input='lr/*.png' --scale=4 --workdir=out/release

The SSIM phase lasts 405 of 1000 steps and the random kernels are wider than the data's, as released.
`dip_dkp_release.py:32` is the same with an image network of 32 channels, `dip_dkp_release.py:motion` with camera-shake
kernels (which the released code cannot draw), `dip_dkp_release.py:32-motion` both.
"""

from blindsr_jax.config import base_config, read_variant


def get_config(variant: str = "128-gaussian"):
    """Every value is the release's, but for the width of the image network or the family of kernels, if asked for."""
    found = read_variant(variant, width=range(8, 1025), family=("gaussian", "motion"))
    width, family = found.get("width", 128), found.get("family", "gaussian")
    config = base_config()
    config.boundary = "circular"
    config.kernel_center = "release"
    config.ssim_steps = 405
    config.image.update({"channels": width, "skip_channels": width // 8, "levels": 5, "learning_rate": 5e-3})
    config.kernel.update({"num_samples": 5, "prior_every": 5, "data_every": 3, "learning_rate": 1e-4})
    config.prior.families = ("trajectory" if family == "motion" else family,)
    config.prior.gaussian.variance_range = "release"
    return config
