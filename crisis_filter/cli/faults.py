"""`crisis-filter faults`: a server that goes wrong on purpose, for drills of this filter or of any other client."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import putting_out, say, told
from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    from crisis_filter.drill.plans import Plan
    from crisis_filter.drill.server import FaultServer
    from crisis_filter.drill.toxics import Toxic

_FAULTS, _ANSWERS, _NETWORK = "Faults", "Answers", "Network"

faults = typer.Typer(
    name="faults",
    no_args_is_help=True,
    help="A server that goes wrong on purpose, to see what a client makes of it.",
)


@faults.command("list")
def list_faults(as_json: AsJson = False) -> None:
    """Show every fault that the server knows, and what a well-behaved client names it."""
    with told():
        from crisis_filter.drill.behaviours import BEHAVIOURS

        with putting_out():
            if as_json:
                for each in BEHAVIOURS.values():
                    row = {
                        "name": each.name,
                        "group": each.group,
                        "summary": each.summary,
                        "fault": each.fault,
                        "says": each.says,
                        "stage": each.stage,
                        "ours_only": each.ours_only,
                        "recoverable_elsewhere": each.recoverable_elsewhere,
                        "lasts": each.lasts,
                    }
                    typer.echo(json.dumps(row, ensure_ascii=False))
                return
            from rich.table import Table
            from rich.text import Text

            table = Table(box=None, pad_edge=False)
            table.add_column("fault", no_wrap=True)
            table.add_column("named by a client", no_wrap=True)
            table.add_column("what happens", overflow="fold")
            for each in BEHAVIOURS.values():
                table.add_row(each.name, each.fault or "-", Text(each.summary))
            stdout_console().print(table)


@faults.command()
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="To listen on; 0 takes a free one.", rich_help_panel=_NETWORK)
    ] = 0,
    host: Annotated[
        str, typer.Option(help="To listen on; nobody has to log in here.", rich_help_panel=_NETWORK)
    ] = "127.0.0.1",
    fault: Annotated[
        str | None, typer.Option(metavar="NAME", help="Treat every request so.", rich_help_panel=_FAULTS)
    ] = None,
    first: Annotated[
        int | None, typer.Option(min=1, help="Only the first so many requests.", rich_help_panel=_FAULTS)
    ] = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=SHARE", help="Treat this share so; may be repeated.", rich_help_panel=_FAULTS),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="For whatever is drawn.", rich_help_panel=_FAULTS)] = 0,
    answers: Annotated[
        str,
        typer.Option(
            help="To clients that are not ours: prompts, safe-unsafe, yes-no or file:PATH.", rich_help_panel=_ANSWERS
        ),
    ] = "prompts",
    messages: Annotated[
        Path | None,
        typer.Option(
            help="JSON Lines with text and crisis; any other message counts as a crisis.", rich_help_panel=_ANSWERS
        ),
    ] = None,
    latency_ms: Annotated[float, typer.Option(min=0.0, help="Before every answer.", rich_help_panel=_NETWORK)] = 0.0,
    tcp: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOXIC:ATTRIBUTE=VALUE,...",
            help="What to do to connections, such as latency:latency=100,jitter=10; may be repeated.",
            rich_help_panel=_NETWORK,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Serve the OpenAI chat protocol with faults until a signal comes; `faults list` names them.

    A request may also name its own: in the header x-fault, or by asking for the model fault:NAME.
    """
    with told():
        from crisis_filter.drill.answers import Healthy, KnownTexts, read_literals
        from crisis_filter.drill.server import FaultServer
        from crisis_filter.drill.toxics import parse_toxic

        oracle = KnownTexts.read(messages) if messages is not None else KnownTexts.of(())
        toxics = [parse_toxic(each) for each in tcp or ()]
        server = FaultServer(
            Healthy(oracle),
            _plan(fault, first, rate or [], seed),
            literals=read_literals(answers),
            host=host,
            port=0 if toxics else port,
            latency_s=latency_ms / 1000,
        )
        stopper = Stopper()
        with stopper.watching():
            stopper.run(_serve(server, toxics, host, port, seed, as_json=as_json))


async def _serve(server: FaultServer, toxics: list[Toxic], host: str, port: int, seed: int, *, as_json: bool) -> None:
    """Run the server, behind a proxy where there are toxics, for ever."""
    import numpy as np

    from crisis_filter.drill.proxy import TcpProxy

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        url = server.base_url
        if toxics:
            behind = f"{_bracketed(host)}:{server.port}"
            proxy = TcpProxy(behind, toxics, np.random.default_rng(seed), host=host, port=port)
            await stack.enter_async_context(proxy)
            url = f"http://{_bracketed(host)}:{proxy.port}/v1"
        say(f"serving faults at {url}")
        if as_json:
            with putting_out():
                typer.echo(json.dumps({"base_url": url}))
        await asyncio.get_running_loop().create_future()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _plan(fault: str | None, first: int | None, rates: list[str], seed: int) -> Plan:
    """The plan that the options describe.

    Raises:
        ConfigurationError: they do not go together, or a rate is no number from 0 to 1.
    """
    import numpy as np

    from crisis_filter.drill.plans import Always, First, Rate

    if fault is not None and rates:
        raise ConfigurationError("--fault and --rate do not go together")
    if first is not None and fault is None:
        raise ConfigurationError("--first needs --fault")
    if rates:
        return Rate(dict(map(_share, rates)), np.random.default_rng(seed))
    if first is not None and fault is not None:
        return First(first, fault)
    return Always(fault) if fault is not None else Always()


def _share(given: str) -> tuple[str, float]:
    name, _, share = given.partition("=")
    try:
        return name, float(share)
    except ValueError:
        raise ConfigurationError("--rate takes NAME=SHARE, such as http_500=0.1") from None
