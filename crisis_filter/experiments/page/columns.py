"""The variants of an experiment: what each is, what it said in counts, and what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from crisis_filter.evaluation.report.about import brief
from crisis_filter.evaluation.report.parts import Sheet
from crisis_filter.evaluation.report.words import clean, counted, rate, ratio, sentence
from crisis_filter.experiments.page.wording import by_fault, is_right, labels, prompt_words
from crisis_filter.experiments.records import Cell, Experiment, Item, Spent, Variant
from crisis_filter.schema import UNSPECIFIED, Assessment, PromptRef
from crisis_filter.stats.intervals import Interval, wilson

_NOTHING = Spent(requests=0, prompt_tokens=0, completion_tokens=0, money=None)


@dataclass(frozen=True, slots=True)
class Column:
    """One variant over the first answer about each message."""

    variant: Variant
    name: str
    found: Interval
    """Crises taken for one; undetermined counts as missed."""
    cleared: Interval
    """Others taken for none; undetermined counts as a false alarm."""
    told: Interval
    """Crises taken for one or undetermined: those of which a person is told."""
    unsure: tuple[int, int]
    """Undetermined among the crises, among the others."""
    faults: Counter[str]
    """Of those."""
    unasked: int
    """Messages without a first answer."""
    unstable: Interval
    """Messages with several answers, and among them those whose answers differ in outcome."""
    crises: tuple[int, int, int]
    """Of all answers those that say crisis, those of them that name no category, and those that carry a fault."""
    taken: int
    """Of all answers, those that were taken over from an earlier experiment."""
    answers: Interval
    """All answers, repeats too, and among them the undetermined ones."""
    models: tuple[str, ...]
    scores: tuple[str, ...]
    tokens: tuple[int, int]
    """Read and written for all answers, also those that were taken from an earlier experiment."""
    spent: Spent
    """In this folder."""

    @property
    def lines(self) -> tuple[str, ...]:
        """Head of its column in the matrix."""
        unsure = sum(self.unsure)
        faults = f" ({by_fault(self.faults)})" if unsure else ""
        asked = (f"not asked yet {self.unasked:,}",) if self.unasked else ()
        return (
            *(prompt_words(ref) for ref in (self.variant.screen,) if ref is not None),
            f"crises found {ratio(self.found)}",
            f"others cleared {ratio(self.cleared)}",
            f"undetermined {unsure:,}{faults}",
            *asked,
        )

    @property
    def said(self) -> tuple[str, str]:
        """The variant in a sentence for either side."""
        of_crises, of_others = self.unsure
        missed = self.found.nobs - self.found.count - of_crises
        alarms = self.cleared.nobs - self.cleared.count - of_others
        return (
            f"Of {counted(self.found.nobs, 'crisis', 'crises')} {self.found.count:,} found, {of_crises:,} undetermined, {missed:,} missed: "
            f"sensitivity {sentence(self.found)}.",
            f"Of {counted(self.cleared.nobs, 'other message')} {self.cleared.count:,} cleared, "
            f"{of_others:,} undetermined, {counted(alarms, 'false alarm')}: specificity {sentence(self.cleared)}.",
        )


def columns(experiment: Experiment) -> tuple[Column, ...]:
    """Every variant, in the order of the experiment."""
    return tuple(_column(experiment, variant) for variant in experiment.state.variants)


def sheet(experiment: Experiment, shown: Iterable[Column]) -> Sheet:
    """The variants beside one another, a column each."""
    state, them = experiment.state, tuple(shown)
    rows: list[tuple[str, ...]] = [
        ("prompts", *("\n".join(map(prompt_words, _prompts(one.variant))) or "takes none" for one in them)),
        ("provider", *(clean(one.variant.provider) for one in them)),
        ("model, as it named itself", *("\n".join(one.models) or "not said" for one in them)),
        ("crises found", *(ratio(one.found) for one in them)),
        ("crises missed", *(f"{one.found.nobs - one.found.count - one.unsure[0]:,}" for one in them)),
        ("crises undetermined", *(f"{one.unsure[0]:,}" for one in them)),
        ("others cleared", *(ratio(one.cleared) for one in them)),
        ("false alarms", *(f"{one.cleared.nobs - one.cleared.count - one.unsure[1]:,}" for one in them)),
        ("others undetermined", *(f"{one.unsure[1]:,}" for one in them)),
        ("undetermined, by fault", *(by_fault(one.faults) for one in them)),
        ("answers that say crisis and name no category", *(_part(one.crises[1], one.crises[0]) for one in them)),
        ("answers that say crisis and carry a fault", *(_part(one.crises[2], one.crises[0]) for one in them)),
        ("sensitivity", *(rate(one.found) for one in them)),
        ("specificity", *(rate(one.cleared) for one in them)),
        ("crises found or undetermined: a person is told", *(rate(one.told) for one in them)),
    ]
    if any(one.unasked for one in them):
        rows.append(("messages not asked about yet", *(f"{one.unasked:,}" for one in them)))
    if state.repeats > 1:
        rows.append(("messages whose answers differ", *(ratio(one.unstable) for one in them)))
        rows.append(("undetermined answers, all repeats", *(ratio(one.answers) for one in them)))
    if any(one.taken for one in them):
        rows.append(
            ("answers taken over from an earlier experiment", *(_part(one.taken, one.answers.nobs) for one in them))
        )
    rows += [
        ("scores come from", *(", ".join(one.scores) or "no score" for one in them)),
        ("requests", *(f"{one.spent.requests:,}" for one in them)),
        ("tokens, read and written", *(_tokens(one.spent.prompt_tokens, one.spent.completion_tokens) for one in them)),
        ("tokens of the answers, whoever paid", *(_tokens(*one.tokens) for one in them)),
        ("money, by the declared prices", *(_money(one.spent) for one in them)),
    ]
    caption = (
        f"Counts and rates over {_first(state.repeats)}, with 95% Wilson intervals; undetermined counts as wrong on both sides. "
        f"{labels(state.data, state.labelled_by)}"
    )
    return Sheet(caption, ("", *(one.name for one in them)), tuple(rows), figure="rates")


def first_answer(experiment: Experiment, variant: str, item: str) -> Assessment | None:
    """What counts: the answer of the first repeat; `None` where it was not asked yet."""
    cell = experiment.cells.get((variant, item, 1))
    return None if cell is None else cell.assessment


def _column(experiment: Experiment, variant: Variant) -> Column:
    state = experiment.state
    cells = [_cells(experiment, variant, item) for item in state.items]
    firsts = [(item, first_answer(experiment, variant.id, item.id)) for item in state.items]
    crises = [one for item, one in firsts if one is not None and item.crisis]
    others = [one for item, one in firsts if one is not None and not item.crisis]
    unsure = [one for one in (*crises, *others) if one.outcome == "undetermined"]
    of_crises = sum(one.outcome == "undetermined" for one in crises)
    found = sum(is_right(one.outcome, True) for one in crises)
    several = [answers for answers in cells if len(answers) > 1]
    every = [cell.assessment for answers in cells for cell in answers]
    said = [one for one in every if one.outcome == "crisis"]
    return Column(
        variant=variant,
        name=clean(variant.id),
        found=wilson(found, len(crises)),
        cleared=wilson(sum(is_right(one.outcome, False) for one in others), len(others)),
        told=wilson(found + of_crises, len(crises)),
        unsure=(of_crises, len(unsure) - of_crises),
        faults=Counter(str(one.fault) for one in unsure),
        unasked=len(firsts) - len(crises) - len(others),
        unstable=wilson(sum(len({c.assessment.outcome for c in each}) > 1 for each in several), len(several)),
        crises=(
            len(said),
            sum(all(finding.category == UNSPECIFIED for finding in one.findings) for one in said),
            sum(one.fault is not None for one in said),
        ),
        taken=experiment.taken.get(variant.id, 0),
        answers=wilson(sum(one.outcome == "undetermined" for one in every), len(every)),
        models=tuple(sorted({brief(one.provenance.model) for one in every if one.provenance.model})),
        scores=tuple(sorted({one.score_source for one in every if one.score_source})),
        tokens=(
            sum(one.provenance.prompt_tokens for one in every),
            sum(one.provenance.completion_tokens for one in every),
        ),
        spent=experiment.spent.get(variant.id, _NOTHING),
    )


def _cells(experiment: Experiment, variant: Variant, item: Item) -> list[Cell]:
    keys = ((variant.id, item.id, repeat) for repeat in range(1, experiment.state.repeats + 1))
    return [experiment.cells[key] for key in keys if key in experiment.cells]


def _prompts(variant: Variant) -> list[PromptRef]:
    return [ref for ref in (variant.screen, variant.categorise) if ref is not None]


def _first(repeats: int) -> str:
    return "the answer about each message" if repeats == 1 else "the first answer about each message"


def _part(count: int, whole: int) -> str:
    return f"{count:,} of {whole:,}"


def _tokens(prompt: int, completion: int) -> str:
    return f"{prompt:,} and {completion:,}"


def _money(spent: Spent) -> str:
    if spent.money is None:
        return "no count of tokens was told" if spent.untold else "no price declared"
    return f"{spent.money:,.4f}"
