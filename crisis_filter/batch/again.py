"""Judging once more what a fault of the service left open, when the service answers again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from crisis_filter.batch.journal_view import View
from crisis_filter.batch.rows import BatchRow
from crisis_filter.batch.slots import Count, Judging, judge_rows
from crisis_filter.errors import FAULTS, Fault
from crisis_filter.schema import Assessment
from crisis_filter.triage.rejudge import Standing, may_rejudge, standing_after

__all__ = ["judge_again"]


async def judge_again(
    rows: Callable[[], Iterator[BatchRow]], how: Judging, slots: int, count: Count
) -> tuple[int, int]:
    """Judge the rows again that `triage.rejudge` lets the same detector settle.

    One goes ahead; where the endpoint fails it again, the rest would fare no better, and are left as they are.

    Args:
        rows: reads the inputs once more.
        how: as for the rows before.
        slots: rows in work at once.
        count: is added to.

    Returns:
        Rows judged again, and those whose new assessment took the place of the old one.

    Raises:
        ConfigurationError: the journal cannot be read or written.
    """
    await how.journal.flushed()
    with how.journal.view() as view:
        open_ = _open(view)
        if not any(open_):
            return 0, 0
        work = _Again(view, count)
        again = replace(how, keep=work.keep)
        left = (row for row in rows() if row.number < len(open_) and open_[row.number])
        await judge_rows(iter([next(left)]), again, 1, count, again=True)
        if not work.failing:
            await judge_rows(left, again, slots, count, again=True)
        return work.judged, work.settled


class _Again:
    """Which of two assessments stands."""

    def __init__(self, view: View, count: Count) -> None:
        self.judged = 0
        self.settled = 0
        self.failing = False
        """Whether the last one met a fault of the service again."""
        self._view = view
        self._count = count

    def keep(self, row: BatchRow, new: Assessment) -> Assessment | None:
        self.judged += 1
        self.failing = new.fault is not None and FAULTS[new.fault].trips
        line = self._view.line(row.number)
        if line is None:
            return new
        before = Assessment.model_validate_json(line.raw)
        after = standing_after(before, new, Standing())
        if after == before:
            return None
        self.settled += 1
        # Its requests were made all the same.
        self._count.judged -= 1
        self._count.outcomes[before.outcome] -= 1
        if before.outcome == "undetermined" and before.fault is not None:
            self._count.faults[before.fault.value] -= 1
        return after


def _open(view: View) -> bytearray:
    """A mark for each row that the same detector may settle."""
    found = bytearray(view.rows)
    healing = {fault.value for fault, rule in FAULTS.items() if rule.rejudge == "healed"}
    if not any(fault in healing for _, fault in view.verdicts()):
        return found
    for line in view:
        if line.fault is None or FAULTS[Fault(line.fault)].rejudge != "healed":
            continue
        found[line.row] = may_rejudge(Assessment.model_validate_json(line.raw), Standing()) == "yes"
    return found
