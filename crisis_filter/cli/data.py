"""`crisis-filter data`: data sets, one's own as well as ours."""

from __future__ import annotations

import typer

from crisis_filter.cli.data_agreement import data_agreement
from crisis_filter.cli.data_check import data_check
from crisis_filter.cli.data_simulate import data_simulate
from crisis_filter.cli.usage import Commands

data = typer.Typer(
    name="data",
    cls=Commands,
    no_args_is_help=True,
    help="Check data sets, see how far raters agree, and make messages.",
)
data.command("check")(data_check)
data.command("agreement")(data_agreement)
data.command("simulate")(data_simulate)
