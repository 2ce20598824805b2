"""Tasks in a thread of their own: in order, and no error is lost."""

import threading

import pytest

from blindsr_jax.runs.background import BackgroundThread


def test_tasks_run_in_order_in_one_other_thread():
    background, seen = BackgroundThread(), []
    for i in range(5):
        background.submit(lambda i=i: seen.append((i, threading.get_ident())))
    background.close()
    assert [i for i, _ in seen] == list(range(5))
    assert len({thread for _, thread in seen}) == 1 and seen[0][1] != threading.get_ident()


@pytest.mark.parametrize("call", ["wait", "close"])
def test_an_error_of_a_task_reaches_the_caller_and_the_other_tasks_run(call):
    background, seen, error = BackgroundThread(), [], RuntimeError("broken")

    def fail():
        raise error

    background.submit(fail)
    background.submit(seen.append, "after")
    with pytest.raises(RuntimeError) as caught:
        getattr(background, call)()
    assert caught.value is error is background.error
    background.close()
    assert seen == ["after"]


def test_an_error_is_seen_by_a_check_once_its_task_has_ended():
    background, may_end = BackgroundThread(), threading.Event()

    def fail():
        may_end.wait()
        raise RuntimeError("broken")

    background.submit(fail)
    background.check()  # it has not ended
    may_end.set()
    with pytest.raises(RuntimeError, match="broken"):
        background.close()
    background.check()  # said once
