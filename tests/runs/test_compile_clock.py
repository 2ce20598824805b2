import jax

from blindsr_jax.runs import compile_clock


def test_compile_clock_counts_nested_spans_once(monkeypatch):
    monkeypatch.setattr(jax.monitoring, "register_event_duration_secs_listener", lambda listener: None)
    clock, now = compile_clock.CompileClock(), iter([3.0, 5.0, 9.0])
    monkeypatch.setattr(compile_clock.time, "perf_counter", lambda: next(now))
    clock._record("/jax/core/compile/inner", 1.0)  # 2 to 3
    clock._record("/jax/core/compile/outer", 4.0)  # 1 to 5
    clock._record("/jax/core/compile/next", 2.0)  # 7 to 9
    clock._record("/jax/other", 100.0)
    assert clock.seconds() == 6.0
