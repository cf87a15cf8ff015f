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
from crisis_filter.evaluation.records import Evaluation, LeftOut
from crisis_filter.evaluation.report.html import html
from crisis_filter.evaluation.report.markdown import markdown
from crisis_filter.evaluation.report.outline import sections
from crisis_filter.evaluation.report.words import whole
from crisis_filter.schema import Outcome
from crisis_filter.stats.intervals import wilson
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
    first = flagged.systems[0]
    system = first.model_copy(update={"system": first.system.model_copy(update={"kind": "severity", "cut": "high"})})
    text = markdown(flagged.model_copy(update={"gold": gold, "systems": (system,)}))
    for said in (
        "An undetermined crisis counts as found",
        "Jeffreys",
        "whole clusters (7 clusters by author)",
        "3 that not every system answered",
        "a crisis from high up",
        f"seed {SETTINGS.seed}",
    ):
        assert said in text


def test_what_is_left_out_is_said_everywhere():
    found = made(12, 12, (("a", "assessments", 1.0), ("b", "binary", 1.0)))
    lacking = LeftOut(name="a", crises=1, others=5, answers=2, sensitivity_if_missed=wilson(9, 13), p_crises=0.0001)
    beside = LeftOut(name="b", crises=0, others=0, answers=1, sensitivity_if_missed=wilson(9, 13), p_crises=1.0)
    found = found.model_copy(update={"left_out": (lacking, beside)})
    for text in (markdown(found), Page(html(found)).text, " ".join(_shown(found, 400).split())):
        assert "a: no answer for 1 labelled crisis and 5 other labelled messages; 2 answers about" in text
        assert "If the crises without an answer were missed: sensitivity 9 of 13" in text
        assert "b: 1 answer about messages that are not labelled or that another system lacks, left out" in text
        assert "0 labelled" not in text
    assert "a, if the crises without an answer had been missed" in markdown(found)
    assert "Crises that it did not answer are left out here" in markdown(found)


def test_one_is_not_several():
    found = made(1, 1, (("a", "assessments", 1.0),))
    for text in (markdown(found), Page(html(found)).text, " ".join(_shown(found, 400).split())):
        assert not re.search(r"\b1 (?:crises|messages|others|systems|false alarms|answers)\b", text)
    assert "2 messages, 1 of them a crisis." in _shown(found)


def test_pairs_are_named_as_they_are_subtracted(evaluation):
    one = evaluation.pairs[0]
    named = f"{one.first} \u2212 {one.second}"
    assert named in markdown(evaluation)
    assert f"{one.outcome}: {named}" in _shown(evaluation, 200)
    assert "first minus second" in markdown(evaluation)


def test_words_are_told_once():
    (part,) = [part for part in sections(SMALL) if part.id == "glossary"]
    words = [row[0] for row in part.sheets[0].rows]
    assert len(set(words)) == len(words)
    told = " ".join(words)
    for word in ("Stage 1", "Stage 2", "sensitivity", "specificity", "PPV", "NPV", "F1", "macro", "micro", "AUROC"):
        assert word in told
    for word in ("Brier", "log loss", "ECE", "Wilson", "McNemar", "Holm", "Cochran's Q", "Agresti-Min"):
        assert word in told


@pytest.mark.parametrize(("value", "words"), [(0, "0"), (1e-12, "0"), (0.2, "under 1"), (1, "1"), (2793.6, "2,794")])
def test_a_whole_number_does_not_hide_some_of_one(value, words):
    assert whole(value) == words


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
