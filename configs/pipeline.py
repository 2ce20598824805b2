r"""A kernel estimator, and then a restorer with its kernel; both are chosen by name.

    python launch/solve.py --config=configs/pipeline.py --config.estimator=kernelgan --config.restorer=dip \
        --input='photos/*.jpg' --scale=2 --workdir=out/pipeline

Estimators: kenet, posterior, alternating, ensemble, kernelgan, kernelgan_fkp, self_similarity, dkp, dip_fkp, chains,
mean (of the prior's kernels, whatever the image), given (with --kernel=FILE). Restorers: usrnet, zssr, dip, diffusion,
cubic (an enlargement, where the kernel alone is wanted), richardson_lucy and wiener (of scikit-image).
`pipeline.py:kenet+usrnet` names both at once, and a third word the kernels that the prior expects, in the benchmarks'
range: `pipeline.py:mean+cubic+gaussian`, motion, or both.
Options of a part are --config.estimators.NAME.OPTION and --config.restorers.NAME.OPTION, `num_steps` among them.
KENet and USRNet are those of photographs (scales 1 to 4), and USRNet is told the noise that is measured in the image;
`weights` may be a file; those of the networks that were shipped first (x2 and x4) are in blindsr_jax/weights/files.
"""

from ml_collections import ConfigDict, config_dict

from blindsr_jax.config import base_config
from blindsr_jax.methods.build import part_names
from configs.dip_dkp_fast import get_config as dip_dkp_fast

KERNELS = ("gaussian", "motion", "both")
WEIGHTS = "wide"  # the networks of photographs, which are better than the first ones on benchmarks too (docs/kenet.md)


def get_config(names: str = "kenet+usrnet"):
    """`names` is 'ESTIMATOR+RESTORER' or 'ESTIMATOR+RESTORER+KERNELS'; each part has an empty set of options."""
    estimator, restorer, kernels, *more = (*names.split("+"), "", "")
    if not estimator or not restorer or any(more) or kernels not in ("", *KERNELS):
        raise ValueError(f"the parts are {names!r}, expected two names such as kenet+usrnet, or a third of {KERNELS}")
    config = base_config()
    config.estimator, config.restorer = estimator, restorer
    config.estimators = ConfigDict({name: {} for name in part_names("estimator")})
    config.restorers = ConfigDict({name: {} for name in part_names("restorer")})
    config.prior = dip_dkp_fast().prior  # for all estimators but kenet
    if kernels:
        config.prior = base_config().prior
        config.prior.families = ("gaussian", "trajectory") if kernels == "both" else (kernels,)
    config.estimators.kenet.weights = WEIGHTS
    config.restorers.usrnet.weights = WEIGHTS
    config.restorers.usrnet.noise_std = config_dict.placeholder(float)  # what is measured in each image
    return config
