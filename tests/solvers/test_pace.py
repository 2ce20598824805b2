"""How many steps a call runs."""

from blindsr_jax.solvers.pace import GROWTH, Pace


def calls(pace, seconds_per_step, *, most=50, stage=0, count=8):
    """Steps of so many calls in turn; the first one takes ten seconds more, to compile."""
    steps = []
    for _ in range(count):
        number, extra = pace.steps(stage, most), 10.0 * pace.is_new
        pace.note(stage, number, number * seconds_per_step + extra)
        steps.append(number)
    return steps


def test_calls_grow_from_one_step_until_they_take_the_wanted_time():
    assert calls(Pace(1.0), 0.0625) == [1, 1, 4, 16, 16, 16, 16, 16]
    assert calls(Pace(1.0), 1e-6, count=6) == [1, 1, 4, 16, 50, 50]
    assert calls(Pace(1.0), 7.0, count=3) == [1, 1, 1]


def test_steps_that_become_slower_or_faster_are_followed():
    pace = Pace(1.0)
    assert calls(pace, 0.0625)[-1] == 16
    assert calls(pace, 0.5, count=3) == [16, 2, 2]
    assert calls(pace, 1e-6, count=4) == [2, 2 * GROWTH, 2 * GROWTH**2, 50]


def test_another_stage_is_begun_carefully_and_known_later():
    pace = Pace(1.0)
    calls(pace, 1e-6)
    assert pace.steps(1, 50) == 1 and pace.seconds(1, 1) is None and pace.steps(0, 50) == 50
    assert calls(pace, 2.0, stage=1, count=3) == [1, 1, 1]
    assert pace.seconds(1, 3) == 6.0 and pace.steps(0, 50) == 50


def test_a_call_has_no_more_steps_than_are_left():
    pace = Pace(1.0)
    assert pace.is_new and pace.steps(0, 1) == 1
    calls(pace, 1e-6)
    assert not pace.is_new and pace.steps(0, 3) == 3
