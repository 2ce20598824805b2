r"""DIP-DKP for a photograph with strong straight motion blur, e.g. a moving camera; usually at scale 1 or 2.

    python launch/solve.py --config=configs/dip_dkp_motion.py --input=clock.png --scale=1 --workdir=out/clock

A joint estimate of image and kernel slides towards "no blur" when the blur is wide. So the kernel starts from the power
spectrum of the photograph, rests while the image forms, and the spectrum stays part of its posterior.
"""

from blindsr_jax.config import base_config


def get_config():
    """Kernels of 41 x 41 pixels, straight lines of 3 to 39 pixels at any angle as the prior."""
    config = base_config()
    config.kernel_size = 41
    config.num_steps = 200
    config.ssim_steps = 200
    config.averaging = 0.95
    config.image.update({"channels": 16, "skip_channels": 4, "levels": 4, "learning_rate": 1e-2})
    config.kernel.update(
        {
            "num_samples": 32,
            "likelihood": "direct",
            "weights": "posterior",
            "temperature": 0.1,
            "prior_weight": 1000.0,
            "start": "spectrum",
            "warmup_steps": 400,
            "freeze_steps": 60,
            "learning_rate": 1e-3,
            "hidden": 200,
        }
    )
    config.prior.families = ("line",)
    config.prior.line.length_range = (3.0, 39.0)
    return config
