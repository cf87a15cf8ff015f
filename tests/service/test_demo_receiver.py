"""The demonstration's receiver, beside what this project signs."""

from __future__ import annotations

import http.client
import json

import pytest

from crisis_filter.delivery.signing import new_secret, signed
from crisis_filter.service.demo_receiver import Receiver, is_signed

NOW = 1_795_000_000
SECRET = new_secret()
BODY = b'{"id":"w1","kind":"assessment.crisis"}'
GOOD = signed([SECRET], "w1", BODY.decode(), now_ms=1000 * NOW)


def test_what_was_signed_is_known():
    """By the one secret, and by the newer or the older of two."""
    assert is_signed(SECRET, GOOD, BODY, NOW)
    both = signed([new_secret(), SECRET], "w1", BODY.decode(), now_ms=1000 * NOW)
    assert is_signed(SECRET, both, BODY, NOW)


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (GOOD, BODY + b" ", NOW),
        (GOOD, BODY, NOW + 301),
        (GOOD, BODY, NOW - 301),
        ({**GOOD, "webhook-id": "w2"}, BODY, NOW),
        ({**GOOD, "webhook-timestamp": str(NOW + 1)}, BODY, NOW),
        ({**GOOD, "webhook-timestamp": "now"}, BODY, NOW),
        ({**GOOD, "webhook-timestamp": "²"}, BODY, NOW),
        ({**GOOD, "webhook-timestamp": "9" * 400}, BODY, NOW),
        ({**GOOD, "webhook-signature": "v1,é v1a,"}, BODY, NOW),
        (signed([new_secret()], "w1", BODY.decode(), now_ms=1000 * NOW), BODY, NOW),
        ({}, BODY, NOW),
    ],
)
def test_anything_else_is_not(headers, body, now):
    """Altered, too old, too early, of another, or malformed."""
    assert not is_signed(SECRET, headers, body, now)


def sent(receiver, body, headers):
    asked = http.client.HTTPConnection("127.0.0.1", int(receiver.url.split(":")[2].split("/")[0]), timeout=10)
    asked.request("POST", "/webhooks", body, headers)
    status = asked.getresponse().status
    asked.close()
    return status


def test_a_receiver():
    """Takes each once, refuses what is not signed, and notices words of a message."""
    leaking = json.dumps({"note": "i Cannot go on"}).encode()
    with Receiver(["I cannot go on, and so", "..."], clock=lambda: NOW) as receiver:
        assert sent(receiver, BODY, GOOD) == 400  # nobody told it a secret yet
        receiver.secret = SECRET
        assert sent(receiver, BODY, GOOD) == 204
        assert sent(receiver, BODY, GOOD) == 204
        assert sent(receiver, b"[1]", {}) == 400
        assert sent(receiver, leaking, signed([SECRET], "w2", leaking.decode(), now_ms=1000 * NOW)) == 204
        assert sent(receiver, b"", {"content-length": "99999999"}) == 413
        came = [receiver.next(5) for _ in range(4)]
        assert receiver.next(0) is None
    assert [(one.signed, one.wordless) for one in came] == [(False, True), (True, True), (False, True), (True, False)]
    assert came[1].payload == {"id": "w1", "kind": "assessment.crisis"}
    assert came[2].payload == {}
