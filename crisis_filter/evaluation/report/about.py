"""What was evaluated, and how the figures were made."""

from __future__ import annotations

import re

from crisis_filter.evaluation.records import Evaluation, GoldSet, Settings, System
from crisis_filter.evaluation.report.parts import Section, Sheet
from crisis_filter.evaluation.report.scoping import marked
from crisis_filter.evaluation.report.words import category_words, clean, counted, level, p_value, rate

_SHORT = 12
_LONG = 120
_DIGEST = re.compile(r"[0-9a-f]{40,}")
_INTERVALS = {"wilson": "Wilson score", "clopper_pearson": "Clopper-Pearson (exact)", "jeffreys": "Jeffreys"}
_ADJUSTMENTS = {"holm": "Holm", "bonferroni": "Bonferroni"}


def labels(evaluation: Evaluation) -> str:
    """The sentence that stands wherever a figure from the labels stands."""
    return f"Labels of {clean(evaluation.gold.name)}: {clean(evaluation.gold.labelled_by)}"


def labels_again(evaluation: Evaluation) -> str:
    """The same under the tables of a section, but only its beginning where it is long: it stands whole at the top and under each figure."""
    sentence = labels(evaluation)
    if len(sentence) <= _LONG:
        return sentence
    return f"Labels of {clean(evaluation.gold.name)}, given as said at the top."


def failures(settings: Settings) -> str:
    """How an undetermined message counts."""
    if settings.failures == "flagged":
        return (
            "An undetermined crisis counts as found, because it reaches a person; another undetermined message counts as a false alarm. It "
            "stands in a column of its own wherever messages are counted."
        )
    return (
        "An undetermined message counts as wrong on either side, as missed where it is a crisis and as a false alarm where it is not, though "
        "it does reach a person; it stands in a column of its own wherever messages are counted."
    )


def about(evaluation: Evaluation) -> Section:
    """Gold labels and systems."""
    return Section(
        "about",
        "What was evaluated",
        sheets=(_gold(evaluation.gold), _systems(evaluation), *_unanswered(evaluation)),
    )


def method(evaluation: Evaluation) -> Section:
    """Settings, so that the same figures can be made again."""
    settings, gold = evaluation.settings, evaluation.gold
    units = "messages"
    if gold.clusters is not None:
        units = f"whole clusters ({counted(gold.clusters, 'cluster')} by {clean(gold.cluster_by or 'cluster')})"
    return Section(
        "method",
        "How the figures were made",
        paragraphs=(
            "Every figure is computed from stored assessments and gold labels; no model is asked, so anybody can make it again.",
            f"{failures(settings)} In Stage 2 it names no category; the caption of the flat table says what follows.",
            f"Intervals of shares: {_INTERVALS[settings.interval]}, level {level(settings.level)}; they take messages for independent. Intervals "
            f"of predictive values where crises are rare: draws from the posteriors of sensitivity and specificity. Intervals of points of a "
            f"curve: Wilson score. Of other figures: {settings.resamples:,} bootstrap resamples of {units}, seed {settings.seed}. Pairs of systems: exact McNemar "
            f"test, p adjusted after {_ADJUSTMENTS[settings.adjustment]} for all pairs of one rate, in a category for the pairs there; all systems at once: Cochran's Q.",
            "“Undefined” means that nothing was counted; it is not zero.",
            "This is a measurement of a screening aid for people to act on. It is no diagnosis and no proof that a system is fit for a purpose, "
            "and it holds for these messages and these labels alone.",
            f"Made with crisis-filter {clean(evaluation.version)}.",
        ),
    )


def _gold(gold: GoldSet) -> Sheet:
    rows = [
        ("set", clean(gold.name)),
        ("labelled by", clean(gold.labelled_by)),
        ("messages", f"{gold.messages:,}"),
        ("of these crises", f"{gold.crises:,}"),
        ("of these not crises", f"{gold.messages - gold.crises:,}"),
        ("categories", ", ".join(map(category_words, gold.categories)) or "not evaluated"),
    ]
    if gold.clusters is not None:
        rows.append(("clusters", f"{gold.clusters:,} by {clean(gold.cluster_by or 'cluster')}"))
    if gold.left_out:
        rows.append(("left out", f"{gold.left_out:,} that not every system answered"))
    for file, digest in zip(gold.files, gold.sha256, strict=False):
        rows.append(("file", f"{clean(file)}\nSHA-256 {clean(digest)[:_SHORT]}"))
    return Sheet("Gold labels", ("property", "value"), tuple(rows), names=2)


def _systems(evaluation: Evaluation) -> Sheet:
    heads = ("system", "what it is", "prompts, taxonomy and policy", "file")
    rows = tuple((clean(s.name), _made(s), _words(s), _file(s)) for s in (r.system for r in evaluation.systems))
    return Sheet("Systems", heads, rows, names=len(heads))


def _made(system: System) -> str:
    lines = [clean(system.detector), *(f"model {brief(each)}" for each in system.models)]
    lines += [f"version {clean(each)}" for each in system.versions]
    if system.kind == "binary":
        lines.append("says crisis or not, no category")
    if system.kind == "severity":
        lines.append(f"says a severity; a crisis from {clean(system.cut)} up")
    if system.scope is not None:
        lines.append(marked(system.scope))
    return "\n".join(lines)


def brief(model: str) -> str:
    """A digest cut, anything else whole."""
    name = clean(model)
    return name[:_SHORT] if _DIGEST.fullmatch(name) else name


def _words(system: System) -> str:
    lines = [f"prompt {clean(each)}" for each in system.prompts]
    if system.taxonomy:
        lines.append(f"taxonomy {clean(system.taxonomy)}")
    if system.policy:
        lines.append(f"policy {clean(system.policy)}")
    return "\n".join(lines) or "none recorded"


def _file(system: System) -> str:
    return f"{clean(system.file)}\nSHA-256 {clean(system.sha256)[:_SHORT]}"


def _unanswered(evaluation: Evaluation) -> list[Sheet]:
    """Labels without an answer, and answers that are about no common message."""
    heads = (
        "system",
        "labelled crises without an answer",
        "other labelled messages without an answer",
        "answers about no common message",
        "sensitivity over all labelled crises, those without an answer missed",
        "p that crises and others lack an answer alike",
    )
    rows = tuple(
        (
            clean(one.name),
            f"{one.crises:,}",
            f"{one.others:,}",
            f"{one.answers:,}",
            rate(one.sensitivity_if_missed),
            p_value(one.p_crises),
        )
        for one in evaluation.left_out
    )
    return [Sheet("Left out of every figure, in messages; p by Fisher's exact test", heads, rows)] if rows else []
