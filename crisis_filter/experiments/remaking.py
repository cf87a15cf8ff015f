"""Answers of some variants made again from what was recorded, so that nobody has to believe a file of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from crisis_filter.experiments.calls import Calls
from crisis_filter.experiments.folder import CALLS
from crisis_filter.experiments.items import read_data
from crisis_filter.experiments.opening import opener
from crisis_filter.experiments.plan import load_plan, rooted
from crisis_filter.experiments.records import Experiment, Variant
from crisis_filter.experiments.replaying import Replay, matching, replay_cells
from crisis_filter.experiments.states import same_experiment, state_of
from crisis_filter.experiments.variants import columns

__all__ = ["remade"]


async def remade(folder: Path, experiment: Experiment, file: Path, variants: Sequence[Variant]) -> Replay:
    """Judge the messages again as these variants did. No model is called, and nothing is written.

    Args:
        folder: of the experiment, with the replies.
        experiment: as it was read from there.
        file: its YAML, beside which prompts and messages are found.
        variants: of the experiment.

    Raises:
        InputError: the file or the data cannot be read, or a message is missing or another.
        ConfigurationError: the file is that of another experiment, or a prompt cannot be loaded.
    """
    plan = load_plan(file)
    whole = rooted(plan, file.parent.absolute())
    made = columns(whole, keys=False)
    data = read_data(whole.tests, made.taxonomy.ids)
    same_experiment(folder, experiment.state, state_of(plan, made, data))
    matching(experiment, data, file)
    names = {variant.id for variant in variants}
    calls = Calls(folder / CALLS, replaying=True)
    openers = {
        column.variant.id: opener(column, calls, live=False) for column in made.columns if column.variant.id in names
    }
    theirs = replace(experiment, cells={at: cell for at, cell in experiment.cells.items() if at[0] in names})
    _, replay = await replay_cells(theirs, data, openers, concurrency=plan.options.max_concurrency)
    return replay
