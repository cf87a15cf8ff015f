"""What goes into the store and comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment, Flag, Message, Outcome, Record, Urgency

__all__ = [
    "SCOPES",
    "Accepted",
    "Actor",
    "Concluded",
    "Duplicate",
    "Entropy",
    "Received",
    "Rejudgeable",
    "Scope",
    "Verdict",
    "Work",
    "new_id",
]

Entropy = Callable[[int], bytes]
"""So many random bytes, as `secrets.token_bytes` gives them."""
Scope = Literal["classify", "review", "supervise", "export", "admin", "audit", "text"]
SCOPES: tuple[Scope, ...] = ("classify", "review", "supervise", "export", "admin", "audit", "text")
Duplicate = Literal["no", "same", "other_text"]
"""Whether the sender's id came before: never, with the same text (nothing is stored twice), with another text (both are kept)."""
_NAME = r"^[^\x00]*$"
"""What both databases keep."""


class Actor(Record):
    """Who asks."""

    id: str = Field(min_length=1, max_length=128)
    tenant: str = Field(min_length=1, max_length=128)
    scopes: frozenset[Scope] = frozenset()
    origin: str | None = None
    """Where from: an address, or the name of a command."""


class Received(Record):
    """One message as it comes in."""

    tenant: str = Field(min_length=1, max_length=128, pattern=_NAME)
    source: str = Field(min_length=1, max_length=128, pattern=_NAME)
    """Where it was written, such as `portal` or `sms`; an external id is unique within one."""
    external_id: str | None = Field(default=None, min_length=1, repr=False)
    """The sender's id of the message; kept as a pseudonym only. `None` makes it like no other."""
    subject: str | None = Field(default=None, min_length=1, repr=False)
    """Whoever wrote it; kept as a pseudonym only."""
    text: str = Field(repr=False)
    """Every code point is kept, half of a surrogate pair too."""
    locale: str | None = Field(default=None, max_length=32, pattern=_NAME)
    flags: frozenset[Flag] = frozenset()


class Accepted(Record):
    """One message that is stored."""

    message_id: str
    """Ours; ids grow with time. Of a message that came before with the same text, its first id."""
    duplicate: Duplicate = "no"
    decided: bool = False
    """Whether it came before and has its decision, so that there is nothing to judge."""


class Work(Record):
    """One message to be judged."""

    message: Message
    """Under our id. `unreadable` where the stored text cannot be opened: then a person has to hear of it."""
    tenant: str
    source: str
    received_ms: int


class Concluded(Record):
    """What became of a decision that was handed in."""

    message_id: str
    revision: int
    stood: bool = False
    """Whether another decision stands instead: one that was there first, or that is not to be superseded."""
    item_id: str | None = None
    """Of the queue item of kind `alert`, where this decision made or changed one."""
    incident_id: str | None = None


class Verdict(Record):
    """What stands of one message."""

    message_id: str
    state: Literal["pending", "decided"]
    revision: int
    by: Literal["detector", "person"] | None = None
    outcome: Outcome | None = None
    """`None` while it is pending."""
    fault: Fault | None = None
    categories: tuple[str, ...] = ()
    score: float | None = None
    queue: str | None = None
    urgency: Urgency | None = None
    rule: str | None = None
    to_person: bool | None = None
    decided_ms: int | None = None
    assessment: Assessment | None = Field(default=None, repr=False)
    """Of the newest decision of a detector, under our id; `None` where retention or erasure took it, or it was not asked for."""


class Rejudgeable(Record):
    """One message that a fault left without a verdict, and what people have done with it."""

    work: Work
    assessment: Assessment = Field(repr=False)
    revision: int
    """That the new verdict has to supersede."""
    opened: bool
    """Whether somebody has it before them now."""


def new_id(now_ms: int, entropy: Entropy) -> str:
    """An id of 32 hexadecimal digits: 12 of the time, so that rows lie in the order in which they came, and 80 random bits."""
    return f"{now_ms:012x}{entropy(10).hex()}"
