"""Whether the process lives, whether it may be sent messages, and its figures. No key: there is nothing of anybody in them."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict

from crisis_filter.errors import StoreError
from crisis_filter.service.bodies import json_answer
from crisis_filter.service.metrics import CONTENT_TYPE
from crisis_filter.service.problems import documented
from crisis_filter.service.routes_messages import service_of

__all__ = ["router"]

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether messages may be sent here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: bool
    troubles: dict[str, str]
    """By the part that fails: `service`, `store`, `detector`, `desk`."""
    failing: dict[str, str]
    """Duties whose last time failed; they alone keep no message away."""


@router.get("/livez", summary="Whether the process answers", responses={200: {"model": Alive}})
async def live() -> Response:
    """Says nothing of the store or the detector: restarting mends neither."""
    return json_answer(Alive())


@router.get(
    "/readyz",
    summary="Whether messages may be sent here, and what keeps them away",
    responses={
        200: {"model": Ready},
        503: {"model": Ready, "description": "Not now; `troubles` names the failing part."},
    },
)
async def ready(request: Request) -> Response:
    """Without an endpoint that answers it is not ready: everything would be undetermined."""
    service = service_of(request)
    troubles = await service.troubles()
    told = Ready(ready=not troubles, troubles=troubles, failing=dict(service.duties.failing))
    return json_answer(told, 503 if troubles else 200)


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **documented("overloaded")},
    response_class=Response,
)
async def figures(request: Request) -> Response:
    """Where the store does not answer, its figures are those of the last time."""
    service = service_of(request)
    try:
        found = await service.figures()
    except StoreError:
        found = None
    return Response(service.metrics.render(found), media_type=CONTENT_TYPE)
