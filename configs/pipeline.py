r"""A kernel estimator, and then a restorer with its kernel; both are chosen by name.

    python launch/solve.py --config=configs/pipeline.py --config.estimator=kernelgan --config.restorer=dip \
        --input='photos/*.jpg' --scale=2 --workdir=out/pipeline

Estimators: kenet, kernelgan, kernelgan_fkp, dkp, mean (of the prior's kernels, whatever the image), given (with
--kernel=FILE). Restorers: usrnet, zssr, dip, diffusion, cubic (an enlargement, for who wants the kernel alone).
`pipeline.py:kenet+usrnet` names both at once, and `pipeline.py:mean+cubic+gaussian` the one family of the prior too, in
the benchmarks' range. Options of a part are --config.estimators.NAME.OPTION and --config.restorers.NAME.OPTION,
`num_steps` among them.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import base_config
from configs.dip_dkp_fast import get_config as dip_dkp_fast

PARTS = {
    "estimators": ("kenet", "kernelgan", "kernelgan_fkp", "dkp", "mean"),
    "restorers": ("usrnet", "zssr", "dip", "diffusion", "cubic"),
}


def get_config(names: str = "kenet+usrnet"):
    """`names` is 'ESTIMATOR+RESTORER' or 'ESTIMATOR+RESTORER+FAMILY'; each part has an empty set of options."""
    estimator, restorer, family = (names + "++").split("+")[:3]
    if not estimator or not restorer:
        raise ValueError(f"the parts are {names!r}, expected two names such as kenet+usrnet")
    config = base_config()
    config.estimator, config.restorer = estimator, restorer
    for role, parts in PARTS.items():
        config[role] = ConfigDict({name: {} for name in parts})
    if family:
        config.prior.families = (family,)
    else:
        config.prior = dip_dkp_fast().prior  # for the estimators dkp and mean
    config.estimators.kenet.weights = config_dict.placeholder(str)
    config.restorers.usrnet.weights = config_dict.placeholder(str)
    return config
