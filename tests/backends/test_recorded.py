"""Recording and replaying."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from crisis_filter.backends.base import Reply, Request
from crisis_filter.backends.recorded import Recorded, Recorder, import_answers, request_hash
from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.errors import BackendError, ConfigurationError
from crisis_filter.schema import Fault
from crisis_filter.taxonomy.answers import ScreenTerse
from tests.backends.asking import NONCE, Verdict, asking, verdict


class Fixed:
    """A backend with one reply."""

    name = "fixed"

    def __init__(self, reply: Reply[Any]) -> None:
        self.reply = reply
        self.closed = 0

    async def complete(self, request: Request[Any]) -> Reply[Any]:
        return self.reply

    async def aclose(self) -> None:
        self.closed += 1


def reply(finish: str, fault: Fault | None, text: str | None, **more: Any) -> Reply[Verdict]:
    """A reply of a real model's kind."""
    answer = Verdict.model_validate_json(text) if finish == "answered" and text else None
    return Reply(
        finish=finish,  # type: ignore[arg-type]
        answer=answer,
        text=text,
        fault=fault,
        model="m-1",
        attempts=2,
        prompt_tokens=70,
        completion_tokens=9,
        **more,
    )


REPLIES = [
    pytest.param(reply("answered", None, verdict(reasoning="two\u2028lines 🙂"), score=0.25), id="answered"),
    pytest.param(reply("malformed", Fault.SCHEMA, verdict(more=1), detail="1 field"), id="schema"),
    pytest.param(reply("malformed", Fault.BAD_JSON, "{broken c0ffee"), id="broken"),
    pytest.param(reply("refused", Fault.REFUSAL_FIELD, None), id="refused"),
    pytest.param(reply("filtered", Fault.FILTER_PROMPT, None, detail="blocked: self_harm high"), id="filtered"),
    pytest.param(
        reply(
            "filtered",
            Fault.FILTER_PROMPT,
            None,
            danger=True,
            attack=True,
            link="openai:b",
            degraded=True,
            troubles=(("openai:a", Fault.TIMEOUT), ("openai:a", Fault.SERVER_ERROR)),
        ),
        id="dangerous",
    ),
    pytest.param(reply("truncated", Fault.TRUNCATED, verdict()), id="truncated"),
    pytest.param(reply("mismatched", Fault.NONCE_MISMATCH, verdict(nonce="f00f00")), id="mismatched"),
]


@pytest.mark.parametrize("given", REPLIES)
async def test_a_reply_is_replayed_to_the_byte(given: Reply[Verdict], tmp_path: Path) -> None:
    """The same request gets the same reply, every field of it."""
    path = str(tmp_path / "r.jsonl")
    inner = Fixed(given)
    recorder = Recorder(inner, path)
    assert recorder.name == "fixed"
    assert await recorder.complete(asking()) is given
    await recorder.aclose()
    assert inner.closed == 1
    assert await Recorded(path).complete(asking()) == given


async def test_another_nonce_is_substituted(tmp_path: Path) -> None:
    """A reply that echoed its nonce is replayed with the nonce of the new request."""
    path = str(tmp_path / "r.jsonl")
    await Recorder(Fixed(reply("answered", None, verdict())), path).complete(asking())
    again = await Recorded(path).complete(asking(nonce="abcdef"))
    assert again.finish == "answered"
    assert again.text == verdict(nonce="abcdef")
    assert NONCE not in Path(path).read_text()


@pytest.mark.parametrize("nonce", ["f00f00", "{{nonce}}", ""])
async def test_a_reply_that_did_not_echo_stays_mismatched(nonce: str, tmp_path: Path) -> None:
    """A reply with a nonce of its own, even one that looks like the placeholder, gets no other on replay."""
    path = str(tmp_path / "r.jsonl")
    given = reply("mismatched", Fault.NONCE_MISMATCH, verdict(nonce=nonce))
    await Recorder(Fixed(given), path).complete(asking())
    again = await Recorded(path).complete(asking(nonce="abcdef"))
    assert (again.finish, again.text) == ("mismatched", given.text)


async def test_a_placeholder_inside_an_answer_is_not_filled_in(tmp_path: Path) -> None:
    """An answer that holds the placeholder itself is kept as it was, so it cannot pass under another nonce."""
    path = str(tmp_path / "r.jsonl")
    given = reply("answered", None, verdict(reasoning="{{nonce}}"))
    await Recorder(Fixed(given), path).complete(asking())
    assert await Recorded(path).complete(asking()) == given
    assert (await Recorded(path).complete(asking(nonce="abcdef"))).finish == "mismatched"


async def test_what_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    """A request without a recording ends as a fault and never as an answer."""
    path = str(tmp_path / "r.jsonl")
    await Recorder(Fixed(reply("answered", None, verdict())), path).complete(asking())
    with pytest.raises(BackendError, match="no recording for this request") as caught:
        await Recorded(path).complete(asking("another message"))
    assert caught.value.fault is Fault.MISCONFIGURED
    assert not caught.value.retryable


async def test_a_tampered_answer_does_not_pass(tmp_path: Path) -> None:
    """A line that claims to be answered is read as strictly as the answer was."""
    path = tmp_path / "r.jsonl"
    await Recorder(Fixed(reply("answered", None, verdict())), str(path)).complete(asking())
    path.write_text(path.read_text().replace("confidence", "certainty"))
    assert (await Recorded(str(path)).complete(asking())).fault is Fault.SCHEMA


async def test_repeated_requests_come_in_order(tmp_path: Path) -> None:
    """Several replies to one request are replayed in the order of recording, and the last one stays."""
    path = str(tmp_path / "r.jsonl")
    for confidence in (0.1, 0.2):
        await Recorder(Fixed(reply("answered", None, verdict(confidence=confidence))), path).complete(asking())
    backend = Recorded(path)
    replies = [await backend.complete(asking()) for _ in range(3)]
    assert [r.answer.confidence for r in replies if r.answer] == [0.1, 0.2, 0.2]
    await backend.aclose()


async def test_concurrent_calls_leave_whole_lines(tmp_path: Path) -> None:
    """Every call leaves one complete line, readable by the owner only; errors leave none."""
    path = tmp_path / "r.jsonl"
    answer = {"reasoning": "x" * 9000, "crisis": True, "confidence": 1.0}
    script = [ScriptedAnswer(when="fail", error=Fault.TIMEOUT), ScriptedAnswer(answer=answer)]
    recorder = Recorder(Scripted(script), str(path))
    calls = [recorder.complete(asking(f"{n}{' fail' if n % 5 == 0 else ''}")) for n in range(20)]
    await asyncio.gather(*calls, return_exceptions=True)
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 16
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change",
    [
        {"system": "Other."},
        {"user": "<c0ffee> other"},
        {"label_field": "crisis"},
        {"max_output_tokens": 65},
        {"purpose": "categorise"},
        {"answer": ScreenTerse},
    ],
)
def test_what_shapes_the_reply_is_in_the_hash(change: dict[str, Any]) -> None:
    """The hash changes with anything that the reply depends on."""
    assert request_hash(dataclasses.replace(asking(), **change)) != request_hash(asking())


def test_nonce_and_deadline_are_not_in_the_hash() -> None:
    """A fresh nonce or another deadline finds the same recording; an unpaired surrogate does no harm."""
    assert request_hash(asking(nonce="abcdef", deadline_s=1.0)) == request_hash(asking())
    assert len(request_hash(asking("\ud83d"))) == 64


async def test_answers_from_elsewhere_become_a_recording(tmp_path: Path) -> None:
    """Imported answers are read strictly, with the nonce filled in where they have the placeholder."""
    path = str(tmp_path / "r.jsonl")
    good, bad = asking("a"), asking("b")
    answers = {request_hash(good): verdict(nonce="{{nonce}}"), request_hash(bad): "I would rather not"}
    assert import_answers(path, answers, model="reader-1") == 2
    backend = Recorded(path)
    first, second = await backend.complete(good), await backend.complete(bad)
    assert (first.finish, first.model, second.fault) == ("answered", "reader-1", Fault.REFUSAL_PROSE)
    with pytest.raises(ConfigurationError, match="no request hash"):
        import_answers(path, {"message text": "{}"})


_LINE = {"request": "0" * 64, "echoed": False, "text": "private"}


@pytest.mark.parametrize(
    "line",
    [
        json.dumps({**_LINE, "unknown": 1}),
        json.dumps({**_LINE, "request": "short"}),
        json.dumps({"request": "0" * 64}),
        json.dumps(_LINE)[:-3],
        "[]",
    ],
)
def test_a_bad_line_is_refused(line: str, tmp_path: Path) -> None:
    """Unknown keys and broken lines are errors that name the line and show nothing of it."""
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(_LINE) + "\n" + line + "\n")
    with pytest.raises(ConfigurationError, match="line 2") as caught:
        Recorded(str(path))
    assert "private" not in str(caught.value)
