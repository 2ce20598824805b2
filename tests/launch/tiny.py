"""A config that solves a tiny image in a few seconds, for tests."""

from blindsr_jax.config import base_config


def get_config():
    config = base_config()
    config.num_steps, config.ssim_steps, config.chunk_steps = 4, 2, 2
    config.image.update({"channels": 4, "skip_channels": 2, "levels": 1, "first_nonlocal": 0, "learning_rate": 1e-2})
    config.kernel.update({"num_samples": 16, "warmup_steps": 2, "hidden": 16})
    return config
