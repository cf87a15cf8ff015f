"""`crisis-filter drill`: every fault of the catalogue against the configured filter."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from crisis_filter.cli.heat import heat_map, summary
from crisis_filter.cli.options import AsJson, Backend, BaseUrl, Fallback, PolicyName, TaxonomyName, described
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import DRILL_FAILED, putting_out, told
from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from crisis_filter.drill.course import Drill
    from crisis_filter.drill.report import DrillReport


def drill(
    backend: Backend = None,
    base_url: BaseUrl = None,
    fallback: Fallback = None,
    policy: PolicyName = None,
    taxonomy: TaxonomyName = None,
    per_fault: Annotated[
        int, typer.Option(min=1, max=220, help="Crisis messages for each fault.", rich_help_panel="Drill")
    ] = 40,
    per_attack: Annotated[
        int, typer.Option(min=1, max=220, help="Crisis messages for each attack and place.", rich_help_panel="Drill")
    ] = 4,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Only this fault; may be repeated (`crisis-filter faults list`).", rich_help_panel="Drill"),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.2, max=60.0, help="Seconds for one message.", rich_help_panel="Drill")
    ] = 2.0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=512, help="Messages judged at once.", rich_help_panel="Drill")
    ] = 16,
    seed: Annotated[int, typer.Option(help="For what is drawn at random.", rich_help_panel="Drill")] = 0,
    as_json: AsJson = False,
) -> None:
    """See that no fault of a provider, a network or an attacker makes the filter say "not crisis" of a crisis.

    The filter is the configured one: its prompts, policy, taxonomy, engine and the shape of its chain. Each of its language models is
    replaced by a fault server on the loopback, so nothing is sent anywhere and nothing is paid for. `doctor` asks the real endpoint.

    Exit status: 0 passed; 4 a crisis was called none, or verdicts that should have been had were not; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.drill.behaviours import behaviour
        from crisis_filter.drill.course import Course, Drill
        from crisis_filter.drill.messages import load_messages

        spec = described(backend, base_url, fallback, policy, taxonomy, None)
        if spec.backend.partition(":")[0] in ("scripted", "recorded"):
            raise ConfigurationError("a drill needs a language model or the embedded engine, not prepared answers")
        course = Course(
            per_fault=per_fault,
            per_attack=per_attack,
            deadline_s=deadline,
            concurrency=concurrency,
            faults=tuple(behaviour(name).name for name in fault or ()),
        )
        stopper = Stopper()
        with stopper.watching():
            report = stopper.run(_run(Drill(spec, load_messages(), course, seed=seed)))
        with putting_out():
            if as_json:
                _print_json(report)
            else:
                console = stdout_console()
                console.print(heat_map(report))
                for line in summary(report):
                    console.print(line, soft_wrap=True)
        if not report.passed:
            raise typer.Exit(DRILL_FAILED)


async def _run(one: Drill) -> DrillReport:
    from crisis_filter.drill.report import summarise

    started = time.monotonic()
    console = Console(stderr=True)
    cases = []
    columns = (BarColumn(bar_width=20), TextColumn("{task.completed:,} cases"), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=one.expected_cases())
        async with aclosing(one.run()) as stream:
            async for case in stream:
                cases.append(case)
                progress.advance(task)
    return summarise(cases, detector=one.detector, policy=one.policy, elapsed_s=time.monotonic() - started)


def _print_json(report: DrillReport) -> None:
    """A line for each place of the heat map, and the whole as the last line."""
    for cell in report.cells:
        typer.echo(cell.model_dump_json())
    whole = report.model_copy(update={"cells": ()})
    text = whole.model_dump_json(exclude={"cells"})
    typer.echo(f'{text[:-1]},"passed":{str(report.passed).lower()}}}')
