"""A small day: everything that came is read or waits, and the figures are those of the store."""

from __future__ import annotations

import json
import sys

import pytest

from bench import day
from crisis_filter.datasets.records import Labelled
from crisis_filter.schema import Assessment, Finding, Provenance


def known() -> list[tuple[Labelled, Assessment]]:
    """Two crises, one of them missed; two others, one of them a false alarm."""
    made = []
    for number, (crisis, said) in enumerate([(True, True), (True, False), (False, True), (False, False)]):
        about = {"severity": "moderate", "subject": "self", "timeframe": "current"} if crisis else {}
        nothing = {"severity": None, "subject": None, "timeframe": None}
        label = Labelled(
            id=str(number),
            text=f"message {number}",
            crisis=crisis,
            categories=("suicide",) if crisis else (),
            author="a",
            **{**nothing, **about},  # type: ignore[arg-type]  # validated
        )
        finding = (Finding(category="suicide", severity="imminent", subject="self"),) if said else ()
        outcome = "crisis" if said else "no_crisis"
        made.append(
            (
                label,
                Assessment(
                    id=label.id, outcome=outcome, findings=finding, provenance=Provenance(detector="d", version="0")
                ),
            )
        )
    return made


def test_a_small_day_with_an_outage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(day, "judged", lambda given: known())
    arguments = ["--messages", "80", "--prevalence", "0.25", "--second", "1", "--second-alerts", "0.5"]
    monkeypatch.setattr(sys, "argv", ["day", *arguments, "--outage", "600", "--json"])
    day.main()
    found = json.loads(capsys.readouterr().out)
    assert found["ledger_balanced"]
    assert sum(found["outcomes"].values()) == 80
    assert found["never_looked"] == {}
    assert found["first_look"]["emergency"]["n"] == found["outcomes"]["crisis"]
    assert found["queues"]["outage"] == found["outcomes"]["undetermined"] > 0
    misses = found["second"]["misses"]
    assert misses["found"]["of"] == misses["not_crisis"] == found["outcomes"]["no_crisis"]
    assert misses["found"]["count"] == found["missed_truly"] > 0
    assert found["of_them_crises"] >= found["missed_truly"]
    assert "first look, median" in "\n".join(day.lines(found))
