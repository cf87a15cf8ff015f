"""Every setting reaches every figure: one small evaluation under settings that are none of the usual, held against the statistics themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crisis_filter.evaluation.records import Evaluation, Scores, Settings
from crisis_filter.stats import calibration, multilabel
from crisis_filter.stats.intervals import proportion
from crisis_filter.stats.paired import bonferroni, mcnemar_exact, paired_difference
from crisis_filter.stats.prevalence import npv, ppv
from crisis_filter.stats.ranking import auroc, auroc_interval
from crisis_filter.stats.resampling import Resampling, percentile_interval
from tests.evaluation.filing import CATEGORIES, assessed, files, labelled
from tests.evaluation.test_evaluate import figures

ODD = Settings(
    level=0.8, interval="clopper_pearson", adjustment="bonferroni", resamples=300, seed=3, failures="flagged"
)
N = 90
TRUTH = [((), ("abuse",), ("abuse", "suicide"))[n % 3] for n in range(N)]
AUTHORS = [f"author {n // 3 % 25}" for n in range(N)]
# The first system errs on every seventh, fails on every eleventh; the second errs on every fourth.
FIRST = [("failed" if n % 11 == 5 else "wrong" if n % 7 == 3 else "right") for n in range(N)]
SECOND = [("wrong" if n % 4 == 1 else "right") for n in range(N)]
SCORES = np.round(np.random.default_rng(1).random(N), 2)


def answer(n: int, how: str) -> dict[str, object]:
    true = TRUTH[n]
    if how == "failed":
        return assessed(f"m{n}", outcome="undetermined", score=float(SCORES[n]))
    said = true if how == "right" else ("neglect",) if not true or n % 2 else ()
    return assessed(f"m{n}", *said, score=float(SCORES[n]))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two unequal systems, clusters of several messages."""
    gold = [labelled(f"m{n}", *TRUTH[n], author=AUTHORS[n], topic=f"{'abc'[n // 30]}") for n in range(N)]
    runs = [[answer(n, how[n]) for n in range(N)] for how in (FIRST, SECOND)]
    paths: list[Path] = files(tmp_path_factory.mktemp("odd"), gold, *runs)
    return figures(paths, how=ODD, cluster="author", prevalences=[0.02])


def fine(how: list[str], n: int) -> bool:
    """Under `flagged` a failure is right about a crisis and wrong about the rest; a wrong answer may still be the right outcome."""
    if how[n] == "failed":
        return bool(TRUTH[n])
    said = TRUTH[n] if how[n] == "right" else ("neglect",) if not TRUTH[n] or n % 2 else ()
    return bool(said) == bool(TRUTH[n])


CRISES = [n for n in range(N) if TRUTH[n]]
OTHERS = [n for n in range(N) if not TRUTH[n]]
HITS, QUIET = sum(fine(FIRST, n) for n in CRISES), sum(fine(FIRST, n) for n in OTHERS)


def test_rates_take_interval_level_and_failures(found: Evaluation) -> None:
    one = found.systems[0].screening
    assert one.measures.sensitivity == proportion(HITS, len(CRISES), 0.8, "clopper_pearson")
    assert one.measures.specificity == proportion(QUIET, len(OTHERS), 0.8, "clopper_pearson")
    failed = sum(FIRST[n] == "failed" for n in OTHERS)
    assert one.best_specificity == proportion(QUIET + failed, len(OTHERS), 0.8, "clopper_pearson")
    assert one.best_sensitivity == proportion(HITS, len(CRISES), 0.8, "clopper_pearson")


def test_subgroups_take_them_too_and_count_their_own_failures(found: Evaluation) -> None:
    group = next(g for g in found.systems[0].subgroups if (g.facet, g.level) == ("topic", "b"))
    mine = [n for n in CRISES if 30 <= n < 60]
    assert group.sensitivity == proportion(sum(fine(FIRST, n) for n in mine), len(mine), 0.8, "clopper_pearson")
    assert group.undetermined == sum(FIRST[n] == "failed" for n in range(30, 60))


def test_predictive_values_are_bayes_rule_on_the_counts(found: Evaluation) -> None:
    (row,) = found.systems[0].prevalences
    hit, quiet = HITS / len(CRISES), QUIET / len(OTHERS)
    assert row.ppv == pytest.approx(ppv(hit, quiet, 0.02))
    assert row.npv == pytest.approx(npv(hit, quiet, 0.02))
    assert row.npv_span is not None
    assert row.npv_span.low < row.npv < row.npv_span.high  # type: ignore[operator]
    assert (row.ppv_span and row.ppv_span.level, row.npv_span.level) == (0.8, 0.8)
    crises, others = found.systems[0].screening.crises, found.systems[0].screening.others
    assert row.per_10000["missed"] == pytest.approx(200 * crises["no_crisis"] / len(CRISES))
    assert row.per_10000["undetermined_crises"] == pytest.approx(200 * crises["undetermined"] / len(CRISES))
    assert row.per_10000["undetermined_others"] == pytest.approx(9800 * others["undetermined"] / len(OTHERS))


def test_pairs_take_level_adjustment_and_failures(found: Evaluation) -> None:
    for pair, side in zip(found.pairs, (CRISES, OTHERS), strict=True):
        b = sum(fine(FIRST, n) and not fine(SECOND, n) for n in side)
        c = sum(fine(SECOND, n) and not fine(FIRST, n) for n in side)
        gap = paired_difference(b, c, len(side), 0.8)
        assert (pair.first, pair.second, pair.only_first, pair.only_second) == ("run1", "run2", b, c)
        assert (pair.estimate, pair.low, pair.high) == (gap.estimate, gap.low, gap.high)
        assert (pair.p, pair.p_adjusted) == (mcnemar_exact(b, c), bonferroni([mcnemar_exact(b, c)])[0])
    assert found.together == (), "two systems are a pair; Q is for more"


def marked(how: list[str] | None) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    rows = []
    for n in range(N):
        said = TRUTH[n] if how is None or how[n] == "right" else ("neglect",) if not TRUTH[n] or n % 2 else ()
        rows.append([c in said and (how is None or how[n] != "failed") for c in CATEGORIES])
    return np.array(rows)


def resampling() -> Resampling:
    return Resampling(np.random.default_rng(3), 300, AUTHORS)


def test_averages_draw_clusters_at_the_level(found: Evaluation) -> None:
    mine = found.systems[0].categorising
    assert mine is not None
    expected = multilabel.bootstrap_averages(marked(None), marked(FIRST), resampling(), 0.8)
    assert (mine.flat.macro_f1.estimate, mine.flat.macro_f1.bootstrap) == (
        expected.macro_f1.estimate,
        expected.macro_f1.span,
    )
    counts = multilabel.by_category(marked(None), marked(FIRST), CATEGORIES)
    assert mine.rows[0].flat.sensitivity == proportion(counts[0].tp, counts[0].positives, 0.8, "clopper_pearson")
    flagged = np.array([FIRST[n] != "failed" and marked(FIRST)[n].any() for n in range(N)])
    authors = [a for a, kept in zip(AUTHORS, flagged, strict=True) if kept]
    inside = multilabel.bootstrap_averages(
        marked(None)[flagged], marked(FIRST)[flagged], Resampling(np.random.default_rng(3), 300, authors), 0.8
    )
    assert mine.hierarchical.micro_f1.bootstrap == inside.micro_f1.span


def test_gaps_are_first_less_second_from_the_same_draws(found: Evaluation) -> None:
    gap = next(g for g in found.gaps if g.figure == "macro F1, flat")
    expected = multilabel.bootstrap_paired_averages(marked(None), marked(FIRST), marked(SECOND), resampling(), 0.8)
    assert (gap.first, gap.second) == ("run1", "run2")
    assert (gap.estimate, gap.span) == (expected.macro_f1.estimate, expected.macro_f1.span)
    area = next(g for g in found.gaps if g.figure == "AUROC")
    assert (area.estimate, area.span) == (0.0, None), "both give the same scores"


def test_scores_draw_clusters_at_the_level(found: Evaluation) -> None:
    mine = found.systems[0].scores
    assert isinstance(mine, Scores)
    crisis = np.array([bool(t) for t in TRUTH])
    assert mine.auroc == auroc(crisis, SCORES)
    assert mine.auroc_span is not None
    assert (mine.auroc_span.method, mine.auroc_span.level) == ("bootstrap", 0.8)
    assert mine.auroc_span != auroc_interval(crisis, SCORES, 0.8).interval
    at = mine.at[1]
    assert at.false_positive_rate == proportion(at.false_positive_rate.count, len(OTHERS), 0.8, "clopper_pearson")
    # A higher sensitivity costs more, draw by draw.
    assert all(
        a.bootstrap.high <= b.bootstrap.high
        for a, b in zip(mine.at, mine.at[1:], strict=False)
        if a.bootstrap and b.bootstrap
    )
    assert mine.calibration is not None
    brier = percentile_interval(
        np.stack([(SCORES - crisis) ** 2, np.ones(N)], axis=1), lambda s: s[:, 0] / s[:, 1], resampling(), 0.8
    )
    assert brier is not None
    assert mine.calibration.brier_span is not None
    assert mine.calibration.brier_span.level == 0.8
    # Not the same draws, but the same distribution: clusters of several messages.
    assert mine.calibration.brier_span.low == pytest.approx(brier.low, abs=0.02)
    assert mine.calibration.bins == tuple(
        type(mine.calibration.bins[0])(
            low=b.low, high=b.high, mean=b.mean, observed=proportion(b.positives, b.n, 0.8, "clopper_pearson")
        )
        for b in calibration.reliability(crisis, SCORES, 15)
    )


def test_few_messages_and_what_a_run_warns_of_are_said(tmp_path: Path) -> None:
    gold = [labelled("a", "abuse"), labelled("b")]
    run = [assessed("a", "abuse"), assessed("b")]
    run[0]["provenance"]["model"], run[1]["provenance"]["model"] = "one", "two"  # type: ignore[index]
    found = figures(files(tmp_path, gold, run))
    assert "run1.jsonl: 2 models answered" in found.warnings
    assert any(line.startswith("only 1 crisis:") for line in found.warnings)


def test_properties_of_many_values_are_left_out_and_said(tmp_path: Path) -> None:
    gold = [labelled(f"m{n}", *(("abuse",) if n % 2 else ()), ward=f"ward {n}", bed=n % 12) for n in range(60)]
    run = [assessed(f"m{n}") for n in range(60)]
    paths = files(tmp_path, gold, run)
    from crisis_filter.evaluation.evaluate import evaluate
    from crisis_filter.evaluation.gold import read_gold
    from crisis_filter.evaluation.runs import read_run

    labels = read_gold(paths[0], CATEGORIES, facets=["ward", "bed"])
    found = evaluate(labels, [read_run(paths[1], CATEGORIES, "clinical-v1")], CATEGORIES, ODD, facets=["ward", "bed"])
    assert [g.level for g in found.systems[0].subgroups if g.facet == "bed"] == [str(n) for n in range(12)]
    assert {g.facet for g in found.systems[0].subgroups} == {"bed"}
    assert "the field ward has 60 values, too many to make subgroups of" in found.warnings
