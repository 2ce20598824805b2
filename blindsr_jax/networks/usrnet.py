"""USRNet (Zhang et al. 2020): non-blind super-resolution, data steps and a learned denoiser in turn, on N images.

A parameter's path joined by dots is its key in the released state dict.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.networks.conv import conv2d
from blindsr_jax.networks.layers import Compute, uniform_fan_in
from blindsr_jax.problem import Spec
from blindsr_jax.proximal import solve_data

_SMALLEST_PARAMETER = 1e-6  # of the data step's weight and of the noise level that the denoiser is told
COLOURS = 3


class UsrnetConfig(NamedTuple):
    """Sizes of a USRNet; the defaults are those of the released 'tiny' one."""

    widths: tuple[int, ...] = (16, 32, 64, 64)  # channels of each level, each level has half the resolution
    blocks: int = 2  # residual blocks a level
    hidden: int = 32  # units of the network that sets weights and noise levels
    iterations: int = 6

    @property
    def multiple(self) -> int:
        """The denoiser pads height and width to multiples of it."""
        return 2 ** (len(self.widths) - 1)


class Conv(nn.Module):
    """Convolution without bias: size 3 with zeros around the image, size 2 with stride 2 to half the resolution."""

    features: int
    size: int = 3
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, Ci) -> (N, H, W, features), or half of H and W for size 2."""
        init = uniform_fan_in(self.size**2 * x.shape[-1])
        shape = (self.size, self.size, x.shape[-1], self.features)
        w = self.param("kernel", init, shape, self.compute.param_dtype(x)).astype(x.dtype)
        pad = (self.size - 1) // 2
        x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        stride = 2 if self.size == 2 else 1
        return conv2d(x, w, stride, method=self.compute.conv, precision=self.compute.products)


class Double(nn.Module):
    """Transposed 2 x 2 convolution with stride 2, no bias: every pixel becomes 2 x 2 of its own."""

    features: int
    compute: Compute = Compute()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(N, H, W, Ci) -> (N, 2 H, 2 W, features)."""
        n, h, w, c = x.shape
        init = uniform_fan_in(4 * c)
        kernel = self.param("kernel", init, (2, 2, c, self.features), self.compute.param_dtype(x)).astype(x.dtype)
        x = jnp.einsum("nhwc,abcf->nhawbf", x, kernel, precision=self.compute.products)
        return x.reshape(n, 2 * h, 2 * w, self.features)


class Dense(nn.Module):
    """Affine map of the last axis."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., Ci) -> (..., features)."""
        init = uniform_fan_in(x.shape[-1])
        w = self.param("kernel", init, (x.shape[-1], self.features), x.dtype)
        b = self.param("bias", init, (self.features,), x.dtype)
        return jnp.matmul(x, w, precision="highest") + b


class Parameters(nn.Module):
    """What each iteration is to do at a noise level and scale: the weight of its data step, the noise to remove."""

    config: UsrnetConfig

    @nn.compact
    def __call__(self, noise_std: jax.Array, scale: int) -> tuple[jax.Array, jax.Array]:
        """(N,) -> two (iterations, N), all above zero."""
        x = jnp.stack([noise_std, jnp.full_like(noise_std, scale)], -1)
        for i in (0, 2):
            x = nn.relu(Dense(self.config.hidden, name=f"mlp.{i}")(x))
        x = nn.softplus(Dense(2 * self.config.iterations, name="mlp.4")(x)) + _SMALLEST_PARAMETER
        weights, levels = jnp.split(x.T, 2)
        return weights, levels


class Denoiser(nn.Module):
    """A U-shaped residual network without biases or normalisation."""

    config: UsrnetConfig
    compute: Compute

    def _blocks(self, x: jax.Array, part: str, first: int) -> jax.Array:
        """x + conv(ReLU(conv(x))), several times."""
        for i in range(first, first + self.config.blocks):
            inner = nn.relu(Conv(x.shape[-1], compute=self.compute, name=f"{part}.{i}.res.0")(x))
            x = x + Conv(x.shape[-1], compute=self.compute, name=f"{part}.{i}.res.2")(inner)
        return x

    @nn.compact
    def __call__(self, image: jax.Array, level: jax.Array) -> jax.Array:
        """A sharp image from one with noise: (N, H, W, 3), noise levels (N,) -> (N, H, W, 3); any H and W."""
        (n, height, width, _), m = image.shape, self.config.multiple
        told = jnp.broadcast_to(level[:, None, None, None], (n, height, width, 1))
        x = jnp.concatenate([image, told], -1)
        x = self.compute.cast(jnp.pad(x, ((0, 0), (0, -height % m), (0, -width % m), (0, 0)), mode="edge"))
        widths, downs = self.config.widths, range(1, len(self.config.widths))
        x = Conv(widths[0], compute=self.compute, name="m_head")(x)
        passed = [x]
        for i in downs:
            x = self._blocks(x, f"m_down{i}", 0)
            x = Conv(widths[i], 2, self.compute, name=f"m_down{i}.{self.config.blocks}")(x)
            passed.append(x)
        x = self._blocks(x, "m_body", 0)
        for i in reversed(downs):
            x = Double(widths[i - 1], self.compute, name=f"m_up{i}.0")(x + passed[i])
            x = self._blocks(x, f"m_up{i}", 1)
        x = Conv(COLOURS, compute=self.compute, name="m_tail")(x + passed[0])
        return x[:, :height, :width].astype(image.dtype)


def first_image(lr: jax.Array, spec: Spec) -> jax.Array:
    """The nearest-neighbour enlargement (N, H, W, C) of LR images; a canvas repeats the border beyond it."""
    x = jnp.repeat(jnp.repeat(lr, spec.scale, 1), spec.scale, 2)
    if spec.boundary == "valid":
        before = (spec.kernel_size - 1) // 2
        pad = (before, spec.kernel_size - spec.scale - before)
        if pad[1] < 0:  # the kernel is hardly wider than an LR pixel
            x, pad = x[:, : pad[1], : pad[1]], (before, 0)
        x = jnp.pad(x, ((0, 0), pad, pad, (0, 0)), mode="edge")
    return x


class USRNet(nn.Module):
    """The network; one set of parameters serves all scales, kernels, noise levels and boundaries.

    The data step solves the paper's equations in a form that keeps float32's digits, see `proximal`. Beyond the paper,
    a photograph's is solved on its canvas: what it shows does not have to go on at the other side.
    """

    config: UsrnetConfig = UsrnetConfig()
    compute: Compute = Compute()  # of the denoiser; data steps take float32 at least
    data_iterations: int = 10  # of conjugate gradients in a data step for 'valid'

    @nn.compact
    def __call__(self, lr: jax.Array, kernel: jax.Array, noise_std: jax.Array, *, spec: Spec) -> jax.Array:
        """Restores N images.

        Args:
          lr: (N, h, w, 3) in [0, 1].
          kernel: (N, k, k), cross-correlation convention (the released network wants it turned by 180 degrees).
          noise_std: (N,), of the noise in `lr`, on the [0, 1] scale.
          spec: the problem's static part.

        Returns:
          (N, H, W, 3), images or canvases, see `Spec.canvas_shape`; not clipped.
        """
        denoise = Denoiser(self.config, self.compute, name="p")
        data_step = jax.vmap(partial(solve_data, spec=spec, num_iterations=self.data_iterations))

        def iteration(denoise, image, parameters):
            weight, level = parameters
            return denoise(data_step(image, lr, kernel, weight), level), None

        loop = nn.scan(iteration, variable_broadcast="params", split_rngs={"params": False})
        return loop(denoise, first_image(lr, spec), Parameters(self.config, name="h")(noise_std, spec.scale))[0]
