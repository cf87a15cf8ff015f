"""Every printed figure of the VBHSF paper comes out of the counts, and no other counts would do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import pytest
import typer
from click.testing import Result
from pydantic import ValidationError
from typer.testing import CliRunner

from crisis_filter.cli.evaluate_paper import show_paper
from crisis_filter.cli.trouble import told
from crisis_filter.evaluation.paper import Cells, Published
from crisis_filter.schema import Assessment
from crisis_filter.stats.binary import Counts
from crisis_filter.stats.multilabel import by_category, exact_match, hamming_loss, macro
from crisis_filter.stats.paired import cochran_q, discordance
from tests.evaluation.making_paper_set import VERILY, paper_set
from tests.evaluation.paper_figures import FACTS, PAPER, compared, printed_row


def test_all_696_printed_figures_come_out_of_the_counts() -> None:
    """Points and bounds, to the third decimal."""
    checked = 0
    for name, found, printed in compared(FACTS):
        for one, other in zip(found, printed, strict=True):
            assert one == other, name
            checked += 1
    assert checked == 696


def test_printed_errors_are_the_counts_once_two_columns_change_places() -> None:
    """In Table 3, in the 16 category rows of the two other systems, FP stands under FN and FN under FP; nowhere else."""
    swapped = 0
    for row in PAPER.rows:
        printed = printed_row(row.table, row.system, row.data, row.category)
        errors = (row.metrics.counts.fp, row.metrics.counts.fn)
        if row.other_crises is None:
            assert errors == (printed["printed_fp"], printed["printed_fn"])
        else:
            assert errors == (printed["printed_fn"], printed["printed_fp"]) != errors[::-1]
            swapped += 1
    assert (swapped, len(PAPER.rows)) == (16, 6 + 27 + 8)


def counts_of(facts: Published) -> Iterator[tuple[tuple[str, str, str], Cells]]:
    """Every table of counts, and where it stands."""
    for group in ("screen", "categorise", "flags_as_categories"):
        for first, rows in getattr(facts, group).items():
            for second, cells in rows.items():
                yield (group, first, second), cells


def moved(where: tuple[str, str, str], less: str, more: str) -> Published:
    """The counts with one message counted elsewhere, and the checks across tables left out."""
    group, first, second = where
    rows = getattr(FACTS, group)
    cells = rows[first][second]
    other = cells.model_copy(update={less: getattr(cells, less) - 1, more: getattr(cells, more) + 1})
    return FACTS.model_copy(update={group: {**rows, first: {**rows[first], second: other}}})


def differs(facts: Published) -> bool:
    """Whether the counts fail to give some printed figure."""
    return any(found != printed for _, found, printed in compared(facts))


@pytest.mark.parametrize(
    ("where", "less", "more"),
    [
        (("screen", VERILY, "vbhsf"), "tp", "fn"),
        (("screen", "aegis2", "nemo"), "tn", "fp"),
        (("screen", "aegis2", "vbhsf"), "fn", "tn"),
        (("categorise", "vbhsf", "psychosis"), "fp", "tn"),
        (("categorise", "vbhsf", "suicide"), "fn", "tp"),
        (("flags_as_categories", "nemo", "violence"), "tp", "fn"),
        (("flags_as_categories", "openai", "abuse"), "fp", "tp"),
    ],
)
def test_one_message_counted_elsewhere_is_noticed(where: tuple[str, str, str], less: str, more: str) -> None:
    """Some of the 696 figures then differ."""
    assert not differs(FACTS)
    assert differs(moved(where, less, more))


def test_hardly_any_message_can_be_counted_elsewhere() -> None:
    """All 357 ways to move one message within a table of counts: the figures notice all but two, the checks across tables those."""
    cells = ("tp", "fp", "fn", "tn")
    moves = [
        (where, less, more)
        for where, counts in counts_of(FACTS)
        for less, more in product(cells, cells)
        if less != more and getattr(counts, less)
    ]
    unnoticed = [move for move in moves if not differs(moved(*move))]
    first = ("screen", VERILY, "vbhsf")
    assert (len(moves), unnoticed) == (357, [(first, "tp", "tn"), (first, "tn", "tp")])
    for move in unnoticed:
        with pytest.raises(ValidationError, match="all systems judged the same messages"):
            Published.model_validate_json(moved(*move).model_dump_json())


def test_a_count_that_disagrees_with_another_is_refused() -> None:
    """Checks across tables: who judged the same messages has the same positives, and joint tables have each system's errors."""
    for change in (
        lambda f: f["wrong_together"][0]["patterns"][0].update(messages=1),
        lambda f: f["wrong_together"][1]["patterns"][7].update(messages=1),
        lambda f: f["screen"]["aegis2"]["nemo"].update(tn=352),
        lambda f: f["categorise"]["vbhsf"]["abuse"].update(missed_by_screen=1),
        lambda f: f["categorise"]["vbhsf"]["abuse"].update(tn=748),
        lambda f: f["flags_as_categories"]["nemo"]["abuse"].update(fp=775, tn=891),
    ):
        facts = json.loads(FACTS.model_dump_json())
        change(facts)
        with pytest.raises(ValidationError):
            Published.model_validate_json(json.dumps(facts))


def test_made_set_has_the_published_counts() -> None:
    """1,800 messages and three runs: flags, categories in both readings, joint errors, tests, whole messages, averages."""
    made = paper_set()
    names = tuple(FACTS.categorise["vbhsf"])
    labels = [set(row["categories"]) for row in made.gold]
    crisis = np.array([row["crisis"] for row in made.gold])
    assert len(made.gold) == len({row["id"] for row in made.gold}) == 1800
    assert [len(labels[at]) for at in range(1800)].count(1) == 800
    assert sum(len(each) > 1 for each in labels) == 100
    runs = [Assessment.model_validate(row) for row in made.vbhsf]
    said = {
        "vbhsf": np.array([run.outcome == "crisis" for run in runs]),
        "openai": np.array([row["crisis"] for row in made.openai]),
        "nemo": np.array([row["crisis"] for row in made.nemo]),
    }
    for rows in (made.vbhsf, made.openai, made.nemo):
        assert [row["id"] for row in rows] == [row["id"] for row in made.gold]
    truth = np.array([[name in each for name in names] for each in labels])
    findings = [{finding.category for finding in run.findings} for run in runs]
    answer = np.array([[name in each for name in names] for each in findings])
    for system, flags in said.items():
        assert Counts.of(crisis, flags) == FACTS.screen[VERILY][system].counts()
    printed = {(row.system, row.category): row for row in PAPER.rows if row.table == "3" and row.category}
    for system in FACTS.systems:
        every = answer if system == "vbhsf" else np.repeat(said[system][:, None], len(names), axis=1)
        for name, counts in zip(names, by_category(truth, every, names), strict=True):
            assert counts == printed[system, name].metrics.counts
    flagged = said["vbhsf"]
    hierarchical = by_category(truth[flagged], answer[flagged], names)
    assert hierarchical == tuple(row.metrics.counts for row in PAPER.rows if row.table == "4")
    assert macro(hierarchical).f1 == pytest.approx(0.9392239, abs=1e-7)
    assert exact_match(truth[flagged], answer[flagged]) == PAPER.exact_match
    assert hamming_loss(truth[flagged], answer[flagged]) == PAPER.hamming_loss == 125 / 7184
    wrong = np.stack([flags != crisis for flags in said.values()], axis=1)
    q = {(one.data, one.figure): one.test for one in PAPER.all_systems}
    assert cochran_q(~wrong[crisis]) == q[VERILY, "sensitivity"]
    assert cochran_q(~wrong[~crisis]) == q[VERILY, "specificity"]
    pair = discordance(~wrong[~crisis, 0], ~wrong[~crisis, 1])
    assert (pair.first_only, pair.second_only) == (0, 6)
    assert paper_set() == made


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs the command that the paper's tables are shown by."""

    def go(*, columns: int = 160, as_json: bool = False, system: str | None = None) -> Result:
        monkeypatch.setenv("COLUMNS", str(columns))
        app = typer.Typer()

        @app.command()
        def show() -> None:
            with told():
                show_paper(as_json=as_json, system=system)

        return CliRunner().invoke(app, [])

    return go


@pytest.mark.parametrize("columns", [80, 160])
def test_command_shows_every_table(command: Callable[..., Result], columns: int) -> None:
    """With what a corrected reading says; no line is wider than the terminal."""
    ran = command(columns=columns)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert max(map(len, ran.stdout.splitlines())) <= columns
    words = " ".join(ran.stdout.split())
    for wanted in (
        "Table 2. Crisis or not: Verily, 1,800 simulated messages",
        "Table 3. NVIDIA NemoGuard, by category, over all messages",
        "Table 4. VBHSF, by category, over the messages that it flagged",
        "Table S1.",
        "Table S2.",
        "398 crises and 396 others",
        "2,544 of 2,552 false positives",
        "macro sensitivity is 0.949 and macro F1 0.935",
        "from counts it cannot be had",
        "810 of 898",
        "751.12",
        "418.68",
        "4.28",
        "0.094 0.031",
    ):
        assert wanted in words


def test_command_gives_every_figure_as_json(command: Callable[..., Result]) -> None:
    """One line a row, average, predictive value and test; at last the source."""
    *found, source = map(json.loads, command(as_json=True).stdout.splitlines())
    kinds = [one["kind"] for one in found]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "row": 41,
        "average": 6,
        "predictive_value": 24,
        "cochran_q": 3,
        "mcnemar": 9,
    }
    assert found[0]["metrics"]["counts"] == {"tp": 891, "fp": 7, "fn": 9, "tn": 893}
    assert "Nelson et al." in source["source"]
    assert source["bootstrap"] is None


def test_command_keeps_to_one_system(command: Callable[..., Result]) -> None:
    """And says which there are when it is asked for another."""
    found = [json.loads(line) for line in command(as_json=True, system="nemo").stdout.splitlines()]
    assert {one["system"] for one in found if "system" in one} == {"nemo"}
    assert sum(one["kind"] == "mcnemar" for one in found) == 6
    assert "Table 4" not in command(system="nemo").stdout
    ran = command(system="guard")
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert "there are: vbhsf, openai, nemo" in ran.stderr
