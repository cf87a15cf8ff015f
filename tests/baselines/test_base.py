"""From what another's system said to an assessment: the laws hold whatever it says and whatever breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from crisis_filter.baselines.base import About, Said, Told, about, assess
from crisis_filter.baselines.detector import Detector
from crisis_filter.schema import Assessment, Failure, Fault, Message
from crisis_filter.taxonomy.maps import load_map

SHARED = about("llama-guard-3-8b", load_map("llama-guard-3-8b"))
HELLO = Message(id="m", text="canary7731 can I move my appointment")


def answering(result: Said | Failure, **more: object) -> Callable[[str], object]:
    async def ask(_: str) -> Told:
        return Told(result, attempts=1, **more)  # type: ignore[arg-type]

    return ask


async def after(result: Said | Failure, message: Message = HELLO, shared: About = SHARED, **more: object) -> Assessment:
    return await assess(message, answering(result, **more), shared)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "outcome", "fault", "categories", "labels"),
    [
        (Said(flagged=False), "no_crisis", None, (), ()),
        (Said(flagged=True, labels=("S11",)), "crisis", None, ("eating_disorder", "self_harm", "suicide"), ("S11",)),
        (Said(flagged=True, labels=("S1", "S1")), "crisis", None, ("abuse", "violence"), ("S1",)),
        (Said(flagged=True, labels=("S7",)), "crisis", None, ("unspecified",), ("S7",)),
        (Said(flagged=True), "crisis", None, ("unspecified",), ()),
        (Said(flagged=True, labels=("S99",)), "crisis", Fault.SCHEMA, ("unspecified",), ()),
        (Said(flagged=True, labels=("S2", "i want to die")), "crisis", Fault.SCHEMA, ("substance_misuse",), ("S2",)),
        (
            Said(flagged=True, labels=("S2",), fault=Fault.TRUNCATED),
            "crisis",
            Fault.TRUNCATED,
            ("substance_misuse",),
            ("S2",),
        ),
        (Failure(fault=Fault.TIMEOUT, detail="late"), "undetermined", Fault.TIMEOUT, (), ()),
        (Failure(fault=Fault.SCHEMA), "undetermined", Fault.SCHEMA, (), ()),
    ],
)
async def test_what_is_said_becomes_an_assessment(
    result: Said | Failure, outcome: str, fault: Fault | None, categories: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    """Mapped categories, `unspecified` where nothing maps, a label that nobody knows dropped with a fault."""
    found = await after(result)
    assert (found.outcome, found.fault) == (outcome, fault)
    assert tuple(finding.category for finding in found.findings) == categories
    assert found.provenance.native_labels == labels
    assert found.disposition is None
    assert found.provenance.detector == "baseline:llama-guard-3-8b"
    assert "die" not in repr(found)


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u2060", "\U000e0001"])
async def test_nothing_is_asked_about_an_empty_text(text: str) -> None:
    """`empty_content`, and no request."""

    async def never(_: str) -> Told:
        raise AssertionError("asked")

    found = await assess(Message(id="m", text=text), never, SHARED)
    assert (found.outcome, found.fault, found.provenance.attempts) == ("undetermined", Fault.EMPTY_CONTENT, 0)
    row = await assess(Message(id="m", text="x", unreadable=True), never, SHARED)
    assert (row.outcome, row.fault) == ("undetermined", Fault.INPUT_UNREADABLE)


async def test_what_was_repaired_or_refused_is_not_cleared() -> None:
    """A text with half a character, and one of which a provider's filter names danger."""
    texts: list[str] = []

    async def ask(text: str) -> Told:
        texts.append(text)
        return Told(Said(flagged=False), attempts=1)

    found = await assess(Message(id="m", text="fine \ud83d"), ask, SHARED)
    assert (found.outcome, found.fault, found.flags) == ("undetermined", Fault.INPUT_UNREADABLE, ("encoding_repaired",))
    assert texts == ["fine \ufffd"]
    named = await after(Said(flagged=False), flags=frozenset({"filter_named_danger"}))
    assert (named.outcome, named.fault) == ("undetermined", Fault.FILTER_PROMPT)


@pytest.mark.parametrize("error", [RuntimeError, KeyError, AssertionError, MemoryError, TimeoutError, RecursionError])
async def test_whatever_is_raised_ends_as_undetermined(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """With its type and without its words."""

    async def ask(text: str) -> Told:
        raise error(text)

    found = await assess(HELLO, ask, SHARED)
    assert (found.id, found.outcome, found.fault) == ("m", "undetermined", Fault.INTERNAL)
    assert found.fault_detail == error.__name__
    assert "canary7731" not in caplog.text + repr(found)


async def test_what_was_noticed_of_a_message_survives_a_bug() -> None:
    """The flags that it came with, and that its text had to be mended."""

    async def ask(_: str) -> Told:
        raise RuntimeError

    message = HELLO.model_copy(update={"flags": frozenset({"injection_suspected"}), "text": "hello \udc80"})
    found = await assess(message, ask, SHARED)
    assert (found.outcome, found.flags) == ("undetermined", ("encoding_repaired", "injection_suspected"))


async def test_a_stopped_run_is_not_an_answer() -> None:
    """Being cancelled is passed on."""

    async def ask(_: str) -> Told:
        await asyncio.sleep(60)
        raise AssertionError("too late")

    task = asyncio.create_task(assess(HELLO, ask, SHARED))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_only_messages_are_assessed() -> None:
    """A caller's mistake is told to the caller."""
    with pytest.raises(TypeError, match="a Message is assessed, not str"):
        await assess("hello", answering(Said(flagged=False)), SHARED)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"flagged": False, "labels": ("S1",)},
        {"flagged": False, "fault": Fault.SCHEMA},
        {"flagged": True, "score": 0.5},
        {"flagged": True, "score_source": "logprobs"},
    ],
)
def test_a_verdict_says_one_thing(fields: dict[str, object]) -> None:
    """No negative with labels or a fault, no score without its source."""
    with pytest.raises(ValueError, match=r"only a flag|go together"):
        Said(**fields)  # type: ignore[arg-type]


async def test_provenance_tells_how() -> None:
    """Model, requests, tokens, time, troubles, and the map by its hash."""
    ticks = iter((10.0, 10.25))
    told = Told(
        Said(flagged=True, labels=("S11",), score=0.75, score_source="logprobs"),
        model="guard-1",
        attempts=3,
        prompt_tokens=70,
        completion_tokens=4,
        troubles=(("openai:g", Fault.TIMEOUT), ("openai:g", Fault.TIMEOUT)),
    )

    async def ask(_: str) -> Told:
        return told

    closed: list[int] = []

    async def close() -> None:
        closed.append(1)

    detector = Detector(SHARED, ask, close, lambda: next(ticks))
    found = await detector.assess(HELLO)
    how = found.provenance
    assert (found.score, found.score_source) == (0.75, "logprobs")
    assert (how.model, how.attempts, how.prompt_tokens, how.completion_tokens) == ("guard-1", 3, 70, 4)
    assert how.elapsed_ms == pytest.approx(250.0)
    assert [(fault.link, fault.fault, fault.times) for fault in how.link_faults] == [("openai:g", Fault.TIMEOUT, 2)]
    assert [ref.id for ref in how.prompts] == ["maps/llama-guard-3"]
    assert how.taxonomy is not None
    assert how.taxonomy.id == "clinical-v1"
    assert detector.name == "llama-guard-3-8b"
    await detector.aclose()
    assert closed == [1]
