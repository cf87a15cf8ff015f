"""The tables of `bench.baselines` in Markdown, from evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from crisis_filter.evaluation.category_records import Averages, InScope, Measures
from crisis_filter.evaluation.records import CategoryPair, Evaluation, Pair, SystemReport, Way
from crisis_filter.evaluation.report.words import category_words, number, p_value, signed, spanned
from crisis_filter.stats.intervals import Interval

_HEAD = """# Beside other people's offline packages, as the paper's tables have it

`python -m bench.baselines --output bench/baselines.md` printed this page (3 minutes on 2 virtual cores once the environments are made, November 2026). What each system said of each
message is in `bench/results/baselines` without a text, so that anybody can count again: `python -m bench.baselines --stored`, or, with every table, figure and interval,

    cd bench/results/baselines/test
    crisis-filter evaluate ../../../../data/simulated-v1 {names} --split test --adjust bonferroni --output report.html

**{labels}.** The messages are simulated and were written for this project, the engine was trained on others of the same
kind, and the packages were not. Intervals are 95% Wilson, of averages 95% bootstrap (2,000 resamples), and take messages for independent. Undetermined
stays in every denominator. It counts as wrong in both rates of *Crisis or not* and of the overall flag. By the categories that a system names it misses those that a message carries,
and is a true negative in the others, as the paper counts; a column says how many of TN are that, and an outage of everything would have a specificity of 1 there.

How to read it.

- *Crisis or not* is the paper's Table 2: each system's one flag.
- *The overall flag against each category* is how its Table 3 counts systems that name none of its categories: the one flag is taken for the answer in every category. Specificity, PPV and F1
  count a crisis of another category as a false alarm there, however rightly it was flagged, so that a system that finds every crisis has low ones.
- *By the categories that a system names* is fairer to look at: a package's own labels read as our categories by its map in `categories/maps`.
- Scope is what a package is meant for by its own documentation: direct (it names the category, or one that holds it whole), partial (some of it, or as part of something else), none. A zero
  beside *none* is what a user goes without, and no fault of the package. Averages stand twice: over all eight categories, and over those in scope.
- p is exact McNemar's times the number of pairs (Bonferroni), {pairs} within each rate of each table and category; rates, tables and categories are not adjusted for one another.

| System | Release | What counts as flagged |
|---|---|---|
"""


@dataclass(frozen=True)
class About:
    """What a system is."""

    name: str
    note: str


def page(found: Mapping[str, Evaluation], notes: Sequence[About], absent: Mapping[str, str]) -> str:
    """The page.

    Args:
        found: an evaluation of the same systems for each split, at least one.
        notes: of each system, in the same order.
        absent: of each system that could not be asked, why.
    """
    first = next(iter(found.values()))
    n = len(first.systems)
    labels = f"Labels of every message here: {first.gold.labelled_by}"
    names = " ".join(f"{each.name}.csv.gz" for each in notes)
    lines = [_HEAD.format(names=names, labels=labels, pairs=n * (n - 1) // 2).rstrip("\n")]
    for note, each in zip(notes, first.systems, strict=True):
        lines.append(f"| {note.name} | {', '.join(each.system.models)} | {note.note} |")
    lines += [f"\n**ABSENT: {name}: {why}; no figure of it stands here.**" for name, why in absent.items()]
    for split, one in found.items():
        lines += ["", *_split(split, one)]
    return "\n".join(lines) + "\n"


def _split(split: str, one: Evaluation) -> Iterator[str]:
    gold = one.gold
    yield f"## {split}: {gold.messages:,} messages, {gold.crises:,} of them crises"
    yield from _overall(one)
    yield from _scopes(one)
    for way in ("flag", "named"):
        yield from _categories(one, way)
    yield from _macros(one)


def _overall(one: Evaluation) -> Iterator[str]:
    yield "\n### Crisis or not\n"
    yield from _table(
        ("system", "TP", "FN", "FP", "TN", "undetermined (in FN and FP)", *_RATES, "F1"),
        (
            (
                each.system.name,
                *_cells(each.screening.measures),
                f"{each.screening.crises['undetermined'] + each.screening.others['undetermined']:,}",
                *_rates(each.screening.measures),
            )
            for each in one.systems
        ),
    )
    yield ""
    for q in one.together:
        statistic = number(q.statistic, 1)
        yield f"Cochran's Q, {q.outcome}: {statistic} ({q.freedom} degrees of freedom, {q.messages:,} messages), p {p_value(q.p)}."
        yield ""
    yield from _table(
        ("pair", "rate", "only the first right", "only the second right", "difference", "p times pairs"),
        (
            (
                f"{pair.first} \u2212 {pair.second}",
                pair.outcome,
                f"{pair.only_first:,} of {pair.messages:,}",
                f"{pair.only_second:,}",
                _difference(pair),
                p_value(pair.p_adjusted),
            )
            for pair in one.pairs
        ),
    )


def _scopes(one: Evaluation) -> Iterator[str]:
    """What each package is meant for."""
    known = [each for each in one.systems if each.system.scope is not None]
    yield "\n### Scope\n"
    yield from _table(
        ("category", *(each.system.name for each in known)),
        ((category_words(category), *(_mark(each, category) for each in known)) for category in one.gold.categories),
    )


_RATES = ("sensitivity", "specificity", "PPV", "NPV", "accuracy")
_TITLES: Mapping[Way, str] = {
    "flag": "The overall flag against each category",
    "named": "By the categories that a system names",
}


def _categories(one: Evaluation, way: Way) -> Iterator[str]:
    yield f"\n### {_TITLES[way]}\n"
    yield from _table(
        (
            "category",
            "system",
            "scope",
            "TP",
            "FN",
            "FP",
            *(["of FP crises"] if way == "flag" else []),
            "TN",
            *(["of TN undetermined"] if way == "named" else []),
            *_RATES,
            "F1",
        ),
        (
            (
                category_words(category),
                each.system.name,
                _mark(each, category),
                *_with_others(each, at, way, _cells(of)),
                *_rates(of),
            )
            for at, category in enumerate(one.gold.categories)
            for each in one.systems
            if (of := _measures(each, at, way)) is not None
        ),
    )
    first = one.systems[0].system.name
    mine = [pair for pair in one.category_pairs if pair.way == way and pair.first == first]
    for outcome in ("sensitivity", "specificity"):
        yield f"\n{outcome.capitalize()} of {first} less that of the other (p times pairs; the others' scope):\n"
        yield from _against(one, [pair for pair in mine if pair.outcome == outcome])


def _against(one: Evaluation, mine: Sequence[CategoryPair]) -> Iterator[str]:
    """A row for each category, a column for each other system."""
    others = {each.system.name: each for each in one.systems[1:]}
    found = {(pair.category, pair.second): pair for pair in mine}
    rows = []
    for category in one.gold.categories:
        cells = []
        for name, each in others.items():
            pair = found.get((category, name))
            mark = _mark(each, category)
            cells.append(f"{_difference(pair)}, p {p_value(pair.p_adjusted)}, {mark}" if pair else "not compared")
        rows.append((category_words(category), *cells))
    yield from _table(("category", *others), rows)


def _macros(one: Evaluation) -> Iterator[str]:
    yield "\n### Macro averages over categories, all and in scope\n"
    rows = []
    for each in one.systems:
        name, n = each.system.name, len(one.gold.categories)
        if (flag := each.flagging) is not None:
            rows += [(name, "overall flag", *cells) for cells in _twice(flag.averages, flag.in_scope, n)]
        if (named := each.categorising) is not None:
            rows += [(name, "categories named", *cells) for cells in _twice(named.flat, named.in_scope, n)]
    yield from _table(("system", "read by", "over", "sensitivity", "PPV", "F1"), rows)


def _twice(whole: Averages, inner: InScope | None, categories: int) -> Iterator[tuple[str, ...]]:
    yield (f"all {categories}", *_means(whole))
    if inner is not None:
        yield (f"{len(inner.categories)} in scope", *_means(inner.flat))


def _means(of: Averages | None) -> tuple[str, ...]:
    if of is None:
        return ("undefined",) * 3
    found = (of.macro_sensitivity, of.macro_ppv, of.macro_f1)
    return tuple(spanned(one.estimate, one.bootstrap).replace("\n", " ") for one in found)


def _measures(each: SystemReport, at: int, way: Way) -> Measures | None:
    if way == "flag":
        return each.flagging.rows[at].measures if each.flagging else None
    return each.categorising.rows[at].flat if each.categorising else None


def _with_others(each: SystemReport, at: int, way: Way, cells: tuple[str, ...]) -> tuple[str, ...]:
    """The counts and what is in them.

    For the flag, after the false positives those that are crises of another category; for the categories named, after the true negatives those
    that are undetermined.
    """
    if way == "named":
        return cells if each.categorising is None else (*cells, f"{each.categorising.rows[at].undetermined:,}")
    if each.flagging is None:
        return cells
    return (*cells[:3], f"{each.flagging.rows[at].other_crises:,}", *cells[3:])


def _mark(each: SystemReport, category: str) -> str:
    return each.system.scope.marks.get(category, "") if each.system.scope else ""


def _cells(of: Measures) -> tuple[str, ...]:
    tp, tn = of.sensitivity.count, of.specificity.count
    return tuple(f"{n:,}" for n in (tp, of.sensitivity.nobs - tp, of.specificity.nobs - tn, tn))


def _rates(of: Measures) -> tuple[str, ...]:
    return (*map(_rate, (of.sensitivity, of.specificity, of.ppv, of.npv, of.accuracy)), number(of.f1))


def _rate(of: Interval) -> str:
    return "undefined" if of.estimate is None else f"{of.estimate:.3f} ({of.low:.3f} to {of.high:.3f})"


def _difference(pair: Pair) -> str:
    if pair.estimate is None:
        return "undefined"
    return f"{signed(pair.estimate)} ({signed(pair.low)} to {signed(pair.high)})"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
