import json
import time

import pytest

from blindsr_jax.runs import channels
from blindsr_jax.runs.channels import Channel, LostError, clean, dismiss
from tests.small_peers import all_closed, at_once, ends  # noqa: F401


@pytest.fixture
def pair():
    raw, other = ends()
    with raw, other:
        yield raw, Channel(other)


def receive(channel, seconds=10):
    return channel.receive(lambda: None, seconds)


def test_messages_arrive_whole_and_in_order(pair):
    raw, channel = pair
    large = {"plan": ["ä\ud800" * 1000] * 1000}  # surrogates stand in names that are not text
    channel.limit = channels.LONG
    raw.sendall(b'{"a": 1}\n{"b"')
    assert receive(channel) == {"a": 1} and channel.poll() is None and not channel.is_lost
    data = b": 2}\n" + json.dumps(large).encode() + b"\n"
    assert at_once(lambda: raw.sendall(data), lambda: [receive(channel), receive(channel)])[1] == [{"b": 2}, large]


def test_what_was_sent_before_the_end_is_still_read(pair):
    raw, channel = pair
    raw.sendall(b'{"a": 1}\n{"b": 2}\nhalf')
    raw.close()
    assert [receive(channel), receive(channel)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(LostError, match="lost"):
        receive(channel)
    channel.send({"c": 3})
    assert channel.poll() is None and channel.is_lost


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.0\r\n\r\n", b"\n", b"[1]\n", b"3\n", b"\xff\xfe\n", b'{"a": ' + b"[" * 60000 + b"\n", b"x" * 2**17],
    ids=["http", "empty", "list", "number", "bytes", "deep", "endless"],
)
def test_what_is_no_message_ends_the_connection(pair, data):
    raw, channel = pair
    at_once(lambda: raw.sendall(data))
    with pytest.raises(LostError, match="lost"):
        receive(channel)
    assert channel.is_lost


def test_a_silent_process_is_given_up(pair):
    with pytest.raises(LostError, match="not answered"):
        receive(pair[1], seconds=0.1)


def test_a_process_that_takes_nothing_is_given_up(pair, monkeypatch):
    monkeypatch.setattr(channels, "SEND_SECONDS", 0.1)
    pair[1].send({"plan": "x" * 2**26})
    assert pair[1].is_lost


def test_those_who_are_dismissed_can_read_why():
    one, other = map(Channel, ends())
    other.send({"unread": 1})

    def leave():
        message = receive(other)
        time.sleep(0.1)
        other.close()
        return message

    _, message = at_once(lambda: dismiss([one], "the reason", 10), leave)
    assert message == {"end": "the reason"} and one.is_lost


def test_a_sentence_from_elsewhere_is_one_short_line():
    assert clean("two\nlines \x1b[31m") == "two lines _[31m"
    assert len(clean("x" * 10**6)) == 1000 and clean([None]) == "[None]"
