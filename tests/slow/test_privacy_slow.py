"""No word of a message leaves under any fault of the catalogue (see `tests/test_privacy.py`)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from crisis_filter.drill.behaviours import BEHAVIOURS
from tests.careless import ANSWER, TEXT, left_by
from tests.fault_server import Answer, chat, failure, serve_faults

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("fallback", ["none", "local"])
def test_a_drill_of_every_fault_tells_nothing(tmp_path: Path, fallback: str) -> None:
    """With asyncio's debug mode on, which shows the arguments of what is slow and the results of what is lost."""
    backend = ("--backend", "openai:any", "--fallback", fallback)
    left = left_by(tmp_path / "run", "drill", "--per-fault", "2", "--per-attack", "1", *backend, debug=True)
    assert "silent negatives under fault: 0" in left.out
    assert left.sent > 2 * len(BEHAVIOURS)
    assert left.logged > 1_000_000
    assert left.told == frozenset()
    assert left.opened == ()


ECHO = {"message": f"{TEXT} {ANSWER}", "param": TEXT, "code": ANSWER}
ANSWERS = {
    "prose": chat(ANSWER),
    "a refusal": chat(None, message={"refusal": ANSWER}),
    "cut": chat(f'{{"nonce": "{ANSWER}', finish="length"),
    "a page": Answer(f"<html>{ANSWER} {TEXT}".encode(), content_type="text/html"),
    "an error that echoes": failure(400, ECHO),
    "a key that echoes": failure(401, ECHO),
    "no service": failure(503, ECHO),
    "a cut connection": Answer(chat(ANSWER).body, act="cut"),
}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("client", ["openai:m", "langchain:openai:m"])
@pytest.mark.parametrize("command", ["classify", "explain"])
async def test_every_client_and_command_is_silent(tmp_path: Path, command: str, client: str, name: str) -> None:
    """An endpoint that answers with our own words finds them told nowhere but in what the person asked to see."""
    source = tmp_path / "messages.jsonl"
    source.write_text(json.dumps({"id": "1", "text": f"{TEXT} i want to die"}), encoding="utf-8")
    wanted = ["--id", "1"] if command == "explain" else ["--hide-text"]
    async with serve_faults() as server:
        server.answer(ANSWERS[name])
        model = ["--backend", client, "--base-url", server.url, "--fallback", "none"]
        left = await asyncio.to_thread(left_by, tmp_path / "run", command, str(source), *wanted, *model, debug=True)
        assert any(TEXT in str(request.body) for request in server.received)
    assert left.told <= ({"out"} if command == "explain" else set())
    assert ANSWER not in left.out
    assert left.opened == ()
