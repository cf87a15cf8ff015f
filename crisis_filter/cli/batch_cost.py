"""`crisis-filter batch cost`: what a run would cost, before any of it is sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson, FormatName, IdColumn, PolicyName, TextColumn
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import putting_out, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from crisis_filter.batch.cost import Assumptions, Costed, Measured
    from crisis_filter.batch.cost_prices import Price, PriceTable

_SHARES = "Assumed"
_LIMITS = "Limits"


class CostReport(Record):
    """What `--json` prints."""

    messages: int
    currency: str
    tokens: str
    """How tokens were counted."""
    measured: Measured
    assumed: Assumptions
    prices: tuple[Price, ...]
    designs: tuple[Costed, ...]
    """Every design for every model."""


def batch_cost(
    inputs: Annotated[
        list[str], typer.Argument(metavar="IN", show_default=False, help="Files of messages; - for the standard input.")
    ],
    prices: Annotated[
        Path | None,
        typer.Option(
            show_default=False,
            help="A table of prices of your own (default: the bundled one, which says how old it is).",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(show_default=False, help="A model of the table; may be repeated (default: all of them)."),
    ] = None,
    rpm: Annotated[
        float | None, typer.Option(min=0.001, show_default=False, help="Requests a minute.", rich_help_panel=_LIMITS)
    ] = None,
    tpm: Annotated[
        float | None,
        typer.Option(min=1, show_default=False, help="Tokens a minute, cached ones included.", rich_help_panel=_LIMITS),
    ] = None,
    flag_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share in which Stage 1 finds a crisis.", rich_help_panel=_SHARES)
    ] = 0.04,
    cached: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of requests that find their prompt cached.", rich_help_panel=_SHARES
        ),
    ] = 0.95,
    passed: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share that a cascade does not clear.", rich_help_panel=_SHARES),
    ] = 0.15,
    hidden: Annotated[
        float,
        typer.Option(min=0.0, help="Tokens of reasoning billed beside each answer.", rich_help_panel=_SHARES),
    ] = 0.0,
    messages: Annotated[
        int | None,
        typer.Option(
            min=1, show_default=False, help="Cost of so many messages like these (default: as many as there are)."
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, max=100_000, help="Messages put into the prompts.")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="Draws the sample.")] = 0,
    policy: PolicyName = None,
    format_name: FormatName = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    as_json: AsJson = False,
) -> None:
    """Count a sample of the messages in the real prompts, and say what judging all of them would cost in four designs.

    Nothing is sent, and no text is kept. Tokens are estimated at four characters each. Votes and questions that are asked again are
    not counted. The prices are those of the table: look at its dates, or give your own.

    Exit status: 0 done; 2 the input is wrong; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.batch.cost_prices import BUNDLED, load_prices

        table = load_prices(prices or BUNDLED)
        chosen = tuple(map(table.of, model)) if model else table.models
        assumed = _assumed(flag_rate=flag_rate, cached=cached, passed=passed, hidden=hidden)
        measured = _measured(
            inputs,
            sample=sample,
            seed=seed,
            policy=policy,
            format=format_name,
            text_column=text_column,
            id_column=id_column,
        )
        report = _report(measured, assumed, table, chosen, rpm=rpm, tpm=tpm, messages=messages)
        with putting_out():
            if as_json:
                typer.echo(report.model_dump_json())
            else:
                _show(report)


def _assumed(*, flag_rate: float, cached: float, passed: float, hidden: float) -> Assumptions:
    from crisis_filter.batch.cost import Assumptions

    if passed < flag_rate:
        raise ConfigurationError("--passed is at least --flag-rate: what a cascade clears is not found to be a crisis")
    return Assumptions(flag_rate=flag_rate, cached=cached, passed=passed, hidden=hidden)


def _measured(
    inputs: list[str],
    *,
    sample: int,
    seed: int,
    policy: str | None,
    format: str | None,  # noqa: A002
    text_column: str | None,
    id_column: str | None,
) -> Measured:
    import numpy as np

    from crisis_filter.batch.cost_sample import drawn, measure
    from crisis_filter.cli.inputs import Inputs, ReadOptions
    from crisis_filter.pipeline.description import DEFAULT_POLICY
    from crisis_filter.triage.policy import load_policy

    pack = load_policy(policy or DEFAULT_POLICY)
    options = ReadOptions(format=format, text_column=text_column, id_column=id_column)
    kept, count = drawn(Inputs(inputs, options), sample, np.random.default_rng(seed))
    if not count:
        raise InputError("there are no messages in the input")
    return measure(kept, count, pack)


def _report(
    measured: Measured,
    assumed: Assumptions,
    table: PriceTable,
    chosen: tuple[Price, ...],
    *,
    rpm: float | None,
    tpm: float | None,
    messages: int | None,
) -> CostReport:
    from crisis_filter.batch.cost import Assumptions, Costed, Measured, costed
    from crisis_filter.batch.cost_prices import Price
    from crisis_filter.batch.rate_bucket import Limits

    # The module imports nothing heavy when it is loaded, so pydantic meets these names here.
    CostReport.model_rebuild(
        _types_namespace={"Assumptions": Assumptions, "Costed": Costed, "Measured": Measured, "Price": Price}
    )
    limits = Limits(requests_per_minute=rpm, tokens_per_minute=tpm) if rpm is not None or tpm is not None else None
    return CostReport(
        messages=measured.messages if messages is None else messages,
        currency=table.currency,
        tokens="estimated: four characters each, two in runs of hexadecimal digits",
        measured=measured,
        assumed=assumed,
        prices=chosen,
        designs=tuple(one for price in chosen for one in costed(measured, assumed, price, limits, messages=messages)),
    )


def _show(report: CostReport) -> None:
    from rich.text import Text

    console = stdout_console()
    console.print(
        Text(
            f"{counted(report.messages, 'message')}, {report.measured.sampled:,} of {report.measured.messages:,} looked at"
        )
    )
    for price in report.prices:
        console.print()
        console.print(_table([one for one in report.designs if one.model == price.model], price.model, report.currency))
    console.print()
    for line in _notes(report):
        console.print(Text(plain(line)), soft_wrap=True)


def _table(designs: Sequence[Costed], model: str, currency: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    timed = any(one.minutes is not None for one in designs)
    title = Text(plain(model), style="bold")
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    for name in (
        "requests",
        "tokens in",
        "cached",
        "out",
        plain(currency),
        "A costs",
        *(["time, bound by"] if timed else []),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for one in designs:
        ratio = "" if one.ratio is None else f"{one.ratio:.1f}x"
        row = [one.design, *map(_short, (one.requests, one.input_tokens, one.cached_tokens, one.output_tokens))]
        row += [f"{one.money:,.2f}", ratio, *([_time(one)] if timed else [])]
        table.add_row(*map(Text, row))
    return table


def _notes(report: CostReport) -> Iterator[str]:
    from crisis_filter.batch.cost import DESIGNS

    measured, assumed = report.measured, report.assumed
    yield from (f"{design}: {name}" for design, name in DESIGNS.items())
    for call in (measured.reasoned, measured.terse, measured.categorise):
        yield (
            f"{call.prompt}: {call.prefix:,.0f} tokens alike in every request, {call.message:,.0f} of the message and the nonce, "
            f"answers of {call.negative:,.0f} and, for a crisis, {call.positive:,.0f}"
        )
    yield f"tokens are {report.tokens}; {measured.texts:.2f} texts a message; votes and re-asks are not counted"
    yield (
        f"assumed: {assumed.flag_rate:.1%} are found to be a crisis, {assumed.cached:.0%} of the requests find their prompt cached, a cascade "
        f"passes {assumed.passed:.1%} and {assumed.audited:.0%} of the rest is asked about all the same, {assumed.hidden:,.0f} hidden tokens an answer"
    )
    for price in report.prices:
        short = [
            call.prompt
            for call in (measured.reasoned, measured.terse, measured.categorise)
            if call.prefix < price.cache_from
        ]
        if short:
            yield f"{price.model}: {', '.join(short)} is too short to be cached, below {price.cache_from:,} tokens"
    for source, when in sorted({(price.source, price.looked_at) for price in report.prices}):
        yield f"prices: {source}, looked at on {when.isoformat()}"


def _short(value: float) -> str:
    """`1.2 M`, of a count."""
    for size, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:,.1f} {name}"
    return f"{value:,.0f}"


def _time(one: Costed) -> str:
    if one.minutes is None:
        return ""
    long = f"{one.minutes / 60:,.1f} h" if one.minutes >= 90 else f"{one.minutes:,.1f} min"
    return f"{long}, {one.bound_by}"
