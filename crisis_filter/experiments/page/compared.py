"""A comparison in tables."""

from __future__ import annotations

from collections.abc import Iterator

from crisis_filter.evaluation.report.parts import Sheet
from crisis_filter.evaluation.report.words import category_words, clean, level, number, p_value
from crisis_filter.experiments.comparison import Comparison, Gate, Naming, Tally
from crisis_filter.experiments.page.figures import (
    SIDES,
    difference_cell,
    difference_words,
    if_right,
    over_repeats,
    p_words,
    rate_cell,
)
from crisis_filter.experiments.page.wording import by_fault, fault_words, labels, prompt_words


def labelled(comparison: Comparison) -> str:
    """The sentence that stands wherever a figure from the labels stands."""
    return labels(comparison.measured.name, comparison.measured.labelled_by)


def gates(comparison: Comparison) -> Sheet | None:
    """Every declared bound and whether it is kept; `None` where none was declared."""
    rows = tuple(
        (
            clean(one.name),
            fault_words(gate.name),
            "passed" if gate.passed else "not passed",
            _reason(gate),
        )
        for one in comparison.candidates
        for gate in one.gates
    )
    caption = "Declared bounds, each judged by itself. A candidate passes when it keeps all of them; one that cannot be judged is not kept"
    return Sheet(caption, ("candidate", "bound", "verdict", "in words"), rows, names=4) if rows else None


def _reason(gate: Gate) -> str:
    """The gate's words without what stands beside them already."""
    words = gate.words.removeprefix(f"{gate.name}: ")
    for verdict in ("passed; ", "not passed; "):
        words = words.removeprefix(verdict)
    return clean(words)


def systems(comparison: Comparison) -> Sheet:
    """Each system by itself, a column each."""
    them = comparison.systems
    rows: tuple[tuple[str, ...], ...] = (
        ("crises found", *(_of(one.crises.crisis, one.crises) for one in them)),
        ("crises undetermined", *(f"{one.crises.undetermined:,}" for one in them)),
        ("crises missed", *(f"{one.crises.no_crisis:,}" for one in them)),
        ("others cleared", *(_of(one.others.no_crisis, one.others) for one in them)),
        ("others undetermined", *(f"{one.others.undetermined:,}" for one in them)),
        ("false alarms", *(f"{one.others.crisis:,}" for one in them)),
        ("undetermined, by fault", *(by_fault(one.faults) for one in them)),
        ("answers that say crisis and name no category", *(_unnamed(one.naming) for one in them)),
        (
            "answers that say crisis and carry a fault",
            *(f"{one.naming.faulty:,} of {one.naming.crisis:,}" for one in them),
        ),
        ("sensitivity", *(rate_cell(one.sensitivity) for one in them)),
        ("specificity", *(rate_cell(one.specificity) for one in them)),
        ("crises found or undetermined: a person is told", *(if_right(one.sensitivity) for one in them)),
        ("others cleared or undetermined", *(if_right(one.specificity) for one in them)),
    )
    if any(one.taken for one in them):
        taken = ("not told" if one.taken is None else f"{one.taken:,} of {one.answers:,}" for one in them)
        rows += (("answers taken over from an earlier experiment", *taken),)
    caption = f"Each system by itself, in answers, with {_level(comparison)} intervals. {labelled(comparison)}"
    return Sheet(caption, ("", *(clean(one.name) for one in them)), rows)


def made(comparison: Comparison) -> Sheet:
    """What each system is."""
    rows = tuple(
        (
            clean(one.name),
            clean(one.source),
            clean(one.provider),
            "\n".join(map(prompt_words, one.prompts)) or "none recorded",
            clean(one.fingerprint)[:12] if one.fingerprint else "not known",
        )
        for one in comparison.systems
    )
    heads = ("system", "from", "provider", "prompts", "fingerprint")
    return Sheet("What each system is; the incumbent first", heads, rows, names=len(heads))


def differences(comparison: Comparison) -> Sheet:
    """Candidates against the incumbent on either side."""
    heads = (
        "candidate",
        "rate",
        "only incumbent right",
        "only candidate right",
        "McNemar p, first answers",
        "difference",
        "where the incumbent decided",
        "p",
        "adjusted p",
    )
    rows = tuple(
        (
            clean(one.name),
            f"{side.side}\n{SIDES[side.side][0]}: {side.messages:,}",
            f"{side.only_incumbent:,}",
            f"{side.only_candidate:,}",
            p_words(side.mcnemar_p),
            difference_cell(side.difference),
            difference_cell(side.decided),
            p_words(side.p) + "\nby clusters" * (side.by_cluster and side.p is not None),
            p_words(side.p_adjusted),
        )
        for one in comparison.candidates
        for side in one.sides
    )
    caption = (
        f"Candidate minus incumbent on the same messages, with {_level(comparison)} intervals. Only one right: messages, by first answers. p: exact, "
        f"over all answers; adjusted after Holm for the number of candidates. {labelled(comparison)}"
    )
    return Sheet(caption, heads, rows, names=2, figure="differences")


def categories(comparison: Comparison) -> Sheet | None:
    """Sensitivity among the crises of each category; `None` where the labels name none."""
    heads = (
        "candidate",
        "category",
        "verdict",
        "messages",
        "incumbent",
        "candidate's rate",
        "difference",
        "where the incumbent decided",
    )
    rows = tuple(
        (
            clean(one.name),
            category_words(at.category),
            at.verdict or "undefined",
            f"{at.messages:,}",
            rate_cell(at.incumbent),
            rate_cell(at.candidate),
            difference_cell(at.difference),
            difference_cell(at.decided),
        )
        for one in comparison.candidates
        for at in one.categories
    )
    caption = (
        f"Crises of each category that were found, with {_level(comparison)} intervals. Holds: a loss of more than "
        f"{comparison.settings.margin:g} is ruled out; worse: the interval lies below 0. {labelled(comparison)}"
    )
    return Sheet(caption, heads, rows, names=3, figure="by-category") if rows else None


def named(comparison: Comparison) -> Sheet | None:
    """Which categories each system named; `None` where no system names any."""
    rows = tuple(
        (
            clean(one.name),
            category_words(at.category),
            f"{at.messages:,}",
            f"{at.crisis:,}",
            f"{at.undetermined:,}",
            f"{at.named:,}",
            f"{at.wrongly_named:,}",
        )
        for one in comparison.systems
        for at in one.categories
    )
    heads = (
        "system",
        "category",
        "messages with it",
        "answers: crisis",
        "answers: undetermined",
        "answers that name it",
        "answers that name it wrongly",
    )
    f1 = "; ".join(f"{clean(s.name)} {number(s.macro_f1)}" for s in comparison.systems if s.categories)
    apart = "; ".join(
        f"{clean(one.name)} {difference_words(one.macro_f1)}"
        for one in comparison.candidates
        if one.macro_f1 is not None
    )
    less = f" Less the incumbent's: {apart}." if apart else ""
    caption = f"Categories as the systems named them, over all answers. Macro F1: {f1}.{less} {labelled(comparison)}"
    return Sheet(caption, heads, rows, names=2) if rows else None


def repeats(comparison: Comparison) -> Sheet | None:
    """How far repeats agree; `None` for one repeat."""
    rows = tuple(
        (
            clean(one.name),
            f"{one.stability.unstable:,} of {one.stability.messages:,}",
            f"{one.stability.flip_rate:.3f}\n({one.stability.low:.3f} to {one.stability.high:.3f})",
            over_repeats(one.sensitivity),
            over_repeats(one.specificity),
        )
        for one in comparison.systems
        if one.stability is not None
    )
    heads = (
        "system",
        "messages whose answers differ",
        "chance that two answers differ",
        "sensitivity, worst to best repeat",
        "specificity, worst to best repeat",
    )
    caption = f"Over {comparison.measured.repeats} answers about each message. {labelled(comparison)}"
    return Sheet(caption, heads, rows) if rows else None


def early(comparison: Comparison) -> Sheet:
    """The look that may be taken after every message."""
    rows = tuple(
        (
            clean(one.name),
            side.side,
            f"{side.anytime.e_value:,.3g}",
            f"{side.anytime.greatest:,.3g}",
            p_value(side.anytime.p),
            clean(side.anytime.words),
        )
        for one in comparison.candidates
        for side in one.sides
    )
    heads = ("candidate", "rate", "evidence now", "the greatest so far", "p", "in words")
    return Sheet(
        f"Evidence that the systems differ, by first answers in the order of the messages: 1 is none, 20 is enough. {labelled(comparison)}",
        heads,
        rows,
        names=len(heads),
    )


def costs(comparison: Comparison) -> Sheet:
    """Tokens and money for a thousand answers."""
    rows = tuple(
        (clean(one.name), _or_none(one.tokens_per_1000, 0, "not said"), _or_none(one.money_per_1000, 4, "no price"))
        for one in comparison.systems
    )
    return Sheet("For 1,000 answers", ("system", "tokens", "money, in the currency of the declared prices"), rows)


def about(comparison: Comparison) -> Sheet:
    """The messages, and how the figures can be made again."""
    return Sheet("What was measured, and how", ("property", "value"), tuple(_about(comparison)), names=2)


def _about(comparison: Comparison) -> Iterator[tuple[str, str]]:
    measured, settings = comparison.measured, comparison.settings
    yield (
        "messages",
        f"{measured.messages:,} of {clean(measured.name)}: {measured.crises:,} crises, {measured.messages - measured.crises:,} others",
    )
    yield "labelled by", clean(measured.labelled_by)
    yield "used for", clean(measured.split or "nobody said")
    yield "answers about each", f"{measured.repeats:,}"
    if measured.left_out:
        yield "left out", f"{measured.left_out:,} that not every system judged in every repeat"
    yield "complete", "yes" if measured.complete else "no: p-values are those of early looks alone"
    yield "experiments on these messages so far", "not known" if measured.looks is None else f"{measured.looks:,}"
    if measured.clusters is not None:
        yield (
            "clusters",
            f"{measured.clusters:,}; bootstrap of {settings.resamples:,} draws of whole clusters, seed {settings.seed}",
        )
    yield "intervals", f"{_level(comparison)}; those behind declared bounds have a level of their own"
    yield "margin by category", f"{settings.margin:g}"
    for digest in measured.sha256:
        yield "SHA-256 of the labels", clean(digest)[:12]
    yield "made with", f"crisis-filter {clean(comparison.version)}"


def _unnamed(naming: Naming) -> str:
    return "not told" if naming.unnamed is None else f"{naming.unnamed:,} of {naming.crisis:,}"


def _of(count: int, tally: Tally) -> str:
    return f"{count:,} of {tally.answers:,}"


def _level(comparison: Comparison) -> str:
    return level(comparison.settings.level)


def _or_none(value: float | None, digits: int, otherwise: str) -> str:
    return otherwise if value is None else f"{value:,.{digits}f}"
