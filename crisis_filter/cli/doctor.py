"""`crisis-filter doctor`: whether an endpoint, and this machine, are fit to be relied on."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson, Backend, BaseUrl, Fallback, PolicyName, TaxonomyName, described
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, say, told

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from crisis_filter.drill.doctor import Doctor
    from crisis_filter.drill.finding import Finding, Status

_SYMBOLS: dict[Status, str] = {"ok": "✓", "warn": "!", "fail": "✗", "unknown": "?"}
_ASCII_SYMBOLS: dict[Status, str] = {"ok": "+", "warn": "!", "fail": "x", "unknown": "?"}
_STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "bold red", "unknown": "dim"}
_MACHINE = "this machine and its set-up"


def doctor(
    backend: Backend = None,
    base_url: BaseUrl = None,
    fallback: Fallback = None,
    policy: PolicyName = None,
    taxonomy: TaxonomyName = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=600.0, help="Seconds for one request.", rich_help_panel="Judging")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Look at the configured endpoints before anybody relies on them: do they refuse, filter, cut, mix up, change their mind?

    Sends each endpoint up to 22 requests about messages that were made up, with the prompts of the policy. Nothing of a message
    or of an answer is shown.

    Exit status: 0 nothing failed; 4 a check failed; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.drill.doctor import REQUESTS, Doctor
        from crisis_filter.drill.finding import counts
        from crisis_filter.drill.messages import load_messages

        spec = described(backend=backend, base_url=base_url, fallbacks=fallback, policy=policy, taxonomy=taxonomy)
        one = Doctor(spec, load_messages(), timeout_s=timeout)
        for name, _ in one.endpoints:
            say(f"asking {name}: up to {REQUESTS} requests about messages that were made up")
        if not one.endpoints:
            say("the embedded engine is the only detector: no endpoint is asked")
        stopper = Stopper()
        with stopper.watching():
            findings = stopper.run(_run(one, as_json=as_json))
        found = counts(findings)
        with putting_out():
            if as_json:
                typer.echo(json.dumps(found))
            else:
                _show(findings, stdout_console())
        if found["fail"]:
            raise typer.Exit(NOT_PASSED)


async def _run(one: Doctor, *, as_json: bool) -> list[Finding]:
    findings = []
    async with aclosing(one.examine()) as stream:
        async for finding in stream:
            findings.append(finding)
            if as_json:
                with putting_out():
                    typer.echo(finding.model_dump_json())
    return findings


def _show(findings: list[Finding], console: Console) -> None:
    """A table for the machine and for each endpoint, the advice, and how many of each."""
    from crisis_filter.drill.finding import counts

    places = dict.fromkeys(finding.endpoint for finding in findings)
    for place in places:
        console.print(plain(place or _MACHINE), style="bold")
        console.print(_table([finding for finding in findings if finding.endpoint == place], console))
        console.print()
    for finding in findings:
        if finding.status in ("warn", "fail"):
            where = f" of {finding.endpoint}" if finding.endpoint and len(places) > 2 else ""
            console.print(plain(f"{_name(finding)}{where}: {finding.advice}."), soft_wrap=True)
    console.print(", ".join(f"{n} {status}" for status, n in counts(findings).items()))


def _table(findings: list[Finding], console: Console) -> Table:
    from rich.table import Table
    from rich.text import Text

    symbols = _SYMBOLS if console.encoding.lower().startswith("utf") else _ASCII_SYMBOLS
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column("check", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("seen", overflow="fold")
    for finding in findings:
        status = Text(f"{symbols[finding.status]} {finding.status}", style=_STYLES[finding.status])
        table.add_row(_name(finding), status, Text(plain(finding.seen)))
    return table


def _name(finding: Finding) -> str:
    return finding.check.replace("_", " ")
