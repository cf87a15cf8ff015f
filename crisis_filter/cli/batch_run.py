"""`crisis-filter batch run` and `batch resume`."""

from __future__ import annotations

import glob
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crisis_filter.cli.batch_ending import ending_json, exit_status, show_ending
from crisis_filter.cli.batch_options import PACE, Proof, ScreenPrompt, TogetherMost
from crisis_filter.cli.options import (
    AsJson,
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
    described,
)
from crisis_filter.cli.progress import ProgressLine
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.errors import InputError
from crisis_filter.schema import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from crisis_filter.batch.journal import Journal
    from crisis_filter.batch.slots import Count
    from crisis_filter.batch.spec import BatchSpec

_PACE, _OUTPUT = PACE, "Output"
_TOLD_EVERY_S = 0.2
_LOCAL_SLOTS, _ASKED_SLOTS = 4, 64


class Asked(Record):
    """What was typed, kept beside the output so that `batch resume` needs no more than its name. Holds no key."""

    inputs: tuple[str, ...]
    reading: dict[str, str | None]
    judging: dict[str, Any]
    pace: dict[str, Any]


def settings_of(out: Path) -> Path:
    """Where it is kept."""
    return out.with_name(f"{out.name}.settings")


def batch_run(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", show_default=False, help="Files of messages; patterns such as 'in/*.csv' too."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", show_default=False, help="A .jsonl, .csv or .parquet file.", rich_help_panel=_OUTPUT
        ),
    ],
    format_name: FormatName = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    locale: Locale = None,
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
    screen_prompt: ScreenPrompt = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Messages in work at once (default: 64; 4 with the embedded engine).",
            rich_help_panel=_PACE,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="Processes, for the embedded engine alone (default: one for each core).",
            rich_help_panel=_PACE,
        ),
    ] = None,
    rpm: Annotated[
        float | None, typer.Option(min=0.001, help="Requests a minute that the account allows.", rich_help_panel=_PACE)
    ] = None,
    tpm: Annotated[
        float | None, typer.Option(min=1, help="Tokens a minute that it allows.", rich_help_panel=_PACE)
    ] = None,
    most_requests: Annotated[
        int | None, typer.Option(min=1, help="Stop before more requests than this are sent.", rich_help_panel=_PACE)
    ] = None,
    most_money: Annotated[
        float | None,
        typer.Option(
            min=0.000001, help="Stop before more than this is spent, by the prices given.", rich_help_panel=_PACE
        ),
    ] = None,
    prompt_price: Annotated[
        float | None,
        typer.Option(min=0, help="Price of a million prompt tokens, in any currency.", rich_help_panel=_PACE),
    ] = None,
    completion_price: Annotated[
        float | None, typer.Option(min=0, help="Price of a million completion tokens.", rich_help_panel=_PACE)
    ] = None,
    together: TogetherMost = 1,
    proof: Proof = None,
    reuse_verdicts: Annotated[
        bool,
        typer.Option(
            "--reuse-verdicts",
            help="Give a text that comes again letter by letter the verdict it got before; complete verdicts only.",
            rich_help_panel=_PACE,
        ),
    ] = False,
    lane: Annotated[
        str,
        typer.Option(
            metavar="auto|ordinary",
            help="auto: the fast lane where the provider speaks the OpenAI protocol. ordinary: always the client library.",
            rich_help_panel=_PACE,
        ),
    ] = "auto",
    force: Annotated[
        bool, typer.Option("--force", help="Begin anew, whatever is there.", rich_help_panel=_OUTPUT)
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Prove a journal that is there line by line, and its output by hash.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Judge every message of the inputs and write the assessments, in their order.

    Kill it at any instant and type the same command: what was judged is not asked again. Undetermined rows are also in OUTPUT.errors.jsonl.

    Exit status: 0 ok; 2 bad input, or ids that contradict one another; 3 messages are undetermined, or not all is done; 5 configuration; 130, 143, 129 stopped.
    """
    with told():
        if lane not in ("auto", "ordinary"):
            raise InputError("--lane is auto or ordinary")
        asked = Asked(
            inputs=_files(inputs),
            reading={"format": format_name, "text_column": text_column, "id_column": id_column, "locale": locale},
            judging={
                "backend": backend,
                "base_url": base_url,
                "fallbacks": fallback or None,
                "policy": policy,
                "taxonomy": taxonomy,
                "deadline_s": timeout,
                "clearing": clearing,
                "sample": sample,
                "prevalence": prevalence,
                "places": places,
                "screen_prompt": screen_prompt,
            },
            pace={
                "slots": slots,
                "workers": workers,
                "requests_per_minute": rpm,
                "tokens_per_minute": tpm,
                "most_requests": most_requests,
                "most_money": most_money,
                "prompt_price": prompt_price,
                "completion_price": completion_price,
                "fast": lane == "auto",
                "reuse": reuse_verdicts,
                "together": together,
                "proof": proof,
            },
        )
        _go(asked, output, force=force, verify=verify, as_json=as_json, quiet=quiet)


def batch_resume(
    output: Annotated[Path, typer.Argument(metavar="OUTPUT", show_default=False, help="The output of the run.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove its journal line by line.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Go on with a run, as it was typed; keys are read from the environment again.

    Exit status: as batch run.
    """
    with told():
        _go(read_asked(output), output, force=False, verify=verify, as_json=as_json, quiet=quiet)


def read_asked(output: Path) -> Asked:
    """What a run was asked for.

    Raises:
        InputError: there is nothing to go on with.
    """
    path = settings_of(output)
    try:
        return Asked.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{output}: there is no run to go on with: {path.name} is not there; type its batch run again"
        ) from None
    except (OSError, ValueError):
        raise InputError(f"{path}: cannot be read as the settings of a run; type its batch run again") from None


def spec_of(asked: Asked, output: Path) -> BatchSpec:
    """The batch that was asked for, keys and defaults filled in.

    Raises:
        ConfigurationError: a setting is wrong, or a key is missing.
    """
    from crisis_filter.batch.spec import BatchSpec, Reading
    from crisis_filter.pipeline.description import LOCAL

    judging = described(**asked.judging)
    local = judging.backend == LOCAL
    pace = {name: value for name, value in asked.pace.items() if value is not None}
    return BatchSpec(
        inputs=asked.inputs,
        output=str(output),
        reading=Reading.model_validate(asked.reading),
        judging=judging,
        **{
            "slots": _LOCAL_SLOTS if local else _ASKED_SLOTS,
            "workers": (os.cpu_count() or 1) if local and not pace.get("reuse") else 1,
            **pace,
        },
    )


def _files(patterns: list[str]) -> tuple[str, ...]:
    """The files that arguments name, each once."""
    found: list[str] = []
    for pattern in patterns:
        if Path(pattern).exists():
            found.append(pattern)
            continue
        there = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  # absolute patterns too
        if not there:
            raise InputError(f"{pattern}: no such file")
        found += there
    if len({Path(name).resolve() for name in found}) < len(found):
        raise InputError("the same input is named twice; name it once")
    if folders := [name for name in found if Path(name).is_dir()]:
        raise InputError(f"{folders[0]}: is a folder; name the files in it, such as '{folders[0]}/*.jsonl'")
    return tuple(found)


def _go(asked: Asked, output: Path, *, force: bool, verify: bool, as_json: bool, quiet: bool) -> None:
    from crisis_filter.batch.output import refuse_ending
    from crisis_filter.batch.run import run_batch
    from crisis_filter.experiments.lines import write_whole

    refuse_ending(output)
    if not output.parent.is_dir():
        raise InputError(f"{output.parent}: no such folder; make it first")
    if output.resolve() in {Path(name).resolve() for name in asked.inputs}:
        raise InputError(f"{output}: is an input too; choose another name for the output")
    spec = spec_of(asked, output)
    said: list[Journal] = []

    def begun(journal: Journal) -> None:
        said.append(journal)
        write_whole(settings_of(output), asked.model_dump_json(indent=1) + "\n")
        if journal.resumed and not journal.finished:
            say(f"{output}: goes on where it was")

    stopper = Stopper()
    with stopper.watching(), ProgressLine(shown=not quiet) as bar:
        try:
            ending = stopper.run(run_batch(spec, force=force, verify=verify, begun=begun, tell=_telling(bar, spec)))
        except KeyboardInterrupt:
            say(f"not finished, and nothing that was judged is lost: crisis-filter batch resume {output}")
            raise
    with putting_out():
        if as_json:
            typer.echo(ending_json(ending))
        else:
            show_ending(ending, output)
    status = exit_status(ending)
    if status:
        raise typer.Exit(status)


def _telling(bar: ProgressLine, spec: BatchSpec) -> Callable[[Count], None]:
    last = 0.0

    def tell(count: Count) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _TOLD_EVERY_S:
            return
        last = now
        faults = ", ".join(f"{fault} x{number:,}" for fault, number in count.faults.most_common(3))
        money = ""
        if spec.prompt_price is not None or spec.completion_price is not None:
            spent = count.prompt_tokens * (spec.prompt_price or 0) + count.completion_tokens * (
                spec.completion_price or 0
            )
            money = f" | {spent / 1e6:,.2f}"
        bar.show(
            f"{count.before + count.judged:,} messages | crisis {count.outcomes['crisis']:,} | undetermined "
            f"{count.outcomes['undetermined']:,}{f' ({faults})' if faults else ''}{money}",
            done=count.judged,
            fraction=None,
        )

    return tell
