"""Signatures as the specification wants them, and as its own library checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from crisis_filter.delivery.signing import new_secret, signed

PAYLOAD = '{"id":"w1","kind":"assessment.crisis"}'


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def test_a_signature_is_what_the_specification_says():
    """Worked out by hand: HMAC-SHA-256 of `id.timestamp.payload` under the decoded secret."""
    secret = "whsec_" + base64.b64encode(b"a secret of thirty two bytes ....").decode()
    headers = signed([secret], "w1", PAYLOAD, now_ms=1_700_000_000_999)
    mac = hmac.digest(b"a secret of thirty two bytes ....", f"w1.1700000000.{PAYLOAD}".encode(), hashlib.sha256)
    assert headers == {
        "webhook-id": "w1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_receiver_that_knows_the_secret_takes_it(payload):
    secret = new_secret()
    headers = signed([secret], "w1", payload, now_ms=now_ms())
    Webhook(secret).verify(payload.encode(), headers, json_parse=False)


@pytest.mark.parametrize("change", ["secret", "id", "body", "timestamp", "old", "future", "signature", "missing"])
def test_anything_else_is_refused(change):
    secret, at = new_secret(), now_ms() + {"old": -301_000, "future": 301_000}.get(change, 0)
    headers = signed([secret], "w1", PAYLOAD, now_ms=at)
    changed = {
        "id": {"webhook-id": "w2"},
        "timestamp": {"webhook-timestamp": str(at // 1000 - 1)},
        "signature": {"webhook-signature": headers["webhook-signature"].replace("v1,", "v1,AAAA")},
        "missing": {"webhook-signature": ""},
    }.get(change, {})
    known = new_secret() if change == "secret" else secret
    body = PAYLOAD.replace("crisis", "crisls") if change == "body" else PAYLOAD
    with pytest.raises(WebhookVerificationError):
        Webhook(known).verify(body, headers | changed)


def test_during_a_change_either_secret_will_do():
    old, new = new_secret(), new_secret()
    headers = signed([new, old], "w1", PAYLOAD, now_ms=now_ms())
    assert headers["webhook-signature"].count("v1,") == 2
    for known in (old, new):
        Webhook(known).verify(PAYLOAD, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(PAYLOAD, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(PAYLOAD, signed([new], "w1", PAYLOAD, now_ms=now_ms()))


def test_secrets_are_long_and_not_alike():
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(len(base64.b64decode(one.removeprefix("whsec_"), validate=True)) == 32 for one in made)
    assert new_secret(lambda count: b"\x00" * count) == "whsec_" + base64.b64encode(bytes(32)).decode()


def test_without_a_secret_nothing_is_signed():
    with pytest.raises(ValueError, match="needs a secret"):
        signed([], "w1", PAYLOAD, now_ms=0)
