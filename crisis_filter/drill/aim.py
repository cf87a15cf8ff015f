"""What a batch of messages meets in a drill, and what must come of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from crisis_filter.drill.behaviour import Behaviour
from crisis_filter.drill.messages import Labelled
from crisis_filter.drill.report import Case, Part
from crisis_filter.schema import Assessment, Fault


@dataclass(frozen=True, slots=True)
class Aim:
    """The same for every message of a batch, apart from what the message is."""

    part: Part
    fault: str
    expected: Fault | None = None
    """The fault that each assessment should name, if one."""
    crisis_due: bool = False
    """Whether a crisis must end as one."""
    clear_due: bool = False
    """Whether an ordinary message must be cleared."""
    no_verdict: bool = False
    """Whether nobody can give a verdict that clears."""
    sways: Callable[[Labelled], bool] | None = None
    """Given a message, whether it sways the model; `None` where none is attacked."""

    def case(self, row: Labelled, assessment: Assessment, late_ms: float) -> Case:
        """How one message ended."""
        return Case(
            part=self.part,
            fault=self.fault,
            crisis=row.crisis,
            outcome=assessment.outcome,
            named=assessment.fault,
            expected=self.expected,
            recoverable=self.crisis_due if row.crisis else self.clear_due,
            no_verdict=self.no_verdict,
            swayed=self.sways(row) if self.sways is not None else None,
            late_ms=late_ms,
        )


def everywhere(behaviour: Behaviour) -> Aim:
    """What must come of a behaviour that every endpoint shows at every request."""
    healthy = behaviour.fault is None or behaviour.stage == "categorise"  # of Stage 1
    return Aim(
        "everywhere",
        behaviour.name,
        expected=behaviour.fault if behaviour.stage == "any" else None,
        crisis_due=healthy or behaviour.says == "positive",
        clear_due=healthy,
        no_verdict=not healthy,
    )


async def ended(
    rows: Sequence[Labelled], assessments: AsyncGenerator[tuple[Assessment, float]], aim: Aim
) -> AsyncGenerator[Case]:
    """How each message ended, in their order; closes the assessments with itself."""
    at = 0
    async with aclosing(assessments):
        async for assessment, late_ms in assessments:
            yield aim.case(rows[at], assessment, late_ms)
            at += 1
