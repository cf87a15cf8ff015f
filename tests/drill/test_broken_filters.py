"""A small drill fails each filter that is broken on purpose, for the right reason, and passes the same filter unbroken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from crisis_filter.drill.course import Course, Drill
from crisis_filter.drill.messages import load_messages
from crisis_filter.drill.report import Case, DrillReport, Part, summarise
from crisis_filter.pipeline.description import FilterSpec
from tests.drill import broken

MESSAGES = load_messages()
CHAIN = FilterSpec()
ALONE = FilterSpec(backend="openai:any", api_key="k", fallbacks=())
SMALL = Course(per_fault=8, outage=12, ordinary=4, long=1, deadline_s=1.5)


async def drilled(
    spec: FilterSpec, part: Part, *faults: str, deadline_s: float = SMALL.deadline_s
) -> tuple[DrillReport, list[Case]]:
    """The report of one part; what other parts would say is none of its business."""
    one = Drill(spec, MESSAGES, replace(SMALL, parts=(part,), faults=faults, deadline_s=deadline_s))
    cases = [case async for case in one.run()]
    return summarise(cases, detector=one.detector, policy=one.policy, elapsed_s=1.0), cases


def reasons(report: DrillReport) -> set[str]:
    """By their first word; too few verdicts are left out, because most parts are not run."""
    return {why.split(" ", 1)[0] for why in report.failures} - {"too"}


ROWS: list[tuple[Callable[[pytest.MonkeyPatch], None], FilterSpec, Part, tuple[str, ...], set[str]]] = [
    (broken.engine_clears, CHAIN, "everywhere", ("http_500", "refusal_field"), {"messages", "faults"}),
    (broken.open_breaker_clears, ALONE, "breaker", (), {"crises", "messages", "faults"}),
    (broken.failed_piece_dropped, ALONE, "long", ("refusal_field", "http_500"), {"crises", "messages"}),
    (broken.other_models_believed, ALONE, "everywhere", ("model_changed",), {"messages", "faults"}),
    (broken.any_negative_vote_clears, ALONE, "everywhere", ("wavering",), {"crises", "messages", "faults"}),
    (broken.some_categories_cleared, ALONE, "everywhere", ("http_401",), {"crises", "messages"}),
    (broken.faults_hidden, CHAIN, "everywhere", ("http_401",), {"faults"}),
    (broken.late_under_fault, ALONE, "everywhere", ("http_401",), {"latest"}),
]


@pytest.mark.parametrize(("wreck", "spec", "part", "faults", "why"), ROWS, ids=[row[0].__name__ for row in ROWS])
async def test_a_broken_filter_fails(
    wreck: Callable[[pytest.MonkeyPatch], None],
    spec: FilterSpec,
    part: Part,
    faults: tuple[str, ...],
    why: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For the very reason that it is broken."""
    wreck(monkeypatch)
    report, _ = await drilled(spec, part, *faults)
    assert reasons(report) == why


@pytest.mark.parametrize(
    ("spec", "part", "faults"),
    [(CHAIN, "everywhere", ("http_401", "model_changed", "wavering")), (ALONE, "long", ("refusal_field",))],
)
async def test_an_unbroken_filter_does_not(spec: FilterSpec, part: Part, faults: tuple[str, ...]) -> None:
    """The same parts and faults: nothing cleared, nothing late, every fault named, the positives kept."""
    # None of these faults hangs, so a long deadline costs nothing, and a busy machine names no time-out instead.
    report, cases = await drilled(spec, part, *faults, deadline_s=20.0)
    assert reasons(report) == set()
    assert (report.recovered.hits, report.named.hits) == (report.recovered.n, report.named.n)
    assert report.recovered.n > 0
    assert any(not case.crisis for case in cases)
