"""No message text, quote or model answer in a log record, an exception or a repr, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback

import pytest

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.errors import CrisisFilterError
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Fault, Message
from tests.pipeline.test_filter import named, said, scripted

TEXT = "canary7731 i want to die"
QUOTE = "canary7731"
ANSWER = "heron5520"

BROKEN = [
    ScriptedAnswer(text=f"{ANSWER} I cannot help"),
    ScriptedAnswer(text=f'{{"nonce": "{ANSWER}", "crisis": false}}'),
    ScriptedAnswer(text=f'{{"crisis": "{ANSWER}"}}'),
    ScriptedAnswer(text=f'{{"crisis": {ANSWER}'),
    ScriptedAnswer(finish="refused", fault=Fault.REFUSAL_FIELD, text=ANSWER),
    ScriptedAnswer(error=Fault.TIMEOUT),
    said(True, answer={"reasoning": ANSWER, "quotes": [ANSWER, QUOTE]}),
]


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every logger there is, at the lowest level."""
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    return caplog


def silent(text: str) -> None:
    assert QUOTE not in text
    assert ANSWER not in text


@pytest.mark.parametrize("entry", BROKEN)
async def test_the_pipeline_logs_and_shows_nothing(entry, everything):
    """Faulty, refusing and good answers alike leave no trace outside the assessment's own text fields."""
    a = await scripted(entry, named(suicide={"rationale": ANSWER, "quotes": [QUOTE]})).assess(
        Message(id="m", text=TEXT)
    )
    silent(everything.text)
    silent(repr(a))
    silent(a.fault_detail)
    silent(repr(Message(id="m", text=TEXT)))


async def test_a_bug_that_carries_the_text_is_silenced(everything, monkeypatch):
    """An exception whose words are the person's own is logged by its type alone."""

    def bug(text):
        raise ValueError(text)

    monkeypatch.setattr("crisis_filter.pipeline.judge.views", bug)
    a = await scripted(said(False)).assess(Message(id="m", text=TEXT))
    silent(everything.text)
    silent(a.model_dump_json())


async def test_only_the_record_asked_for_carries_quotes():
    """They are in the JSON the user asked for, and only in the fields made for them."""
    a = await scripted(said(True), named(suicide={"quotes": [QUOTE]})).assess(Message(id="m", text=TEXT))
    dumped = a.model_dump()
    assert dumped["findings"][0]["evidence"][0]["quote"] == QUOTE
    silent(str(dumped["provenance"]))
    silent(str(dumped["disposition"]))


@pytest.mark.parametrize("content", [f'{{"answer": "{ANSWER}"}}', f"[{ANSWER}", f'{{"surprise": "{ANSWER}"}}'])
def test_a_broken_script_is_named_without_its_words(tmp_path, content):
    """An error about a file of answers says where, not what."""
    path = tmp_path / "script.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CrisisFilterError) as caught:
        Scripted.read(str(path))
    silent("".join(traceback.format_exception(caught.value)))


def test_the_embedded_engine_logs_nothing(everything):
    """The offline default leaves no trace either."""
    with open_filter(FilterSpec()) as crisis_filter:
        a = crisis_filter.classify(TEXT)
    assert a.outcome in ("crisis", "no_crisis", "undetermined")
    silent(everything.text)
    silent(repr(a))


@pytest.mark.parametrize("key", ["sk-canary7731"])
def test_a_key_is_never_shown(key):
    """Secrets are masked in a description that is printed or logged."""
    spec = FilterSpec(backend="openai:m", api_key=key)
    silent(repr(spec))
    silent(str(spec.model_dump()))
    silent(spec.model_dump_json())
