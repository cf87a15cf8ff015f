"""`crisis-filter evaluate --paper`: the VBHSF paper's tables from their counts, and what a corrected reading says beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import putting_out
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from crisis_filter.evaluation.paper import CategoryAverage, Paper, Row, TwoSystems
    from crisis_filter.stats.intervals import Interval
    from crisis_filter.stats.paired import PairedDifference
    from crisis_filter.stats.prevalence import PpvPosterior, PpvProjection
    from crisis_filter.stats.resampling import Span

_SEED = 0
_WIDE = 156
_PLACES = 3
_CELLS = ("TP", "FP", "FN", "TN")
_HEADS = ("sensitivity", "specificity", "PPV", "NPV", "accuracy")
_FIRST = (
    "{source}. Every figure under a table's name is computed from counts, and rounds to what the paper prints. TP, FP, FN, TN: right "
    "and wrong alarms, misses, right silences. Intervals of level 0.95: Wilson, unless said otherwise."
)
_SPLIT = (
    "Read with care: {crises} crises and {others} others. No other split of these messages gives the figures; the paper's text says "
    "397 and 397."
)
_SWAPPED = (
    "Read with care: the paper prints FP and FN of these eight rows under each other's head. One flag stands for every category "
    "here, so a crisis of another kind counts as a false alarm: {others} of {all} false positives are that. Only sensitivity can "
    "be compared with VBHSF's."
)
_AVERAGES = (
    "Read with care: the paper's averages hold for messages that the first stage had flagged. Over all messages macro sensitivity is "
    "{sensitivity} and macro F1 {f1}. Macro: every category counts alike; micro: every label. The macro line's interval is Student's t over eight "
    "categories: how far they differ, not how sure their mean is. A bootstrap over messages would say that; from counts it cannot be had."
)
_WHOLE = "All categories right on {count:,} of {nobs:,} flagged messages, {share}; {wrong} labels wrong, Hamming loss {loss:.4f}."
_PPV = (
    "Read with care: the paper puts rates rounded to three decimals into Bayes' rule, and its interval is that of an imagined sample of "
    "1,800 messages, also for the set of 794. The last column takes the raw counts and the uncertainty of both rates (Jeffreys posteriors, "
    "{draws:,} draws, seed {seed})."
)
_TESTS = (
    "Read with care: the errors of each system do not say which of them two share; that many joint tables give the printed tests. Where p is "
    "'at most', no error is taken for shared, which is the least favourable case. The paper multiplies p by 3 (Bonferroni); Holm's method is as safe "
    "and never larger, and by it OpenAI's specificity on the 1,800 messages is above VBHSF's (p = {holm}), where the paper finds no "
    "difference (p = {bonferroni})."
)


def show_paper(*, as_json: bool, system: str | None = None) -> None:
    """Print the paper's tables.

    Args:
        as_json: as JSON Lines, unrounded: one line for each row, average, predictive value and test, and at last one with the source.
        system: keep to this system's rows (`vbhsf`, `openai`, `nemo`) and to the tests that it takes part in.

    Raises:
        InputError: the paper has no such system.
        AssetError: the counts that come with the package cannot be used.
        ConfigurationError: the standard output does not take it.
    """
    import numpy as np

    from crisis_filter.evaluation.paper import published, reproduce

    facts = published()
    if system is not None and system not in facts.systems:
        raise InputError(f"the paper has no such system; there are: {', '.join(facts.systems)}")
    paper = reproduce(facts, np.random.default_rng(_SEED))
    wanted = (system,) if system else tuple(facts.systems)
    with putting_out():
        if as_json:
            for record in _records(paper, wanted):
                typer.echo(json.dumps(record, allow_nan=False))
        else:
            _show(paper, wanted, stdout_console())


def _records(paper: Paper, wanted: Sequence[str]) -> Iterator[dict[str, object]]:
    for kind, found in (("row", paper.rows), ("average", paper.averages), ("predictive_value", paper.projections)):
        for one in found:
            if one.system in wanted:
                yield {"kind": kind, **asdict(one)}
    for test in paper.all_systems:
        yield {"kind": "cochran_q", **asdict(test)}
    for pair in paper.two_systems:
        if {*pair.systems} & {*wanted}:
            yield {"kind": "mcnemar", **asdict(pair)}
    yield {
        "kind": "source",
        "source": paper.facts.source,
        "systems": paper.facts.systems,
        "data": paper.facts.data,
        "exact_match": asdict(paper.exact_match),
        "wrong_labels": paper.wrong_labels,
        "hamming_loss": paper.hamming_loss,
        "seed": _SEED,
        "bootstrap": None,
        "bootstrap_why": "from counts nothing can be resampled; it needs the messages",
    }


def _show(paper: Paper, wanted: Sequence[str], console: Console) -> None:
    facts = paper.facts
    rows = [row for row in paper.rows if row.system in wanted]
    console.print(_FIRST.format(source=facts.source))
    for data, name in facts.data.items():
        found = [row for row in rows if row.table == "2" and row.data == data]
        _rates(f"Table 2. Crisis or not: {name}", [(facts.systems[row.system], row) for row in found], console)
        if (counts := found[0].metrics.counts).positives != counts.negatives:
            console.print(_SPLIT.format(crises=counts.positives, others=counts.negatives))
    for system in wanted:
        found = [row for row in rows if row.table == "3" and row.system == system]
        title = f"Table 3. {facts.systems[system]}, by category, over all messages"
        _rates(title, [(_words(row.category or "any crisis"), row) for row in found], console)
        if others := sum(row.other_crises or 0 for row in found):
            false = sum(row.metrics.counts.fp for row in found if row.category)
            console.print(_SWAPPED.format(others=f"{others:,}", all=f"{false:,}"))
    if found := [row for row in rows if row.table == "4"]:
        title = f"Table 4. {facts.systems[found[0].system]}, by category, over the messages that it flagged"
        _rates(title, [(_words(row.category or ""), row) for row in found], console)
        _averages(paper, found, console)
    _predictive_values(paper, wanted, console)
    _tests(paper, wanted, console)


def _rates(title: str, rows: Sequence[tuple[str, Row]], console: Console) -> None:
    """Counts and rates; every figure takes two lines where the terminal is narrow."""
    wide = console.width >= _WIDE
    body = []
    for label, row in rows:
        found, c = row.metrics, row.metrics.counts
        rates = (found.sensitivity, found.specificity, found.ppv, found.npv, found.accuracy)
        cells = [_with(rate.estimate, rate, wide=wide) for rate in rates]
        if wide:
            body.append([label, *(f"{n:,}" for n in (c.tp, c.fp, c.fn, c.tn)), *cells])
        else:
            body.append([f"{label}\nTP {c.tp} FP {c.fp}\nFN {c.fn} TN {c.tn}", *cells])
    _table(title, ("", *(_CELLS if wide else ()), *_HEADS), body, console)


def _averages(paper: Paper, rows: Sequence[Row], console: Console) -> None:
    """The figures that the two readings differ in, and the averages under them."""
    by = {(one.reading, one.figure): one for one in paper.averages}
    order = (
        by["flagged", "sensitivity"],
        by["end_to_end", "sensitivity"],
        by["flagged", "ppv"],
        by["flagged", "f1"],
        by["end_to_end", "f1"],
    )
    body = []
    for row in rows:
        flagged, whole = row.metrics, row.end_to_end or row.metrics
        figures = (flagged.sensitivity.estimate, whole.sensitivity.estimate, flagged.ppv.estimate, flagged.f1, whole.f1)
        body.append([_words(row.category or ""), *(_with(figure, None) for figure in figures)])
    body.append(["macro", *(_with(one.macro, one.spread, wide=console.width >= _WIDE) for one in order)])
    body.append(["micro", *(_with(one.micro, None) for one in order)])
    heads = ("", "sensitivity\nflagged", "sensitivity\nend to end", "PPV\nboth", "F1\nflagged", "F1\nend to end")
    _table("The macro line, over flagged messages and end to end", heads, body, console)
    whole_line = _three(by["end_to_end", "sensitivity"]), _three(by["end_to_end", "f1"])
    console.print(_AVERAGES.format(sensitivity=whole_line[0], f1=whole_line[1]))
    exact = paper.exact_match
    share = _with(exact.estimate, exact)
    wrong, loss = paper.wrong_labels, paper.hamming_loss
    console.print(_WHOLE.format(count=exact.count, nobs=exact.nobs, share=share, wrong=wrong, loss=loss))


def _predictive_values(paper: Paper, wanted: Sequence[str], console: Console) -> None:
    draws = 0
    for table in ("S1", "S2"):
        found = [one for one in paper.projections if one.table == table and one.system in wanted]
        body = []
        for one in found:
            raw = one.posterior
            draws = raw.draws if raw else draws
            cells = (_with(one.paper.estimate, one.paper), _with(raw.estimate, raw) if raw else "undefined")
            body.append([paper.facts.systems[one.system], f"{one.prevalence:.1%}", *cells])
        title = f"Table {table}. Share of alarms that are real: {paper.facts.data[found[0].data]}"
        _table(title, ("", "prevalence", "as printed", "from raw counts"), body, console)
    console.print(_PPV.format(draws=draws, seed=_SEED))


def _tests(paper: Paper, wanted: Sequence[str], console: Console) -> None:
    names = paper.facts.systems
    rows = []
    for one in paper.all_systems:
        q = "undefined" if one.test.statistic is None else f"{one.test.statistic:.2f}"
        what = f"{paper.facts.data[one.data]}: {one.figure}"
        rows.append([what, q, str(one.test.freedom), _p(one.test.p), f"{one.tables_that_fit:,}"])
    _table("Cochran's Q, all three systems", ("", "Q", "df", "p", "joint tables"), rows, console)
    rows = []
    for pair in paper.two_systems:
        if {*pair.systems} & {*wanted}:
            what = f"{paper.facts.data[pair.data]}: {pair.figure}\n{names[pair.systems[0]]} - {names[pair.systems[1]]}"
            ps = (_at_most(pair, pair.bonferroni), _at_most(pair, pair.holm))
            difference = pair.difference
            rows.append([what, *ps, _with(difference.estimate, difference, wide=console.width >= _WIDE)])
    _table("Exact McNemar, by pairs", ("", "p times 3", "p by Holm", "difference"), rows, console)
    (settled,) = (pair for pair in paper.two_systems if pair.exact)
    console.print(_TESTS.format(holm=_p(settled.holm), bonferroni=_p(settled.bonferroni)))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold underline")
    for at, head in enumerate(heads):
        table.add_column(head, overflow="fold", no_wrap=at > 0, justify="right" if head in _CELLS else "left")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print()
    console.print(Text(plain(title), style="bold"))
    console.print(table)


def _with(
    estimate: float | None,
    around: Interval | Span | PpvPosterior | PpvProjection | PairedDifference | None,
    *,
    wide: bool = True,
) -> str:
    """An estimate, and its interval where there is one."""
    if estimate is None:
        return "undefined"
    if around is None:
        return f"{estimate:.{_PLACES}f}"
    bounds = f"{around.low:.{_PLACES}f} to {around.high:.{_PLACES}f}"
    short = f"{around.low:.{_PLACES}f}-{around.high:.{_PLACES}f}" if around.low >= 0.0 else bounds
    return f"{estimate:.{_PLACES}f} ({bounds})" if wide else f"{estimate:.{_PLACES}f}\n{short}"


def _three(one: CategoryAverage) -> str:
    return _with(one.macro, None)


def _p(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.{_PLACES}f}"


def _at_most(pair: TwoSystems, p: float) -> str:
    words = _p(p)
    return words if pair.exact or words.startswith("<") else f"at most {words}"


def _words(category: str) -> str:
    return category.replace("_", " ")
