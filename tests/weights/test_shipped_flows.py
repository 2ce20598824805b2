"""The shipped flows: how likely they find kernels, and what they make."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from blindsr_jax.inference.sphere import project
from blindsr_jax.kernels import geometry
from blindsr_jax.kernels.family import load_family, sample_kernels
from blindsr_jax.networks import kernel_flow
from blindsr_jax.training import flow_data
from blindsr_jax.weights import flow as flow_weights
from blindsr_jax.weights.convert import fkp_flow
from tests import golden

EXPECTED = {f"gaussian_x{s}" for s in (1, 2, 3, 4, 8)} | {f"trajectory_x{s}" for s in (2, 3, 4)}


def test_all_are_there_with_their_provenance():
    assert set(flow_weights.shipped()) == EXPECTED
    for name in EXPECTED:
        flow, scale = flow_weights.read(flow_weights.FOLDER / f"{name}.npz")
        note = json.loads((flow_weights.FOLDER / f"{name}.json").read_text())
        assert name == f"{note['data'][0]}_x{scale}"
        assert note["architecture"]["kernel_size"] == kernel_flow.kernel_size(flow)
        assert {"epochs", "versions"} <= note.keys() and "validation_log_density" in note["metrics"]
        np.testing.assert_allclose(note["normalization"], flow.normalization, rtol=1e-6)


def validate(flow, kernels):
    noise = jax.random.uniform(jax.random.key(0), kernels.shape)
    flow = jax.tree.map(jnp.asarray, flow)
    return float(
        jax.jit(kernel_flow.log_prob)(flow, kernel_flow.to_flow_space(kernels, flow.normalization, noise)).mean()
    )


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_gaussian_flows_reach_the_released_likelihood(scale):
    """On a tenth of the release's validation grid, with the same noise."""
    grid = flow_data.gaussian_grid(scale, 4 * scale + 3)[::10]
    released = fkp_flow(golden.load(f"FKP_x{scale}"))
    ours = flow_weights.load("gaussian", scale)
    np.testing.assert_allclose(ours.normalization, released.normalization, atol=1e-5)  # the same space
    assert validate(ours, grid) > validate(released, grid)


def test_the_likelihood_separates_motion_from_gaussian_kernels():
    families = ("gaussian", "trajectory")
    kernels = [sample_kernels(jax.random.key(1), load_family(name, scale=2), 200) for name in families]
    flows = [flow_weights.load(name, 2) for name in families]
    log_prob = jax.jit(kernel_flow.kernel_log_prob)
    ratios = [np.asarray(log_prob(flows[0], k) - log_prob(flows[1], k)) for k in kernels]
    assert (ratios[0] > 0).mean() > 0.95 and (ratios[1] < 0).mean() > 0.95


@jax.jit
def samples(flow):
    """Kernels on the sphere where solvers look."""
    codes = project(jax.random.normal(jax.random.key(0), (300, 121)), 10.0)
    return kernel_flow.to_kernel(kernel_flow.decode(flow, codes)[0], flow.normalization)


@jax.jit
@jax.vmap
def moments(kernel):
    return kernel.sum(), geometry.center_of_mass(kernel), jnp.trace(geometry.covariance(kernel))


@pytest.mark.parametrize("name", ["gaussian", "trajectory"])
def test_samples_are_like_the_kernels_of_their_family(name):
    sums, centers, traces = moments(samples(flow_weights.load(name, 2)))
    real = moments(sample_kernels(jax.random.key(1), load_family(name, scale=2), 300))
    np.testing.assert_allclose(np.median(sums), 1, atol=0.1)
    np.testing.assert_allclose(np.median(centers, 0), 4.5, atol=0.2)
    np.testing.assert_allclose(traces.mean(), real[2].mean(), rtol=0.25)


def test_the_density_of_kernels_integrates_to_that_of_logits():
    """The change of variables, entry by entry, against autodiff."""
    with jax.enable_x64(True):
        params, stats = kernel_flow.init(jax.random.key(0), 9, 3, num_blocks=2)
        flow = kernel_flow.Flow(params, stats, jnp.asarray(0.5))
        kernel = jax.random.uniform(jax.random.key(1), (3, 3), jnp.float64, 0.05, 0.2)

        @jax.jit
        def both(kernel):
            jacobian = jax.jacfwd(lambda k: kernel_flow.to_flow_space(k.reshape(3, 3), 0.5))(kernel.reshape(-1))
            expected = (
                kernel_flow.log_prob(flow, kernel_flow.to_flow_space(kernel, 0.5)) + jnp.linalg.slogdet(jacobian)[1]
            )
            return kernel_flow.kernel_log_prob(flow, kernel), expected

        np.testing.assert_allclose(*both(kernel), rtol=1e-9)


def test_solvers_do_not_load_distrax():
    modules = "blindsr_jax.methods.kernel_models.flow, blindsr_jax.weights.convert"
    code = f"import sys, {modules}; print('distrax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
