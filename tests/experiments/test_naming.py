"""Categories as two systems name them: the difference of their macro F1 against other programs' figures, and what it never claims."""

from __future__ import annotations

import io
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import f1_score

from crisis_filter.cli.experiment_show import show_experiment
from crisis_filter.errors import Fault
from crisis_filter.experiments.comparing import compare
from crisis_filter.experiments.comparison import Difference, Gate
from crisis_filter.experiments.differing import How
from crisis_filter.experiments.naming import macro_f1_apart
from crisis_filter.experiments.plan import Acceptance
from crisis_filter.experiments.summary import summary_of
from crisis_filter.experiments.systems import grid
from crisis_filter.stats.multilabel import bootstrap_paired_averages
from crisis_filter.stats.resampling import Resampling
from tests.experiments.by_hand import NEW, OLD, item, made, systems
from tests.experiments.candidates import naming, saying
from tests.experiments.making_experiments import JUDGES, experiment

ITEMS = [item(f"c{at}", ("abuse", "suicide")[at % 2]) for at in range(80)] + [item(f"n{at}") for at in range(20)]
RIGHT = ["c"] * 80 + ["n"] * 20
Z2 = NormalDist().inv_cdf(0.975) ** 2


def apart(one) -> Difference | None:
    return macro_f1_apart(grid(systems(one)), 0, 1, How())


def wrongly(wrong: int, repeats: int = 1):
    """The candidate calls so many messages about abuse violence."""
    one = made({OLD: [w * repeats for w in RIGHT], NEW: [w * repeats for w in RIGHT]}, ITEMS)
    return naming(one, NEW, "violence", items=[f"c{2 * at}" for at in range(wrong)])


def gates(one, **bounds) -> dict[str, Gate]:
    (candidate,) = compare(systems(one), acceptance=Acceptance(incumbent="old", **bounds)).comparison.candidates
    return {gate.name: gate for gate in candidate.gates}


def test_it_is_the_difference_that_scikit_learn_gives_and_the_interval_that_of_the_paired_bootstrap():
    one = experiment(150, 150, JUDGES[:2], repeats=1)
    names = sorted({category for each in one.state.items for category in each.categories})
    truth = np.array([[name in each.categories for name in names] for each in one.state.items])
    said = [
        np.array(
            [
                [name in {f.category for f in one.cells[v.id, each.id, 1].assessment.findings} for name in names]
                for each in one.state.items
            ]
        )
        for v in one.state.variants
    ]
    found = apart(one)
    assert found is not None
    old, new = (f1_score(truth, each, average="macro") for each in said)
    assert found.estimate == pytest.approx(new - old)
    span = bootstrap_paired_averages(truth, said[1], said[0], Resampling(np.random.default_rng(0), 2000)).macro_f1.span
    assert (found.low, found.high) == pytest.approx((span.low, span.high), abs=0.01)


def test_repeats_are_averaged_and_do_not_narrow_it():
    once, thrice = apart(wrongly(8)), apart(wrongly(8, repeats=3))
    assert once is not None
    assert thrice is not None
    assert (thrice.estimate, thrice.low, thrice.high) == pytest.approx((once.estimate, once.low, once.high))
    figures = compare(systems(wrongly(8, repeats=3))).comparison
    assert figures.candidates[0].macro_f1.estimate == pytest.approx(
        figures.systems[1].macro_f1 - figures.systems[0].macro_f1
    )


@given(st.integers(0, 3))
@settings(max_examples=4, deadline=None)
def test_where_hardly_anything_differs_the_interval_still_has_width(wrong):
    """Two categories of 40 messages: a loss of z²/(40 + z²) in one of them could go unseen, half of which is in the mean."""
    found = apart(wrongly(wrong))
    assert found is not None
    least = Z2 / (2 * (40 + Z2))
    assert found.low <= found.estimate - least + 1e-12
    assert found.high >= found.estimate + least - 1e-12
    assert not gates(wrongly(wrong), macro_f1_margin=0.04)["macro_f1_margin"].passed


def test_whole_clusters_are_drawn():
    alone = wrongly(8)
    clustered = [each.model_copy(update={"cluster": f"a{at % 5}"}) for at, each in enumerate(ITEMS)]
    state = alone.state.model_copy(update={"items": tuple(clustered)})
    together = apart(type(alone)(alone.name, state, alone.cells, alone.spent))
    assert together is not None
    # Five clusters: what could go unseen among five is far more than among forty messages.
    assert together.low < apart(alone).low - 0.1


def test_a_category_that_draws_lack_cannot_be_judged():
    items = [*ITEMS, item("c-rare", "psychosis")]
    one = made({OLD: [*RIGHT, "c"], NEW: [*RIGHT, "c"]}, items)
    alike = apart(one)
    assert alike is not None
    # Where nothing differs no draw is needed: all of the loss could be in the one message.
    assert alike.low == pytest.approx(-Z2 / (3 * (1 + Z2)))
    one = naming(one, NEW, "violence", items=["c0"])
    found = apart(one)
    assert found is not None
    assert (found.low, found.high) == (-1.0, 1.0)
    gate = gates(one, macro_f1_margin=0.9)["macro_f1_margin"]
    assert not gate.passed
    assert "cannot be judged" in gate.words


@pytest.mark.parametrize(("wrong", "passed"), [(0, True), (1, True), (12, False), (40, False)])
def test_the_bound_is_kept_by_the_lower_end_of_the_interval(wrong, passed):
    gate = gates(wrongly(wrong), macro_f1_margin=0.1)["macro_f1_margin"]
    assert gate.passed is passed
    assert gate.low <= gate.value <= gate.high
    assert gate.judged == gate.low


def test_without_names_or_labels_there_is_none():
    unnamed = [each.model_copy(update={"categories": ()}) for each in ITEMS]
    one = made({OLD: RIGHT, NEW: RIGHT}, unnamed)
    assert apart(one) is None
    assert not gates(one, macro_f1_margin=0.9)["macro_f1_margin"].passed


def unnamed(crises: int):
    """The candidate names no category of so many crises."""
    one = made({OLD: RIGHT, NEW: RIGHT}, ITEMS)
    return naming(one, NEW, "unspecified", items=[f"c{at}" for at in range(crises)])


@pytest.mark.parametrize(("crises", "passed"), [(0, True), (2, True), (6, False), (80, False)])
def test_answers_without_a_category_are_bound_by_the_upper_end(crises, passed):
    gate = gates(unnamed(crises), unnamed_at_most=0.1)["unnamed_at_most"]
    assert gate.passed is passed
    assert gate.value == pytest.approx(crises / 80)
    assert gate.judged == gate.high
    assert f"{crises} of 80 answers that say crisis name no category" in gate.words


def test_a_system_that_never_says_crisis_cannot_be_judged_by_its_names():
    gate = gates(made({OLD: RIGHT, NEW: ["n"] * 100}, ITEMS), unnamed_at_most=1.0)["unnamed_at_most"]
    assert not gate.passed
    assert "cannot be judged" in gate.words


def test_both_kinds_of_answers_that_are_not_whole_are_counted_beside_the_undetermined():
    one = saying(unnamed(3), lambda cell: {"fault": Fault.SCHEMA} if (cell.variant, cell.item) == (NEW, "c9") else {})
    found = compare(systems(one)).comparison.systems[1].naming
    assert (found.crisis, found.unnamed, found.faulty, found.share) == (80, 3, 1, pytest.approx(3 / 80))
    old, new = summary_of(one).variants
    assert (old.said_crisis, old.unnamed, old.faulty) == (80, 0, 0)
    assert (new.said_crisis, new.unnamed, new.faulty, sum(new.faults.values())) == (80, 3, 1, 0)


def test_a_run_tells_of_answers_that_are_not_whole_or_were_taken_over():
    console = Console(width=200, record=True, file=io.StringIO())
    show_experiment(replace(unnamed(3), taken={OLD: 4}), console)
    shown = console.export_text()
    assert f"{NEW}: of 80 answers that say crisis 3 without a category, 0 with a fault\n" in shown
    assert "0 with a fault; 4 of 100 answers taken over from an earlier experiment" in shown
