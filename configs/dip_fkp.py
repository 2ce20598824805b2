r"""DIP-FKP: the kernel is a code of a trained flow (Liang et al. 2021), with the image model of `dip_dkp`.

python launch/solve.py --config=configs/dip_fkp.py --input='photos/*.jpg' --scale=4 --workdir=out/fkp

The shipped flows know anisotropic Gaussian kernels (x1, x2, x3, x4, x8) or, with `dip_fkp.py:motion`, camera shake
(x2, x3, x4); `--config.kernel.weights=FILE.npz` takes another flow. Kernels are divided by their sum, which the release
does not do.
"""

from ml_collections import ConfigDict

from blindsr_jax.config import read_variant
from configs.dip_dkp import get_config as dip_dkp


def get_config(family: str = "gaussian"):
    """Gaussian kernels, or 'motion'."""
    family = read_variant(family, family=("gaussian", "motion"))["family"]
    config = dip_dkp()
    config.kernel = ConfigDict(
        {
            "name": "flow",
            "weights": "trajectory" if family == "motion" else family,
            "learning_rate": 0.1,
            # Of 800: an image that is still soft narrows the kernel. In the release 76 of 1000.
            "freeze_steps": 300,
            "start": "spectrum",
        }
    )
    return config
