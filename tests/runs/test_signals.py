"""Signals, in a process of their own."""

import signal
import subprocess
import sys

import pytest

CODE = """
import time
from blindsr_jax.runs.signals import StoppedError, Stopper
stopper = Stopper()
stopper.waiting = "the boat"
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
    assert process.returncode == 0
    assert err.startswith(f"-c: {number.name} has come, waiting for the boat;") and err.count("\n") == 1
    assert number.name in out and "the same command goes on" in out and out.endswith(f" {128 + number}\n")


def test_a_second_interrupt_stops_at_once():
    process = start("while True:\n    time.sleep(0.01)")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)  # these two are not enough
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "") and err.count("\n") == 1, err


def test_what_is_waited_for_is_said_at_once_and_not_when_the_wait_is_over():
    """As in a program of minutes: the main thread does not come back to Python."""
    wait = "import ctypes\nctypes.CDLL(None).sleep.argtypes\nwhile True:\n    ctypes.CDLL(None).sleep(60)"
    process = start(wait)
    process.send_signal(signal.SIGINT)
    assert "SIGINT has come, waiting for the boat" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


def test_a_signal_is_obeyed_where_nobody_reads_what_is_said():
    process = start("while stopper.number is None:\n    time.sleep(0.01)")
    process.stderr.close()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline().endswith(f" {128 + signal.SIGTERM}\n")
    process.stdout.close()
    assert process.wait() == 0
