"""The commands and what they share."""

from __future__ import annotations

from typing import Annotated

import typer

from crisis_filter.cli.audit import audit
from crisis_filter.cli.baseline import baseline
from crisis_filter.cli.batch import batch
from crisis_filter.cli.cascade import cascade
from crisis_filter.cli.classify import classify
from crisis_filter.cli.data import data
from crisis_filter.cli.db import db
from crisis_filter.cli.demo import demo
from crisis_filter.cli.doctor import doctor
from crisis_filter.cli.drill import drill
from crisis_filter.cli.evaluate import evaluate
from crisis_filter.cli.experiment import experiment
from crisis_filter.cli.explain import explain
from crisis_filter.cli.faults import faults
from crisis_filter.cli.keys import keys
from crisis_filter.cli.ledger import ledger
from crisis_filter.cli.policy import policy
from crisis_filter.cli.queue import queue
from crisis_filter.cli.serve import serve
from crisis_filter.cli.store import store
from crisis_filter.cli.usage import Commands
from crisis_filter.cli.webhooks import webhooks

app = typer.Typer(
    name="crisis-filter",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    # A traceback with locals would show the text of a message; `trouble.told` says what is needed.
    pretty_exceptions_enable=False,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A screening aid for people to act on: not a medical device, not a diagnosis, not an emergency service.",
)
app.command()(classify)
app.command()(explain)
app.command()(evaluate)
app.command()(drill)
app.command()(doctor)
app.command()(serve)
app.command()(demo)
app.command()(ledger)
app.add_typer(faults)
app.add_typer(data)
app.add_typer(db)
app.add_typer(store)
app.add_typer(keys)
app.add_typer(audit)
app.add_typer(batch)
app.add_typer(cascade)
app.add_typer(baseline)
app.add_typer(experiment)
app.add_typer(policy)
app.add_typer(queue)
app.add_typer(webhooks)


def _version(wanted: bool) -> None:
    if wanted:
        from crisis_filter.assets import package_version

        typer.echo(f"crisis-filter {package_version()}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Notice who is in a behavioural-health crisis in the text messages people send, and of which kind."""
