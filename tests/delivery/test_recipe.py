"""The recipe for receivers in the documentation works as it stands."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from crisis_filter.delivery.signing import new_secret, signed

PAGE = Path(__file__).parent.parent.parent / "docs" / "webhooks.md"


def recipe():
    """The function of the recipe, and the list of what was acted on."""
    code = PAGE.read_text(encoding="utf-8").split("```python\n", 1)[1].split("```", 1)[0]
    space: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), space)  # noqa: S102  # our own page
    acted: list[dict[str, object]] = []
    space["act_on"] = lambda database, event: acted.append(event)
    return space["receive"], acted


def test_it_takes_what_is_signed_once_and_refuses_the_rest():
    receive, acted = recipe()
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY)")
    old, new = new_secret(), new_secret()
    now = time.time_ns() // 1_000_000
    body = '{"id":"w1","kind":"assessment.crisis"}'
    headers = signed([new, old], "w1", body, now_ms=now)
    assert receive(database, old, headers, body.encode()) == 204
    assert receive(database, new, headers, body.encode()) == 204
    assert [event["id"] for event in acted] == ["w1"]
    for known, sent, bytes_ in (
        (new_secret(), headers, body.encode()),
        (old, signed([new], "w1", body, now_ms=now), body.encode()),
        (new, headers, body.replace("crisis", "crisls").encode()),
        (new, headers, b"\xff"),
        (new, signed([new], "w2", body, now_ms=now - 301_000), body.encode()),
        (new, {**headers, "webhook-signature": "nonsense"}, body.encode()),
        (new, {**headers, "webhook-signature": "v1,ÿ"}, body.encode()),
        (new, {}, body.encode()),
    ):
        assert receive(database, known, sent, bytes_) == 400
    assert len(acted) == 1


def test_what_fails_halfway_is_taken_when_it_comes_again():
    """Noted and acted on together, or neither."""
    receive, acted = recipe()
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY)")
    secret, body = new_secret(), "{}"
    headers = signed([secret], "w1", body, now_ms=time.time_ns() // 1_000_000)

    def failing(database, event):
        raise RuntimeError

    receive.__globals__["act_on"] = failing
    with pytest.raises(RuntimeError):
        receive(database, secret, headers, body.encode())
    receive.__globals__["act_on"] = lambda database, event: acted.append(event)
    assert receive(database, secret, headers, body.encode()) == 204
    assert len(acted) == 1
