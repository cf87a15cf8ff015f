"""The report in Markdown and on a terminal: every table, counts before rates, and no name that acts."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from crisis_filter.cli.evaluate_show import show
from crisis_filter.evaluation.records import Evaluation
from crisis_filter.evaluation.report.markdown import markdown
from crisis_filter.evaluation.report.outline import sections
from crisis_filter.schema import Outcome
from tests.evaluation.making import LABELLED_BY, SETTINGS, hostile, made
from tests.evaluation.page_reading import Page

ACTIVE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return made()


def test_nothing_that_a_user_wrote_acts_in_markdown():
    attacked = hostile()
    text = markdown(attacked)
    rendered = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    parsed = Page(rendered)
    tags = Counter(tag for tag, _ in parsed.elements)
    assert not tags.keys() & {"script", "img", "a", "code"}
    assert tags["table"] == sum(len(part.sheets) for part in sections(attacked))
    assert """<script>alert("x")</script>' | `a` [b](http://c.example)""" in parsed.text
    assert "http://" not in text
    cells = re.compile(r"(?<!\\)\|")
    widths: list[int] = []
    for line in text.splitlines():
        if line.startswith("|"):
            widths.append(len(cells.findall(line)))
            assert len(widths) < 2 or widths[-1] == widths[-2]
        else:
            widths = []


def test_markdown_has_every_table_and_the_labels_sentence(evaluation):
    text = markdown(evaluation)
    sheets = [sheet for part in sections(evaluation) for sheet in part.sheets]
    assert text.count("\n| ---") == len(sheets)
    assert text.count(LABELLED_BY) >= len([part for part in sections(evaluation) if part.sheets])
    of = evaluation.systems[0].screening.measures.sensitivity
    assert f"| {of.count} of {of.nobs}<br>{of.estimate:.3f} ({of.low:.3f} to {of.high:.3f}) |" in text


NAMES = st.text(max_size=30)
SMALL = made(12, 12, (("a", "assessments", 1.0), ("b", "binary", 1.0)))


@settings(max_examples=25, deadline=None)
@given(NAMES, NAMES, NAMES, NAMES)
def test_no_name_breaks_markdown_or_the_terminal(system, labelled_by, facet, warning):
    systems = tuple(
        each.model_copy(
            update={
                "system": each.system.model_copy(update={"name": system}),
                "subgroups": tuple(s.model_copy(update={"facet": facet}) for s in each.subgroups[:2]),
            }
        )
        for each in SMALL.systems
    )
    gold = SMALL.gold.model_copy(update={"labelled_by": labelled_by})
    found = SMALL.model_copy(update={"gold": gold, "warnings": (warning,), "systems": systems})
    text = markdown(found)
    assert "<" not in text.replace("<br>", "")
    assert text.count("\n## ") == len(sections(found))
    assert not ACTIVE.search(text.replace("\n", " "))
    assert not ACTIVE.search(_shown(found).replace("\n", " "))


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_shows_counts_before_rates(evaluation, width):
    text = " ".join(_shown(evaluation, width).split())
    outcomes: tuple[Outcome, ...] = ("crisis", "undetermined", "no_crisis")
    for one in evaluation.systems:
        for what, side in (("crises", one.screening.crises), ("others", one.screening.others)):
            assert f"{sum(side.values())} {what} " + " ".join(str(side.get(o, 0)) for o in outcomes) in text
        of = one.screening.measures.sensitivity
        assert f"sensitivity {of.estimate:.3f}" in text
        assert f"({of.low:.3f} to {of.high:.3f})" in text
    assert LABELLED_BY.split(",")[0] in text


def test_the_terminal_shows_warnings_and_what_is_left_out():
    found = made(5, 5, tuple((f"s{n}", "assessments", 1.0) for n in range(5)))
    text = " ".join(_shown(found, 140).split())
    assert found.warnings
    assert all(f"warning: {one}" in text for one in found.warnings)
    assert "averages over categories" in text
    assert "8 more rows in a report" in text


@pytest.mark.parametrize(("crises", "others"), [(0, 12), (12, 0), (1, 1)])
def test_the_terminal_says_undefined(crises, others):
    text = _shown(made(crises, others, (("a", "assessments", 1.0), ("b", "binary", 1.0))))
    assert "undefined" in text
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", text)


def test_what_was_chosen_is_said():
    flagged = made(12, 12, settings=SETTINGS.model_copy(update={"failures": "flagged", "interval": "jeffreys"}))
    gold = flagged.gold.model_copy(update={"clusters": 7, "cluster_by": "author", "left_out": 3})
    system = flagged.systems[0].model_copy(
        update={
            "system": flagged.systems[0].system.model_copy(update={"left_out": 2, "kind": "severity", "cut": "high"})
        }
    )
    text = markdown(flagged.model_copy(update={"gold": gold, "systems": (system,)}))
    for said in (
        "An undetermined crisis counts as found",
        "Jeffreys",
        "whole clusters (7 clusters by author)",
        "3 that not every system was asked about",
        "2 assessments left out",
        "a crisis from high up",
        f"seed {SETTINGS.seed}",
    ):
        assert said in text


def test_every_figure_has_its_messages_beside_it():
    found = made()
    text = markdown(found)
    stage_two = found.systems[0].categorising
    assert stage_two is not None
    assert f"| flat<br>{found.gold.messages} messages | macro |" in text
    assert f"| hierarchical<br>{stage_two.flagged} messages | macro |" in text
    assert f"crisis-filter<br>{found.gold.crises} crises, {found.gold.messages - found.gold.crises} others" in text


def _shown(found: Evaluation, width: int = 100) -> str:
    file = io.StringIO()
    show(found, Console(file=file, width=width, highlight=False, markup=False, emoji=False))
    return file.getvalue()
