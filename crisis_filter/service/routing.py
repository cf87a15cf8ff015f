"""Where an assessment goes in the service, which knows more of a message than a batch does: its source and its hour."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from crisis_filter.errors import Fault
from crisis_filter.schema import Assessment
from crisis_filter.triage.policy import Policy
from crisis_filter.triage.resources import ResourcePack
from crisis_filter.triage.route import plainly, triage
from crisis_filter.triage.rules import time_limit_s

__all__ = ["Routed", "Router"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Routed:
    """An assessment with its disposition, and what the store is told of it.

    Attributes:
        assessment: as it was, with the disposition that the policy gives.
        to_person: whether anybody reads its queue.
        due_ms: until when somebody must have looked, since 1970; `None` where nobody has to.
    """

    assessment: Assessment
    to_person: bool
    due_ms: int | None


class Router:
    """A policy at work.

    Args:
        policy: the pack.
        resources: what people may be offered.
    """

    def __init__(self, policy: Policy, resources: ResourcePack) -> None:
        self._policy = policy
        self._resources = resources
        self._staffed = {queue.id: queue.staffed_by is not None for queue in policy.queues}

    def route(self, assessment: Assessment, *, locale: str | None, source: str, received_ms: int) -> Routed:
        """Route one assessment.

        Where the rules themselves fail, a crisis stays one, anything else is undetermined, and the plain rule of that outcome decides.

        Args:
            assessment: with or without a disposition; a new one is made.
            locale: of whoever wrote.
            source: where it was written.
            received_ms: when it came, since 1970.
        """
        at = datetime.fromtimestamp(received_ms / 1000, tz=UTC)
        try:
            where = triage(assessment, self._policy, self._resources, locale, source=source, at=at)
        except Exception as error:  # noqa: BLE001  # a bug in a rule must not leave anybody without a place
            _log.error("routing failed with %s", type(error).__name__)
            if assessment.outcome == "no_crisis":
                # What could not be routed is not set aside.
                changed = {"outcome": "undetermined", "fault": Fault.INTERNAL, "fault_detail": type(error).__name__}
                assessment = assessment.model_copy(update=changed)
            where = plainly(assessment.outcome, self._policy)
        to_person = self._staffed[where.queue]
        due = received_ms + 1000 * time_limit_s(where) if to_person else None
        return Routed(assessment.model_copy(update={"disposition": where}), to_person, due)
