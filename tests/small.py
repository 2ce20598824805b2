"""One small problem and one small solver, shared so that each program is compiled once a test session."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.losses import mse
from blindsr_jax.imaging.problem import Problem, make_spec
from blindsr_jax.kernels import gaussian
from blindsr_jax.methods.image_models import dip
from blindsr_jax.methods.interfaces import ImageInfo, ImageModel
from blindsr_jax.methods.joint import joint
from blindsr_jax.methods.kernel_models import dkp
from blindsr_jax.networks.usrnet import USRNet, UsrnetConfig
from blindsr_jax.weights import usrnet

LR_SHAPE = (10, 12, 3)


@functools.cache
def spec(boundary="valid", scale=2):
    return make_spec(scale=scale, kernel_size=7, boundary=boundary)


def smooth_image(shape, phase=0.0, dtype=jnp.float32):
    h, w, c = shape
    i, j, k = (jnp.arange(n, dtype=dtype) for n in (h, w, c))
    waves = jnp.sin(0.5 * i[:, None, None] + 0.3 * j[None, :, None] + k[None, None, :] + phase)
    return 0.5 + 0.4 * waves


@functools.cache
def family(boundary="valid"):
    place = spec(boundary)
    return gaussian.family(scale=place.scale, kernel_size=place.kernel_size, kernel_center=place.kernel_center)


def problem(phase=0.0, boundary="valid", dtype=jnp.float32) -> Problem:
    place = spec(boundary)
    canvas = smooth_image((*place.canvas_shape(LR_SHAPE), 3), phase, dtype)
    kernel = gaussian.gaussian_kernel(
        jnp.asarray([1.5, 0.6], dtype), jnp.asarray(0.7, dtype), kernel_size=7, center=place.center
    )
    return Problem(degrade(canvas, kernel, scale=2, boundary=boundary), place)


@functools.cache
def image_model(boundary="valid"):
    return dip.build(spec(boundary), channels=4, skip_channels=2, levels=2, first_nonlocal=1, learning_rate=1e-2)


@functools.cache
def pixels():
    """The simplest image model, free pixels: networks are most of the time that a solve takes to compile."""

    def update(key, state, image, residuals, kernel, problem, context):
        def loss_of(x):
            return mse(degrade(x, kernel, scale=2, boundary="valid"), problem.lr)

        loss, grad = jax.value_and_grad(loss_of)(image)
        return image - 50 * grad, ImageInfo(loss, loss)

    def init(key, problem):
        return jnp.full(problem.canvas_shape, 0.5, problem.lr.dtype)

    return ImageModel(init, lambda x, _: (x, None), update, 2)


@functools.cache
def kernel_model(boundary="valid", **options):
    options = {"num_samples": 5, "warmup_steps": 5, "hidden": 16, "learning_rate": 1e-3} | options
    return dkp.build(spec(boundary), family=family(boundary), **options)


@functools.cache
def solver(boundary="valid", ssim_steps=4, averaging=0.0):
    return joint(image_model(boundary), kernel_model(boundary), ssim_steps=ssim_steps, averaging=averaging)


def drawn(shapes, std=1.0):
    """Normal random numbers in the shapes and types of a tree."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(std * rng.normal(size=x.shape), x.dtype), shapes)


def random_params(network, *inputs, std=1.0, **options):
    """Random parameters of a Flax module for inputs; its own initialisation would take long to compile."""
    init = functools.partial(network.init, **options)
    return drawn(jax.eval_shape(init, jax.random.key(0), *inputs), std)


def usrnet_file(path, std):
    """The file of a small USRNet with random weights."""
    network = USRNet(UsrnetConfig(widths=(4, 6), blocks=1, hidden=5, iterations=2))
    inputs = jnp.ones((1, 4, 4, 3)), jnp.ones((1, 7, 7)), jnp.ones(1)
    path.write_bytes(usrnet.to_bytes(random_params(network, *inputs, std=std, spec=spec())))
    return path


def keys(n):
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(n))
