"""The overall flag and scope marks in every form of the report: there, apart from Stage 2, and in words."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from crisis_filter.cli.evaluate_show import show
from crisis_filter.evaluation.category_records import Scope
from crisis_filter.evaluation.evaluate import evaluate
from crisis_filter.evaluation.gold import Gold, GoldRow
from crisis_filter.evaluation.records import Evaluation, System
from crisis_filter.evaluation.report.flag import TITLE, WHAT
from crisis_filter.evaluation.report.html import html
from crisis_filter.evaluation.report.markdown import markdown
from crisis_filter.evaluation.report.outline import sections
from crisis_filter.evaluation.report.parts import Section
from crisis_filter.evaluation.runs import Answer, Run
from crisis_filter.taxonomy.maps import Mark
from tests.evaluation.making import CATEGORIES, LABELLED_BY, SETTINGS, made
from tests.evaluation.page_reading import Page

MARKS: dict[str, Mark] = dict.fromkeys(CATEGORIES, "none") | {"suicide": "direct", "self_harm": "partial"}  # type: ignore[assignment]
NOTHING: dict[str, Mark] = dict.fromkeys(CATEGORIES, "none")


def beside(marks: dict[str, Mark], systems: int = 2) -> Evaluation:
    """Ours, and baselines with these marks that find two of four crises of each category and call them suicide."""
    rows, said, ours = {}, {}, {}
    for at in range(48):
        crisis, name = at < 32, f"m{at:02}"
        labels = frozenset({CATEGORIES[at % 8]}) if crisis else frozenset[str]()
        rows[name] = GoldRow(name, crisis, labels, {}, None, name)
        found = crisis and at // 8 % 2 == 0
        outcome, flags = ("crisis", "crisis") if found else ("no_crisis", "crisis" if crisis else "no_crisis")
        said[name] = Answer(outcome, None, None, frozenset({"suicide"} if found else ()), None, name)  # type: ignore[arg-type]
        ours[name] = Answer(flags, None, None, labels, None, name)  # type: ignore[arg-type]
    scope = Scope(source="theirs", marks=marks)
    runs = [Run(System(name="ours", file="o", sha256="o", kind="assessments", detector="local:x"), ours, ())]
    for n in range(1, systems):
        system = System(
            name=f"theirs {n}", file="t", sha256=f"t{n}", kind="assessments", detector="baseline:t", scope=scope
        )
        runs.append(Run(system, said, ()))
    return evaluate(Gold("g", ("g",), ("0",), LABELLED_BY, rows, None), runs, CATEGORIES, SETTINGS)


def shown(evaluation: Evaluation, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    show(evaluation, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def section(evaluation: Evaluation, name: str) -> Section:
    (found,) = [part for part in sections(evaluation) if part.id == name]
    return found


@pytest.fixture(scope="module")
def two() -> Evaluation:
    return beside(MARKS)


def test_the_flag_has_a_section_of_its_own_that_says_what_it_is(two: Evaluation) -> None:
    """After Stage 2, in every form; and no table of one stands in the other."""
    order = [part.id for part in sections(two)]
    assert order.index("flagging") == order.index("categorising") + 1
    flag, second = section(two, "flagging"), section(two, "categorising")
    assert WHAT in flag.paragraphs
    assert "no figures of Stage 2" in WHAT
    assert not {sheet.caption for sheet in flag.sheets} & {sheet.caption for sheet in second.sheets}
    for text in (markdown(two), Page(html(two)).text, " ".join(shown(two, 100).split())):
        assert TITLE in text
        assert WHAT in text


def test_every_count_of_the_flag_stands_in_the_table(two: Evaluation) -> None:
    table = section(two, "flagging").sheets[0]
    assert table.heads[2:6] == ("TP", "FN", "FP", "TN")
    cells = {(row[0], row[1].split("\n")[0]): row for row in table.rows}
    for each in two.systems:
        assert each.flagging is not None
        for row in each.flagging.rows:
            words = cells[row.category.replace("_", " "), each.system.name]
            assert words[2:6] == (str(row.tp), str(row.fn), f"{row.fp}\n{row.other_crises} crises", str(row.tn))
            of = row.measures.sensitivity
            assert words[6] == f"{of.estimate:.3f}\n({of.low:.3f} to {of.high:.3f})"


@pytest.mark.parametrize(("name", "column"), [("categorising", 1), ("flagging", 1)])
def test_the_mark_stands_beside_the_figures_as_a_word(two: Evaluation, name: str, column: int) -> None:
    """With every category of the baseline, and with none of a system whose scope nobody said; and the words are told."""
    part = section(two, name)
    tables = [sheet for sheet in part.sheets if sheet.heads[:2] == ("category", "system")]
    assert len(tables) == (2 if name == "categorising" else 1)
    for sheet in tables:
        for row in sheet.rows:
            system, *scope = row[column].split("\n")
            mark = MARKS[row[0].replace(" ", "_")]
            assert scope == ([f"scope: {mark}"] if system != "ours" else [])
    assert any("direct: it names the category" in paragraph for paragraph in part.paragraphs)
    assert not any("direct: it names" in p for p in section(made(12, 12), name).paragraphs)


def test_macro_averages_stand_twice_for_a_baseline(two: Evaluation) -> None:
    """Over all, and over those in scope: two of eight."""
    flag, second = (section(two, name).sheets[1] for name in ("flagging", "categorising"))
    assert [row[:2] for row in flag.rows] == [
        ("ours", "all 8 categories"),
        ("theirs 1", "all 8 categories"),
        ("theirs 1", "2 of 8 categories in scope"),
    ]
    ways = [row[1].split("\n")[:2] for row in second.rows if row[0] == "theirs 1" and row[2] == "macro"]
    assert [way for way in ways if "in scope" in way[1]] == [
        ["flat", "2 of 8 categories in scope"],
        ["hierarchical", "2 of 8 categories in scope"],
    ]
    found = two.systems[1].categorising
    assert found is not None
    assert found.in_scope is not None
    assert found.in_scope.flat is not None
    # It names suicide alone, and finds half of it.
    assert found.flat.macro_sensitivity.estimate == pytest.approx(0.5 / 8)
    assert found.in_scope.flat.macro_sensitivity.estimate == pytest.approx(0.5 / 2)


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("systems", [2, 5])
def test_the_terminal_has_both_tables_and_both_averages(width: int, systems: int) -> None:
    """Few systems in full, many by their averages; on 80 columns nothing is cut off."""
    evaluation = beside(MARKS, systems)
    text = shown(evaluation, width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    assert "2 in scope" in flat
    assert "all 8" in flat
    assert f"{len(evaluation.category_pairs)} tests of pairs within categories in a report" in flat
    if systems == 2:
        rows = [line for line in text.splitlines() if "scope direct" in line]
        assert [line.startswith("scope direct" if width == 80 else "suicide (scope direct)") for line in rows] == [
            True
        ] * 2
        assert flat.count("scope none") == 2 * 6
        of = evaluation.systems[1].flagging
        assert of is not None
        row = of.rows[CATEGORIES.index("suicide")]
        counts = f"TP {row.tp} FN {row.fn}" if width == 80 else f"{row.tp} {row.fn} {row.fp} {row.tn}"
        assert counts in flat
    else:
        assert "averages over categories" in flat


def test_nothing_in_scope_is_undefined_and_not_zero() -> None:
    evaluation = beside(NOTHING)
    assert "0 of 8 categories in scope | undefined" in markdown(evaluation)
    assert "0 in scope" in shown(evaluation, 120)
    for text in (markdown(evaluation), shown(evaluation, 120), Page(html(evaluation)).text):
        assert not re.search(r"\bnan\b|\bNone\b", text)


def test_tests_within_categories_are_folded_on_the_page_and_named_by_their_number(two: Evaluation) -> None:
    page = html(two)
    parsed = Page(page)
    flagged = [pair for pair in two.category_pairs if pair.way == "flag"]
    named = [pair for pair in two.category_pairs if pair.way == "named"]
    assert len(flagged) == len(named) == 16
    assert page.count("<summary>16 tests of pairs within categories</summary>") == 2
    assert page.count("<details") == page.count("</details>")
    assert "not for there being several categories" in parsed.text
    assert markdown(two).count("Pairs within each category") == 2


def test_the_figure_names_the_mark_and_is_left_out_for_one_system(two: Evaluation) -> None:
    page = html(two)
    figure = re.search(r'<figure id="figure-by-flag".*?</figure>', page, re.DOTALL)
    assert figure is not None
    assert "suicide, theirs 1, scope direct: " in figure.group()
    assert "A word after the counts is what the system is meant for" in figure.group()
    alone = html(beside(MARKS, 1))
    assert 'id="figure-by-flag"' not in alone
    assert TITLE in Page(alone).text


def test_labels_without_categories_say_so() -> None:
    rows = {"a": GoldRow("a", True, None, {}, None, "a"), "b": GoldRow("b", False, frozenset(), {}, None, "b")}
    said = {at: Answer("crisis", None, None, None, None, at) for at in rows}
    run = Run(System(name="s", file="s", sha256="s", kind="binary", detector="not said"), said, ())
    found = evaluate(Gold("g", ("g",), ("0",), LABELLED_BY, rows, None), [run], CATEGORIES, SETTINGS)
    assert section(found, "flagging").remarks == ("The labels do not say the categories of every crisis.",)
    assert TITLE not in shown(found, 100)
    assert TITLE in markdown(found)


def test_an_outage_says_that_its_specificity_is_of_undetermined_messages() -> None:
    """A number in the cell and what it means in the caption; nothing beside a system that decided everything."""
    whole = beside(NOTHING)
    rows = {f"m{at:02}": Answer("undetermined", None, None, frozenset(), "timeout", f"m{at:02}") for at in range(48)}
    systems = [System(name=name, file=name, sha256=name, kind="assessments", detector="x") for name in ("out", "ours")]
    labels = {
        name: GoldRow(name, at < 32, frozenset({CATEGORIES[at % 8]} if at < 32 else ()), {}, None, name)
        for at, name in enumerate(rows)
    }
    decided = {name: Answer("no_crisis", None, None, frozenset(), None, name) for name in rows}
    runs = [Run(systems[0], rows, ()), Run(systems[1], decided, ())]
    out = evaluate(Gold("g", ("g",), ("0",), LABELLED_BY, labels, None), runs, CATEGORIES, SETTINGS)
    table = section(out, "categorising").sheets[0]
    assert "true negative in those that it does not" in table.caption
    for row in table.rows:
        assert row[4].startswith("44 of 44\n1.000")
        assert row[4].endswith("\n44 undetermined") is (row[1] == "out")
    assert "undetermined" not in str([row[4] for row in section(whole, "categorising").sheets[0].rows])
    of_the_flag = section(out, "flagging").sheets[0].caption
    assert "an undetermined message is in FN or in FP" in of_the_flag
