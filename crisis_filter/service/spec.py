"""The frozen description of a service; may be sent to a worker process."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from crisis_filter.pipeline.description import FilterSpec
from crisis_filter.schema import Record
from crisis_filter.store.retention import Retention

__all__ = ["ServiceSpec"]


class ServiceSpec(Record):
    """Everything needed to open the service; carries no open resource."""

    store: str
    """`sqlite:///FILE` or `postgresql://USER@HOST/NAME`."""
    keys: str | None = None
    """File with the keys of the store; `None` leaves texts open, which SQLite alone allows."""
    judging: FilterSpec = FilterSpec()
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    places: int = Field(default=256, ge=1, le=100_000)
    """Messages that are judged at once."""
    most_waiting: int = Field(default=2_000, ge=1)
    """Messages in work, in this process; a request that would go above is refused before anything of it is taken in."""
    most_bytes: int = Field(default=2_000_000, ge=1_000)
    """Of the body of one request."""
    most_messages: int = Field(default=100, ge=1, le=10_000)
    """Of one request."""
    per_minute: int | None = Field(default=None, ge=1)
    """Requests that a key may make which sets no limit of its own; `None` sets none."""
    second_readings: float = Field(default=0.02, ge=0.0, le=1.0)
    """Share of "not crisis" that somebody reads blind: the only way to see what was missed."""
    second_alerts: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of crises and undetermined messages that a second person reads blind."""
    guardrail_crisis: Literal["intervene", "block"] = "intervene"
    """What the guardrail answers for a crisis: the text with the protocol after it, or a refusal. To be refused is a harm of its own."""
    guardrail_undetermined: Literal["intervene", "block"] = "intervene"
    retention: Retention = Retention()
    """How long each class of rows is kept."""
    deliver: bool = True
    """Whether webhooks are sent from this process."""
    reach: tuple[str, ...] = ()
    """Networks of the operator's own, as CIDRs, that webhooks may be sent to besides public addresses."""
    webhook_ports: tuple[int, ...] = ()
    """That webhooks may be sent to besides the usual ones."""
    loopback_webhooks: bool = False
    """Whether webhooks may go to this machine over plain HTTP; for trying things out."""
    drain_s: float = Field(default=25.0, gt=0.0, le=600.0)
    """How long what is in work may take when the service is asked to end."""
    notice_s: float = Field(default=1.0, ge=0.0, le=60.0)
    """How long it says that it is ending, `/readyz` and all, before it takes no more connections."""
    workers: int = Field(default=1, ge=1, le=64)
    """Processes that share the port and the store, each with its own detector; limits are of each."""
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    """Where the first worker shows its own figures besides, the second one port further, and so on."""
