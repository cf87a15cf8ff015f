"""`crisis-filter drill`: every fault of the catalogue against the configured filter."""

from __future__ import annotations

import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from crisis_filter.cli.heat import heat_map, summary
from crisis_filter.cli.options import AsJson, Backend, BaseUrl, Fallback, PolicyName, TaxonomyName, described
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, told
from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from crisis_filter.drill.course import Drill
    from crisis_filter.drill.report import DrillReport
    from crisis_filter.pipeline.description import FilterSpec
    from crisis_filter.triage.policy import Link


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
    lane: Annotated[
        Literal["ordinary", "fast"],
        typer.Option(
            help="Which way the endpoints are asked: through the SDK, or as batch jobs do.", rich_help_panel="Drill"
        ),
    ] = "ordinary",
    seed: Annotated[int, typer.Option(min=0, help="For what is drawn at random.", rich_help_panel="Drill")] = 0,
    as_json: AsJson = False,
) -> None:
    """See that no fault of a provider, a network or an attacker makes the filter say "not crisis" of a crisis.

    The filter is the configured one: its prompts, policy, taxonomy, engine and the shape of its chain. Each of its language models is
    replaced by a fault server on the loopback, so nothing is sent anywhere and nothing is paid for. `doctor` asks the real endpoint.

    Exit status: 0 passed; 4 a crisis was called none, anything was cleared that nobody could clear, a fault was hidden, an assessment
    came late, or verdicts that should have been had were not; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.drill.behaviours import behaviour
        from crisis_filter.drill.course import Course, Drill
        from crisis_filter.drill.messages import load_messages
        from crisis_filter.drill.plans import HEALTHY_NAME

        spec = described_without_keys(
            backend=backend, base_url=base_url, fallbacks=fallback, policy=policy, taxonomy=taxonomy
        )
        if spec.backend.partition(":")[0] in ("scripted", "recorded"):
            raise ConfigurationError("a drill needs a language model or the embedded engine, not prepared answers")
        course = Course(
            per_fault=per_fault,
            per_attack=per_attack,
            deadline_s=deadline,
            concurrency=concurrency,
            faults=tuple(behaviour(name).name for name in fault or ()),
            fast=lane == "fast",
        )
        if HEALTHY_NAME in course.faults:
            raise ConfigurationError(f"--fault {HEALTHY_NAME} is no fault; `crisis-filter faults list` shows them all")
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
            raise typer.Exit(NOT_PASSED)


def described_without_keys(
    *,
    backend: str | None = None,
    base_url: str | None = None,
    fallbacks: list[str] | None = None,
    policy: str | None = None,
    taxonomy: str | None = None,
) -> FilterSpec:
    """The description that these options and the environment make, with no key asked for: nothing is sent to whom it is for.

    Raises:
        ConfigurationError: they contradict one another, or a value is wrong.
    """
    from crisis_filter.settings import NOBODY

    fallbacks = [_keyless(link) for link in fallbacks] if fallbacks else None
    chain = _chain_of_the_pack(backend, policy)
    if not chain or base_url is not None:
        return described(backend=backend, base_url=base_url, fallbacks=fallbacks, policy=policy, taxonomy=taxonomy)
    first, *others = chain
    named = fallbacks or [_words(link) for link in others] or [NOBODY]
    spec = described(backend=first.backend, fallbacks=named, policy=policy, taxonomy=taxonomy)
    return spec.model_copy(update={"attempt_timeout_s": first.attempt_timeout_s})


def _chain_of_the_pack(backend: str | None, policy: str | None) -> tuple[Link, ...]:
    """The links of the policy pack where they count, which is where nobody names a backend."""
    from pydantic import ValidationError

    from crisis_filter.pipeline.description import DEFAULT_POLICY
    from crisis_filter.settings import Settings
    from crisis_filter.triage.policy import load_policy

    try:
        settings = Settings()
    except ValidationError:  # told by whoever reads it next
        return ()
    if (backend or settings.backend) is not None:
        return ()
    return load_policy(policy or settings.policy or DEFAULT_POLICY).chain


def _words(link: Link) -> str:
    """A link in its short form, without its key."""
    fields = link.model_dump(exclude={"backend", "api_key_env"}, exclude_none=True)
    return " ".join([link.backend, *(f"{name}={value}" for name, value in fields.items())])


def _keyless(link: str) -> str:
    return " ".join(part for part in link.split() if not part.startswith("api_key_env="))


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
    return summarise(
        cases,
        detector=one.detector,
        policy=one.policy,
        elapsed_s=time.monotonic() - started,
        lag_s=one.lag.longest_s,
        other_clients=one.other_clients,
    )


def _print_json(report: DrillReport) -> None:
    """A line for each place of the heat map, and the whole as the last line."""
    for cell in report.cells:
        typer.echo(cell.model_dump_json())
    whole = report.model_copy(update={"cells": ()})
    text = whole.model_dump_json(exclude={"cells"})
    typer.echo(f'{text[:-1]},"passed":{str(report.passed).lower()}}}')
