"""PyTorch's layouts of the released KernelGAN networks as ours, for comparison with the parity vectors."""

import jax.numpy as jnp


def image(x, dtype):
    """(1, C, H, W) -> (H, W, C)."""
    return jnp.asarray(x[0].transpose(1, 2, 0), dtype)


def images(x, dtype):
    """(N, C, H, W) -> (N, H, W, C)."""
    return jnp.asarray(x.transpose(0, 2, 3, 1), dtype)


def weight(x, dtype=None):
    """(Co, Ci, kh, kw) -> (kh, kw, Ci, Co)."""
    return jnp.asarray(x.transpose(2, 3, 1, 0), dtype)


def generator(vectors, dtype):
    names = ["first_layer", *[f"feature_block.{i}" for i in range(4)], "final_layer"]
    return tuple(weight(vectors[f"G/{name}.weight"], dtype) for name in names)


def discriminator(vectors, dtype, spectral="D"):
    """Variables of `Discriminator`, with the singular vectors of the group `spectral`."""
    names = {"first": "first_layer", "last": "final_layer.0"} | {f"conv{i}": f"feature_block.{3 * i}" for i in range(5)}
    params, spectra = {}, {}
    for ours, theirs in names.items():
        params[ours] = {
            "kernel": weight(vectors[f"D/{theirs}.weight_orig"], dtype),
            "bias": jnp.asarray(vectors[f"D/{theirs}.bias"], dtype),
        }
        spectra[ours] = {"u": jnp.asarray(vectors[f"{spectral}/{theirs}.weight_u"], dtype)}
    for i in range(5):
        stem = f"D/feature_block.{3 * i + 1}"
        params[f"norm{i}"] = {
            "scale": jnp.asarray(vectors[f"{stem}.weight"], dtype),
            "bias": jnp.asarray(vectors[f"{stem}.bias"], dtype),
        }
    return {"params": params, "spectral": spectra}


def critic(vectors, dtype):
    """Parameters of `PatchCritic`."""
    params = {}
    for i, stem in enumerate(["head.", "body.block1.", "body.block2.", "body.block3.", ""]):
        conv = f"D/{stem}conv" if stem else "D/tail"
        params[f"kernel{i}"] = weight(vectors[f"{conv}.weight"], dtype)
        params[f"bias{i}"] = jnp.asarray(vectors[f"{conv}.bias"], dtype)
        if stem:
            params[f"norm{i}"] = {
                "scale": jnp.asarray(vectors[f"D/{stem}norm.weight"], dtype),
                "bias": jnp.asarray(vectors[f"D/{stem}norm.bias"], dtype),
            }
    return {"params": params}
