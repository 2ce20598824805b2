r"""DIP-FKP with the settings of its release (Liang et al. 2021), for comparison: benchmark conventions, 128 channels.

    python launch/solve.py --config=configs/dip_fkp_release.py --input='lr/*.png' --scale=4 --workdir=out/release

The flow is ours; `--config.kernel.weights=FILE.npz` takes a released one through launch/convert.py. Kernels are not
divided by their sum, as released: they sum to 0.6 to 1.25. `dip_fkp_release.py:32` has an image network of 32 channels.
"""

from ml_collections import ConfigDict

from blindsr_jax.config import base_config, read_variant


def get_config(channels: str = "128"):
    """Every value is the release's, but for the width of the image network, if asked for."""
    config = base_config()
    config.boundary = "circular"
    config.kernel_center = "release"
    width = read_variant(channels, width=range(8, 1025))["width"]
    config.image.update({"channels": width, "skip_channels": width // 8, "levels": 5, "learning_rate": 5e-3})
    config.image.gradient_weight = 0.0
    config.kernel = ConfigDict(
        {
            "name": "flow",
            "weights": "gaussian",
            "learning_rate": 0.5,
            "freeze_steps": 76,
            "start": "mean",
            "normalize": False,
        }
    )
    return config
