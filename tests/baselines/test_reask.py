"""A positive is never taken back: over real HTTP, a flawed reply that holds one, and a second that would clear."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.backends.base import Choice
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.options import settled
from crisis_filter.baselines.registry import KNOWN, BaselineSpec, open_baseline
from crisis_filter.schema import Fault, Message
from crisis_filter.taxonomy.maps import load_map
from tests.baselines.test_asking import NEGATIVES, POSITIVES
from tests.baselines.test_replies import READERS, ROWS
from tests.fault_server import Answer, chat, serve_faults

_OF_READERS = {
    "llama": ("llama-guard-3-8b", {}),
    "nemo": ("nemoguard-8b", {}),
    "qwen": ("qwen3guard-gen", {}),
    "qwen, loose": ("qwen3guard-gen", {"controversial": "loose"}),
    "mindguard": ("mindguard-4b", {}),
    "granite": ("granite-guardian-4.1", {"criteria": "harm"}),
    "safeguard": ("gpt-oss-safeguard-20b", {}),
}


def several(*texts: str) -> Answer:
    """One completion with a choice for each text."""
    choices = [
        {"index": at, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for at, text in enumerate(texts)
    ]
    return chat(None, choices=choices)


def cut(text: str) -> Answer:
    return chat(text, finish="length")


NO = "Safety: Safe\nCategories: None"


@pytest.mark.parametrize(
    ("name", "first", "fault"),
    [
        ("llama-guard-3-8b", several("safe", "unsafe\nS11"), Fault.BAD_JSON),
        ("llama-guard-3-8b", cut("Unsafe\nS11"), Fault.TRUNCATED),
        ("llama-guard-3-custom", several("safe", "unsafe\nS6"), Fault.BAD_JSON),
        ("nemoguard-8b", cut('{"User Safety": "Unsafe", "Saf'), Fault.TRUNCATED),
        ("nemoguard-8b", several('{"User Safety": "safe"}', '{"User Safety": "unsafe"}'), Fault.BAD_JSON),
        (
            "gpt-oss-safeguard-20b",
            cut('Verdict: {"violation": 1, "policy_category": ["suicide"], "ra'),
            Fault.TRUNCATED,
        ),
        ("gpt-oss-safeguard-20b", several('{"violation": 0}', '{"violation": 1}'), Fault.BAD_JSON),
        ("granite-guardian-4.1", several("<score>yes</score>", "<score>no</score>"), Fault.BAD_JSON),
        ("granite-guardian-3.3", several("<score>YES</score>", "<score>no</score>"), Fault.BAD_JSON),
        ("mindguard-4b", cut("Safety: UNSAFE\nCateg"), Fault.TRUNCATED),
        ("mindguard-4b", several(NO, "Safety: Unsafe\nCategories: S1"), Fault.BAD_JSON),
        ("qwen3guard-gen", several(NO, "safety: controversial\nCategories: Violent"), Fault.BAD_JSON),
    ],
)
async def test_a_second_reply_takes_no_positive_back(name: str, first: Answer, fault: Fault) -> None:
    """Nobody is asked a second time, and the crisis stands with the fault of its reply."""
    options = {"criteria": "harm"} if name.startswith("granite") else {}
    raw = name.endswith("custom")
    async with serve_faults() as server:
        second = chat(NEGATIVES[name])
        server.answer(*(_completed(answer) if raw else answer for answer in (first, second)))
        spec = BaselineSpec(name=name, base_url=server.url, options=options)
        detector = open_baseline(spec, np.random.default_rng(0))
        try:
            found = await detector.assess(Message(id="m", text="hello"))
        finally:
            await detector.aclose()
        assert len(server.received) == 1
    assert (found.outcome, found.fault) == ("crisis", fault)


def _completed(answer: Answer) -> Answer:
    """A chat completion as that of a raw prompt."""
    body = json.loads(answer.body)
    body["choices"] = [{**choice, "text": choice["message"]["content"]} for choice in body["choices"]]
    return Answer(json.dumps(body).encode())


def choice_of(reader: str) -> Choice:
    name, options = _OF_READERS[reader]
    known = KNOWN[name]
    assert known.make is not None
    speaks = known.make(settled(options, known.options, name), 1.0, load_map(name))
    choice = speaks.questions("hello")[0].request.choice
    assert choice is not None
    return choice


CHOICES = {reader: choice_of(reader) for reader in _OF_READERS}


@pytest.mark.parametrize(("reader", "reply"), [row[:2] for row in ROWS])
def test_what_is_read_as_a_positive_is_claimed_and_no_negative_is(reader: str, reply: str) -> None:
    """A reader's positive that was cut off must survive, also behind another choice; a documented negative is asked for again."""
    said = READERS[reader](reply)
    if isinstance(said, Said):
        assert CHOICES[reader].claims(reply) is said.flagged
        assert said.flagged <= CHOICES[reader].claims(f"{NEGATIVES[_OF_READERS[reader][0]]}\n{reply}")


@pytest.mark.parametrize("reader", _OF_READERS)
@given(data=st.data())
def test_in_any_case_and_behind_anything(reader: str, data: st.DataObject) -> None:
    """Whatever lines stand before a positive, and however its letters are written."""
    name = _OF_READERS[reader][0]
    letters = data.draw(st.sampled_from((str.lower, str.upper, str.title)))
    before = data.draw(st.lists(st.text("abc {}[]:<>\"'", max_size=9), max_size=3).map("\n".join))
    assert CHOICES[reader].claims(f"{before}\n{letters(POSITIVES[name])}")
    assert not CHOICES[reader].claims(f"{before}\n{letters(NEGATIVES[name])}")
