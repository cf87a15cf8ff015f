"""The page of an experiment: its variants side by side, what changed between them, and every message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from crisis_filter.evaluation.report.words import category_words, clean, counted, ratio
from crisis_filter.experiments.page.changes import shifts
from crisis_filter.experiments.page.closed import closed
from crisis_filter.experiments.page.columns import Column, columns, sheet
from crisis_filter.experiments.page.drawn import rates
from crisis_filter.experiments.page.prompts import diffs
from crisis_filter.experiments.page.rows import KINDS, category_names, groups
from crisis_filter.experiments.page.wording import KEY, NO_PROOF, labels
from crisis_filter.experiments.records import Experiment, Variant
from crisis_filter.schema import PromptRef


def matrix_page(experiment: Experiment, texts: Mapping[str, str] | None = None) -> str:
    """An experiment as one HTML file that needs no network.

    Args:
        experiment: as read from its folder, finished or not.
        texts: messages by id, only when the user asked for them. With them the file also holds the models' reasons and quotes, all of it
            hidden until it is opened; without them no word of a message or of a model stands in it.

    Returns:
        One page with style and script inside; it fetches nothing, and its policy forbids it to.
    """
    state = experiment.state
    shown = columns(experiment)
    changed = shifts(experiment)
    different = diffs(_refs(state.variants), state.prompts)
    contents = [("variants", "The variants"), ("changes", "Verdicts that changed"), ("prompts", "Prompts that changed")]
    there = {"variants": True, "changes": bool(changed), "prompts": bool(different)}
    context: dict[str, object] = {
        "kind": "experiment",
        "title": f"Experiment: {clean(experiment.name)}",
        "results": "variants",
        "about": tuple(_about(experiment)),
        "gist": tuple((one.name, "", one.said) for one in shown),
        "no_proof": NO_PROOF,
        "labels": labels(state.data, state.labelled_by),
        "private": texts is not None,
        "warnings": tuple(_warnings(experiment, shown)),
        "contents": (
            *(one for one in contents if there[one[0]]),
            ("messages", "Message by message"),
            ("method", "How this was made"),
        ),
        "counting": _counting(state.repeats),
        "sheet": sheet(experiment, shown),
        "rates": rates(shown),
        "shifts": changed,
        "diffs": different,
        "key": KEY,
        "marks": _marks(state.repeats),
        "kinds": KINDS if state.repeats > 1 else KINDS[:-1],
        "categories": tuple(map(category_words, category_names(experiment))),
        "heads": shown,
        "groups": groups(experiment, texts),
        "method": tuple(_method(experiment)),
    }
    return closed("experiment.html.j2", context)


def _refs(variants: Sequence[Variant]) -> tuple[list[PromptRef], list[PromptRef]]:
    """Prompts of the first stage, and of the second."""
    return (
        [variant.screen for variant in variants if variant.screen is not None],
        [variant.categorise for variant in variants if variant.categorise is not None],
    )


def _about(experiment: Experiment) -> Iterable[str]:
    state = experiment.state
    if state.plan.description.strip():
        yield clean(state.plan.description)
    crises = sum(item.crisis for item in state.items)
    repeats = "once" if state.repeats == 1 else f"{state.repeats} times"
    yield (
        f"{counted(len(state.variants), 'variant')}, each asked {repeats} about {counted(len(state.items), 'message')} of {clean(state.data)}: "
        f"{counted(crises, 'crisis', 'crises')} and {counted(len(state.items) - crises, 'other message')}."
    )


def _warnings(experiment: Experiment, shown: Sequence[Column]) -> Iterable[str]:
    state = experiment.state
    if not experiment.complete:
        whole = len(state.variants) * len(state.items) * state.repeats
        yield (
            f"Not finished: {len(experiment.cells):,} of {whole:,} answers are there. Rates are over the messages that were asked about, which "
            "differ between variants, so hold no variant against another by them."
        )
    for one in shown:
        if one.answers.nobs and one.answers.count == one.answers.nobs:
            yield f"{one.name}: every answer is undetermined; nothing was measured of it but that."
        elif one.answers.estimate is not None and one.answers.estimate > 0.1:
            yield f"{one.name}: undetermined answers {ratio(one.answers)}; its rates tell more of its faults than of its judgement."


def _counting(repeats: int) -> str:
    first = (
        ""
        if repeats == 1
        else f" Each message was asked about {repeats} times; counts and rates here are over the first answer, as a platform that asks once would get it."
    )
    return (
        "An undetermined message counts as wrong on either side, as missed where it is a crisis and as a false alarm where it is not, though it "
        f"does reach a person; how many there were stands beside every rate.{first}"
    )


def _marks(repeats: int) -> str:
    if repeats == 1:
        return ""
    return "2/3 says that two of three answers, the first among them, agree with the first."


def _method(experiment: Experiment) -> Iterable[str]:
    state = experiment.state
    yield (
        "Every figure is computed from the answers in the folder of the experiment; making this page asks no model. Intervals take messages for "
        "independent and tell nothing of whether the labels are right. “Undefined” means that nothing was counted; it is not zero."
    )
    files = ", ".join(clean(digest)[:12] for digest in state.data_sha256) or "none"
    yield f"SHA-256 of the messages: {files}. Of the experiment: {clean(state.sha256)[:12]}. Made with crisis-filter {clean(state.version)}."
    if state.plan.tags:
        yield "Tags: " + ", ".join(f"{clean(key)} = {clean(str(value))}" for key, value in state.plan.tags.items())
    yield (
        "Requests, tokens and money are what was asked and paid in this folder; replies taken from an earlier experiment are not among them. Money is in "
        "the currency of the declared prices."
    )
