"""The records that cross module boundaries, and the one function that may say `no_crisis`.

Everything here is frozen and closed (`extra="forbid"`) and hides its input in validation errors, because the input is a
person's words. Code closes over outcome, fault, severity, subject, timeframe and urgency; categories are data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from crisis_filter.errors import Fault as Fault  # noqa: PLC0414  # part of the vocabulary of records

Outcome = Literal["crisis", "undetermined", "no_crisis"]
Severity = Literal["mild", "moderate", "severe", "imminent"]
Subject = Literal["self", "other", "both", "unclear"]
Timeframe = Literal["past", "recent", "current", "future", "unclear"]
Urgency = Literal["emergency", "urgent", "soon", "routine"]
ScoreSource = Literal["logprobs", "engine", "votes", "stated", "classifier"]
"""Where a probability came from: token log-probabilities, the embedded engine, votes, the model's own words, or a number that another's
classifier gives, such as a moderation endpoint's."""
Flag = Literal[
    "encoding_repaired",
    "duplicate_id",
    "obfuscated",
    "chunked",
    "stage_conflict",
    "sole_detector",
    "cleared_by_engine",
    "injection_suspected",
    "unvalidated_language",
    "refused_or_filtered",
    "filter_named_danger",
    "reused_verdict",
]
"""What was noticed of a message. `refused_or_filtered`: some model refused it or some provider's filter blocked it, whatever another
said. `filter_named_danger`: such a filter names self-harm or violence of medium severity or more. `cleared_by_engine`: no language model was
asked, because the engine's score is below the operator's clearing threshold. `reused_verdict`: nobody was asked, because the same text,
letter by letter, got this verdict earlier in the same run."""

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
URGENCIES: tuple[Urgency, ...] = get_args(Urgency)
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""Highest first: joining anything takes the leftmost outcome present (law 1)."""
UNSPECIFIED = "unspecified"
"""Category of a crisis whose kind Stage 2 could not name."""


class Record(BaseModel):
    """Base of every record: frozen, closed, and silent about its input when validation fails."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Message(Record):
    """One text to be judged."""

    id: str = Field(min_length=1)
    """Identifier given by the caller or made from file and line; unique within one input."""
    text: str = Field(repr=False)
    """The text as received, every code point kept. May be empty: that ends as `empty_content`."""
    locale: str | None = None
    """BCP 47 tag such as `en-US`; chooses resources only. `None` means not known."""
    flags: frozenset[Flag] = frozenset()
    """What the reader of the input noticed (`encoding_repaired`, `duplicate_id`)."""
    unreadable: bool = False
    """True when the row held no text at all (a number, a missing field, a ragged row)."""


class Evidence(Record):
    """Words of the message that bear on a judgement, found there and not merely claimed."""

    quote: str = Field(repr=False)
    """`text[start:end]` of the raw message."""
    start: int = Field(ge=0)
    """Offset of the first code point in the raw text."""
    end: int = Field(gt=0)
    """Offset after the last code point."""


class Finding(Record):
    """One category that is present."""

    category: str
    """A category id of the taxonomy, or `unspecified`."""
    probability: float | None = Field(default=None, ge=0.0, le=1.0)
    """0 to 1, or `None` when the detector gives no probability for categories."""
    severity: Severity | None = None
    """`None` when the detector does not judge severity."""
    subject: Subject = "unclear"
    """Whose crisis: the writer's, somebody else's, both."""
    timeframe: Timeframe = "unclear"
    """When."""
    evidence: tuple[Evidence, ...] = ()
    """Checked quotes; empty when none was given or none was found in the text."""
    rationale: str | None = Field(default=None, repr=False)
    """Clinical reasoning in the model's words; private like the text. `None` from the embedded engine."""


class ScreenVerdict(Record):
    """What one detector said, completely and validly, of one view of a message."""

    crisis: bool
    """Never has a default: a verdict that does not say is not a verdict."""
    may_clear: bool
    """Whether this detector is entitled to say `no_crisis` (law 2)."""
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    """Probability of crisis, or `None` when the detector gives none."""
    score_source: ScoreSource | None = None
    """Where `score` came from; `None` exactly when `score` is `None`."""
    subject: Subject = "unclear"
    timeframe: Timeframe = "unclear"
    quotes: tuple[str, ...] = Field(default=(), repr=False)
    """As claimed, not yet checked."""
    rationale: str | None = Field(default=None, repr=False)
    fault: Fault | None = None
    """Set when a positive was read from an answer that was otherwise faulty (it survives; a negative would not)."""

    @model_validator(mode="after")
    def _a_faulty_answer_only_raises(self) -> Self:
        if self.fault is not None and not self.crisis:
            raise ValueError("a verdict read from a faulty answer can only be a positive")
        if (self.score is None) != (self.score_source is None):
            raise ValueError("score and score_source go together")
        return self


class Failure(Record):
    """One view of a message got no verdict."""

    fault: Fault
    detail: str = ""
    """A few fixed words of ours; never text of the message or the answer."""


NEVER_CLEARED: Mapping[Flag, Fault] = MappingProxyType(
    {
        "encoding_repaired": Fault.INPUT_UNREADABLE,
        "injection_suspected": Fault.INJECTION_SUSPECTED,
        "filter_named_danger": Fault.FILTER_PROMPT,
        "unvalidated_language": Fault.UNVALIDATED_LANGUAGE,
    }
)
"""What forbids a negative, and the fault that it becomes: the first that applies."""


class Conclusion(Record):
    """Stage 1 over all views and chunks of one message."""

    outcome: Outcome
    fault: Fault | None = None
    score: float | None = None
    score_source: ScoreSource | None = None


def conclude(results: Sequence[ScreenVerdict | Failure], flags: frozenset[Flag] = frozenset()) -> Conclusion:
    """Join Stage 1 results by law 1: crisis > undetermined > no_crisis.

    This is the only function in the package that produces the outcome `no_crisis`; a test walks the source for others.
    It needs at least one verdict, no failure among the results, every verdict entitled to clear, and none of the flags in
    `NEVER_CLEARED`.

    Args:
        results: one entry for each view and chunk; the order decides which fault is named.
        flags: what was noticed about the message.

    Returns:
        The outcome, the fault when there is one, and the highest score of any verdict.
    """
    verdicts = [r for r in results if isinstance(r, ScreenVerdict)]
    failures = [r for r in results if isinstance(r, Failure)]
    top = max((v for v in verdicts if v.score is not None), key=lambda v: v.score or 0.0, default=None)
    score, source = (top.score, top.score_source) if top else (None, None)
    fault = next((f.fault for f in failures), None) or next((v.fault for v in verdicts if v.fault), None)
    if any(v.crisis for v in verdicts):
        positive = max((v for v in verdicts if v.crisis), key=lambda v: v.score if v.score is not None else -1.0)
        return Conclusion(outcome="crisis", fault=fault, score=positive.score, score_source=positive.score_source)
    if failures or not verdicts:
        fault = fault or Fault.INTERNAL
    elif not all(v.may_clear for v in verdicts):
        fault = Fault.MAY_NOT_CLEAR
    elif forbidding := [fault for flag, fault in NEVER_CLEARED.items() if flag in flags]:
        fault = forbidding[0]
    else:
        return Conclusion(outcome="no_crisis", score=score, score_source=source)
    return Conclusion(outcome="undetermined", fault=fault, score=score, score_source=source)


class PromptRef(Record):
    """Identity of a prompt: its id and the SHA-256 of its file and examples."""

    id: str
    sha256: str

    @staticmethod
    @lru_cache(maxsize=256)
    def of(name: str, sha256: str) -> PromptRef:
        """The same record for the same two: every message names three or four, and a process knows a handful."""
        return PromptRef(id=name, sha256=sha256)


class LinkFault(Record):
    """One endpoint that failed on the way to an assessment."""

    link: str
    """Name of the endpoint, as in `openai:MODEL`."""
    fault: Fault
    times: int = Field(default=1, ge=1)


class CascadeStep(Record):
    """What a cascade made of a message before a language model was asked."""

    step: Literal["cleared", "sampled", "asked"]
    """Left to the engine; below the clearing threshold and asked about all the same, at random; asked about."""
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    """The engine's, the highest of any view; `None` where it gave none."""
    engine: str
    """SHA-256 of the engine."""
    clearing: PromptRef | None = None
    """The operator's clearing threshold; `None` where there is none and nothing is cleared."""


class Provenance(Record):
    """How an assessment came about: enough to make it again and to answer for it."""

    detector: str
    """`local:standard-v1`, `openai:MODEL`, `langchain:PROVIDER:MODEL`, `scripted`, `recorded`; `baseline:NAME` for another's system."""
    model: str | None = None
    """The model the server said it used, or the SHA-256 of the embedded engine."""
    prompts: tuple[PromptRef, ...] = ()
    taxonomy: PromptRef | None = None
    policy: PromptRef | None = None
    version: str
    """Version of this package."""
    views: int = Field(default=0, ge=0)
    """How many views and chunks Stage 1 judged."""
    attempts: int = Field(default=0, ge=0)
    """Requests sent to a language model, both stages, retries included."""
    quotes_dropped: int = Field(default=0, ge=0)
    """Quotes a model claimed that do not occur in the message (law 5)."""
    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    answered_by: tuple[str, ...] = ()
    """The links of the chain whose verdicts count here, each once, in order; empty for a detector without a chain."""
    link_faults: tuple[LinkFault, ...] = ()
    """Which links failed, with which fault and how often; also where another link then answered."""
    votes: int = Field(default=0, ge=0)
    """Verdicts asked for near the threshold, over all views; 0 when none was near."""
    flips: int = Field(default=0, ge=0)
    """Votes that said other than the first of their view; `flips / votes` over a run is its flip rate."""
    cascade: CascadeStep | None = None
    """`None` for a detector that is no cascade."""
    native_labels: tuple[str, ...] = ()
    """Of a baseline, the labels that it gave, in its own words: ids of its map (`categories/maps`), so never free text."""
    elapsed_ms: float = Field(default=0.0, ge=0.0)


class Resource(Record):
    """Somewhere a person can turn to."""

    id: str
    name: str
    contact: str
    """What to dial, text or open, in words for people."""
    locales: tuple[str, ...]
    categories: tuple[str, ...] = ()
    """Empty means for every category."""
    source: str
    """Address of the page that says so."""
    verified_on: str | None = None
    """ISO date on which a person checked `contact` at `source`; `None` means nobody has."""


def _absent(value: object) -> bool:
    return value is None


class Disposition(Record):
    """Where an assessment goes and how soon somebody must look."""

    queue: str
    urgency: Urgency
    rule: str
    """Id of the policy rule that decided."""
    resources: tuple[Resource, ...] = ()
    resources_withheld: int = Field(default=0, ge=0)
    """Matching resources not served because nobody has verified them."""
    # Left out of what is written where they say nothing, so that a pack without them writes what it always wrote.
    within_s: int | None = Field(default=None, ge=1, exclude_if=_absent)
    """Seconds in which somebody must look; `None` from a pack that names no time limits (`triage.rules.time_limit_s` knows what then holds)."""
    protocol: str | None = Field(default=None, exclude_if=_absent)
    """Id of the protocol that the reader follows; `None` for no particular one."""
    escalate_to: str | None = Field(default=None, exclude_if=_absent)
    """Queue that it moves to when nobody has opened it after `escalate_after_s`; `None` for none."""
    escalate_after_s: int | None = Field(default=None, ge=1, exclude_if=_absent)
    """Seconds; `None` exactly when `escalate_to` is."""


class Screening(Record):
    """Stage 1 in detail."""

    subject: Subject = "unclear"
    timeframe: Timeframe = "unclear"
    evidence: tuple[Evidence, ...] = ()
    rationale: str | None = Field(default=None, repr=False)


class Assessment(Record):
    """Everything said of one message."""

    id: str
    outcome: Outcome
    score: float | None = Field(default=None, ge=0.0, le=1.0)
    score_source: ScoreSource | None = None
    findings: tuple[Finding, ...] = ()
    """Never empty for a crisis: at least `unspecified`. Always empty otherwise."""
    fault: Fault | None = None
    """Never `None` for `undetermined`, always `None` for `no_crisis`; beside a crisis it tells what failed besides."""
    fault_detail: str = ""
    degraded: bool = False
    """Whether the service was not whole: a link of the chain stood in for another, or no link could answer."""
    flags: tuple[Flag, ...] = ()
    score_at_prevalence: float | None = Field(default=None, ge=0.0, le=1.0)
    """The engine's `score` adjusted to the share of crises that the user named; for people to read. Rules, thresholds and order go by `score`."""
    screen: Screening = Screening()
    disposition: Disposition | None = None
    """`None` only before triage."""
    provenance: Provenance

    @model_validator(mode="after")
    def _columns_agree(self) -> Self:
        if self.outcome == "undetermined" and self.fault is None:
            raise ValueError("an undetermined assessment names its fault")
        if self.outcome == "no_crisis" and self.fault is not None:
            raise ValueError("a fault never stands beside no_crisis")
        if (self.outcome == "crisis") != bool(self.findings):
            raise ValueError("findings belong to a crisis, and a crisis has at least one")
        return self
