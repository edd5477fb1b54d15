"""A taper that does not keep up says so at once, each minute, and when it does again."""

from __future__ import annotations

from tapedeck.tape.behind import Behind


def test_a_burst_is_no_news_and_a_bus_that_stays_ahead_is_told_each_minute_until_it_is_over() -> None:
    said: list[str] = []
    behind = Behind("zmq:tcp://a:1", said.append, 100.0)
    for tenth in range(19):
        behind.note(True, 100.0 + tenth / 10)
    assert (behind.trouble, said) == ("", [])
    behind.note(False, 101.9)
    assert behind.seconds == 0.0
    for second in range(102, 102 + 130):
        behind.note(True, float(second))
    assert [one.startswith("the bus zmq:tcp://a:1 has sent faster than is taken for ") for one in said] == [
        True
    ] * 3
    assert "for 129 s" in behind.trouble
    behind.note(False, 240.0)
    assert said[3:] == ["the bus zmq:tcp://a:1 is kept up with again"]
    assert behind.trouble == ""
