"""Restorers of scikit-image: what the library gives when called directly, wherever kernel and image lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import restoration

import blindsr_jax
from blindsr_jax import solve
from blindsr_jax.imaging.degradation import degrade
from blindsr_jax.imaging.problem import BOUNDARIES, Problem, make_spec
from blindsr_jax.kernels import gaussian, geometry
from blindsr_jax.methods.restorers import by_library, cubic, richardson_lucy, wiener

LIBRARY = {
    "richardson_lucy": lambda image, psf: restoration.richardson_lucy(image, psf, num_iter=30),
    "wiener": lambda image, psf: restoration.wiener(image, psf, 0.01, clip=False),
}
BUILD = {"richardson_lucy": richardson_lucy.build, "wiener": wiener.build}


def lopsided(size=7):
    """A kernel that is not what it is when turned."""
    kernel = np.zeros((size, size), np.float32)
    kernel[2, 1:6], kernel[3, 4], kernel[4, 3] = 0.15, 0.2, 0.05
    return kernel / kernel.sum()


def restore(lr, spec, name, kernel):
    problem = Problem(jnp.asarray(lr, jnp.float32), spec)
    return np.asarray(solve(jax.random.key(0), problem, BUILD[name](spec), num_steps=1, kernel=kernel).image)


@pytest.mark.parametrize("boundary, mode", [("circular", "wrap"), ("valid", "symmetric")])
@pytest.mark.parametrize("name", LIBRARY)
def test_without_enlargement_it_is_the_library_called_directly(name, boundary, mode):
    spec = make_spec(scale=1, kernel_size=7, boundary=boundary)
    kernel = lopsided()
    image = np.random.default_rng(0).random((20, 24, 3), np.float32)
    lr = np.asarray(degrade(np.pad(image, ((3, 3), (3, 3), (0, 0)), "wrap"), kernel, scale=1, boundary="valid"))
    margin = 14 + 3 * (boundary == "valid")
    wide = np.clip(np.pad(lr, ((margin, margin), (margin, margin), (0, 0)), mode), 0, 1)
    planes = [LIBRARY[name](wide[..., c], kernel[::-1, ::-1]) for c in range(3)]
    expected = np.clip(np.stack(planes, -1)[margin:-margin, margin:-margin], 0, 1)
    np.testing.assert_allclose(restore(lr, spec, name, kernel), expected, atol=2e-4)


def scene(shape):
    """A smooth image with structure in all directions, in [0.1, 0.9]."""
    noise = np.random.default_rng(3).standard_normal(shape)
    frequencies = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    field = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequencies / 0.1) ** 2))).real
    return (0.5 + 0.4 * field / np.abs(field).max())[..., None].astype(np.float32)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("center", ["aligned", "release"])
@pytest.mark.parametrize("name", LIBRARY)
def test_the_image_lies_where_the_kernel_says_and_is_sharper_than_the_enlargement(name, center, boundary):
    spec = make_spec(scale=2, boundary=boundary, kernel_center=center)
    place = {"kernel_size": spec.kernel_size, "center": spec.center}
    kernel = np.asarray(gaussian.gaussian_kernel(jnp.array([6.0, 1.0]), jnp.array(0.7), **place))
    image = scene(spec.canvas_shape((32, 36, 1)))
    lr = degrade(image, kernel, scale=2, boundary=boundary)
    truth = np.asarray(spec.crop(image, lr.shape))[8:-8, 8:-8]

    def error(x):
        return np.sqrt(np.mean((np.asarray(x)[8:-8, 8:-8] - truth) ** 2))

    plain = error(spec.crop(cubic.enlarge(lr, spec), lr.shape))
    turned = np.asarray(geometry.move_center(geometry.flip(kernel[:, ::-1]), spec.center))  # a mirror image
    assert error(restore(lr, spec, name, kernel)) < 0.6 * plain
    assert error(restore(lr, spec, name, turned)) > plain * 0.8


def test_images_of_a_group_are_solved_one_by_one():
    images = [np.random.default_rng(seed).random((10, 12, 3), np.float32) for seed in range(2)]
    options = {"scale": 2, "method": "pipeline:mean+richardson_lucy"}
    options["overrides"] = {"estimators.mean.num_samples": 16, "restorers.richardson_lucy.iterations": 3}
    together = blindsr_jax.solve_images(images, **options)
    for lr, result in zip(images, together, strict=True):
        alone = blindsr_jax.solve_image(lr, **options)
        assert result.status == "ok" and result.image.shape == (20, 24, 3)
        np.testing.assert_allclose(result.image, alone.image, atol=1e-5)


def test_what_is_missing_is_said(monkeypatch):
    spec = make_spec(scale=2)
    problem = Problem(jnp.zeros((10, 12, 3)), spec)
    for name, build in BUILD.items():
        with pytest.raises(ValueError, match=f"{name!r} needs a kernel"):
            build(spec).init(jax.random.key(0), problem)
    monkeypatch.setattr(by_library.importlib, "import_module", lambda name: __import__("no_such_module_" + name))
    with pytest.raises(ValueError, match=r"blindsr_jax\[baselines\]"):
        wiener.build(spec)


def test_arguments_of_the_callback_are_small():
    """Larger ones are copied in a thread that a machine with one core does not have: the solve would hang."""
    spec, solver = make_spec(scale=2, kernel_size=7), wiener.build(make_spec(scale=2, kernel_size=7))
    problem, key = Problem(jnp.zeros((70, 90, 3)), spec), jax.random.key(0)
    state = jax.eval_shape(lambda: solver.init(key, problem, lopsided()))
    program = jax.make_jaxpr(lambda state: solver.step(key, state, problem, 0))(state)
    calls = [eqn for eqn in program.eqns if "callback" in eqn.primitive.name]
    assert len(calls) == 1 and max(x.aval.size * x.aval.dtype.itemsize for x in calls[0].invars) <= 2**16
