"""The queue over HTTP: the next most urgent, its text, and what a reader says of it. Nobody picks from a list."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from crisis_filter.schema import OUTCOMES, UNSPECIFIED
from crisis_filter.service.access import allowed
from crisis_filter.service.bodies import json_answer
from crisis_filter.service.problems import Problem, ProblemCode, documented
from crisis_filter.service.reading import StrictRoute
from crisis_filter.service.routes_messages import ID, service_of
from crisis_filter.service.service import Service
from crisis_filter.store.ledger import ledger
from crisis_filter.store.opening import Connection
from crisis_filter.store.queue import next_item, release, renew
from crisis_filter.store.queue_board import Board, board
from crisis_filter.store.queue_deciding import decide
from crisis_filter.store.queue_records import REASONS, Answer, Decided, Item, QueueError, Refusal, View
from crisis_filter.store.queue_second import SecondReadings, second_readings
from crisis_filter.store.queue_viewing import view
from crisis_filter.store.records import Actor

__all__ = ["CATEGORY", "router"]

T = TypeVar("T")
router = APIRouter(route_class=StrictRoute)
CATEGORY = "category"
"""The format of a name of the taxonomy, which is known once the service is open."""
_CLAIM_MS = 10 * 60 * 1000
_DAY_MS = 24 * 3600 * 1000

MayReview = Annotated[Actor, Depends(allowed("review"))]
MayRead = Annotated[Actor, Depends(allowed("review", "text"))]
MaySupervise = Annotated[Actor, Depends(allowed("supervise"))]
ItemId = Annotated[str, Path(pattern=ID)]
_CODES: dict[Refusal, ProblemCode] = {
    "scope": "forbidden",
    "not_found": "not_found",
    "not_claimed": "conflict",
    "taken": "conflict",
    "decided": "conflict",
    "changed": "conflict",
    "no_revision": "conflict",
    "no_queue": "invalid_request",
    "no_reason": "invalid_request",
    "other_action": "invalid_request",
}
_ITEM: tuple[ProblemCode, ...] = ("unauthenticated", "forbidden", "not_found", "conflict", "rate_limited", "overloaded")


class Ask(BaseModel):
    """Which queues, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    queues: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")], ...] | None,
        Field(strict=False, max_length=100),
    ] = None
    """Only from these; `null` is all."""
    claim_ms: Annotated[int, Field(ge=1_000, le=3_600_000)] = _CLAIM_MS
    """How long it is the reader's."""


def _answers() -> dict[str, Any]:
    """The schema of an answer, which says what belongs to which action; the model's own could not."""
    null, none = {"type": "null"}, {"type": "array", "maxItems": 0}
    category = {"type": "string", "format": CATEGORY}
    words = {"type": "array", "items": category, "maxItems": 64, "uniqueItems": True}
    reason = {"anyOf": [{"enum": list(REASONS)}, null]}
    empty = {"outcome": null, "categories": none, "reason": null, "to": null, "revision": null}
    note = {"anyOf": [{"type": "string", "maxLength": 4000}, null]}

    def form(action: str, *needed: str, **given: Any) -> dict[str, Any]:
        properties = {"action": {"const": action}, **empty, "note": note, **given}
        named = ["action", *needed]
        return {"type": "object", "properties": properties, "required": named, "additionalProperties": False}

    seen = {"anyOf": [{"type": "integer"}, null]}
    crisis, other = {"const": "crisis"}, {"enum": list(OUTCOMES[1:])}
    queue = {"type": "string", "minLength": 1, "maxLength": 64, "pattern": r"^[^\x00-\x1f\x7f]+$"}
    return {
        "title": "Answer",
        "oneOf": [
            form("accept", "revision", revision={"type": "integer"}),
            form("override", "outcome", outcome=crisis, categories=words, reason=reason, revision=seen),
            form("override", "outcome", outcome=other, reason=reason, revision=seen),
            form("answer", "outcome", outcome=crisis, categories=words),
            form("answer", "outcome", outcome=other),
            form("escalate", "to", to=queue),
        ],
    }


Said = Annotated[Answer, Body(), WithJsonSchema(_answers(), mode="validation")]


class LedgerLine(BaseModel):
    """Two counts that must be one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: str
    left: int
    right: int
    parts: dict[str, int]
    holds: bool


class LedgerAnswer(BaseModel):
    """The equations of one tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    balanced: bool
    """Whether every one holds."""
    equations: tuple[LedgerLine, ...]


class Next(BaseModel):
    """The next item."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: Item | None
    """`null` where nothing waits that this reader may have."""


async def _write(service: Service, function: Callable[[Connection], T], point: str | None = None) -> T:
    try:
        return await asyncio.wrap_future(service.store.submit(function, point=point))
    except QueueError as error:
        raise Problem(_CODES[error.why], f"{str(error).capitalize()}.") from None


async def _read(service: Service, function: Callable[[Connection], T]) -> T:
    try:
        return await asyncio.to_thread(service.store.read, function)
    except QueueError as error:
        raise Problem(_CODES[error.why], f"{str(error).capitalize()}.") from None


@router.post(
    "/v1/queue/next",
    summary="Take the next most urgent item",
    tags=["queue"],
    responses={
        200: {"model": Next},
        **documented(
            "unauthenticated", "forbidden", "too_large", "unsupported_media_type", "rate_limited", "overloaded"
        ),
    },
)
async def take_next(request: Request, actor: MayReview, body: Annotated[Ask | None, Body()] = None) -> Response:
    """Whoever holds one already gets that one, for as long again. Blind items come like any other."""
    service, ask = service_of(request), body or Ask()
    take = partial(next_item, actor=actor, queues=ask.queues, claim_ms=ask.claim_ms, now_ms=service.store.clock())
    return json_answer(Next(item=await _write(service, take)))


@router.post(
    "/v1/queue/items/{item_id}/view",
    summary="Open an item that one holds",
    tags=["queue"],
    responses={200: {"model": View}, **documented(*_ITEM)},
)
async def open_item(request: Request, item_id: ItemId, actor: MayRead) -> Response:
    """The message and, unless the item is blind, what was said of it. That it was opened is written into the audit, so this is no GET."""
    service = service_of(request)
    look = partial(view, store=service.store, actor=actor, item_id=item_id, now_ms=service.store.clock())
    return json_answer(await _write(service, look))


@router.post(
    "/v1/queue/items/{item_id}/renew",
    summary="Hold an item longer",
    tags=["queue"],
    responses={200: {"model": Item}, **documented(*_ITEM)},
)
async def hold_longer(request: Request, item_id: ItemId, actor: MayReview) -> Response:
    """As long as nobody else took it."""
    service = service_of(request)
    longer = partial(renew, actor=actor, item_id=item_id, claim_ms=_CLAIM_MS, now_ms=service.store.clock())
    return json_answer(await _write(service, longer))


@router.post(
    "/v1/queue/items/{item_id}/release",
    summary="Give an item back",
    tags=["queue"],
    status_code=204,
    responses=documented(*_ITEM),
)
async def give_back(request: Request, item_id: ItemId, actor: MayReview) -> Response:
    """It waits again at once."""
    service = service_of(request)
    await _write(service, partial(release, actor=actor, item_id=item_id, now_ms=service.store.clock()))
    return Response(status_code=204)


@router.post(
    "/v1/queue/items/{item_id}/decision",
    summary="Say what an item is",
    tags=["queue"],
    responses={200: {"model": Decided}, **documented(*_ITEM, "too_large", "unsupported_media_type")},
)
async def say(request: Request, item_id: ItemId, body: Said, actor: MayReview) -> Response:
    """A person's word is final for every detector. Saying the same twice changes nothing; another word later is a supervisor's."""
    service = service_of(request)
    if not {*service.taxonomy, UNSPECIFIED}.issuperset(body.categories):
        # A slip of a finger would be counted as a category of its own, and free words would go out by webhook.
        raise Problem("invalid_request", "`categories` holds a name that is none of the taxonomy's.")
    answer = partial(
        decide,
        store=service.store,
        actor=actor,
        item_id=item_id,
        answer=body,
        rules=service.reading,
        now_ms=service.store.clock(),
    )
    decided = await _write(service, answer, "queue:decide")
    if service.courier is not None:
        service.courier.wake()
    # Whoever read blind is not told that it raised anything.
    return json_answer(decided.model_copy(update={"raised": False}) if decided.outcome is None else decided)


@router.get(
    "/v1/queue/board",
    summary="How the queue stands",
    tags=["queue"],
    responses={200: {"model": Board}, **documented("unauthenticated", "forbidden", "rate_limited", "overloaded")},
)
async def stand(request: Request, actor: MaySupervise) -> Response:
    """Counts by queue and urgency, outages apart, and how much each reader has read. No message."""
    service = service_of(request)
    return json_answer(await _read(service, partial(board, actor=actor, now_ms=service.store.clock())))


@router.get(
    "/v1/queue/second-readings",
    summary="What blind second readings say",
    tags=["queue"],
    responses={
        200: {"model": SecondReadings},
        **documented("unauthenticated", "forbidden", "rate_limited", "overloaded"),
    },
)
async def misses(request: Request, actor: MaySupervise, days: Annotated[int, Query(ge=1, le=3_650)] = 30) -> Response:
    """Misses among "not crisis" with their interval, false alarms, and how far readers agree."""
    service = service_of(request)
    now = service.store.clock()
    ask = partial(second_readings, actor=actor, since_ms=max(0, now - days * _DAY_MS), until_ms=now)
    return json_answer(await _read(service, ask))


@router.get(
    "/v1/ledger",
    summary="Received is decided and pending, and ten more equations",
    tags=["ledger"],
    responses={
        200: {"model": LedgerAnswer},
        **documented("unauthenticated", "forbidden", "rate_limited", "overloaded"),
    },
)
async def balance(request: Request, actor: MaySupervise) -> Response:
    """Of one's own tenant."""
    (account,) = (await _read(service_of(request), partial(ledger, tenant=actor.tenant))).accounts
    lines = tuple(LedgerLine(**one.model_dump(), holds=one.holds) for one in account.equations)
    return json_answer(LedgerAnswer(balanced=account.balanced, equations=lines))
