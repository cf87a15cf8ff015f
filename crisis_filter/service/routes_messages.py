"""Messages in: our own address, OpenAI's moderations and LiteLLM's guardrail. All three store, judge, route and tell in the same way."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Path, Request, Response

from crisis_filter.errors import Fault, StoreError, StoreUnavailable
from crisis_filter.service.access import allowed
from crisis_filter.service.bodies import (
    ClassifyAnswer,
    ClassifyRequest,
    Result,
    answer_many,
    json_answer,
    messages_of,
    parts_for,
    received,
    received_ms,
    result_of,
)
from crisis_filter.service.desk import Handled, Overloaded
from crisis_filter.service.guardrail import GuardrailAnswer, GuardrailRequest, guardrail_answer, pieces_of
from crisis_filter.service.limits import DEADLINE_HEADER, Deadline
from crisis_filter.service.moderations import ModerationAnswer, ModerationRequest, inputs_of, moderations
from crisis_filter.service.problems import Problem, ProblemCode, documented
from crisis_filter.service.reading import StrictRoute
from crisis_filter.service.said import Said, fresh, recalled, unsaid
from crisis_filter.service.service import Service
from crisis_filter.store.idempotency import Replay, RequestKey, request_key
from crisis_filter.store.records import Actor, Received, Verdict
from crisis_filter.store.verdicts import verdicts

__all__ = ["ID", "router", "service_of"]

_log = logging.getLogger(__name__)

router = APIRouter(route_class=StrictRoute)

MayClassify = Annotated[Actor, Depends(allowed("classify"))]
MayReview = Annotated[Actor, Depends(allowed("review"))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="The same key with the same body is answered from what was decided the first time; kept for a day.",
    ),
]
Within = Annotated[
    str,
    Header(
        alias=DEADLINE_HEADER,
        pattern="^[1-9][0-9]{0,8}$",
        description="Milliseconds in which an answer is wanted; never more than the policy's deadline.",
    ),
]
ID = "^[0-9A-Za-z_-]{1,64}$"
"""Of an id of ours. What no database would take is no id."""
_TAKING: tuple[ProblemCode, ...] = (
    "unauthenticated",
    "forbidden",
    "idempotency_in_flight",
    "too_large",
    "unsupported_media_type",
    "request_timeout",
    "rate_limited",
    "overloaded",
    "deadline_passed",
)


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    found: Service = request.app.state.service
    return found


@router.post(
    "/v1/classify",
    summary="Judge one message or several",
    tags=["messages"],
    responses={200: {"model": ClassifyAnswer}, **documented(*_TAKING)},
)
async def classify(
    request: Request,
    body: Annotated[ClassifyRequest, Body()],
    actor: MayClassify,
    idempotency_key: Key = None,
    within: Within = "",
) -> Response:
    """Every message is stored before it is judged, and gets its decision whatever becomes of this request.

    An answer of `undetermined` is no "not crisis": a person reads that message. The same goes for every answer that is no success.
    """
    service = service_of(request)
    parts = parts_for(body.include, actor)
    found = messages_of(body, service.spec.most_messages)
    key = await _key(request, actor, idempotency_key)
    now = service.store.clock()
    said, again = await _said(
        service,
        actor,
        [received(one, actor) for one in found],
        [one.id for one in found],
        key,
        within,
        [received_ms(one, now) for one in found],
    )
    answer = json_answer(answer_many(said, parts))
    if again:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@router.get(
    "/v1/messages/{message_id}",
    summary="What stands of one message",
    tags=["messages"],
    responses={
        200: {"model": Result},
        **documented("unauthenticated", "forbidden", "not_found", "rate_limited", "overloaded"),
    },
)
async def message(request: Request, message_id: Annotated[str, Path(pattern=ID)], actor: MayClassify) -> Response:
    """By our id, without any word of it."""
    service = service_of(request)
    found = await _standing(service, actor.tenant, [message_id])
    if message_id not in found:
        raise Problem("not_found")
    return json_answer(result_of(recalled(found[message_id])))


@router.post(
    "/v1/moderations",
    summary="OpenAI's moderations",
    tags=["in place of others"],
    responses={200: {"model": ModerationAnswer}, **documented(*_TAKING)},
)
async def moderate(
    request: Request,
    body: Annotated[ModerationRequest, Body()],
    actor: MayClassify,
    idempotency_key: Key = None,
    within: Within = "",
) -> Response:
    """For a client of OpenAI's whose base URL was changed. `flagged` is false for "not crisis" alone, and true for every fault."""
    service = service_of(request)
    rows = [one.received(body, actor) for one in inputs_of(body, service.spec.most_messages)]
    key = await _key(request, actor, idempotency_key)
    said, again = await _said(service, actor, rows, [None] * len(rows), key, within)
    answer = json_answer(moderations(body, said, service.taxonomy, f"modr-{secrets.token_hex(12)}"))
    if again:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


@router.post(
    "/beta/litellm_basic_guardrail_api",
    summary="LiteLLM's generic guardrail",
    tags=["in place of others"],
    responses={200: {"model": GuardrailAnswer}, **documented(*_TAKING)},
)
async def guard(
    request: Request, body: Annotated[GuardrailRequest, Body()], actor: MayClassify, within: Within = ""
) -> Response:
    """`NONE` for "not crisis" alone. A crisis is answered with the protocol beside the text, not with silence, unless the operator wants it blocked."""
    service = service_of(request)
    pieces = pieces_of(body, service.plan, service.spec.most_messages)
    rows = [one.received(body, actor) for one in pieces]
    said: list[Said] = []
    if rows:
        try:
            said, _ = await _said(service, actor, rows, [None] * len(rows), None, within)
        except (Overloaded, StoreError) as error:
            _log.warning("a guardrail's texts were not judged: %s", type(error).__name__)
            service.metrics.refused("stopping" if service.desk.closing else "overload")
        except Problem as problem:
            if problem.code != "deadline_passed":
                raise
        if not said:
            # LiteLLM takes a refusal for a reason to block, and to be silenced is a harm of its own.
            return json_answer(guardrail_answer(body, service.plan, {}))
    return json_answer(
        guardrail_answer(body, service.plan, {piece.index: one for piece, one in zip(pieces, said, strict=True)})
    )


async def _key(request: Request, actor: Actor, given: str | None) -> RequestKey | None:
    if given is None:
        return None
    body = request.url.path.encode() + b"\n" + await request.body()
    return request_key(actor.tenant, given, body, secrets.token_hex(16))


async def _said(
    service: Service,
    actor: Actor,
    rows: Sequence[Received],
    ids: Sequence[str | None],
    key: RequestKey | None,
    within: str = "",
    written: Sequence[int] | None = None,
) -> tuple[list[Said], bool]:
    """What is said of each message, and whether the request had been done before."""
    deadline = Deadline.of(within or None, service.policy.limits.deadline_s + 5.0, asyncio.get_running_loop().time)
    handled = await deadline.hold(service.desk.receive(rows, key, written))
    try:
        return await _answers(service, actor.tenant, handled, ids)
    except StoreUnavailable:
        raise Problem("deadline_passed") from None  # it is stored, and what is said of it cannot be read now


async def _answers(
    service: Service, tenant: str, handled: tuple[Handled, ...] | Replay, ids: Sequence[str | None]
) -> tuple[list[Said], bool]:
    if isinstance(handled, Replay):
        found = await _standing(service, tenant, handled.message_ids)
        return [
            _recalled(found.get(message_id), message_id, given)
            for message_id, given in zip(handled.message_ids, ids, strict=True)
        ], True
    known = [one.message_id for one in handled if one.assessment is None]
    found = await _standing(service, tenant, known) if known else {}
    return [_of(service, one, given, found) for one, given in zip(handled, ids, strict=True)], False


def _of(service: Service, one: Handled, given: str | None, found: dict[str, Verdict]) -> Said:
    if one.assessment is not None:
        return fresh(one.assessment, message_id=one.message_id, id=given)
    service.metrics.came_before()
    return _recalled(found.get(one.message_id), one.message_id, given)


def _recalled(verdict: Verdict | None, message_id: str, given: str | None) -> Said:
    if verdict is None:
        return unsaid(Fault.INTERNAL, "its decision cannot be found", message_id=message_id, id=given)
    return recalled(verdict, id=given)


async def _standing(service: Service, tenant: str, ids: Sequence[str]) -> dict[str, Verdict]:
    ask = partial(verdicts, store=service.store, tenant=tenant, ids=ids, whole=True)
    return await asyncio.to_thread(service.store.read, ask)
