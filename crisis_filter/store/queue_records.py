"""What a reader of the queue is given and gives back."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from crisis_filter.errors import StoreError
from crisis_filter.schema import URGENCIES, Assessment, Outcome, Record, Urgency
from crisis_filter.store.records import Actor, Scope

__all__ = [
    "REASONS",
    "Answer",
    "Decided",
    "Earlier",
    "Item",
    "ItemKind",
    "ItemState",
    "QueueError",
    "Reason",
    "Refusal",
    "View",
    "may",
    "urgency_of",
]

ItemKind = Literal["alert", "second_reading"]
ItemState = Literal["waiting", "claimed", "done", "settled"]
"""`done`: a person decided. `settled`: judged again and no crisis before anybody had opened it."""
Reason = Literal[
    "not_about_a_person",
    "past_not_current",
    "figure_of_speech",
    "joke_or_quote",
    "other_persons_crisis",
    "known_and_cared_for",
    "health_question",
    "detector_missed",
    "wrong_category",
    "wrong_severity",
    "test_message",
    "other",
]
"""Why a reader says otherwise than the record. `known_and_cared_for`: somebody is with them already."""
REASONS: tuple[Reason, ...] = get_args(Reason)
Refusal = Literal[
    "scope",
    "not_found",
    "not_claimed",
    "taken",
    "decided",
    "changed",
    "no_revision",
    "no_queue",
    "no_reason",
    "other_action",
]
"""Why the queue refuses.

`scope`: the actor may not. `not_found`: there is no such item of this tenant. `not_claimed`: it has to be taken first. `taken`: the claim ran
out and another reader has it. `decided`: it was decided, and otherwise. `changed`: what was said of it is no longer what the reader saw.
`no_revision`: it was judged more than once, and the answer does not say which decision it is about. `no_queue`: nobody reads the queue it was to go to. `no_reason`: a verdict was overridden without saying why. `other_action`: a blind item is
answered, any other accepted, overridden or escalated.
"""
_WORDS: dict[Refusal, str] = {
    "scope": "this key or name may not do that",
    "not_found": "there is no such item",
    "not_claimed": "take the item first",
    "taken": "your time with this item ran out, and another reader has it now",
    "decided": "it was decided otherwise; a supervisor may correct that",
    "changed": "the item was judged again meanwhile; look at it once more",
    "no_revision": "the item was judged more than once; name the revision that you saw",
    "no_queue": "nobody reads that queue",
    "no_reason": "say why it is otherwise than was said",
    "other_action": "a blind item is answered, any other accepted, overridden or escalated",
}
_NAME = r"^[^\x00-\x1f\x7f]+$"


class QueueError(StoreError):
    """The queue refuses; nothing was written.

    Args:
        why: one of a closed set.
    """

    def __init__(self, why: Refusal) -> None:
        super().__init__(_WORDS[why])
        self.why: Refusal = why


def may(actor: Actor, *scopes: Scope) -> None:
    """Refuse an actor that lacks one of the scopes.

    Raises:
        QueueError: `scope`.
    """
    if not actor.scopes.issuperset(scopes):
        raise QueueError("scope")


def urgency_of(rank: int) -> Urgency:
    """The urgency of a rank; 0 is the most urgent."""
    return URGENCIES[max(0, min(rank, len(URGENCIES) - 1))]


class Item(Record):
    """One thing to read. Of a blind one, everything that tells what was said of it is left out."""

    id: str
    blind: bool
    arrived_ms: int
    claim_until_ms: int | None
    """Until when it is the reader's; then others get it."""
    kind: ItemKind | None = None
    queue: str | None = None
    urgency: Urgency | None = None
    score: float | None = None
    due_ms: int | None = None
    """When somebody should have looked."""
    escalations: int | None = None
    incident_id: str | None = None
    revision: int | None = None
    """Of the decision it shows; `accept` has to name it."""
    message_id: str | None = None
    """Ours."""


class Earlier(Record):
    """What another reader said of the same message before; not who."""

    action: str
    outcome: Outcome
    categories: tuple[str, ...]
    reason: str | None
    read_ms: int
    note: str | None = Field(default=None, repr=False)


class View(Record):
    """An item opened: the message, and what was said of it unless it is blind."""

    item: Item
    text: str | None = Field(repr=False)
    """`None` where retention or erasure took it, or it cannot be opened: `text_state` says which."""
    text_state: Literal["there", "gone", "sealed"]
    """`sealed`: the key it lies under is not on the ring, or it was altered."""
    locale: str | None = None
    outcome: Outcome | None = None
    """Of the decision that stands; `None` of a blind item, as all that follows."""
    by: Literal["detector", "person"] | None = None
    fault: str | None = None
    categories: tuple[str, ...] = ()
    assessment: Assessment | None = Field(default=None, repr=False)
    """With findings, quotes, protocol and resources; `None` also where retention took it."""
    earlier: tuple[Earlier, ...] = ()


class Answer(Record):
    """What a reader says of an item.

    `accept`: what was said stands. `override`: something else stands. `escalate`: somebody else has to look, in another queue. `answer`:
    what a reader of a blind item says; not knowing what was said, they neither accept nor override.
    """

    action: Literal["accept", "override", "escalate", "answer"]
    outcome: Outcome | None = None
    """For `override` and `answer`."""
    categories: tuple[str, ...] = Field(default=(), max_length=64)
    """Of a crisis, those that the reader sees; none is allowed, for a crisis of unknown kind."""
    reason: Reason | None = None
    """For `override` of what was determined: why."""
    to: str | None = Field(default=None, min_length=1, max_length=64, pattern=_NAME)
    """For `escalate`: the queue."""
    revision: int | None = None
    """For `accept`, and wanted for `override`: of the decision that the reader saw."""
    note: str | None = Field(default=None, max_length=4000, repr=False)
    """Anything else; sealed like the text."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        says = self.action in {"override", "answer"}
        if says != (self.outcome is not None):
            raise ValueError("override and answer say an outcome, and nothing else does")
        if self.categories and self.outcome != "crisis":
            raise ValueError("categories belong to a crisis")
        if (self.action == "escalate") != (self.to is not None):
            raise ValueError("escalate names a queue, and nothing else does")
        if self.action == "accept" and self.revision is None:
            raise ValueError("accept names the revision that the reader saw")
        if self.action in {"escalate", "answer"} and self.revision is not None:
            raise ValueError("a revision belongs to accept and override")
        if self.reason is not None and self.action != "override":
            raise ValueError("a reason belongs to an override")
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("categories repeat")
        return self


class Decided(Record):
    """What became of an answer."""

    item_id: str
    message_id: str
    state: ItemState
    """`waiting` again after `escalate`."""
    revision: int
    """Of the decision that stands now."""
    outcome: Outcome | None
    """That stands now. `None` to the reader of a blind item, who is not told."""
    again: bool = False
    """Whether the reader had said the same before, so that nothing was written."""
    raised: bool = False
    """Whether a blind reading found a crisis that the record did not have, and it is an alert now. Never told to a blind reader's screen."""
