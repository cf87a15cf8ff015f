"""From files to figures: counts that can be done by hand, the published study end to end, and laws that always hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crisis_filter.evaluation.evaluate import evaluate
from crisis_filter.evaluation.gold import read_gold
from crisis_filter.evaluation.records import Evaluation, Scores, Settings, Unscored
from crisis_filter.evaluation.runs import read_run
from crisis_filter.taxonomy.load import load_taxonomy
from tests.evaluation.filing import CATEGORIES, assessed, files, labelled, lines
from tests.evaluation.making_paper_set import paper_set

USUAL = Settings(level=0.95, interval="wilson", adjustment="holm", resamples=200, seed=0, failures="wrong")
ALL = load_taxonomy("clinical-v1").ids


def figures(
    paths: list[Path], known: tuple[str, ...] = CATEGORIES, how: Settings = USUAL, **more: object
) -> Evaluation:
    gold, *runs = paths
    labels = read_gold(gold, known, cluster=more.pop("cluster", None))  # type: ignore[arg-type]
    return evaluate(labels, [read_run(each, known, "clinical-v1") for each in runs], known, how, **more)  # type: ignore[arg-type]


GOLD = [
    labelled("c1", "abuse", stratum="abuse", author="x"),
    labelled("c2", "abuse", "suicide", stratum="mixed", author="x"),
    labelled("c3", "neglect", stratum="neglect", author="y"),
    labelled("c4", "suicide", stratum="suicide", author="y"),
    labelled("n1", stratum="billing", author="x"),
    labelled("n2", stratum="billing", author="y"),
    labelled("n3", stratum="idiom", author="z"),
]
RUN = [
    assessed("c1", "abuse", score=0.9),
    assessed("c2", "abuse", "neglect", score=0.8),
    assessed("c3", score=0.1),
    assessed("c4", outcome="undetermined"),
    assessed("n1", score=0.2),
    assessed("n2", "suicide", score=0.7),
    assessed("n3", outcome="undetermined", fault="refusal_prose"),
]


def test_counts_are_those_done_by_hand(tmp_path: Path) -> None:
    found = figures(files(tmp_path, GOLD, RUN)).systems[0]
    first = found.screening
    assert first.crises == {"crisis": 2, "undetermined": 1, "no_crisis": 1}
    assert first.others == {"crisis": 1, "undetermined": 1, "no_crisis": 1}
    assert (first.missed, first.false_alarms, first.undetermined) == (("c3",), ("n2",), ("c4", "n3"))
    assert first.faults == {"timeout": 1, "refusal_prose": 1}
    rates = first.measures
    assert (rates.sensitivity.count, rates.sensitivity.nobs) == (2, 4)
    assert (rates.specificity.count, rates.specificity.nobs) == (1, 3)
    assert (rates.ppv.count, rates.ppv.nobs) == (2, 4), "an undetermined message that is no crisis is an alarm too"
    assert (first.best_sensitivity.count, first.best_specificity.count) == (3, 2)
    second = found.categorising
    assert second is not None
    rows = {row.category: row for row in second.rows}
    assert [(rows[c].flat.sensitivity.count, rows[c].labelled) for c in CATEGORIES] == [(2, 2), (0, 1), (0, 2)]
    assert [rows[c].hierarchical.sensitivity.nobs for c in CATEGORIES] == [2, 0, 1]
    assert [rows[c].flat.ppv.nobs for c in CATEGORIES] == [2, 1, 1]
    assert (second.exact.count, second.exact.nobs, second.exact_flat.count, second.exact_flat.nobs) == (1, 3, 3, 7)
    assert (second.flagged, second.unspecified, second.hamming) == (3, 0, 3 / 9)
    assert second.hierarchical.macro_sensitivity.estimate is None, "neglect is on no flagged message"
    assert second.flat.macro_sensitivity.estimate == pytest.approx(1 / 3)
    cells = {(cell.truth, cell.said): cell.ids for cell in second.matrix if cell.messages}
    assert cells == {
        ("abuse", "neglect"): ("c2",),
        ("suicide", "neglect"): ("c2",),
        ("neglect", "neglect"): ("c2",),
        ("suicide", "suicide"): ("c2", "n2"),
    }
    groups = {
        (g.facet, g.level): (g.sensitivity.count, g.sensitivity.nobs, g.specificity.count, g.specificity.nobs)
        for g in found.subgroups
    }
    assert groups["stratum", "billing"] == (0, 0, 1, 2)
    assert groups["stratum", "mixed"] == (1, 1, 0, 0)


def test_failures_may_count_as_flagged(tmp_path: Path) -> None:
    """They reach a person; then they are alarms on either side."""
    how = USUAL.model_copy(update={"failures": "flagged"})
    rates = figures(files(tmp_path, GOLD, RUN), how=how).systems[0].screening.measures
    assert (rates.sensitivity.count, rates.specificity.count) == (3, 1)


def test_scores_that_are_missing_count_against_the_system(tmp_path: Path) -> None:
    found = figures(files(tmp_path, GOLD, RUN)).systems[0].scores
    assert isinstance(found, Scores)
    # 0.9, 0.8, 0.1 and one last against 0.2, 0.7 and one first: 2 + 2 + 0 + 0 of 12.
    assert (found.missing, found.auroc, found.auroc_best) == (2, pytest.approx(4 / 12), pytest.approx(10 / 12))
    assert [(p.threshold, p.found, p.alarms) for p in found.points][:2] == [(0.9, 1, 1), (0.8, 2, 1)]
    assert [at.threshold for at in found.at] == [None] * 3, "the crisis without a score is reached by no threshold"
    assert found.calibration is not None
    assert sum(each.observed.nobs for each in found.calibration.bins) == 5


def test_expected_counts_add_up(tmp_path: Path) -> None:
    for row in figures(files(tmp_path, GOLD, RUN), prevalences=[0.01, 0.3]).systems[0].prevalences:
        assert sum(row.per_10000.values()) == pytest.approx(10_000)
        assert sum(row.per_10000[name] for name in ("found", "missed", "undetermined_crises")) == pytest.approx(
            10_000 * row.prevalence
        )


def test_a_system_may_say_less(tmp_path: Path) -> None:
    """Crisis or not only: no categories, no scores, and reasons in their place."""
    flags = [{"id": row["id"], "crisis": row["crisis"]} for row in GOLD]
    found = figures(files(tmp_path, GOLD, flags, RUN))
    one, two = found.systems
    assert (one.categorising, one.no_categories) == (None, "this system names no categories")
    assert one.scores == Unscored(reason="this system gives no scores")
    assert two.categorising is not None
    assert one.screening.measures.sensitivity.estimate == 1.0
    assert {(p.outcome, p.only_first, p.only_second) for p in found.pairs} == {
        ("sensitivity", 2, 0),
        ("specificity", 2, 0),
    }
    assert found.gaps == ()


def test_labels_may_say_less(tmp_path: Path) -> None:
    gold = [{"id": row["id"], "crisis": row["crisis"]} for row in GOLD]
    found = figures(files(tmp_path, gold, RUN))
    assert found.gold.categories == ()
    assert found.systems[0].categorising is None
    assert "do not say the categories of every crisis" in found.systems[0].no_categories


def test_an_empty_class_is_undefined_and_said(tmp_path: Path) -> None:
    found = figures(files(tmp_path, GOLD[:4], RUN[:4]))
    one = found.systems[0]
    assert (one.screening.measures.specificity.estimate, one.prevalences) == (None, ())
    assert isinstance(one.scores, Unscored)
    assert any("no messages that are not a crisis" in line for line in found.warnings)


def test_clusters_are_drawn_whole_and_few_are_said(tmp_path: Path) -> None:
    found = figures(files(tmp_path, GOLD, RUN), cluster="author")
    assert (found.gold.clusters, found.gold.cluster_by) == (3, "author")
    assert [line for line in found.warnings if "clusters" in line and "few" in line] == [
        "the crises come from 2 clusters, which are few: intervals from resamples are too narrow",
        "the other messages come from 3 clusters, which are few: intervals from resamples are too narrow",
    ]
    assert any("Wilson intervals and tests of pairs take messages for independent" in line for line in found.warnings)


def test_common_messages_are_counted(tmp_path: Path) -> None:
    found = figures(files(tmp_path, GOLD, RUN[:5], RUN[1:]), common=True)
    assert (found.gold.messages, found.gold.left_out) == (4, 3)
    assert [(one.name, one.crises, one.others, one.answers) for one in found.left_out] == [
        ("run1", 0, 2, 1),
        ("run2", 1, 0, 2),
    ]
    # Of four crises run2 found one, left one undetermined, cleared one, and has no answer for one.
    assert [(one.sensitivity_if_missed.count, one.sensitivity_if_missed.nobs) for one in found.left_out] == [
        (2, 4),
        (1, 4),
    ]
    said = "run2 has no answer for some labelled messages (crises: 1, others: 0), which are left out; were those crises missed"
    assert any(said in warning for warning in found.warnings)


def test_answers_that_are_missing_for_crises_alone_are_no_fair_sample(tmp_path: Path) -> None:
    """Whoever drops the missed ones gets a perfect rate, and a warning."""
    gold = [labelled(f"c{n}", "abuse") for n in range(40)] + [labelled(f"n{n}") for n in range(40)]
    run = [assessed(f"c{n}", "abuse") for n in range(25)] + [assessed(f"n{n}") for n in range(40)]
    found = figures(files(tmp_path, gold, run), common=True)
    assert found.systems[0].screening.measures.sensitivity.estimate == 1.0
    assert any("its sensitivity would be 25 of 40" in warning for warning in found.warnings)
    assert any("what is left is no fair sample" in warning for warning in found.warnings)


def test_one_file_under_two_names_is_said(tmp_path: Path) -> None:
    gold, one = files(tmp_path, GOLD, RUN)
    twin = tmp_path / "twin.jsonl"
    twin.write_bytes(one.read_bytes())
    assert "run1 and twin are the same file" in figures([gold, one, twin]).warnings


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """The study's counts as files, through the whole evaluation."""
    folder, rows = tmp_path_factory.mktemp("paper"), paper_set()
    paths = [lines(folder / f"{name}.jsonl", getattr(rows, name)) for name in ("gold", "vbhsf", "openai", "nemo")]
    return figures(paths, ALL, USUAL.model_copy(update={"adjustment": "bonferroni", "resamples": 2000}))


def test_the_published_study_comes_out_of_files(published: Evaluation) -> None:
    one = published.systems[0]
    rates = one.screening.measures
    shown = [
        (r.estimate, r.low, r.high)
        for r in (rates.sensitivity, rates.specificity, rates.ppv, rates.npv, rates.accuracy)
    ]
    assert [tuple(f"{x:.3f}" for x in row) for row in shown] == [
        ("0.990", "0.981", "0.995"),
        ("0.992", "0.984", "0.996"),
        ("0.992", "0.984", "0.996"),
        ("0.990", "0.981", "0.995"),
        ("0.991", "0.986", "0.995"),
    ]
    second = one.categorising
    assert second is not None
    macro = second.hierarchical
    for average, figure in (
        (macro.macro_f1, ("0.9392", "0.9272", "0.9513")),
        (macro.macro_sensitivity, ("0.9573", "0.9365", "0.9780")),
        (macro.macro_ppv, ("0.9231", "0.8945", "0.9517")),
    ):
        assert average.across is not None
        assert tuple(f"{x:.4f}" for x in (average.estimate, average.across.low, average.across.high)) == figure
    assert (f"{second.flat.macro_sensitivity.estimate:.3f}", f"{second.flat.macro_f1.estimate:.3f}") == (
        "0.949",
        "0.935",
    )
    assert (second.exact.count, second.exact.nobs, second.hamming) == (810, 898, 125 / (898 * 8))
    assert [cell.messages for cell in second.matrix if cell.truth == cell.said] == [
        {
            "abuse": 19,
            "eating_disorder": 13,
            "neglect": 17,
            "psychosis": 13,
            "self_harm": 14,
            "substance_misuse": 19,
            "suicide": 21,
            "violence": 9,
        }[c]
        for c in ALL
    ]


def test_the_published_tests_come_out_of_files(published: Evaluation) -> None:
    assert [(t.outcome, f"{t.statistic:.2f}") for t in published.together] == [
        ("sensitivity", "751.12"),
        ("specificity", "418.68"),
    ]
    gap = next(p for p in published.pairs if (p.second, p.outcome) == ("openai", "specificity"))
    assert (gap.only_first, gap.only_second, f"{gap.p:.5f}", f"{gap.p_adjusted:.3f}") == (0, 6, "0.03125", "0.094")


def test_an_evaluation_is_the_same_when_made_again(tmp_path: Path) -> None:
    paths = files(tmp_path, GOLD, RUN, RUN[::-1])
    assert figures(paths).model_dump_json() == figures(paths).model_dump_json()
    assert Evaluation.model_validate_json(figures(paths).model_dump_json()) == figures(paths)


OUTCOMES = st.sampled_from(["crisis", "no_crisis", "undetermined"])
MESSAGES = st.lists(
    st.tuples(
        st.sampled_from([(), ("abuse",), ("abuse", "suicide")]),
        OUTCOMES,
        st.sampled_from([(), ("abuse",), ("neglect",)]),
    ),
    min_size=1,
    max_size=8,
)


@given(messages=MESSAGES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_leaves_a_denominator(
    tmp_path: Path, messages: list[tuple[tuple[str, ...], str, tuple[str, ...]]]
) -> None:
    """Every labelled message counts in its rate once, whatever became of it, and failures move between the bounds only."""
    gold = [labelled(f"m{n}", *true) for n, (true, _, _) in enumerate(messages)]
    run = [
        assessed(f"m{n}", *(said if outcome == "crisis" else ()), outcome=outcome)
        for n, (_, outcome, said) in enumerate(messages)
    ]
    paths = files(tmp_path, gold, run)
    quick = USUAL.model_copy(update={"resamples": 20})
    found = figures(paths, how=quick).systems[0]
    first, crises = found.screening, sum(bool(true) for true, _, _ in messages)
    assert (sum(first.crises.values()), sum(first.others.values())) == (crises, len(messages) - crises)
    assert (first.measures.sensitivity.nobs, first.measures.specificity.nobs) == (crises, len(messages) - crises)
    flagged = figures(paths, how=quick.model_copy(update={"failures": "flagged"})).systems[0].screening
    assert first.measures.sensitivity.count <= flagged.measures.sensitivity.count == first.best_sensitivity.count
    assert first.measures.specificity.count == flagged.measures.specificity.count <= first.best_specificity.count
    assert found.categorising is not None
    for row in found.categorising.rows:
        assert row.flat.accuracy.nobs == len(messages)
        assert row.hierarchical.accuracy.nobs == found.categorising.flagged
        assert row.flat.sensitivity.nobs == row.labelled
    assert json.loads(found.model_dump_json())["screening"]["crises"] == first.crises
