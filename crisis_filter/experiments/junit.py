"""Results as JUnit XML, which build servers read: a suite for each system, a case for each message, and a suite of gates. Never a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

from crisis_filter.evaluation.report.words import clean
from crisis_filter.experiments.comparing import Compared
from crisis_filter.experiments.comparison import Candidate
from crisis_filter.experiments.records import Experiment, Item
from crisis_filter.experiments.systems import Said, System, of_variant

__all__ = ["GATES", "junit_of_comparison", "junit_of_experiment"]

GATES = "gates"
"""Name of the suite of gates."""
_MISSED, _FALSE_ALARM = "missed: a crisis taken for none", "false alarm: taken for a crisis"


def junit_of_experiment(experiment: Experiment) -> str:
    """An experiment, finished or not: a case passes where every answer is right.

    A case is an error where an answer is undetermined, whatever the others say, a failure where one is wrong, and skipped where one is not in
    yet.
    """
    items, repeats = experiment.state.items, experiment.state.repeats
    return _written(_suite(of_variant(experiment, one), items, repeats) for one in experiment.state.variants)


def junit_of_comparison(compared: Compared) -> str:
    """A comparison: the messages that are compared, and after them a case for each gate of each candidate."""
    grid = compared.grid
    suites = [_suite(system, grid.items, grid.repeats) for system in grid.systems]
    if compared.comparison.acceptance is not None:
        suites.append(_gates(compared.comparison.candidates))
    return _written(suites)


def _suite(system: System, items: Sequence[Item], repeats: int) -> ET.Element:
    name = clean(system.name)
    cases = []
    for item in items:
        case = ET.Element("testcase", classname=name, name=clean(item.id), time="0")
        _judge(case, item, [system.said.get((item.id, repeat)) for repeat in range(1, repeats + 1)])
        cases.append(case)
    return _together(name, cases)


def _judge(case: ET.Element, item: Item, answers: Sequence[Said | None]) -> None:
    """Say what is wrong with the answers about a message; nothing where all are right."""
    said = [answer for answer in answers if answer is not None]
    faults = Counter(answer.fault or "not said" for answer in said if answer.outcome == "undetermined")
    wrong = sum(answer.outcome != "undetermined" and (answer.outcome == "crisis") != item.crisis for answer in said)
    mistake = f"{_MISSED if item.crisis else _FALSE_ALARM} in {wrong} of {len(answers)} answers"
    if faults:
        named = ", ".join(f"{fault} in {count} of {len(answers)} answers" for fault, count in sorted(faults.items()))
        message = f"undetermined: {named}" + (f"; {mistake}" if wrong else "")
        ET.SubElement(case, "error", type=min(faults), message=message)
    elif wrong:
        ET.SubElement(case, "failure", type="missed" if item.crisis else "false alarm", message=mistake)
    elif len(said) < len(answers):
        ET.SubElement(case, "skipped", message=f"{len(answers) - len(said)} of {len(answers)} answers are not in yet")


def _gates(candidates: Iterable[Candidate]) -> ET.Element:
    cases = []
    for candidate in candidates:
        for gate in candidate.gates:
            case = ET.Element("testcase", classname=clean(candidate.name), name=gate.name, time="0")
            if not gate.passed:
                ET.SubElement(case, "failure", type="gate", message=clean(gate.words))
            cases.append(case)
    return _together(GATES, cases)


def _together(name: str, cases: Sequence[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", {"name": name, **_counts(cases), "time": "0"})
    suite.extend(cases)
    return suite


def _counts(cases: Iterable[ET.Element]) -> dict[str, str]:
    cases = list(cases)
    found = {f"{kind}s": sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error")}
    skipped = sum(case.find("skipped") is not None for case in cases)
    return {name: str(count) for name, count in {"tests": len(cases), **found, "skipped": skipped}.items()}


def _written(suites: Iterable[ET.Element]) -> str:
    found = list(suites)
    counts = _counts(case for suite in found for case in suite)
    whole = ET.Element("testsuites", {"name": "crisis-filter experiment", **counts, "time": "0"})
    whole.extend(found)
    ET.indent(whole)
    return f"{ET.tostring(whole, encoding='unicode', xml_declaration=False)}\n"
