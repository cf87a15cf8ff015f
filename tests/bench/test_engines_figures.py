from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.engines import PEERS, Set, report
from bench.peers.offline_asking import Answers, Case, Said, System
from bench.peers.offline_picture import FEWEST_CRISES, Point, draw, placed
from bench.peers.offline_rates import CURVE, against, at_false_alarms, curve, false_alarms, rates
from bench.peers.offline_table import absences, lines
from crisis_filter.stats.intervals import wilson

unhurried = settings(deadline=None)
ENGINE = System("our engine", "engine", "alone")
CRISIS, ORDINARY = "I have decided to end my life tonight.", "Can I move my appointment to Friday?"


def case(number: int, *, crisis: bool, near_miss: bool = False, self_directed: bool = False) -> Case:
    return Case(str(number), CRISIS if crisis else ORDINARY, crisis, near_miss, self_directed)


def answers(said: dict[str, Said]) -> Answers:
    return Answers("1.0", said, 0.1, 20.0, None, 0)


_ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.booleans(),
        st.sampled_from([True, False, None]),
        st.sampled_from([True, False, None]),
        st.integers(0, 6),
    ),
    max_size=30,
)
Rows = list[tuple[bool, bool, bool | None, bool | None, int]]


def asked(rows: Rows) -> tuple[list[Case], dict[str, Said], dict[str, Said]]:
    """Messages, a system's answers and another's, from drawn rows: crisis, special, flagged, the other's, score in sixths."""
    cases = [
        case(i, crisis=row[0], near_miss=not row[0] and row[1], self_directed=row[0] and row[1])
        for i, row in enumerate(rows)
    ]
    first = {str(i): Said(row[2], 1.0 + i, row[4] / 6) for i, row in enumerate(rows)}
    return cases, first, {str(i): Said(row[3], 1.0, None) for i, row in enumerate(rows)}


@unhurried
@given(_ROWS)
def test_rates_count_messages_one_by_one(rows: Rows) -> None:
    """Every message is in its denominator, and no verdict is right in none."""
    cases, said, _ = asked(rows)
    found = rates(cases, said)
    for name, crisis, special in (
        ("sensitivity", True, False),
        ("specificity", False, False),
        ("sensitivity_suicide_self_harm", True, True),
        ("specificity_near_misses", False, True),
    ):
        mine = [row for row in rows if row[0] is crisis and (row[1] or not special)]
        hits = sum(row[2] is crisis for row in mine)
        interval = wilson(hits, len(mine))
        assert (found[name]["count"], found[name]["n"]) == (hits, len(mine))
        assert (found[name]["estimate"], found[name]["low"], found[name]["high"]) == (
            interval.estimate,
            interval.low,
            interval.high,
        )
    assert found["no_verdict"] == {
        "crises": sum(row[0] and row[2] is None for row in rows),
        "others": sum(not row[0] and row[2] is None for row in rows),
    }
    assert false_alarms(cases, said) == sum(not row[0] and row[2] is not False for row in rows)


@unhurried
@given(_ROWS)
def test_pairs_are_messages_that_one_system_alone_has_right(rows: Rows) -> None:
    """Both rates, whatever the verdicts are."""
    cases, said, other = asked(rows)
    found = against(cases, said, other)
    for name, crisis in (("sensitivity", True), ("specificity", False)):
        mine = [row for row in rows if row[0] is crisis]
        assert found[name]["system_only"] == sum(row[2] is crisis and row[3] is not crisis for row in mine)
        assert found[name]["reference_only"] == sum(row[3] is crisis and row[2] is not crisis for row in mine)
        assert found[name]["n"] == len(mine)
        assert (found[name]["difference"] is None) is (not mine)


@unhurried
@given(_ROWS, st.integers(0, 30))
def test_sensitivity_at_so_many_false_alarms_is_the_best_that_a_threshold_gives(rows: Rows, allowed: int) -> None:
    """Against every threshold there is, tried one by one."""
    cases, said, _ = asked(rows)
    tries = [step / 6 for step in range(7)] + [2.0]
    best = max(
        sum(row[0] and row[4] / 6 >= t for row in rows)
        for t in tries
        if sum(not row[0] and row[4] / 6 >= t for row in rows) <= allowed
    )
    found = at_false_alarms(cases, said, allowed)
    assert found is not None
    assert (found["count"], found["n"]) == (best, sum(row[0] for row in rows))


@unhurried
@given(_ROWS)
def test_a_curve_rises_to_everything(rows: Rows) -> None:
    """Allowing all false alarms finds all crises; a system without scores has no curve."""
    cases, said, without = asked(rows)
    found = curve(cases, said)
    assert found is not None
    assert [share for share, _ in found] == list(CURVE)
    sensitivities = [s for _, s in found if s is not None]
    assert sensitivities == sorted(sensitivities)
    assert not sensitivities or sensitivities[-1] == 1.0
    assert (curve(cases, without) is None) is bool(cases)


def made(absent: dict[str, str] | None = None, *, many: int = FEWEST_CRISES) -> dict[str, Any]:
    """A report of our engine and a package over one set that is drawn and one that is not."""
    cases = [case(i, crisis=i < many, self_directed=i < 3) for i in range(2 * many)]
    good = {c.id: Said(c.crisis, 5.0, 0.9 if c.crisis else 0.1) for c in cases}
    silent = {c.id: Said(None if c.id == "0" else False, 1.0, None) for c in cases}
    sets = {"whole": Set("nobody", cases, "half of it is <theirs>"), "few": Set("nobody", cases[many - 1 :])}
    systems = [ENGINE, PEERS[0], *(peer for peer in PEERS if peer.name in (absent or {}))]
    return report(systems, sets, {ENGINE.name: answers(good), PEERS[0].name: answers(silent)}, absent or {})


def test_the_table_has_counts_before_shares_and_undefined_is_not_zero() -> None:
    """Of 20 crises one has no verdict; there are no near misses."""
    text = "\n".join(lines(made()))
    row = next(line for line in text.splitlines() if line.startswith(PEERS[0].name) and "/" in line)
    assert row.split("  ")[0] == PEERS[0].name
    assert "0/20 0.000 (0.000 to 0.161)" in row
    assert "20/20 1.000" in row
    assert "undefined (0 of 0)" in row
    assert "!! half of it is <theirs>" in text
    assert "ABSENT" not in text


def test_an_absent_package_is_named_in_table_figures_and_picture() -> None:
    """A row that is not there must not look like a row that nobody wanted."""
    found = made({PEERS[2].name: "its environment could not be made"})
    assert found["absent"] == {PEERS[2].name: "its environment could not be made"}
    assert [line for line in lines(found) if line.startswith("!! ABSENT: rrt-advocate: its environment")]
    assert len(absences(found)) == 1
    assert f"ABSENT, not measured: {PEERS[2].name}." in draw(found)


def test_nothing_is_put_against_an_engine_that_did_not_answer() -> None:
    """Its neighbour is not taken in its place."""
    cases = [case(0, crisis=True), case(1, crisis=False)]
    said = {c.id: Said(c.crisis, 1.0, None) for c in cases}
    found = report([ENGINE, PEERS[0]], {"s": Set("nobody", cases)}, {PEERS[0].name: answers(said)}, {ENGINE.name: "x"})
    assert found["reference"] is None
    assert "against" not in found["sets"]["s"]["systems"][PEERS[0].name]
    assert [line for line in lines(found) if line.startswith("!! ABSENT: our engine")]


def test_the_picture_names_every_system_in_words_and_beside_its_point() -> None:
    """It is well-formed, asks for nothing from elsewhere, draws the set with enough crises and says that it left the other out."""
    svg = draw(made())
    root = ET.fromstring(svg)  # noqa: S314 - drawn a line above
    texts = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("our engine") == texts.count(PEERS[0].name) == 1
    assert "whole" in texts
    assert "few" not in texts
    assert "In the table only, for want of crises: few." in texts
    assert "our engine 20 of 20 crises" in svg
    assert "prefers-color-scheme:dark" in svg
    assert not re.search(r"@font-face|href|url\(|<script", svg)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 300), st.floats(0, 300)),
        min_size=1,
        max_size=10,
    )
)
def test_names_of_a_picture_stay_inside_and_apart(drawn: list[tuple[bool, float, float]]) -> None:
    """Every point has one name, no two names of points at one place share a line, and none leaves the panel at its top or bottom."""
    points = [Point(f"system {i}", o, False, x, y, (x, x, y, y)) for i, (o, x, y) in enumerate(drawn)]
    found = placed(points)
    assert sorted(each.point.name for each in found) == sorted(point.name for point in points)
    assert all(each.left > each.point.x for each in found)
    assert all(7 <= each.middle <= 293 for each in found)
    for one, other in combinations(found, 2):
        together = (
            one.point.ours == other.point.ours
            and max(abs(one.point.x - other.point.x), abs(one.point.y - other.point.y)) < 1
        )
        assert not together or abs(one.middle - other.middle) >= 14


def test_a_name_makes_way_for_a_mark() -> None:
    """A package whose name would run over our point has it lower; ours keeps its place."""
    theirs = Point("a package of some name", False, False, 20, 40, (15, 25, 35, 45))
    our = Point("our engine", True, False, 90, 40, (85, 95, 30, 60))
    by_name = {each.point.name: each for each in placed([theirs, our])}
    assert by_name["our engine"].middle - 40 < 15
    assert by_name[theirs.name].middle - 7.5 >= 60
    assert {each.point.name: each for each in placed([theirs])}[theirs.name].middle == 40
