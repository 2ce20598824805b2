r"""DIP-DKP, the default: thousands of random kernels of two families, scored through the quadratic data term.

python launch/solve.py --config=configs/dip_dkp.py --input='photos/*.jpg' --scale=4 --workdir=out/photos

The kernel starts from the power spectrum of the photograph. The prior spans from half to twice the range of the
benchmarks' kernels; neither family nor range need be known. What each value does for the result: docs/quality.md.
"""

from blindsr_jax.config import base_config, read_variant


def get_config(kernel_init: str | None = None):
    """The default method; `dip_dkp.py:kenet` starts from the kernel that KENet names, at scales 2 and 4."""
    config = base_config()
    config.num_steps = 800
    config.ssim_steps = 800
    config.averaging = 0.95
    config.noise_share = 2.0  # of what is told of the noise; images made for it were best there (docs/photographs.md)
    config.image.update({"channels": 32, "skip_channels": 4, "levels": 5, "learning_rate": 5e-3})
    config.kernel.update(
        {
            "num_samples": 4096,
            "redraw": False,
            "likelihood": "quadratic",
            "weights": "posterior",
            "temperature": 0.1,
            "prior_weight": 100.0,
            "start": "spectrum",
            "warmup_steps": 400,
            "learning_rate": 1e-3,
            "hidden": 200,
        }
    )
    config.prior.families = ("gaussian", "trajectory")
    config.prior.gaussian.variance_range = "wide"
    config.prior.trajectory.major_variance_range = "wide"
    if kernel_init is not None:
        config.kernel_init = read_variant(kernel_init, estimator=("kenet", "mean", "self_similarity"))["estimator"]
    return config
