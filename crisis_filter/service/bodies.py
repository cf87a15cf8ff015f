"""`POST /v1/classify`: messages in, and of each what is said of it.

By default the answer holds no word of a message: quotes and reasons are private like the text, so they are asked for by name and need the
scope `text`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema
from pydantic_core import PydanticSerializationError
from starlette.responses import Response

from crisis_filter.errors import Fault
from crisis_filter.schema import (
    Disposition,
    Evidence,
    Finding,
    Flag,
    Outcome,
    Provenance,
    ScoreSource,
    Severity,
    Subject,
    Timeframe,
)
from crisis_filter.service.problems import Problem
from crisis_filter.service.said import Said
from crisis_filter.store.records import Actor, Received
from crisis_filter.tables.rows import repaired_text

__all__ = [
    "MOST_MESSAGES",
    "ClassifyAnswer",
    "ClassifyMany",
    "ClassifyOne",
    "ClassifyRequest",
    "Incoming",
    "Part",
    "Result",
    "answer_many",
    "json_answer",
    "mended",
    "messages_of",
    "parts_for",
    "received",
    "received_ms",
    "result_of",
]

MOST_MESSAGES = 1_000
"""Of one request, whatever the operator allows; the desk's own limit is lower."""
Part = Literal["evidence", "rationale"]
"""What of an answer holds words of a message or about it."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def _written(value: object) -> object:
    """A time is a text: a bare number could mean seconds or milliseconds."""
    if not isinstance(value, str):
        raise ValueError("a time is a text")  # noqa: TRY004  # pydantic takes no TypeError
    return value


Name = Annotated[str, Field(min_length=1, max_length=256)]
Locale = Annotated[str, Field(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", max_length=32)]
Source = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$", max_length=64)]
When = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_written),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation"),
]


class Incoming(_Body):
    """One message."""

    id: Annotated[Name | None, Field(repr=False)] = None
    """The sender's own id, unique within a source; with it, a message that comes again is judged once. Kept as a pseudonym."""
    text: Annotated[str, Field(repr=False)]
    """As written. Empty ends as `undetermined`, `empty_content`."""
    locale: Locale | None = None
    """BCP 47 tag such as `en-US`; chooses resources."""
    source: Source | None = None
    """Where it was written, such as `portal` or `sms`; rules of the policy may look at it."""
    subject: Annotated[Name | None, Field(repr=False)] = None
    """Whoever wrote it, for erasure by person; kept as a pseudonym."""
    received_at: When | None = None
    """When it was written, with a time zone; rules of the policy may look at the hour. Without it, now."""


class _Include(_Body):
    include: Annotated[tuple[Part, ...], Field(strict=False, max_length=8)] = ()
    """`evidence` for quotes, `rationale` for reasons; the key needs the scope `text`."""


class ClassifyOne(Incoming, _Include):
    """One message."""


class ClassifyMany(_Include):
    """Several messages."""

    messages: Annotated[tuple[Incoming, ...], Field(strict=False, min_length=1, max_length=MOST_MESSAGES)]
    """Answered in this order."""


def _which(value: object) -> str:
    if isinstance(value, dict):
        return "many" if "messages" in value else "one"
    return "many" if isinstance(value, ClassifyMany) else "one"


ClassifyRequest = Annotated[
    Annotated[ClassifyOne, Tag("one")] | Annotated[ClassifyMany, Tag("many")], Discriminator(_which)
]
"""The body of `POST /v1/classify`."""


class Screened(_Body):
    """Stage 1 in detail."""

    subject: Subject
    timeframe: Timeframe
    evidence: tuple[Evidence, ...] | None = None
    rationale: Annotated[str | None, Field(repr=False)] = None


class Found(_Body):
    """One category that is present."""

    category: str
    probability: float | None
    severity: Severity | None
    subject: Subject
    timeframe: Timeframe
    evidence: tuple[Evidence, ...] | None = None
    """`null` unless asked for."""
    rationale: Annotated[str | None, Field(repr=False)] = None
    """`null` unless asked for."""


class Result(_Body):
    """What is said of one message."""

    message_id: str | None
    """Ours, for the queue, the ledger and webhooks; `null` where nothing was stored."""
    id: Annotated[str | None, Field(repr=False)]
    """The sender's own, as it came in."""
    outcome: Outcome
    by: Literal["detector", "person"]
    """A person's word stands before the detector's."""
    pending: bool
    """Whether it is stored and will still be judged."""
    findings: tuple[Found, ...]
    """Never empty for a crisis, empty otherwise."""
    score: float | None
    """Probability of crisis, or `null` where the detector gives none."""
    score_source: ScoreSource | None
    fault: Fault | None
    """Why it is undetermined, or what failed beside a crisis."""
    fault_detail: str
    degraded: bool
    flags: tuple[Flag, ...]
    screen: Screened
    disposition: Disposition | None
    provenance: Provenance | None


class ClassifyAnswer(_Body):
    """The answer of `POST /v1/classify`."""

    results: tuple[Result, ...]
    """One for each message, in the order of the request."""


def messages_of(request: ClassifyOne | ClassifyMany, most: int = MOST_MESSAGES) -> tuple[Incoming, ...]:
    """The messages of a request.

    Args:
        request: of either form.
        most: how many the operator allows.

    Raises:
        Problem: `too_large`; nothing was accepted.
    """
    found = request.messages if isinstance(request, ClassifyMany) else (request,)
    if len(found) > most:
        raise Problem("too_large", f"This service takes at most {most} messages in a request. Nothing was accepted.")
    return found


def parts_for(asked: Sequence[Part], actor: Actor) -> frozenset[Part]:
    """Which private parts the answer holds.

    Raises:
        Problem: `forbidden` where some are asked for and the key has not the scope `text`. Nothing is left out in silence.
    """
    if asked and "text" not in actor.scopes:
        raise Problem("forbidden", "`include` needs a key with the scope `text`. Nothing was accepted.")
    return frozenset(asked)


def mended(text: str, flags: frozenset[Flag] = frozenset()) -> tuple[str, frozenset[Flag]]:
    """A text that can be stored and sent on, and its flags: a repaired one is never cleared."""
    whole, repaired = repaired_text(text)
    return whole, flags | {"encoding_repaired"} if repaired else flags


def received(message: Incoming, actor: Actor, source: str = "api") -> Received:
    """What goes into the store.

    Args:
        message: as it came in.
        actor: whose key it was; the tenant is the key's and never the request's.
        source: of a message that names none.
    """
    text, flags = mended(message.text)
    return Received(
        tenant=actor.tenant,
        source=message.source or source,
        external_id=message.id,
        subject=message.subject,
        text=text,
        locale=message.locale,
        flags=flags,
    )


def received_ms(message: Incoming, now_ms: int) -> int:
    """When it was written, in milliseconds since 1970; never later than now, so that no time limit is put off by a wrong clock."""
    at: datetime | None = message.received_at
    return now_ms if at is None else max(0, min(now_ms, int(at.timestamp() * 1000)))


def result_of(said: Said, parts: frozenset[Part] = frozenset()) -> Result:
    """What is said of one message, with those private parts that were asked for."""
    quotes, reasons = "evidence" in parts, "rationale" in parts
    return Result.model_construct(
        message_id=said.message_id,
        id=said.id,
        outcome=said.outcome,
        by=said.by,
        pending=said.pending,
        findings=tuple(_found(finding, quotes, reasons) for finding in said.findings),
        score=said.score,
        score_source=said.score_source,
        fault=said.fault,
        fault_detail=said.fault_detail,
        degraded=said.degraded,
        flags=said.flags,
        screen=Screened.model_construct(
            subject=said.screen.subject,
            timeframe=said.screen.timeframe,
            evidence=said.screen.evidence if quotes else None,
            rationale=said.screen.rationale if reasons else None,
        ),
        disposition=said.disposition,
        provenance=said.provenance,
    )


def answer_many(said: Sequence[Said], parts: frozenset[Part] = frozenset()) -> ClassifyAnswer:
    """The whole answer, in the order given."""
    return ClassifyAnswer.model_construct(results=tuple(result_of(one, parts) for one in said))


def json_answer(model: BaseModel, status: int = 200) -> Response:
    """A model as the answer. A lone surrogate in it goes out as the JSON escape that it came in as, and is no error of ours."""
    try:
        body = model.model_dump_json().encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        body = json.dumps(model.model_dump(), separators=(",", ":"), allow_nan=False, default=_plain).encode("ascii")
    return Response(body, status, media_type="application/json")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def _found(finding: Finding, quotes: bool, reasons: bool) -> Found:
    return Found.model_construct(
        category=finding.category,
        probability=finding.probability,
        severity=finding.severity,
        subject=finding.subject,
        timeframe=finding.timeframe,
        evidence=finding.evidence if quotes else None,
        rationale=finding.rationale if reasons else None,
    )
