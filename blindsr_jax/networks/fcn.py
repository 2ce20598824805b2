"""The kernel network of Double-DIP and DKP: a code of 200 numbers to a kernel that is non-negative and sums to one."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.networks.layers import Dense

CODE_SIZE = 200  # of the input, in the releases


class KernelFCN(nn.Module):
    """Affine, ReLU6, affine, softmax over all k * k entries (Ren et al. 2020, SelfDeblur; DKP release)."""

    kernel_size: int
    hidden: int = 1000
    layers: int = 1  # affine maps with ReLU6 before the last one

    @nn.compact
    def __call__(self, code: jax.Array) -> jax.Array:
        """(n,) -> (k, k), entries in (0, 1), sum 1."""
        x = jnp.clip(Dense(self.hidden, name="hidden")(code), 0, 6)
        for layer in range(2, self.layers + 1):
            x = jnp.clip(Dense(self.hidden, name=f"hidden_{layer}")(x), 0, 6)
        logits = Dense(self.kernel_size**2, name="logits")(x)
        return nn.softmax(logits).reshape(self.kernel_size, self.kernel_size)


class FreeKernel(nn.Module):
    """A logit per entry and their softmax, called as `KernelFCN` is: what that network is compared with."""

    kernel_size: int

    @nn.compact
    def __call__(self, code: jax.Array) -> jax.Array:
        """(n,), which tells only the dtype -> (k, k), entries in (0, 1), sum 1."""
        logits = self.param("logits", nn.initializers.zeros_init(), (self.kernel_size,) * 2, code.dtype)
        return nn.softmax(logits.reshape(-1)).reshape(logits.shape)
