"""`crisis-filter data simulate`: messages written, rated twice and decided upon by language models, after a recipe."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from crisis_filter.cli.options import AsJson, BaseUrl
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import UNDETERMINED, putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from crisis_filter.backends.base import Backend
    from crisis_filter.backends.spec import BackendSpec
    from crisis_filter.experiments.simulate.asking import Pace
    from crisis_filter.experiments.simulate.journal import Journal
    from crisis_filter.experiments.simulate.outcome import Summary
    from crisis_filter.experiments.simulate.run import Work

_WHO, _PACE = "Who is asked", "Pace"
_LINK = "A backend, with settings behind it if need be ('openai:MODEL base_url=... api_key_env=NAME')"


def data_simulate(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", show_default=False, help="Name or path of a recipe, such as paper-v1.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", show_default=False, help="Folder of the run: new, or one to go on with.")
    ],
    backend: Annotated[
        str | None,
        typer.Option(
            help="Who writes: openai:MODEL, langchain:PROVIDER:MODEL, scripted:FILE or recorded:FILE.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    base_url: BaseUrl = None,
    rater_a: Annotated[
        str | None, typer.Option(help=f"Who rates. {_LINK}; default: who writes.", rich_help_panel=_WHO)
    ] = None,
    rater_b: Annotated[
        str | None, typer.Option(help="Who rates besides; better another model than rater a.", rich_help_panel=_WHO)
    ] = None,
    adjudicator: Annotated[
        str | None, typer.Option(help="Who decides where the raters differ.", rich_help_panel=_WHO)
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.0, max=2.0, help="Of the author; all others have 0.", rich_help_panel=_WHO)
    ] = 1.0,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="JSON Lines file with texts to stay away from; may be repeated.", rich_help_panel="Input"),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.", rich_help_panel=_PACE)] = 4,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds for one request, retries included.", rich_help_panel=_PACE)
    ] = 120.0,
    patience: Annotated[
        int, typer.Option(min=1, help="Requests in a row without a reply before giving up.", rich_help_panel=_PACE)
    ] = 10,
    as_json: AsJson = False,
) -> None:
    """Make fictional messages with a language model, rated twice without sight of each other, and decided upon where raters differ.

    The folder takes a line for every step; start the same command again after a stop of any kind and it goes on where it was.

    Exit status: 0 done; 2 the input is wrong; 3 not all that was asked for is there; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.experiments.simulate.asking import Pace
        from crisis_filter.experiments.simulate.recipe import load_recipe
        from crisis_filter.experiments.simulate.run import load_work

        work = load_work(load_recipe(recipe), against or ())
        specs = _specs(backend, base_url, (rater_a, rater_b, adjudicator), temperature)
        # A batch takes a model longer than a verdict, so one attempt may take all the time there is.
        specs = tuple(spec.model_copy(update={"attempt_timeout_s": timeout}) for spec in specs)
        pace = Pace(concurrency=concurrency, deadline_s=timeout, patience=patience)
        stopper = Stopper()
        with stopper.watching():
            summary = stopper.run(_run(work, specs, folder, pace))
        with putting_out():
            if as_json:
                typer.echo(summary.model_dump_json())
            else:
                _show(summary, folder, stdout_console())
        if not summary.done:
            say("not done: start the same command again, and it goes on where it was")
        lost = summary.unfilled or summary.set_aside.keys() - {"contested"}
        if lost or not summary.done:
            raise typer.Exit(UNDETERMINED)


def _specs(
    backend: str | None, base_url: str | None, others: tuple[str | None, ...], temperature: float
) -> tuple[BackendSpec, ...]:
    """Author, rater a, rater b, adjudicator.

    Raises:
        ConfigurationError: one of them is no language model, or a setting is wrong.
    """
    from crisis_filter.backends.spec import BackendSpec
    from crisis_filter.pipeline.description import LOCAL
    from crisis_filter.settings import filter_spec

    given = tuple(dict.fromkeys(text for text in others if text is not None))
    spec = filter_spec(backend=backend, base_url=base_url, fallbacks=given or None)
    if spec.backend == LOCAL:
        raise ConfigurationError("messages are written by a language model: add --backend openai:MODEL")
    author = spec.backend_spec()
    named = dict(zip(given, spec.fallbacks or (), strict=False))
    made = [author.model_copy(update={"temperature": temperature})]
    for text in others:
        one = author if text is None else named.get(text)
        if not isinstance(one, BackendSpec):
            raise ConfigurationError("raters and adjudicator are language models: name one, such as openai:MODEL")
        made.append(one)
    return tuple(made)


async def _run(work: Work, specs: tuple[BackendSpec, ...], folder: Path, pace: Pace) -> Summary:
    from crisis_filter.backends.registry import open_backend
    from crisis_filter.experiments.simulate.journal import Journal
    from crisis_filter.experiments.simulate.run import Crew, simulate

    async with AsyncExitStack() as stack:
        backends: list[Backend] = []
        for spec in specs:
            backends.append(open_backend(spec))
            stack.push_async_callback(backends[-1].aclose)
        crew = Crew(*backends)
        _warn(crew.author.name, crew.rater_a.name, crew.rater_b.name)
        with Journal.begin(folder, work.state(crew, secrets.token_hex(16))) as journal:
            watching = asyncio.create_task(_progress(journal))
            try:
                return await simulate(work, crew, journal, pace)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


async def _progress(journal: Journal) -> None:
    console = Console(stderr=True)
    if not console.is_terminal:
        return
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as progress:
        task = progress.add_task("")
        while True:
            first, second = (len(lines.records) for lines in journal.ratings.values())
            progress.update(
                task,
                description=f"{counted(len(journal.wrote.records), 'batch', 'batches')} written, {first:,} + {second:,} ratings, "
                f"{len(journal.rulings.records):,} decided, {counted(len(journal.troubles.records), 'fault')}",
            )
            await asyncio.sleep(0.5)


def _warn(author: str, first: str, second: str) -> None:
    if first == second:
        say(f"both raters are {first}: where they agree they may share a mistake")
    if author in (first, second):
        say(f"{author} rates what it wrote: figures from these labels say little of other models")


def _show(summary: Summary, folder: Path, console: Console) -> None:
    """Counts in a few lines; never a message."""

    def listed(counts: dict[str, int]) -> str:
        return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"

    lines = [
        f"written      {summary.written:,} of {summary.asked:,}; outside the length asked for {summary.outside_length:,}",
        f"unfilled     {listed(summary.unfilled)}",
        f"thrown away  {listed(summary.dropped)}",
        f"refused      {listed(summary.refused)}",
        *(f"faults       {who}: {listed(counts)}" for who, counts in summary.faults.items()),
        f"rated        {listed(summary.rated)}; differ on {summary.disputed:,}, of which decided {summary.decided:,}",
        f"set aside    {listed(summary.set_aside)}; waiting {summary.pending:,}",
        f"messages     {summary.messages:,}; crisis {summary.crisis:,}; not as intended {summary.not_as_intended:,}",
        f"categories   {listed(summary.categories)}",
        f"in           {folder / 'messages.jsonl'}",
    ]
    for line in lines:
        console.print(plain(line), soft_wrap=True)
