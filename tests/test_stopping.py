"""Signals, in a process of their own."""

import signal
import subprocess
import sys

import pytest

CODE = """
import time
from blindsr_jax.stopping import StoppedError, Stopper
stopper = Stopper()
stopper.check()
print("ready", flush=True)
{wait}
try:
    stopper.check()
except StoppedError as error:
    print(error, error.code)
"""


def start(wait):
    code = CODE.format(wait=wait)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted(number):
    process = start("while stopper.number is None:\n    time.sleep(0.01)")
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    assert number.name in out and "the same command goes on" in out and out.endswith(f" {128 + number}\n")


def test_a_second_interrupt_stops_at_once():
    process = start("while True:\n    time.sleep(0.01)")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)  # these two are not enough
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "")
