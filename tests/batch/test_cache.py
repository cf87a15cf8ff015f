"""The cache: a hit is what a fresh judgement would be, and nothing that must be judged anew is ever served."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.batch.cache import Judge, VerdictCache, keepable
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import (
    Assessment,
    CascadeStep,
    Disposition,
    Fault,
    Finding,
    LinkFault,
    Message,
    PromptRef,
    Provenance,
)
from crisis_filter.taxonomy.load import load_taxonomy

KEY = b"0123456789abcdef"
REF = PromptRef(id="p", sha256="0" * 64)
JUDGE = Judge(backend="openai:m", policy=REF, taxonomy=REF, prompts=(REF,), version="1")
ROUTED = Disposition(queue="q", urgency="routine", rule="r")


def assessment(outcome="no_crisis", id="a", **changed):
    findings = (Finding(category="suicide"),) if outcome == "crisis" else ()
    fault = Fault.TIMEOUT if outcome == "undetermined" else None
    given = {
        "id": id, "outcome": outcome, "findings": findings, "fault": fault, "disposition": ROUTED,
        "provenance": Provenance(detector="openai:m", version="1", attempts=3, prompt_tokens=50, elapsed_ms=7.0),
    }  # fmt: skip
    return Assessment(**{**given, **changed})


def provenance(**changed):
    return assessment().provenance.model_copy(update=changed)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (assessment(), True),
        (assessment("crisis"), True),
        (assessment(flags=("obfuscated", "chunked")), True),
        (assessment(provenance=provenance(cascade=CascadeStep(step="asked", engine="e"))), True),
        (assessment("undetermined"), False),
        (assessment("crisis", fault=Fault.SCHEMA), False),
        (assessment(degraded=True), False),
        (assessment("crisis", degraded=True), False),
        (assessment(flags=("cleared_by_engine",)), False),
        (assessment(provenance=provenance(cascade=CascadeStep(step="cleared", engine="e"))), False),
        (assessment(provenance=provenance(cascade=CascadeStep(step="sampled", engine="e"))), False),
        (assessment(provenance=provenance(link_faults=(LinkFault(link="x", fault=Fault.TIMEOUT),))), False),
        (assessment(disposition=None), False),
    ],
)
def test_only_complete_verdicts_are_kept(given, kept):
    cache = VerdictCache(JUDGE, key=KEY)
    message = Message(id="a", text="hello")
    assert keepable(given) is kept
    assert cache.put(message, given) is kept
    assert (cache.get(Message(id="b", text="hello")) is not None) is kept


@pytest.mark.parametrize("fault", list(Fault))
def test_no_fault_is_ever_served(fault):
    cache = VerdictCache(JUDGE, key=KEY)
    for outcome in ("undetermined", "crisis"):
        cache.put(Message(id="a", text="hello"), assessment(outcome, fault=fault))
    assert cache.get(Message(id="a", text="hello")) is None
    assert cache.figures().kept == 0


def test_a_hit_is_under_the_new_id_and_costs_nothing():
    cache = VerdictCache(JUDGE, key=KEY)
    first = assessment("crisis", score=0.9, score_source="logprobs")
    cache.put(Message(id="a", text="hello"), first)
    hit = cache.get(Message(id="b", text="hello"))
    assert hit is not None
    assert hit.id == "b"
    assert (hit.provenance.attempts, hit.provenance.prompt_tokens, hit.provenance.elapsed_ms) == (0, 0, 0.0)
    same = {"id", "provenance", "flags"}
    assert hit.model_dump(exclude=same) == first.model_dump(exclude=same)
    assert hit.flags == ("reused_verdict",)
    assert first.flags == ()
    assert hit.provenance.detector == first.provenance.detector
    assert first.provenance.attempts == 3


@given(
    one=st.tuples(st.text(max_size=5), st.sampled_from([None, "en-US", "e"]), st.frozensets(st.sampled_from(["encoding_repaired", "duplicate_id"]))),
    two=st.tuples(st.text(max_size=5), st.sampled_from([None, "en-US", "e"]), st.frozensets(st.sampled_from(["encoding_repaired", "duplicate_id"]))),
)  # fmt: skip
def test_only_the_very_same_message_hits(one, two):
    """Text, locale and flags, to the letter; a surrogate, an empty text and a trailing space are texts like others."""
    cache = VerdictCache(JUDGE, key=KEY)
    first, second = (Message(id="a", text=t, locale=where, flags=flags) for t, where, flags in (one, two))
    cache.put(first, assessment())
    assert (cache.get(second) is not None) is (one == two)


@pytest.mark.parametrize(
    "other",
    [
        Judge(backend="openai:other", policy=REF, taxonomy=REF, prompts=(REF,), version="1"),
        Judge(backend="openai:m", policy=PromptRef(id="p", sha256="1" * 64), taxonomy=REF, prompts=(REF,), version="1"),
        Judge(backend="openai:m", policy=REF, taxonomy=PromptRef(id="t", sha256="0" * 64), prompts=(REF,), version="1"),
        Judge(backend="openai:m", policy=REF, taxonomy=REF, prompts=(REF, REF), version="1"),
        Judge(backend="openai:m", policy=REF, taxonomy=REF, prompts=(), version="1"),
        Judge(backend="openai:m", policy=REF, taxonomy=REF, prompts=(REF,), version="2"),
    ],
)
def test_keys_differ_by_judge_and_by_secret(other):
    """So that a store of several would never mix them up."""
    message = Message(id="a", text="hello")
    keys = {VerdictCache(judge, key=key)._key(message) for judge in (JUDGE, other) for key in (KEY, KEY + b"x")}
    assert len(keys) == 4
    assert VerdictCache(JUDGE, key=KEY)._key(message) in keys


def test_the_one_not_asked_for_longest_goes_first():
    cache = VerdictCache(JUDGE, key=KEY, most=2)
    for text in "ab":
        cache.put(Message(id="x", text=text), assessment(id="x"))
    assert cache.get(Message(id="y", text="a")) is not None
    cache.put(Message(id="x", text="c"), assessment(id="x"))
    found = [cache.get(Message(id="y", text=text)) is not None for text in "abc"]
    assert found == [True, False, True]
    figures = cache.figures()
    assert (figures.kept, figures.hits, figures.misses) == (2, 3, 1)


def test_unreadable_rows_are_neither_kept_nor_served():
    cache = VerdictCache(JUDGE, key=KEY)
    cache.put(Message(id="a", text=""), assessment())
    unreadable = Message(id="a", text="", unreadable=True)
    assert cache.get(unreadable) is None
    assert cache.put(unreadable, assessment()) is False


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="another message"):
        VerdictCache(JUDGE, key=KEY).put(Message(id="b", text="x"), assessment(id="a"))
    with pytest.raises(ValueError, match="at least 16 bytes"):
        VerdictCache(JUDGE, key=b"short")
    with pytest.raises(ValueError, match="at least one verdict"):
        VerdictCache(JUDGE, key=KEY, most=0)


def test_nothing_of_a_text_or_the_secret_shows():
    cache = VerdictCache(JUDGE, key=KEY)
    cache.put(Message(id="a", text="a sentence of somebody's"), assessment())
    assert repr(cache) == "VerdictCache(1 of 100000)"
    assert b"sentence" not in b"".join(cache._kept)


@pytest.mark.parametrize("outcome", ["crisis", "no_crisis", "undetermined"])
def test_a_hit_equals_a_fresh_judgement_of_the_same_backend(tmp_path, outcome):
    """Through the whole pipeline with a scripted model: the same but for the id, for what was spent, and for saying that it was reused."""
    crisis = outcome == "crisis"
    screened = {"reasoning": "r", "quotes": [], "subject": "self", "timeframe": "current", "crisis": crisis}
    screened["confidence"] = 0.9 if crisis else 0.1
    absent = {"rationale": "", "quotes": [], "present": False, "severity": None, "subject": None, "timeframe": None}
    taxonomy = load_taxonomy("clinical-v1")
    sorted_ = dict.fromkeys(taxonomy.ids, absent)
    sorted_["suicide"] = {
        **absent, "rationale": "r", "present": True, "severity": "severe", "subject": "self", "timeframe": "current",
    }  # fmt: skip
    lines = [{"purpose": "screen", "answer": screened}, {"purpose": "categorise", "answer": sorted_}]
    if outcome == "undetermined":
        lines = [{"error": "timeout"}]
    script = tmp_path / "script.jsonl"
    script.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    judging = open_filter(FilterSpec(backend=f"scripted:{script}", fallbacks=()))
    cache = VerdictCache(Judge("scripted", judging.policy.ref, taxonomy.ref, judging.prompts, "1"), key=KEY)
    first, second = (Message(id=name, text="can i see someone about my sleep?") for name in ("a", "b"))
    cache.put(first, asyncio.run(judging.assess(first)))
    fresh, hit = asyncio.run(judging.assess(second)), cache.get(second)
    assert fresh.outcome == outcome
    assert (hit is None) is (outcome == "undetermined")
    if hit is not None:
        spent = {"provenance": {"attempts", "prompt_tokens", "completion_tokens", "elapsed_ms"}}
        unmarked = hit.model_copy(update={"flags": tuple(flag for flag in hit.flags if flag != "reused_verdict")})
        assert "reused_verdict" in hit.flags
        assert unmarked.model_dump(exclude=spent) == fresh.model_dump(exclude=spent)
