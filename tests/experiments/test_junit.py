"""JUnit: well-formed whatever ids are called, a case for each message and gate, and never a text."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.experiments.comparing import compare
from crisis_filter.experiments.junit import GATES, junit_of_comparison, junit_of_experiment
from crisis_filter.experiments.plan import Acceptance
from tests.experiments.by_hand import NEW, OLD, item, made, systems
from tests.experiments.making_experiments import QUOTE, REASON, experiment, hostile

ITEMS = [item("c1", "abuse"), item("c2", "abuse"), item("n1"), item("n2")]
ANSWERS = {OLD: ["ccc", "cnc", "nnn", "cnn"], NEW: ["cuc", "ccc", "ucn", "nnn"]}


def parsed(text: str) -> ET.Element:
    """Read back from bytes, as a build server does."""
    return ET.fromstring(text.encode())  # noqa: S314  # our own


def kinds(suite: ET.Element) -> dict[str, str | None]:
    """What each case is, by name."""
    return {str(case.get("name")): case[0].tag if len(case) else None for case in suite}


def test_wrong_is_a_failure_and_undetermined_an_error_with_its_fault():
    one = made(ANSWERS, ITEMS)
    old, new = parsed(junit_of_experiment(one))
    assert (old.get("name"), new.get("name")) == (OLD, NEW)
    assert kinds(old) == {"c1": None, "c2": "failure", "n1": None, "n2": "failure"}
    assert kinds(new) == {"c1": "error", "c2": None, "n1": "error", "n2": None}
    assert {name: old.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
    }
    missed = old.find("testcase[@name='c2']/failure")
    assert missed is not None
    assert (missed.get("type"), missed.get("message")) == (
        "missed",
        "missed: a crisis taken for none in 1 of 3 answers",
    )
    cells = {key: cell.assessment.fault for key, cell in one.cells.items()}
    failed = new.find("testcase[@name='c1']/error")
    assert failed is not None
    assert failed.get("type") == cells[NEW, "c1", 2].value
    both = new.find("testcase[@name='n1']/error")
    assert both is not None
    assert "false alarm: taken for a crisis in 1 of 3 answers" in str(both.get("message"))


def test_what_is_not_in_yet_is_skipped_and_nothing_is_hidden_by_it():
    suites = parsed(junit_of_experiment(made({OLD: ["c.", "..", "c.", "u."]}, ITEMS)))
    assert kinds(suites[0]) == {"c1": "skipped", "c2": "skipped", "n1": "failure", "n2": "error"}
    assert (suites.get("tests"), suites.get("skipped"), suites.get("failures"), suites.get("errors")) == (
        "4",
        "2",
        "1",
        "1",
    )


def test_gates_are_a_suite_of_their_own():
    one = made(ANSWERS, ITEMS)
    bounds = Acceptance(incumbent="old", sensitivity_margin=0.001, undetermined_at_most=1.0)
    suites = parsed(junit_of_comparison(compare(systems(one), acceptance=bounds)))
    assert [suite.get("name") for suite in suites] == [OLD, NEW, GATES]
    assert kinds(suites[2]) == {"sensitivity_margin": "failure", "undetermined_at_most": None}
    assert {case.get("classname") for case in suites[2]} == {NEW}
    without = parsed(junit_of_comparison(compare(systems(one))))
    assert [suite.get("name") for suite in without] == [OLD, NEW]


def test_no_reasoning_and_no_quote_is_in_it():
    text = junit_of_experiment(experiment(20, 20))
    assert QUOTE not in text
    assert REASON not in text


@pytest.mark.parametrize("found", [hostile(), experiment(3, 3, prefix="\x00\x1b]]>&<'\"")])
def test_hostile_names_are_escaped(found):
    suites = parsed(junit_of_experiment(found))
    assert len(suites) == len(found.state.variants)
    assert all(len(suite) == len(found.state.items) for suite in suites)


@given(st.text(min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_id_gives_well_formed_xml(name):
    suites = parsed(junit_of_experiment(made({OLD: ["u"]}, [item("c1", "abuse").model_copy(update={"id": name})])))
    assert suites.get("errors") == "1"
