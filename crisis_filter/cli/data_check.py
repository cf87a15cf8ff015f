"""`crisis-filter data check`: what a data set is made of, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain
from crisis_filter.cli.trouble import BAD_INPUT, putting_out, told
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from crisis_filter.datasets.features import Spread
    from crisis_filter.datasets.inspection import Half, Inspection, SplitReport

# Nelson et al., table 1: 1,800 messages, half of them crises; 900 with a slip each half as rater-labelled there.
_PAPER = {
    "characters": "mean 97, SD 85, median 52, 21-511",
    "words": "mean 18.1, SD 15.1, median 12, 2-99",
    "sentences": "mean 1.5, SD 0.8, median 1, 1-6",
    "words in all / different": "32,527 / 4,695",
    "type-token ratio": "0.144",
    "ten commonest words": "i, my, to, a, i'm, me, the, can, and, for",
    "textese, crisis / not": "42.9% / 48.7%",
    "emoji, crisis / not": "15.7% / 11.3%",
    "slips of mechanics, crisis / not": "56.6% / 55.3%",
    "ambiguous, of crises": "8.9%",
    "masked, of crises": "8.6%",
}
_SHOWN = 20


def data_check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", show_default=False, help="A folder with a manifest, or a JSON Lines file.")
    ],
    taxonomy: Annotated[
        str, typer.Option(help="Name or path of the taxonomy whose categories may occur; `any` takes any.")
    ] = "clinical-v1",
    near: Annotated[
        float, typer.Option(min=1.0, max=100.0, help="Likeness from which two messages are near-copies.")
    ] = 80.0,
    as_json: AsJson = False,
) -> None:
    """Count what a data set holds beside the published set of the same recipe, and find what would spoil a measurement.

    Errors: the same id or text twice, near-copies in two splits, an author who wrote for training and for a split that is kept apart, a
    category that the taxonomy does not know, labels that contradict the row's own raters though nobody decided so, a file that the
    manifest does not list. Warnings: near-copies inside a split, a split of one class, a text in which nothing can be seen, what looks
    like private data. Never shows a message.

    Exit status: 0 clean, or warnings only; 2 errors, or the input is wrong; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.datasets.inspection import inspect
        from crisis_filter.errors import AssetError, InputError
        from crisis_filter.taxonomy.load import load_taxonomy

        known = None if taxonomy == "any" else load_taxonomy(taxonomy).ids
        try:
            found = inspect(path, known=known, near=near)
        except AssetError as error:  # the data is the input here, and no part of the set-up
            raise InputError(str(error)) from None
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                _show(found)
        if not found.clean:
            raise typer.Exit(BAD_INPUT)


def _show(found: Inspection) -> None:
    from rich.console import Console
    from rich.text import Text

    from crisis_filter.datasets.reading import UNKNOWN

    console = Console(highlight=False)
    # Names, labels and ids are of the file's making, so nothing in them is read as markup.
    console.print(Text(plain(found.name), style="bold"), Text(f" labels: {plain(found.labelled_by)}"), soft_wrap=True)
    for split in found.splits:
        console.print()
        console.print(_table(split))
    if unsigned := sum(split.authors.get(UNKNOWN, 0) for split in found.splits):
        every = sum(split.rows for split in found.splits)
        console.print()
        console.print(
            f"no author is given for {unsigned:,} of {counted(every, 'message')}: leaks between authors cannot be seen",
            soft_wrap=True,
        )
    errors = [problem for problem in found.problems if problem.weight == "error"]
    warnings = [problem for problem in found.problems if problem.weight == "warning"]
    console.print()
    for name, problems in (("errors", errors), ("warnings", warnings)):
        console.print(f"[bold]{len(problems)} {name}[/]")
        for problem in problems[:_SHOWN]:
            console.print(Text(f"  {problem.kind.replace('_', ' ')}: {plain(problem.detail)}"), soft_wrap=True)
        if len(problems) > _SHOWN:
            console.print(f"  and {len(problems) - _SHOWN} more; --json has them all")


def _table(split: SplitReport) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(f"{plain(split.split)}: {split.rows:,} messages, {split.crisis:,} crises"),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for name in ("", "here", "paper, 1,800"):
        table.add_column(name, overflow="fold")
    for name, here in _lines(split):
        table.add_row(name, Text(plain(here)), _PAPER.get(name, ""))
    return table


def _lines(split: SplitReport) -> Iterator[tuple[str, str]]:
    yield "characters", _spread(split.characters, 0)
    yield "words", _spread(split.words, 1)
    yield "sentences", _spread(split.sentences, 1)
    yield "words in all / different", f"{split.total_words:,} / {split.unique_words:,}"
    yield "type-token ratio", f"{split.unique_words / split.total_words:.3f}" if split.total_words else "undefined"
    yield "ten commonest words", ", ".join(word for word, _ in split.top_words)
    halves = (split.crises, split.others)
    yield "textese, crisis / not", " / ".join(_share(half, half.textese) for half in halves)
    yield "emoji, crisis / not", " / ".join(_share(half, half.emoji) for half in halves)
    yield "slips of mechanics, crisis / not", " / ".join(_share(half, half.mechanics) for half in halves)
    yield "ambiguous, of crises", _share(split.crises, split.crises.ambiguous)
    yield "masked, of crises", _share(split.crises, split.crises.masked)
    for name, counts in (
        ("one category alone", split.single),
        ("category, alone or not", split.categories),
        ("severity", split.severities),
        ("subject", split.subjects),
        ("timeframe", split.timeframes),
        ("authors", split.authors),
        ("languages", split.languages),
    ):
        yield name, ", ".join(f"{key or 'not given'} {count:,}" for key, count in counts.items()) or "-"


def _spread(found: Spread, digits: int) -> str:
    return (
        f"mean {found.mean:.{digits}f}, SD {found.sd:.{digits}f}, median {found.median:g}, {found.least}-{found.most}"
    )


def _share(half: Half, count: int | None) -> str:
    if count is None or not half.rows:
        return "-"
    return f"{count:,} of {half.rows:,} ({100 * count / half.rows:.1f}%)"
