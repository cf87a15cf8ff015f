"""Counts of one run, and what they come to."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from crisis_filter.cli.trouble import BAD_INPUT, OK, UNDETERMINED
from crisis_filter.cli.wording import OUTCOMES, SHARED_CAUSES, counted, fault_words
from crisis_filter.schema import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crisis_filter.schema import Assessment, Outcome
    from crisis_filter.tables.rows import ReadReport


class Tally:
    """A running count of assessments; a fault and an outcome are counted apart."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.faults: Counter[Fault] = Counter()
        """Faults of any message, also those beside a crisis."""
        self.undetermined: Counter[Fault] = Counter()
        """Faults of undetermined messages."""
        self.detectors: Counter[str] = Counter()
        self.degraded = 0
        """Messages for which the service was not whole."""
        self.link_faults: Counter[tuple[str, Fault]] = Counter()
        """How often each link of the chain failed with which fault."""
        self.votes = 0
        self.flips = 0
        self.steps: Counter[str] = Counter()
        """What a cascade made of the messages."""
        self._details: set[str] = set()

    @property
    def total(self) -> int:
        """Messages assessed."""
        return self.outcomes.total()

    def add(self, assessment: Assessment) -> None:
        """Count one assessment."""
        self.outcomes[assessment.outcome] += 1
        self.detectors[assessment.provenance.detector] += 1
        self.degraded += assessment.degraded
        for failed in assessment.provenance.link_faults:
            self.link_faults[failed.link, failed.fault] += failed.times
        self.votes += assessment.provenance.votes
        self.flips += assessment.provenance.flips
        if assessment.provenance.cascade is not None:
            self.steps[assessment.provenance.cascade.step] += 1
        if assessment.fault is not None:
            self.faults[assessment.fault] += 1
            if assessment.outcome == "undetermined":
                self.undetermined[assessment.fault] += 1
                self._details.add(assessment.fault_detail)

    def headline(self) -> str:
        """`24 messages: 12 crisis, 11 not crisis, 1 undetermined`."""
        parts = (f"{self.outcomes[o]:,} {OUTCOMES[o]}" for o in ("crisis", "no_crisis", "undetermined"))
        return f"{counted(self.total, 'message')}: {', '.join(parts)}"

    def fault_line(self) -> str | None:
        """Faults by kind, most frequent first; `None` when there was none."""
        if not self.faults:
            return None
        return "faults: " + ", ".join(f"{fault.value} {number:,}" for fault, number in self.faults.most_common())

    def service_lines(self) -> list[str]:
        """How whole the service was, and how steady near the threshold; nothing where there is nothing to tell."""
        lines = []
        if self.degraded:
            failed = (f"{link}: {fault.value} {number:,}" for (link, fault), number in self.link_faults.most_common())
            why = f" ({'; '.join(failed)})" if self.link_faults else ""
            lines.append(f"degraded service for {self.degraded:,} of {counted(self.total, 'message')}{why}")
        if self.votes:
            lines.append(f"{self.votes:,} votes near the threshold, {self.flips:,} flipped")
        if self.steps:
            asked = self.steps["asked"] + self.steps["sampled"]
            lines.append(
                f"the engine cleared {self.steps['cleared']:,}; a language model was asked about {asked:,}, of them "
                f"{self.steps['sampled']:,} below the clearing threshold, at random"
            )
        return lines

    def shared_cause(self) -> str | None:
        """What to say when every message met one fault that lies in the set-up; else `None`.

        A crisis that the embedded engine raised in the language model's place has met it too.
        """
        if len(self.faults) != 1 or self.faults.total() != self.total or not self.undetermined:
            return None
        (fault,) = self.faults
        if fault not in SHARED_CAUSES:
            return None
        detail = f" ({next(iter(self._details))})" if len(self._details) == 1 and "" not in self._details else ""
        words = fault_words(fault, self.detectors)
        which = "the message" if self.total == 1 else f"all {self.total:,} messages"
        return f"crisis-filter: {which} failed for one cause, {fault.value}{detail}. {words.meaning} {words.advice}"

    def status(self, reports: Mapping[str, ReadReport]) -> int:
        """The exit status: 2 when ids contradict one another, 3 when messages are undetermined, else 0.

        An empty message is undetermined too, but by itself nothing that has failed.
        """
        if any(report.duplicates_kept for report in reports.values()):
            return BAD_INPUT
        return UNDETERMINED if set(self.undetermined) - {Fault.EMPTY_CONTENT} else OK


def reading_lines(reports: Mapping[str, ReadReport]) -> list[str]:
    """What reading met that somebody should know of, a line for each input that has something to tell."""
    lines = []
    for name, report in reports.items():
        parts = []
        if report.unreadable:
            where = "; ".join(f"line {u.line}: {u.reason}" for u in report.first_unreadable)
            more = "; ..." if report.unreadable > len(report.first_unreadable) else ""
            parts.append(f"{counted(report.unreadable, 'unreadable row')} ({where}{more})")
        if report.repaired:
            parts.append(f"{counted(report.repaired, 'row')} repaired")
        if report.duplicates_dropped:
            parts.append(f"{counted(report.duplicates_dropped, 'exact duplicate')} left out")
        if report.duplicates_kept:
            parts.append(f"{counted(report.duplicates_kept, 'row')} with the id of another row: give each its own id")
        if parts:
            lines.append(f"{name}: {', '.join(parts)}")
    return lines
