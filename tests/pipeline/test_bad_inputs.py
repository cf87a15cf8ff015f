"""Bad inputs through the whole pipeline: disguises, sizes, bytes that are no text, and every code point there is."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from crisis_filter.backends.scripted import Scripted, ScriptedAnswer
from crisis_filter.cli.app import app
from crisis_filter.local.engine import LocalEngine
from crisis_filter.pipeline.detector import TwoStages
from crisis_filter.pipeline.filter import CrisisFilter
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Assessment, Fault, Message
from crisis_filter.stages.categorise import PromptedCategorise
from crisis_filter.stages.engine import EngineStages
from crisis_filter.stages.screen import PromptedScreen
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy
from crisis_filter.triage.resources import load_resources
from tests.strategies import CATEGORIES
from tests.text.disguises import KEEPS_CASE, LOSES_CASE, SENTENCES, reversed_for_the_eye

TAXONOMY = load_taxonomy("clinical-v1")
POLICY = load_policy("default")
PACK = load_resources("resources-v1")
SCREEN = render(load_prompt("screen/reasoned-v1"), TAXONOMY)
CATEGORISE = render(load_prompt("categorise/reasoned-v1"), TAXONOMY)
ABSENT = {"rationale": "", "quotes": [], "present": False, "severity": None, "subject": None, "timeframe": None}
NEEDLE = "I want to end my life tonight, I wrote the goodbye letters"
FILLER = "the bus was late and the queue was long, so we walked home. "
DISGUISES: dict[str, Callable[[str], str]] = KEEPS_CASE | LOSES_CASE | {"reversed by override": reversed_for_the_eye}


def answered(crisis: bool, when: str | None = None) -> ScriptedAnswer:
    """Stage 1 says this of a text that holds `when`, or of any."""
    answer = {
        "reasoning": "r",
        "quotes": [],
        "subject": "self",
        "timeframe": "current",
        "crisis": crisis,
        "confidence": 0.9 if crisis else 0.1,
    }
    return ScriptedAnswer(purpose="screen", when=when, answer=answer)


def keyword_filter(*keywords: str) -> CrisisFilter:
    """A model that knows a few words and clears every text without them."""
    present = {**ABSENT, "present": True, "severity": "severe", "subject": "self", "timeframe": "current"}
    sorted_ = ScriptedAnswer(purpose="categorise", answer={**dict.fromkeys(CATEGORIES, ABSENT), "suicide": present})
    backend = Scripted([sorted_, *(answered(True, word) for word in keywords), answered(False)])
    stages = PromptedScreen(backend, SCREEN), PromptedCategorise(backend, CATEGORISE, CATEGORIES)
    return CrisisFilter(TwoStages("scripted", *stages, aclose=backend.aclose), TAXONOMY, POLICY, PACK)


@pytest.fixture(scope="module")
def engine() -> EngineStages:
    return EngineStages(LocalEngine.load(), may_clear=True)


@pytest.fixture(scope="module")
def engine_filter(engine: EngineStages) -> Iterator[CrisisFilter]:
    with CrisisFilter(TwoStages("local", engine, engine, sole=True), TAXONOMY, POLICY, PACK) as made:
        yield made


def judged(crisis_filter: CrisisFilter, text: str) -> Assessment:
    return asyncio.run(crisis_filter.assess(Message(id="m", text=text)))


@pytest.mark.parametrize(
    "blank",
    ["", "   ", "\n\t\r\n", "\u200b" * 500, "\ufe0f", "\ufe0f" * 40, "\u3164", "\u00ad \u034f", "\x00", "\U000e0001"],
)
def test_a_text_that_shows_nothing_is_empty_content(blank: str) -> None:
    """Nothing is asked and nothing is cleared, though the model would clear anything."""
    a = judged(keyword_filter(), blank)
    assert (a.outcome, a.fault, a.provenance.attempts) == ("undetermined", Fault.EMPTY_CONTENT, 0)


EMOJI_TOGETHER = (
    "😀 😂 🙂 😭 😡 🔪 🩸 💊 💊💊💊 🔫 ⚰️ 🪦 ☠️ ❤️ 💔 ❤️‍🔥 ❤️‍🩹 👍 👍🏽 👋🏿 🤷‍♀️ 🤦🏾‍♂️ 👩‍👩‍👧 👨‍👩‍👧‍👦 👩🏽‍🤝‍👨🏿 🧑‍🚀 🏳️‍🌈 🏴‍☠️ "
    "🇬🇧 🇫🇷🇩🇪 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ #️⃣ ☎︎ ✈️ ™️ ㊙️ 🅰️ ℹ️ 🆘 🐻‍❄️ 👁️‍🗨️ 🙂🔪🩸"
)
EMOJI = tuple(EMOJI_TOGETHER.split())


def test_emoji_alone_are_judged_as_they_are() -> None:
    """Forty sequences reach the model code point by code point, once."""
    assert len(EMOJI) >= 40
    for emoji in EMOJI:
        a = judged(keyword_filter(json.dumps(emoji, ensure_ascii=False)[1:-1]), emoji)
        assert (a.outcome, a.provenance.views, a.flags) == ("crisis", 1, ())


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguise_does_not_change_the_verdict_of_a_model_that_reads_letters(disguise: str) -> None:
    """A keyword model finds every sentence under every disguise that it finds in plain."""
    hide = DISGUISES[disguise]
    for plain in SENTENCES[::4]:
        shown = hide(plain)
        words = max(plain.rstrip(".?").split(), key=len)
        a = judged(keyword_filter(words, words.lower(), words.upper()), shown)
        assert (a.outcome, a.fault) == ("crisis", None)
        assert "obfuscated" in a.flags


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_engine_clears_no_disguised_sentence_it_finds_in_plain(disguise: str, engine_filter: CrisisFilter) -> None:
    """What the engine finds in plain it finds under a disguise; a smile in front of it is part of what is said."""
    hide = DISGUISES[disguise]
    before = "🙂" if "emoji" in disguise else ""
    found = [plain for plain in SENTENCES[::4] if judged(engine_filter, before + plain).outcome == "crisis"]
    assert len(found) >= 6
    outcomes = {judged(engine_filter, hide(plain)).outcome for plain in found}
    assert outcomes == {"crisis"}


@pytest.mark.parametrize(
    ("detector", "place"),
    [
        ("keyword", 0),
        ("keyword", 30_000),
        ("keyword", 59_940),
        pytest.param("engine", 0, marks=pytest.mark.slow),
        pytest.param("engine", 30_000, marks=pytest.mark.slow),
        pytest.param("engine", 59_940, marks=pytest.mark.slow),
    ],
)
def test_a_sentence_in_a_long_text_is_found(detector: str, place: int, engine_filter: CrisisFilter) -> None:
    """At the start, in the middle and at the end of sixty thousand characters."""
    text = (FILLER * 1_000)[:place] + " " + NEEDLE + " " + (FILLER * 1_000)[place:60_000]
    assert len(text) >= 60_000
    a = judged(keyword_filter("end my life") if detector == "keyword" else engine_filter, text)
    assert a.outcome == "crisis"
    assert "chunked" in a.flags


def test_a_disguised_sentence_in_a_long_text_is_found() -> None:
    """Length and disguise together."""
    for hide in (KEEPS_CASE["soft hyphen"], KEEPS_CASE["Cyrillic look-alikes"], KEEPS_CASE["letters apart by spaces"]):
        text = FILLER * 500 + hide(NEEDLE) + " " + FILLER * 500
        assert judged(keyword_filter("goodbye letters"), text).outcome == "crisis"


@pytest.mark.parametrize(
    ("size", "fault"), [(1_000_000, None), (1_000_001, Fault.INPUT_TOO_LONG), (10_000_000, Fault.INPUT_TOO_LONG)]
)
def test_a_huge_text_is_judged_whole_or_named_too_long(size: int, fault: Fault | None) -> None:
    """A megabyte is judged in pieces, its last words too; more is undetermined. Memory stays bounded."""
    text = (FILLER * (size // len(FILLER) + 1))[: size - len(NEEDLE)] + NEEDLE
    crisis_filter = keyword_filter("goodbye letters")
    tracemalloc.start()
    started = time.perf_counter()
    try:
        a = judged(crisis_filter, text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (a.outcome, a.fault) == ("crisis" if fault is None else "undetermined", fault)
    assert peak < 300_000_000
    assert time.perf_counter() - started < 60


def records(tmp_path: Path, data: bytes, name: str = "in.jsonl") -> list[dict[str, object]]:
    """What `classify --json` writes for a file, with a model that clears whatever does not hold `goodbye`."""
    entries = [
        {"purpose": "categorise", "answer": dict.fromkeys(CATEGORIES, ABSENT)},
        *(answered(*pair).model_dump(mode="json") for pair in ((True, "goodbye"), (False, None))),
    ]
    script, source = tmp_path / "script.jsonl", tmp_path / name
    script.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")
    source.write_bytes(data)
    ran = CliRunner().invoke(app, ["classify", str(source), "--json", "--quiet", "--backend", f"scripted:{script}"])
    assert ran.exception is None or isinstance(ran.exception, SystemExit)
    return [json.loads(line) for line in ran.stdout.splitlines()]


FINE = b'{"id": "fine", "text": "the bus was late"}\n'


@pytest.mark.parametrize(
    ("bad", "outcome", "fault"),
    [
        (b'{"id": "x", "text": "goodbye \xff\xfe"}', "crisis", "stage_conflict"),
        (b'{"id": "x", "text": "caf\xe9"}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": "half \\ud83d"}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": "a\\u0000b"}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": "good\\u0000bye"}', "crisis", "stage_conflict"),
        (b'{"id": "x", "text": 7}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": ["goodbye"]}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": {"goodbye": 1}}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": null}', "undetermined", "input_unreadable"),
        (b'{"id": "x"}', "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": "a", "more": ' + b'{"a":' * 100_000 + b"}", "undetermined", "input_unreadable"),
        (b'{"id": "x", "text": "goodbye', "undetermined", "input_unreadable"),
        (b"\x00\x01\x02\xff\xfe", "undetermined", "input_unreadable"),
    ],
)
def test_a_bad_row_is_undetermined_and_the_others_run(tmp_path: Path, bad: bytes, outcome: str, fault: str) -> None:
    """From a file through the program to a record: never cleared, never a crash, and its neighbours are judged."""
    rows = records(tmp_path, FINE + bad + b"\n" + FINE.replace(b"fine", b"too", 1))
    assert [row["outcome"] for row in rows] == ["no_crisis", outcome, "no_crisis"]
    assert rows[1]["fault"] == fault


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_csv_in_another_encoding_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    """UTF-16 with its mark and any line ending, quoted line ends included."""
    table = end.join(["id,text", '1,"goodbye', 'all"', "2,the bus was late", ""])
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    rows = records(tmp_path, mark + table.encode(encoding), "in.csv")
    assert [(row["id"], row["outcome"]) for row in rows] == [("1", "crisis"), ("2", "no_crisis")]


# Characters that text handling trips over, beside every other one there is.
ODD = st.sampled_from('\ud800\udfff\x00\ufeff\u200d\u202e\u2066\u0301\u3164🙂🇬\U000e0061а\u0130ßﬀɐ{}"\\<&\n ')
ANYTHING = st.text(alphabet=st.characters(exclude_categories=[]) | ODD | st.sampled_from("aeiou dkl.*"), max_size=200)
CLEARING = keyword_filter()
RAISING = keyword_filter("")


@settings(max_examples=250, deadline=None)
@given(ANYTHING)
def test_any_text_gets_the_verdict_or_is_undetermined(text: str) -> None:
    """Nothing raises; what the model clears is cleared or undetermined, and what it raises is raised or was never shown."""
    cleared, raised = judged(CLEARING, text), judged(RAISING, text)
    assert cleared.outcome in ("no_crisis", "undetermined")
    assert (raised.outcome, raised.fault) in (("crisis", None), ("undetermined", Fault.EMPTY_CONTENT))
    assert (raised.outcome == "crisis") == (cleared.fault is not Fault.EMPTY_CONTENT)
    if any("\ud800" <= c <= "\udfff" for c in text):
        assert cleared.outcome == "undetermined"
    cleared.model_dump_json()
    raised.model_dump_json()
