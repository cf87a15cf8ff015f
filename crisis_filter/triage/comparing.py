"""Two policies on the same messages: which of them go elsewhere."""

from __future__ import annotations

from crisis_filter.schema import URGENCIES, Disposition, PromptRef, Record, Urgency
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.trying import Judged, Trial


class Move(Record):
    """Messages that another policy sends elsewhere."""

    queue: str
    urgency: Urgency
    other_queue: str
    other_urgency: Urgency
    messages: int
    ids: tuple[str, ...]


class Compared(Record):
    """Two policies on the same messages."""

    policy: PromptRef
    other: PromptRef
    messages: int
    same: int
    """Same queue and urgency."""
    later: int
    """Less urgent under the other."""
    sooner: int
    """More urgent under the other."""
    to_nobody: int
    """Crises and undetermined messages that somebody reads under the first and nobody under the other."""
    moves: tuple[Move, ...]
    """Most messages first."""


class Comparison:
    """Two policies on trial beside one another.

    Args:
        policy: the first.
        other: the one compared with it.
    """

    def __init__(self, policy: Policy, other: Policy) -> None:
        self._policy, self._other = policy, other
        self._trial = Trial(other)
        self._moves: dict[tuple[str, Urgency, str, Urgency], list[str]] = {}
        self._messages = self._to_nobody = 0

    def add(self, judged: Judged, told: Disposition) -> None:
        """Count one message that the first policy routed as `told`."""
        other = self._trial.add(judged)
        self._messages += 1
        if judged.assessment.outcome != "no_crisis":
            self._to_nobody += told.queue in self._policy.staffed and other.queue not in self._other.staffed
        if (told.queue, told.urgency) != (other.queue, other.urgency):
            key = (told.queue, told.urgency, other.queue, other.urgency)
            self._moves.setdefault(key, []).append(judged.assessment.id)

    def result(self) -> Compared:
        """What was counted."""
        moves = [
            Move(
                queue=queue,
                urgency=urgency,
                other_queue=other_queue,
                other_urgency=other_urgency,
                messages=len(ids),
                ids=tuple(ids),
            )
            for (queue, urgency, other_queue, other_urgency), ids in self._moves.items()
        ]
        moves.sort(key=lambda move: -move.messages)
        rank = URGENCIES.index
        return Compared(
            policy=self._policy.ref,
            other=self._other.ref,
            messages=self._messages,
            same=self._messages - sum(move.messages for move in moves),
            later=sum(m.messages for m in moves if rank(m.other_urgency) > rank(m.urgency)),
            sooner=sum(m.messages for m in moves if rank(m.other_urgency) < rank(m.urgency)),
            to_nobody=self._to_nobody,
            moves=tuple(moves),
        )
