import jax
import pytest


@pytest.fixture(params=["float64", "float32"])
def precision(request):
    """(dtype, tolerance) of the comparison with parity vectors, under the matching x64 setting."""
    wide = request.param == "float64"
    with jax.enable_x64(wide):
        yield request.param, 1e-12 if wide else 2e-6
