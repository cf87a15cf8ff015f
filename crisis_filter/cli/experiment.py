"""`crisis-filter experiment`: prompts, models and thresholds against the same labelled messages."""

from __future__ import annotations

import typer

from crisis_filter.cli.experiment_compare import experiment_compare
from crisis_filter.cli.experiment_looks import experiment_looks
from crisis_filter.cli.experiment_optimize import experiment_optimize
from crisis_filter.cli.experiment_promote import experiment_promote
from crisis_filter.cli.experiment_replay import experiment_replay
from crisis_filter.cli.experiment_run import experiment_run
from crisis_filter.cli.usage import Commands

experiment = typer.Typer(
    name="experiment",
    cls=Commands,
    no_args_is_help=True,
    help="Try prompts, models and thresholds on the same labelled messages, compare them, and promote one that keeps its bounds.",
)
experiment.command("run")(experiment_run)
experiment.command("compare")(experiment_compare)
experiment.command("promote")(experiment_promote)
experiment.command("optimize")(experiment_optimize)
experiment.command("replay")(experiment_replay)
experiment.command("looks")(experiment_looks)
