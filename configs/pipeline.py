r"""A kernel estimator, and then a restorer with its kernel; both are chosen by name.

    python launch/solve.py --config=configs/pipeline.py --config.estimator=kernelgan --config.restorer=dip \
        --input='photos/*.jpg' --scale=2 --workdir=out/pipeline

Estimators: kenet, kernelgan, kernelgan_fkp, dkp, given (with --kernel=FILE). Restorers: usrnet, zssr, dip, diffusion.
Options of a part are --config.estimators.NAME.OPTION and --config.restorers.NAME.OPTION, `num_steps` among them.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import base_config
from configs.dip_dkp_fast import get_config as dip_dkp_fast

PARTS = {
    "estimators": ("kenet", "kernelgan", "kernelgan_fkp", "dkp"),
    "restorers": ("usrnet", "zssr", "dip", "diffusion"),
}


def get_config():
    """Names, and an empty set of options for each part."""
    config = base_config()
    config.estimator, config.restorer = "kernelgan", "dip"
    for role, names in PARTS.items():
        config[role] = ConfigDict({name: {} for name in names})
    config.prior = dip_dkp_fast().prior  # for the estimator dkp
    config.restorers.usrnet.weights = config_dict.placeholder(str)
    return config
