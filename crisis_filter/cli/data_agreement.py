"""`crisis-filter data agreement`: how far the raters of a data set agree, and on which items they do not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.datasets.ratings import CLOSED, OWN, RatingLine, Wanted, by_item, read_ratings, refuse_too_few

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

    from crisis_filter.stats.agreement import Agreement
    from crisis_filter.stats.intervals import Interval
    from crisis_filter.stats.resampling import Resampling, Span

_INPUT, _FIGURES = "Input", "Figures"
_TAXONOMY = "clinical-v1"
_WIDE = 132
_NOTE = (
    "{items}, {raters}. yes: how often it was chosen, by all raters. same: items on which all who rated them say the same, of "
    "those with two ratings or more. kappa, alpha, AC1: 1 is perfect, 0 is chance. Intervals of level {level}: Wilson for same, "
    "else bootstrap. Agreement does not say who is right."
)


@dataclass(frozen=True, slots=True)
class _Question:
    """One thing that raters were asked: a row an item, a column a rater."""

    name: str
    kind: Literal["crisis", "category", "field"]
    labels: tuple[Hashable, ...] | None
    ratings: tuple[tuple[Hashable | None, ...], ...]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The figures for one question."""

    question: _Question
    same: Interval
    kappas: tuple[tuple[str, str, Agreement], ...]
    """For each pair of raters."""
    alpha: Agreement
    ac1: Agreement
    disagree: tuple[str, ...]
    """Ids."""


def data_agreement(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            show_default=False,
            help="JSON Lines, one line for each rater and item with id, rater, crisis and categories; or a data set whose rows carry "
            "their ratings, as a file or as a folder with a manifest.",
        ),
    ],
    taxonomy: Annotated[
        str, typer.Option(help="Name or path of the taxonomy that raters chose from.", rich_help_panel=_INPUT)
    ] = _TAXONOMY,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Split of a folder to take; may be repeated. Unless given, every split that has ratings.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            help="One more field to compare, besides severity, subject and timeframe; may be repeated.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            help="Field that says which items belong together, such as author; intervals then draw whole clusters.",
            rich_help_panel=_INPUT,
        ),
    ] = None,
    level: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Coverage of the intervals.", rich_help_panel=_FIGURES)
    ] = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.", rich_help_panel=_FIGURES)] = 0,
    list_ids: Annotated[
        bool, typer.Option("--list", help="Also list the ids on which raters differ.", rich_help_panel="Output")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say how far raters agree on crisis or not, on each category and on each field, and on which items they differ.

    Shows counts, coefficients and, with --list, ids; never a message. Who the raters are, and whether they are right, it cannot know.

    Exit status: 0 done; 2 the input is wrong; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.taxonomy.load import load_taxonomy

        categories = tuple(each.id for each in load_taxonomy(taxonomy).categories)
        extra = tuple(dict.fromkeys(name for name in field or () if name not in (*OWN, *CLOSED)))
        wanted = Wanted(categories, extra, cluster)
        read = [read_ratings(path, wanted, tuple(dict.fromkeys(split or ()))) for path in paths]
        found = by_item([line for one in read for line in one.lines])
        splits = tuple(dict.fromkeys(name for one in read for name in one.splits))
        unrated = sum(one.unrated for one in read)
        raters = tuple(dict.fromkeys(one.rater for item in found.values() for one in item.values()))
        refuse_too_few(found, raters, extra)
        how = _resampling(found, cluster, seed)
        answers = [
            _answer(one, tuple(found), raters, level, how) for one in _questions(found, raters, categories, extra)
        ]
        clusters = None if how.clusters is None else len(set(how.clusters))
        with putting_out():
            if as_json:
                for one in answers:
                    typer.echo(json.dumps(_record(one, list_ids=list_ids), allow_nan=False))
                settings = {"taxonomy": taxonomy, "level": level, "resamples": how.resamples, "seed": seed}
                once = sum(len(item) < 2 for item in found.values())
                counts = {
                    "raters": raters,
                    "items": len(found),
                    "rated_once": once,
                    "unrated": unrated,
                    "clusters": clusters,
                    "splits": splits,
                }
                typer.echo(json.dumps({**counts, **settings}))
            else:
                _show(answers, len(found), raters, stdout_console(), list_ids=list_ids)
                if splits:
                    typer.echo(f"Splits: {', '.join(splits)}.")
        _warn(answers, clusters, unrated)


def _resampling(found: Mapping[str, Mapping[str, RatingLine]], cluster: str | None, seed: int) -> Resampling:
    import numpy as np

    from crisis_filter.stats.resampling import Resampling

    clusters = tuple(next(iter(item.values())).cluster for item in found.values()) if cluster is not None else None
    return Resampling(np.random.default_rng(seed), clusters=clusters)


def _questions(
    found: Mapping[str, Mapping[str, RatingLine]],
    raters: tuple[str, ...],
    categories: tuple[str, ...],
    extra: tuple[str, ...],
) -> Iterator[_Question]:
    """What can be compared; fields that nobody filled in are left out."""
    from crisis_filter.stats.agreement import binary_questions

    table = [[item.get(rater) for rater in raters] for item in found.values()]
    yes_no = (False, True)
    crisis = tuple(tuple(one.crisis if one else None for one in row) for row in table)
    yield _Question("crisis", "crisis", yes_no, crisis)
    named = [[one.categories if one else None for one in row] for row in table]
    for name, ratings in binary_questions(named, categories).items():
        yield _Question(name, "category", yes_no, tuple(ratings))
    for name in (*CLOSED, *extra):
        values = tuple(tuple(one.fields[name] if one else None for one in row) for row in table)
        if any(value is not None for row in values for value in row):
            yield _Question(name, "field", CLOSED.get(name), values)


def _answer(
    question: _Question, ids: tuple[str, ...], raters: tuple[str, ...], level: float, how: Resampling
) -> _Answer:
    from crisis_filter.stats.agreement import cohen_kappa, gwet_ac1, krippendorff_alpha, percent_agreement

    ratings = question.ratings
    kappas = [
        (raters[a], raters[b], cohen_kappa([(row[a], row[b]) for row in ratings], level=level, bootstrap=how))
        for a, b in combinations(range(len(raters)), 2)
    ]
    return _Answer(
        question=question,
        same=percent_agreement(ratings, level=level),
        kappas=tuple(kappas),
        alpha=krippendorff_alpha(ratings, level=level, bootstrap=how),
        ac1=gwet_ac1(ratings, labels=question.labels, level=level, bootstrap=how),
        disagree=tuple(at for at, row in zip(ids, ratings, strict=True) if len({*row} - {None}) > 1),
    )


def _record(one: _Answer, *, list_ids: bool) -> dict[str, object]:
    """The figures as JSON has them."""
    return {
        "question": one.question.name,
        "kind": one.question.kind,
        "n": one.same.nobs,
        "same": asdict(one.same),
        "kappa": [{"raters": [first, second], **asdict(found)} for first, second, found in one.kappas],
        "alpha": asdict(one.alpha),
        "ac1": asdict(one.ac1),
        **({"disagree": one.disagree} if list_ids else {}),
    }


def _show(answers: Sequence[_Answer], items: int, raters: tuple[str, ...], console: Console, *, list_ids: bool) -> None:
    """The tables, what they mean, and the ids."""
    wide = console.width >= _WIDE
    alone = len(raters) == 2
    heads = ("question", *(["yes"] if wide else []), "same", *(["kappa"] if alone else []), "alpha", "AC1")
    console.print(_table(heads, [_cells(one, wide=wide, kappa=alone) for one in answers]))
    if not alone:
        pairs = [(one, pair) for one in answers for pair in one.kappas]
        rows = [(_words(one), f"{a}, {b}", f"{k.units:,}", _with(k.estimate, k.bootstrap)) for one, (a, b, k) in pairs]
        console.print(_table(("question", "raters", "n", "kappa"), rows))
    level = f"{answers[0].same.level:.3g}"
    console.print(_NOTE.format(items=counted(items, "item"), raters=counted(len(raters), "rater"), level=level))
    for one in answers if list_ids else ():
        if one.disagree:
            console.print(plain(f"{_words(one)}: {', '.join(one.disagree)}"), soft_wrap=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold underline")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table


def _cells(one: _Answer, *, wide: bool, kappa: bool) -> list[str]:
    """A row of the first table; every figure takes two lines where the terminal is narrow."""
    yes = [f"{sum(label is True for row in one.question.ratings for label in row):,}"]
    if one.question.kind == "field":
        yes = [""] if wide else []
    share = f"{one.same.count:,} of {one.same.nobs:,}"
    found = [*(pair[2] for pair in one.kappas if kappa), one.alpha, one.ac1]
    figures = [
        _with(one.same.estimate, one.same, wide=wide),
        *(_with(f.estimate, f.bootstrap, wide=wide) for f in found),
    ]
    if wide:
        return [_words(one), *yes, f"{share}  {figures[0]}", *figures[1:]]
    return ["\n".join([_words(one), *(f"{n} yes" for n in yes)]), f"{share}\n{figures[0]}", *figures[1:]]


def _words(one: _Answer) -> str:
    return one.question.name.replace("_", " ")


def _with(estimate: float | None, span: Span | Interval | None, *, wide: bool = True) -> str:
    """An estimate with its interval."""
    if estimate is None:
        return "undefined"
    around = "no interval" if span is None else f"{span.low:.3f} to {span.high:.3f}"
    return f"{estimate:.3f} ({around})" if wide else f"{estimate:.3f}\n{around}"


def _warn(answers: Sequence[_Answer], clusters: int | None, unrated: int) -> None:
    """Say what was left out, and what makes intervals doubtful."""
    from crisis_filter.stats.resampling import FEW_CLUSTERS

    if unrated:
        say(f"{counted(unrated, 'row')} without ratings left out")
    spans = [found.bootstrap for one in answers for found in (*(k for _, _, k in one.kappas), one.alpha, one.ac1)]
    doubtful = sum(span is not None and span.undefined > span.resamples / 100 for span in spans)
    if doubtful:
        say(f"{counted(doubtful, 'interval')} to distrust: a label is so rare that over 1% of resamples lack it")
    if clusters is not None and clusters < FEW_CLUSTERS:
        say(f"{counted(clusters, 'cluster')} are few: the intervals are too narrow")
