r"""Diff-FKP: the image is drawn from the small diffusion prior, the kernel is a code of a trained flow.

python launch/solve.py --config=configs/diff_fkp.py --input='photos/*.jpg' --scale=2 --workdir=out/diff_fkp

`diff_fkp.py:motion` takes the flow of camera shake.
"""

from configs.diff_dkp import get_config as diff_dkp
from configs.dip_fkp import get_config as dip_fkp


def get_config(family: str = "gaussian"):
    """`family` names the flow."""
    config = diff_dkp()
    config.kernel = dip_fkp(family).kernel
    config.kernel.freeze_steps = 80  # of the kernel's own steps
    return config
