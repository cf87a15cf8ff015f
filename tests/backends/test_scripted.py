"""Prepared answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault
from tests.backends.asking import asking, verdict

FIELDS = {"reasoning": "calm", "crisis": True, "confidence": 0.9}


@pytest.mark.parametrize(
    ("entry", "finish", "fault"),
    [
        ({"answer": FIELDS}, "answered", None),
        ({"answer": {**FIELDS, "nonce": "else"}}, "mismatched", Fault.NONCE_MISMATCH),
        ({"answer": {**FIELDS, "crisis": "no"}}, "malformed", Fault.SCHEMA),
        ({"text": verdict().replace("c0ffee", "{{nonce}}")}, "answered", None),
        ({"text": "I can't help"}, "refused", Fault.REFUSAL_PROSE),
        ({"text": ""}, "malformed", Fault.EMPTY_REPLY),
        ({"finish": "filtered", "fault": "filter_prompt"}, "filtered", Fault.FILTER_PROMPT),
        ({"finish": "truncated", "fault": "truncated", "text": "{"}, "truncated", Fault.TRUNCATED),
    ],
)
async def test_each_kind_of_entry(entry: dict[str, Any], finish: str, fault: Fault | None) -> None:
    """Objects and texts run through the strict reader; faults come as they are written."""
    reply = await Scripted([ScriptedAnswer.model_validate(entry)]).complete(asking())
    assert (reply.finish, reply.fault) == (finish, fault)
    assert (reply.answer is not None) == (fault is None)


@pytest.mark.parametrize(("fault", "retryable"), [(Fault.TIMEOUT, True), (Fault.MISCONFIGURED, False)])
async def test_an_error_is_raised(fault: Fault, *, retryable: bool) -> None:
    """An entry can say that no reply comes back."""
    with pytest.raises(BackendError) as caught:
        await Scripted([ScriptedAnswer(error=fault)]).complete(asking())
    assert (caught.value.fault, caught.value.retryable) == (fault, retryable)


async def test_entries_are_given_in_order() -> None:
    """The first entry that fits by purpose and words and is not used up is given; then nothing is left."""
    backend = Scripted(
        [
            ScriptedAnswer(purpose="categorise", text="{}"),
            ScriptedAnswer(when="pills", answer=FIELDS, times=1, score=0.9),
            ScriptedAnswer(purpose="screen", text="no", times=1),
        ]
    )
    first = await backend.complete(asking("my pills"))
    second = await backend.complete(asking("my pills"))
    assert (first.finish, first.score, second.finish, second.score) == ("answered", 0.9, "refused", None)
    with pytest.raises(BackendError) as caught:
        await backend.complete(asking("my pills"))
    assert caught.value.fault is Fault.MISCONFIGURED
    assert (await backend.complete(asking(purpose="categorise"))).fault is Fault.SCHEMA
    await backend.aclose()


async def test_a_function_may_answer() -> None:
    """A function from request to entry is a script too."""
    backend = Scripted(lambda request: ScriptedAnswer(answer={**FIELDS, "crisis": "pills" in request.user}))
    replies = [await backend.complete(asking(text)) for text in ("pills", "sunshine")]
    assert [reply.answer.crisis for reply in replies if reply.answer] == [True, False]


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"answer": FIELDS, "text": "x"},
        {"finish": "filtered"},
        {"fault": "timeout"},
        {"finish": "answered", "fault": "timeout"},
        {"error": "timeout", "score": 0.5},
        {"text": "x", "unknown": 1},
        {"error": "no_such_fault"},
        {"text": "x", "times": 0},
    ],
)
def test_a_contradictory_entry_is_refused(entry: dict[str, Any]) -> None:
    """An entry says one thing, with known keys."""
    with pytest.raises(ValidationError):
        ScriptedAnswer.model_validate(entry)


@pytest.mark.parametrize("ending", [".jsonl", ".yaml"])
async def test_a_file_is_a_script(ending: str, tmp_path: Path) -> None:
    """JSON Lines and YAML files hold the same entries."""
    path = tmp_path / f"script{ending}"
    entries = [{"purpose": "categorise", "text": "no"}, {"answer": FIELDS}]
    path.write_text("\n\n".join(map(json.dumps, entries)) if ending == ".jsonl" else yaml.safe_dump(entries))
    backend = Scripted.read(str(path))
    assert backend.name == "scripted"
    assert (await backend.complete(asking())).finish == "answered"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"text": "private"', "not JSON Lines"),
        (b'{"answer": {}}\n{"text": "private", "odd": 1}', "entry 2: odd"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_bad_file_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    """A file that does not fit is a configuration error that names the entry and shows nothing of it."""
    path = tmp_path / "script.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        Scripted.read(str(path))
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("content", ["a: [", "text: x", ""])
def test_yaml_that_is_no_list_is_refused(content: str, tmp_path: Path) -> None:
    """A YAML script is a list."""
    path = tmp_path / "script.yaml"
    path.write_text(content)
    with pytest.raises(ConfigurationError):
        Scripted.read(str(path))
