"""`crisis-filter classify`: many messages, a table or JSON Lines, a summary."""

from __future__ import annotations

import sys
from collections import deque
from contextlib import ExitStack, aclosing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.inputs import Inputs, ReadOptions
from crisis_filter.cli.options import (
    AsJson,
    AsText,
    Backend,
    BaseUrl,
    Clearing,
    Fallback,
    FormatName,
    IdColumn,
    Locale,
    Places,
    PolicyName,
    Prevalence,
    Sample,
    TaxonomyName,
    TextColumn,
    Timeout,
    opened,
)
from crisis_filter.cli.progress import ProgressLine
from crisis_filter.cli.show import BEGINNING, AssessmentTable, plain, stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.tally import Tally, reading_lines
from crisis_filter.cli.trouble import INTERNAL, putting_out, say, status_of, told
from crisis_filter.errors import InputError
from crisis_filter.tables.flat import json_line
from crisis_filter.tables.reading import STDIN
from crisis_filter.tables.writing import AssessmentWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from crisis_filter.pipeline.filter import CrisisFilter
    from crisis_filter.schema import Assessment, Message


@dataclass(slots=True)
class _Run:
    """One run: what goes in, what comes out, and how far it got."""

    inputs: Inputs
    tally: Tally
    limit: int | None
    concurrency: int
    outlets: list[Callable[[Assessment, str], None]]
    progress: ProgressLine
    waiting: deque[str]
    """Beginnings of the texts that were read and not yet assessed, in order."""
    hinting: bool
    """Whether to say that a table gives no ids; once is enough."""

    def _messages(self) -> Iterator[Message]:
        for message in islice(iter(self.inputs), self.limit):
            if self.hinting and (made_up := self.inputs.made_up) is not None:
                self.hinting = False
                _remark(
                    f"{plain(made_up.name)}: no id in the first row, so it is called {plain(made_up.id)}, and others without one "
                    "likewise; --id-column names the column with the ids"
                )
            self.waiting.append(message.text[:BEGINNING])
            yield message

    async def go(self, crisis_filter: CrisisFilter) -> None:
        try:
            assessments = crisis_filter.assess_many(self._messages(), concurrency=self.concurrency)
            # Closed here, so that nothing is being asked any more when the clients are closed below.
            async with aclosing(assessments) as stream:
                async for assessment in stream:
                    text = self.waiting.popleft()
                    for outlet in self.outlets:
                        outlet(assessment, text)
                    self.tally.add(assessment)
                    self.progress.update(self.tally, self.inputs)
        finally:
            await crisis_filter.aclose()


def classify(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Files, - for the standard input, or the message itself."),
    ] = None,
    as_text: AsText = False,
    format_name: FormatName = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    locale: Locale = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many messages.", rich_help_panel="Input")
    ] = None,
    backend: Backend = None,
    base_url: BaseUrl = None,
    fallback: Fallback = None,
    policy: PolicyName = None,
    taxonomy: TaxonomyName = None,
    timeout: Timeout = None,
    clearing: Clearing = None,
    sample: Sample = None,
    prevalence: Prevalence = None,
    places: Places = None,
    concurrency: Annotated[
        int, typer.Option(min=1, max=512, help="Messages judged at once.", rich_help_panel="Judging")
    ] = 8,
    as_json: AsJson = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Write all to a .jsonl, .csv or .parquet file instead.", rich_help_panel="Output"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the --output file if there is one.", rich_help_panel="Output")
    ] = False,
    show_text: Annotated[
        bool,
        typer.Option(
            "--show-text/--hide-text", help="Show the beginning of each text in the table.", rich_help_panel="Output"
        ),
    ] = True,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no summary.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Say of each message whether somebody is in a crisis, of which kind, and who must look how soon.

    Exit status: 0 ok; 2 bad input; 3 messages are undetermined, and not for being empty; 5 configuration; 130, 143, 129 stopped.
    """
    with told():
        options = ReadOptions(format_name, text_column, id_column, locale)
        sources = Inputs(_arguments(inputs), options, text_only=as_text)
        tally = Tally()
        console = stdout_console()
        with ExitStack() as stack:
            stopper = Stopper()
            stack.enter_context(stopper.watching())
            table = None if as_json or output else AssessmentTable(console, show_text=show_text)
            outlets: list[Callable[[Assessment, str], None]] = [table.add] if table else []
            # The engine is opened before the output file, so that a wrong setting leaves no file behind.
            crisis_filter = opened(
                backend=backend,
                base_url=base_url,
                fallbacks=fallback,
                policy=policy,
                taxonomy=taxonomy,
                deadline_s=timeout,
                clearing=clearing,
                sample=sample,
                prevalence=prevalence,
                places=places,
            )
            if as_json:
                outlets.append(_print_line)
            if output is not None:
                outlets.append(_writing(stack, output, sources, force=force))
            bar = ProgressLine(shown=not quiet and not (as_json and sys.stdout.isatty()))
            run = _Run(sources, tally, limit, concurrency, outlets, stack.enter_context(bar), deque(), not quiet)
            try:
                stopper.run(run.go(crisis_filter))
            except BaseException as error:
                with suppress(OSError):  # the terminal may be what has gone
                    bar.__exit__()
                try:
                    if table:
                        with putting_out():
                            table.show()
                finally:
                    _interrupted(error, tally, output)
                raise
        with putting_out():
            if table:
                table.show()
            if not quiet:
                _summarise(tally, sources, None if as_json else console)
        if run.waiting:
            say(
                f"crisis-filter: a bug of ours: {len(run.waiting)} messages got no assessment. Please report this line."
            )
            raise typer.Exit(INTERNAL)
        cause = tally.shared_cause()
        if cause is not None:
            say(cause)
        raise typer.Exit(tally.status(sources.reports))


def _arguments(given: list[str] | None) -> list[str]:
    if given:
        return given
    if sys.stdin is not None and sys.stdin.isatty():
        raise InputError("nothing to read: name a file, - for the standard input, or give the message itself")
    return [STDIN]


def _remark(line: str) -> None:
    """Talk while the progress line is shown: that stands in for the standard error, and `say` would write into the line."""
    with suppress(OSError):
        if sys.stderr is not None:
            sys.stderr.write(f"{line}\n")


def _print_line(assessment: Assessment, _: str) -> None:
    """A whole line at a time, at once: whoever reads along or kills the run finds no half of one."""
    with putting_out():
        sys.stdout.buffer.write(json_line(assessment))
        sys.stdout.buffer.flush()


def _writing(stack: ExitStack, output: Path, sources: Inputs, *, force: bool) -> Callable[[Assessment, str], None]:
    if output.resolve() in {f.resolve() for f in sources.files}:
        raise InputError(f"{output}: is an input too; choose another name for the output")
    writer = stack.enter_context(AssessmentWriter(output, force=force))
    return lambda assessment, _: writer.write(assessment)


def _interrupted(error: BaseException, tally: Tally, output: Path | None) -> None:
    """Say how far a run got that did not reach its end."""
    if isinstance(error, BrokenPipeError):
        return
    if tally.total or isinstance(error, KeyboardInterrupt):
        say(f"not finished: {tally.headline()}")
    if output is not None and tally.total:
        say(f"what was done is in {output}.partial")
    if isinstance(error, KeyboardInterrupt):
        raise typer.Exit(status_of(error)) from None


def _summarise(tally: Tally, sources: Inputs, console: Console | None) -> None:
    lines = [
        tally.headline(),
        *filter(None, [tally.fault_line()]),
        *tally.service_lines(),
        *reading_lines(sources.reports),
    ]
    if tally.detectors:
        lines.append(f"judged by {', '.join(tally.detectors)}")
    for line in lines:
        if console is None:
            say(line)
        else:
            console.print(line, soft_wrap=True)
