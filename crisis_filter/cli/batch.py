"""`crisis-filter batch`: files of messages into files of assessments, killed at any instant, and gone on with."""

from __future__ import annotations

import typer

from crisis_filter.cli.batch_cost import batch_cost
from crisis_filter.cli.batch_look import batch_ledger, batch_recover, batch_status
from crisis_filter.cli.batch_run import batch_resume, batch_run
from crisis_filter.cli.batch_together import together
from crisis_filter.cli.usage import Commands

batch = typer.Typer(
    name="batch",
    cls=Commands,
    no_args_is_help=True,
    help="Judge files of messages, however many; kill it, resume it, count it.",
)
batch.command("run")(batch_run)
batch.command("resume")(batch_resume)
batch.command("status")(batch_status)
batch.command("cost")(batch_cost)
batch.command("ledger")(batch_ledger)
batch.command("recover")(batch_recover)
batch.add_typer(together)
