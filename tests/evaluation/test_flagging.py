"""The overall flag against each category, scope marks and tests within categories: by hand, by the published study, and by laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crisis_filter.evaluation.category_records import Flagging, Scope
from crisis_filter.evaluation.evaluate import evaluate
from crisis_filter.evaluation.gold import Gold, GoldRow
from crisis_filter.evaluation.paper import VERILY
from crisis_filter.evaluation.paper import published as published_counts
from crisis_filter.evaluation.records import Evaluation, Settings, System
from crisis_filter.evaluation.runs import Answer, Run
from crisis_filter.evaluation.scope import scope_of
from crisis_filter.schema import OUTCOMES
from crisis_filter.stats import multilabel
from crisis_filter.stats.paired import mcnemar_exact
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.taxonomy.maps import load_map, map_names
from tests.evaluation.filing import CATEGORIES, assessed, files, gold, labelled, lines, run
from tests.evaluation.making_paper_set import paper_set

USUAL = Settings(level=0.95, interval="wilson", adjustment="holm", resamples=100, seed=0, failures="wrong")
ALL = load_taxonomy("clinical-v1").ids

GOLD = [
    labelled("c1", "abuse"),
    labelled("c2", "abuse", "suicide"),
    labelled("c3", "neglect"),
    labelled("c4", "suicide"),
    labelled("n1"),
    labelled("n2"),
    labelled("n3"),
]
# Finds c1 and c2; c3 missed, c4 undetermined; n2 a false alarm, n3 undetermined.
RUN = [
    assessed("c1", "abuse"),
    assessed("c2", "neglect"),
    assessed("c3"),
    assessed("c4", outcome="undetermined"),
    assessed("n1"),
    assessed("n2", "suicide"),
    assessed("n3", outcome="undetermined"),
]
# Says crisis or not alone, and finds c3 and c4.
FLAGS = [{"id": row["id"], "crisis": row["id"] in ("c3", "c4")} for row in GOLD]


def figures(folder: Path, *runs: list[dict[str, object]], how: Settings = USUAL) -> Evaluation:
    labels, *paths = files(folder, GOLD, *runs)
    return evaluate(gold(labels), [run(path) for path in paths], CATEGORIES, how)


def counts(found: Flagging | None) -> dict[str, tuple[int, ...]]:
    assert found is not None
    return {row.category: (row.tp, row.fn, row.fp, row.tn, row.other_crises) for row in found.rows}


def test_a_table_counted_by_hand(tmp_path: Path) -> None:
    """c4, undetermined, is missed as suicide and a false alarm as anything else; n3 is a false alarm everywhere."""
    one, two = figures(tmp_path, RUN, FLAGS).systems
    assert counts(one.flagging) == {
        "abuse": (2, 0, 3, 2, 1),  # n2, n3, and of the crises c4
        "neglect": (0, 1, 5, 1, 3),  # n2, n3, c1, c2, c4
        "suicide": (1, 1, 3, 2, 1),  # n2, n3, c1
    }
    assert counts(two.flagging) == {"abuse": (0, 2, 2, 3, 2), "neglect": (1, 0, 1, 5, 1), "suicide": (1, 1, 1, 4, 1)}
    assert one.flagging is not None
    abuse = one.flagging.rows[0]
    assert abuse.labelled == 2
    of = abuse.measures
    assert [(r.count, r.nobs) for r in (of.sensitivity, of.specificity, of.ppv, of.npv)] == [
        (2, 2),
        (2, 5),
        (2, 5),
        (2, 2),
    ]
    assert of.f1 == pytest.approx(4 / 7)
    means = one.flagging.averages
    assert means.macro_sensitivity.estimate == pytest.approx((1 + 0 + 0.5) / 3)
    assert means.macro_f1.estimate == pytest.approx((4 / 7 + 0 + 2 / 6) / 3)
    assert two.categorising is None, "it names no category, and its flag is no figure of Stage 2"
    assert one.categorising is not None
    assert [row.flat.sensitivity.count for row in one.categorising.rows] == [1, 0, 0]


def test_a_failure_that_counts_as_flagged_is_flagged_in_every_category(tmp_path: Path) -> None:
    """Then the flag is the same in every column: c1, c2, c4, n2, n3."""
    (one,) = figures(tmp_path, RUN, how=USUAL.model_copy(update={"failures": "flagged"})).systems
    assert counts(one.flagging) == {"abuse": (2, 0, 3, 2, 1), "neglect": (0, 1, 5, 1, 3), "suicide": (2, 0, 3, 2, 1)}


def test_pairs_within_categories_are_those_done_by_hand(tmp_path: Path) -> None:
    """Both of the first and neither of the second find abuse; p by two coins: 1/2."""
    found = figures(tmp_path, RUN, FLAGS).category_pairs
    assert {pair.way for pair in found} == {"flag"}, "only one of them names categories"
    by = {(pair.category, pair.outcome): pair for pair in found}
    abuse = by["abuse", "sensitivity"]
    assert (abuse.only_first, abuse.only_second, abuse.messages, abuse.p) == (2, 0, 2, 0.5)
    suicide = by["suicide", "sensitivity"]
    assert (suicide.only_first, suicide.only_second, suicide.messages) == (1, 1, 2)
    # Of those without suicide the first is right about c3 and n1, the second about all but c3.
    other = by["suicide", "specificity"]
    assert (other.only_first, other.only_second, other.messages) == (1, 3, 5)
    assert other.p == mcnemar_exact(1, 3)
    assert len(by) == len(found) == 6


def test_pairs_are_adjusted_within_their_category_and_way(tmp_path: Path) -> None:
    how = USUAL.model_copy(update={"adjustment": "bonferroni"})
    other = [assessed(str(row["id"]), *row["categories"]) for row in GOLD]  # type: ignore[misc]
    found = figures(tmp_path, RUN, other, FLAGS, how=how).category_pairs
    named = [pair for pair in found if pair.way == "named"]
    flagged = [pair for pair in found if pair.way == "flag"]
    assert (len(named), len(flagged)) == (6, 18), "two systems name categories, three have a flag"
    assert all(pair.p_adjusted == pair.p for pair in named)
    assert all(pair.p_adjusted == min(1.0, 3 * pair.p) for pair in flagged)
    abuse = named[0]
    assert (abuse.category, abuse.outcome, abuse.only_first, abuse.only_second) == ("abuse", "sensitivity", 0, 1)


def test_without_categories_there_is_nothing_to_hold_the_flag_against(tmp_path: Path) -> None:
    rows = [{"id": row["id"], "crisis": row["crisis"]} for row in GOLD]
    paths = files(tmp_path, rows, RUN, FLAGS)
    found = evaluate(gold(paths[0]), [run(path) for path in paths[1:]], CATEGORIES, USUAL)
    assert [each.flagging for each in found.systems] == [None, None]
    assert found.category_pairs == ()
    assert found.pairs


def test_the_published_rows_of_table_3_come_out_of_files(tmp_path: Path) -> None:
    """Both systems that the paper compares with, category by category, and which of their false alarms are crises."""
    facts, rows = published_counts(), paper_set()
    paths = [lines(tmp_path / f"{name}.jsonl", getattr(rows, name)) for name in ("gold", "openai", "nemo")]
    found = evaluate(gold_of(paths[0]), [run_of(path) for path in paths[1:]], ALL, USUAL)
    for each, system in zip(found.systems, ("openai", "nemo"), strict=True):
        assert each.flagging is not None
        cells = {row.category: (row.tp, row.fn, row.fp, row.tn) for row in each.flagging.rows}
        wanted = facts.flags_as_categories[system]
        assert cells == {name: (c.tp, c.fn, c.fp, c.tn) for name, c in wanted.items()}
        alarms = facts.screen[VERILY][system].fp
        assert all(row.fp - row.other_crises == alarms for row in each.flagging.rows)


def gold_of(path: Path) -> Gold:
    from crisis_filter.evaluation.gold import read_gold

    return read_gold(path, ALL)


def run_of(path: Path) -> Run:
    from crisis_filter.evaluation.runs import read_run

    return read_run(path, ALL, "clinical-v1")


_MESSAGES = st.lists(
    st.tuples(st.sets(st.sampled_from(CATEGORIES), max_size=3), st.sampled_from(OUTCOMES)), min_size=1, max_size=30
)
Messages = list[tuple[set[str], str]]


def drawn(messages: Messages, scope: Scope | None = None, **how: object) -> tuple[Evaluation, Flagging]:
    """An evaluation of one system from drawn rows: labels, and what it said."""
    at = [f"m{n}" for n in range(len(messages))]
    rows = {
        name: GoldRow(name, bool(labels), frozenset(labels), {}, None, name)
        for name, (labels, _) in zip(at, messages, strict=True)
    }
    answers = {
        name: Answer(outcome, None, None, None, "timeout" if outcome == "undetermined" else None, name)  # type: ignore[arg-type]
        for name, (_, outcome) in zip(at, messages, strict=True)
    }
    system = System(name="s", file="s", sha256="1", kind="binary", detector="baseline:s", scope=scope)
    found = evaluate(
        Gold("g", ("g",), ("0",), "nobody", rows, None),
        [Run(system, answers, ())],
        CATEGORIES,
        USUAL.model_copy(update={"resamples": 5, **how}),
    )
    flagging = found.systems[0].flagging
    assert flagging is not None
    return found, flagging


@settings(deadline=None, max_examples=60)
@given(_MESSAGES, st.sampled_from(["wrong", "flagged"]))
def test_flag_rows_are_the_counts_of_a_flag_said_in_every_column(messages: Messages, failures: str) -> None:
    """`by_category` with the flag as the answer in each; an undetermined message has one only where failures count as flagged."""
    if failures == "wrong":
        messages = [(labels, "no_crisis" if outcome == "undetermined" else outcome) for labels, outcome in messages]
    _, found = drawn(messages, failures=failures)
    truth = np.array([[category in labels for category in CATEGORIES] for labels, _ in messages])
    flag = np.array([outcome != "no_crisis" for _, outcome in messages])
    wanted = multilabel.by_category(truth, np.repeat(flag[:, np.newaxis], len(CATEGORIES), axis=1), CATEGORIES)
    assert [(r.tp, r.fn, r.fp, r.tn) for r in found.rows] == [(c.tp, c.fn, c.fp, c.tn) for c in wanted]
    alike = {row.tp + row.fp for row in found.rows}
    assert alike == {int(flag.sum())}, "one flag, so the same number of messages is flagged in every category"


@settings(deadline=None, max_examples=60)
@given(_MESSAGES)
def test_nothing_leaves_a_denominator(messages: Messages) -> None:
    """And whatever is no crisis is as wrong in every category as in Stage 1."""
    found, flags = drawn(messages)
    first = found.systems[0].screening
    false = sum(first.others.values()) - first.others["no_crisis"]
    for row in flags.rows:
        labelled_here = sum(row.category in labels for labels, _ in messages)
        assert (row.tp + row.fn, row.labelled) == (labelled_here, labelled_here)
        assert row.tp + row.fn + row.fp + row.tn == len(messages)
        assert row.fp - row.other_crises == false
        assert (row.measures.sensitivity.nobs, row.measures.specificity.nobs) == (row.tp + row.fn, row.fp + row.tn)


MARKS = st.fixed_dictionaries({name: st.sampled_from(["direct", "partial", "none"]) for name in CATEGORIES})


@settings(deadline=None, max_examples=40)
@given(_MESSAGES, MARKS)
def test_averages_in_scope_are_those_of_its_categories_alone(messages: Messages, marks: dict[str, str]) -> None:
    _, found = drawn(messages, Scope(source="s", marks=marks))  # type: ignore[arg-type]
    inner = found.in_scope
    assert inner is not None
    assert inner.categories == tuple(name for name in CATEGORIES if marks[name] != "none")
    assert inner.hierarchical is None
    rows = [row for row in found.rows if row.category in inner.categories]
    if not rows:
        assert inner.flat is None
        return
    assert inner.flat is not None
    sensitivities = [row.measures.sensitivity.estimate for row in rows]
    wanted = None if None in sensitivities else sum(s for s in sensitivities if s is not None) / len(rows)
    assert inner.flat.macro_sensitivity.estimate == (None if wanted is None else pytest.approx(wanted))
    if len(rows) == len(CATEGORIES):
        assert inner.flat == found.averages


def baseline(name: str, rows: list[dict[str, object]] = RUN) -> list[dict[str, object]]:
    """The same assessments as if a baseline had made them."""
    return [{**row, "provenance": {**row["provenance"], "detector": f"baseline:{name}"}} for row in rows]  # type: ignore[dict-item]


def test_a_run_of_a_baseline_brings_its_scope(tmp_path: Path) -> None:
    """From assessments, and from a table that names the detector; anything else has none."""
    table = [
        {"id": row["id"], "outcome": row["outcome"], "detector": "baseline:bh-sentinel-core", "fault": row["fault"]}
        for row in RUN
    ]
    found = figures(tmp_path, RUN, baseline("bh-sentinel-core"), table, FLAGS)
    own, whole, plain, flags = found.systems
    assert (own.system.scope, flags.system.scope) == (None, None)
    assert (
        whole.system.scope
        == plain.system.scope
        == Scope(source="bh-sentinel-core", marks=load_map("bh-sentinel-core").scope)
    )
    assert own.categorising is not None
    assert own.categorising.in_scope is None
    assert own.flagging is not None
    assert own.flagging.in_scope is None
    assert whole.categorising is not None
    inner = whole.categorising.in_scope
    assert inner is not None
    assert inner.categories == ("abuse", "suicide"), "neglect is out of its scope"
    assert inner.flat is not None
    assert inner.flat.macro_sensitivity.estimate == pytest.approx((1 / 2 + 0) / 2)
    assert not any("meant for" in warning for warning in found.warnings)


def test_a_setting_that_names_no_category_of_ours_has_no_marks(tmp_path: Path) -> None:
    """One question with the model's own criterion, in assessments and in a table; any other setting keeps the marks."""
    rows = baseline("granite-guardian-4.1")

    def set_to(options: str) -> list[dict[str, object]]:
        refs = [{"id": f"options/{options}", "sha256": "0" * 64}]
        return [{**row, "provenance": {**row["provenance"], "prompts": refs}} for row in rows]  # type: ignore[dict-item]

    table = [
        {
            "id": row["id"],
            "outcome": row["outcome"],
            "detector": "baseline:granite-guardian-4.1",
            "fault": row["fault"],
            "prompts": "baselines/g 00 | options/criteria=harm,thinking=no 00",
        }
        for row in RUN
    ]
    found = figures(
        tmp_path, set_to("criteria=harm,thinking=no"), set_to("criteria=categories,thinking=no"), rows, table
    )
    assert [each.system.scope is not None for each in found.systems] == [False, True, True, False]


def test_undetermined_messages_are_counted_among_the_true_negatives(tmp_path: Path) -> None:
    """c4, which carries suicide, and n3; and of an outage of everything all that do not carry the category."""
    outage = [assessed(str(row["id"]), outcome="undetermined") for row in GOLD]
    one, none = (each.categorising for each in figures(tmp_path, RUN, outage).systems)
    assert one is not None
    assert none is not None
    assert {row.category: row.undetermined for row in one.rows} == {"abuse": 2, "neglect": 2, "suicide": 1}
    for row in none.rows:
        others = len(GOLD) - row.labelled
        assert (row.flat.sensitivity.count, row.flat.specificity.count, row.flat.specificity.nobs) == (
            0,
            others,
            others,
        )
        assert row.undetermined == others


def test_a_baseline_that_no_map_serves_has_no_marks_and_says_so(tmp_path: Path) -> None:
    found = figures(tmp_path, baseline("somebody-elses"))
    assert found.systems[0].system.scope is None
    assert any("nothing says which categories its baseline is meant for" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "name", ["", "/etc/passwd", "../maps/cogno-aegis", "./cogno-aegis.yaml", "cogno-aegis.yaml", "llama-guard-3", "x"]
)
def test_a_name_out_of_a_file_opens_no_file(name: str) -> None:
    """Only names that a map serves are known: not its own, unless a detector has it, and no path."""
    assert scope_of(f"baseline:{name}", "clinical-v1") is None


def test_every_map_serves_its_detectors_and_no_other_taxonomy() -> None:
    for each in map(load_map, map_names()):
        for name in each.detectors:
            assert scope_of(f"baseline:{name}", each.taxonomy) == Scope(source=each.id, marks=each.scope)
            assert scope_of(name, each.taxonomy) is None
    assert scope_of("baseline:cogno-aegis", "mindguard-v1") is None
