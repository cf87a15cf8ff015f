"""`crisis-filter baseline`: other people's guardrails on one's own messages, for evaluation beside ours."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.baseline_run import Run
from crisis_filter.cli.inputs import Inputs, ReadOptions
from crisis_filter.cli.options import AsJson, AsText, FormatName, IdColumn, TextColumn
from crisis_filter.cli.progress import ProgressLine
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.tally import Tally, reading_lines
from crisis_filter.cli.trouble import putting_out, say, status_of, told
from crisis_filter.cli.usage import Commands, Misuse
from crisis_filter.errors import InputError
from crisis_filter.tables.flat import json_line
from crisis_filter.tables.writing import AssessmentWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from crisis_filter.baselines.base import Baseline
    from crisis_filter.schema import Assessment

baseline = typer.Typer(
    name="baseline",
    cls=Commands,
    no_args_is_help=True,
    help="Ask other people's guardrails about your messages, to evaluate them beside ours. Nothing they say is routed.",
)
_SYSTEM = "System"


@baseline.command("list")
def list_baselines(as_json: AsJson = False) -> None:
    """Show every baseline: its name, what it is, and the options it takes."""
    with told(), putting_out():
        from crisis_filter.baselines.listing import listed

        found = listed()
        if as_json:
            for each in found:
                typer.echo(json.dumps(each.model_dump(mode="json")))
            return
        console = stdout_console()
        for each in found:
            console.print(each.name, style="bold", highlight=False)
            about = [each.title, *([f"model {each.model}"] if each.model else ["runs in this process"])]
            about += [f"--option {name}={'|'.join(values)}" for name, values in each.options.items()]
            about.append(f"meant for: {', '.join(each.in_scope)}")
            for line in about:
                console.print(f"  {plain(line)}", soft_wrap=True, highlight=False, markup=False)


@baseline.command("run")
def run_baseline(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Which; baseline list shows them.")],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT", show_default=False, help="Files, - for the standard input, or the message itself."
        ),
    ],
    as_text: AsText = False,
    format_name: FormatName = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Root of the OpenAI-compatible server that runs the model, such as http://127.0.0.1:8000/v1.",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="What the server calls the model (default: its usual name).", rich_help_panel=_SYSTEM),
    ] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(
            help="Environment variable with the server's key (default: OPENAI_API_KEY for OpenAI's own endpoint, else none).",
            rich_help_panel=_SYSTEM,
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="A setting of the system, as NAME=VALUE; may be repeated.", rich_help_panel=_SYSTEM),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds for one message.", rich_help_panel=_SYSTEM)
    ] = 120.0,
    concurrency: Annotated[
        int, typer.Option(min=1, max=512, help="Messages asked about at once.", rich_help_panel=_SYSTEM)
    ] = 4,
    as_json: AsJson = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write all to a .jsonl, .csv or .parquet file.", rich_help_panel="Output"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the --output file if there is one.", rich_help_panel="Output")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no summary.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Ask one system about every message, and write assessments that evaluate reads.

    Exit status: 0 ok; 2 bad input; 3 messages are undetermined, and not for being empty; 5 configuration; 130, 143, 129 stopped.
    """
    if as_json == (output is not None):
        raise Misuse("Say where the assessments go: --json for the standard output, or --output FILE")
    options = _pairs(option)
    with told():
        sources = Inputs(inputs, ReadOptions(format_name, text_column, id_column), text_only=as_text)
        tally = Tally()
        with ExitStack() as stack:
            stopper = Stopper()
            stack.enter_context(stopper.watching())
            # Opened before the output file, so that a wrong setting leaves no file behind.
            system = opened(name, base_url, model, api_key_env, options, timeout)
            outlet = _print_line if output is None else _writing(stack, output, sources, force=force)
            bar = stack.enter_context(ProgressLine(shown=not quiet and not (as_json and sys.stdout.isatty())))
            run = Run(system, sources, tally, outlet, bar, concurrency)
            try:
                stopper.run(run.go())
            except BaseException as error:
                with suppress(OSError):  # the terminal may be what has gone
                    bar.__exit__()
                _interrupted(error, tally, output)
                raise
        if not quiet:
            for line in _summary(tally, sources):
                say(line)
        if (cause := tally.shared_cause()) is not None:
            say(cause)
        raise typer.Exit(tally.status(sources.reports))


def opened(
    name: str, base_url: str | None, model: str | None, api_key_env: str | None, options: dict[str, str], timeout: float
) -> Baseline:
    """The baseline that these options and the environment describe.

    Raises:
        ConfigurationError: what they describe cannot be opened.
    """
    from crisis_filter.baselines.registry import MODERATION, BaselineSpec, open_baseline
    from crisis_filter.settings import key_of
    from crisis_filter.triage.policy import Link

    public = name == MODERATION or base_url is not None
    link = Link(backend=f"openai:{name}", base_url=base_url, api_key_env=api_key_env)
    spec = BaselineSpec(
        name=name,
        base_url=base_url,
        api_key=key_of(link) if public else None,
        model=model,
        options=options,
        deadline_s=timeout,
        attempt_timeout_s=timeout,
    )
    return open_baseline(spec)


def _pairs(given: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given or ():
        key, equals, value = each.partition("=")
        if not (key and equals) or key in found:
            raise Misuse("--option takes NAME=VALUE, each name once")
        found[key] = value
    return found


def _print_line(assessment: Assessment) -> None:
    """A whole line at a time, at once: whoever reads along or kills the run finds no half of one."""
    with putting_out():
        sys.stdout.buffer.write(json_line(assessment))
        sys.stdout.buffer.flush()


def _writing(stack: ExitStack, output: Path, sources: Inputs, *, force: bool) -> Callable[[Assessment], None]:
    if output.resolve() in {f.resolve() for f in sources.files}:
        raise InputError(f"{output}: is an input too; choose another name for the output")
    return stack.enter_context(AssessmentWriter(output, force=force)).write


def _summary(tally: Tally, sources: Inputs) -> list[str]:
    asked = f"asked {', '.join(tally.detectors)}; for evaluation only" if tally.detectors else None
    told_of = [tally.headline(), tally.fault_line(), *tally.service_lines(), *reading_lines(sources.reports), asked]
    return [line for line in told_of if line]


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
