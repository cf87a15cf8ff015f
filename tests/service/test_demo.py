"""The messages of the demonstration, and its client."""

from __future__ import annotations

from collections import Counter

import pytest

from crisis_filter.errors import CrisisFilterError
from crisis_filter.service.demo import Caller, demo_messages, open_demo


def test_the_messages():
    """As their card says."""
    found = demo_messages()
    assert [one.id for one in found] == [f"d{n:02}" for n in range(1, 41)]
    assert {one.source for one in found} == {"portal", "sms", "app"}
    assert sorted(subject for subject, n in Counter(one.subject for one in found).items() if n > 1) == [
        "p-106",
        "p-138",
    ]
    assert [one.id for one in found if not one.text.strip()] == ["d37"]
    assert len({one.text for one in found}) == 40


def test_a_client_tells_a_refusal_without_its_words():
    """A wrong key is refused, and an address where nobody is does not answer; the message is in neither error."""
    with open_demo((), 0) as opened:
        port = int(opened.url.rpartition(":")[2])
        assert opened.caller.ask("GET", "/livez") == {"status": "alive"}
        with pytest.raises(CrisisFilterError, match=r"^the service answers 401 to /v1/classify$"):
            Caller(port, "0.wrong").ask("POST", "/v1/classify", {"text": "canary"})
        assert opened.running()
    assert not opened.running()
    with pytest.raises(CrisisFilterError, match=r"^the service does not answer to /livez: ConnectionRefusedError$"):
        opened.caller.ask("GET", "/livez")


def test_nothing_is_left_of_it():
    """The folder with store and keys goes with the service."""
    with open_demo((), 0) as opened:
        assert opened.keys.exists()
    assert not opened.keys.parent.exists()
