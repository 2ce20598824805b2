import pytest

from blindsr_jax.imaging.problem import make_spec
from blindsr_jax.methods.estimators import dip_fkp
from blindsr_jax.methods.kernel_models import flow


@pytest.mark.parametrize("options, freeze", [({}, 300), ({"num_steps": 40}, 15), ({"freeze_steps": 7}, 7)])
def test_the_code_waits_for_an_image_however_short_the_solve_is(monkeypatch, options, freeze):
    found, build = [], flow.build
    monkeypatch.setattr(flow, "build", lambda spec, **given: found.append(given) or build(spec, **given))
    solver = dip_fkp.build(make_spec(scale=2), **options)
    assert found[0]["freeze_steps"] == freeze and solver.num_steps == options.get("num_steps", 800)


def test_scales_without_a_flow_are_refused():
    with pytest.raises(ValueError):
        dip_fkp.build(make_spec(scale=5))
