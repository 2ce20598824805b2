"""USRNet (Zhang et al. 2020): non-blind super-resolution, data steps and a learned denoiser in turn, on N images.

A parameter's path joined by dots is its key in the released state dict.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from blindsr_jax.imaging.conv import conv2d
from blindsr_jax.imaging.problem import Spec
from blindsr_jax.imaging.proximal import solve_data
from blindsr_jax.networks.layers import Compute, Dense, uniform_fan_in

_SMALLEST_PARAMETER = 1e-6  # of the data step's weight and of the noise level that the denoiser is told
COLOURS = 3


class UsrnetConfig(NamedTuple):
    """Sizes of a USRNet; the defaults are those of the released 'tiny' one."""

    widths: tuple[int, ...] = (16, 32, 64, 64)  # channels of each level, each level has half the resolution
    blocks: int = 2  # residual blocks a level
    hidden: int = 32  # units of the network that sets weights and noise levels
    iterations: int = 6
    # Beyond the paper: the denoiser sees blocks of fold x fold pixels as channels of one, which costs a fraction of the
    # time for the same number of channels, and above 1 it adds to its input rather than passing it on.
    fold: int = 1

    @property
    def multiple(self) -> int:
        """The denoiser pads height and width to multiples of it."""
        return self.fold * 2 ** (len(self.widths) - 1)


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


class Parameters(nn.Module):
    """What each iteration is to do at a noise level and scale: the weight of its data step, the noise to remove."""

    config: UsrnetConfig

    @nn.compact
    def __call__(self, noise_std: jax.Array, scale: jax.Array | int) -> tuple[jax.Array, jax.Array]:
        """(N,) -> two (iterations, N), all above zero."""
        x = jnp.stack([noise_std, jnp.full_like(noise_std, scale)], -1)
        for i in (0, 2):
            x = nn.relu(Dense(self.config.hidden, name=f"mlp.{i}")(x))
        x = nn.softplus(Dense(2 * self.config.iterations, name="mlp.4")(x)) + _SMALLEST_PARAMETER
        weights, levels = jnp.split(x.T, 2)
        return weights, levels


def fold(x: jax.Array, size: int) -> jax.Array:
    """Blocks of pixels as channels: (N, H, W, C) -> (N, H / size, W / size, size * size * C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // size, size, w // size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // size, w // size, size * size * c)


def unfold(x: jax.Array, size: int) -> jax.Array:
    """The inverse of `fold`."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, size, size, c // size**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * size, w * size, c // size**2)


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
        (_, height, width, _), m, size = image.shape, self.config.multiple, self.config.fold
        padded = jnp.pad(image, ((0, 0), (0, -height % m), (0, -width % m), (0, 0)), mode="edge")
        x = fold(padded, size)
        x = jnp.concatenate([x, jnp.broadcast_to(level[:, None, None, None], (*x.shape[:3], 1))], -1)
        x = self.compute.cast(x)
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
        x = Conv(size**2 * COLOURS, compute=self.compute, name="m_tail")(x + passed[0])
        x = unfold(x, size).astype(image.dtype)
        return (x if size == 1 else padded + x)[:, :height, :width]


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

    def __call__(
        self, lr: jax.Array, kernel: jax.Array, noise_std: jax.Array, *, spec: Spec, mask: jax.Array | None = None
    ) -> jax.Array:
        """Restores N images.

        Args:
          lr: (N, h, w, 3) in [0, 1].
          kernel: (N, k, k), cross-correlation convention (the released network wants it turned by 180 degrees).
          noise_std: (N,), of the noise in `lr`, on the [0, 1] scale.
          spec: the problem's static part.
          mask: (N, h, w, 3) bool, where `lr` counts; None: everywhere.

        Returns:
          (N, H, W, 3), images or canvases, see `Spec.canvas_shape`; not clipped.
        """

        def step(image, lr, kernel, weight, mask):
            return solve_data(image, lr, kernel, weight, spec=spec, num_iterations=self.data_iterations, mask=mask)

        def data_step(image, weight):
            return jax.vmap(step)(image, lr, kernel, weight, mask)

        return self.refine(first_image(lr, spec), data_step, noise_std, spec.scale)

    @nn.compact
    def refine(self, image: jax.Array, data_step: Callable, noise_std: jax.Array, scale: jax.Array | int) -> jax.Array:
        """The iterations.

        Args:
          image: (N, H, W, 3) to start from.
          data_step: (image, weights (N,)) -> image.
          noise_std: (N,), of the noise in the LR images.
          scale: () of all images.

        Returns:
          (N, H, W, 3).
        """
        denoise = Denoiser(self.config, self.compute, name="p")

        def iteration(denoise, image, parameters):
            weight, level = parameters
            return denoise(data_step(image, weight), level), None

        loop = nn.scan(iteration, variable_broadcast="params", split_rngs={"params": False})
        return loop(denoise, image, Parameters(self.config, name="h")(noise_std, scale))[0]
