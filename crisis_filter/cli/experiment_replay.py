"""`crisis-filter experiment replay`: make the results again from what was written down, and compare the bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import ConfigurationError

__all__ = ["experiment_replay"]


def experiment_replay(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="Of an experiment.")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="The experiment's YAML, for the prompts and the messages, which the folder does not hold.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the results, as they were made again, here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Judge every answer of an experiment again from the replies that were recorded. Nobody is asked: no model, no network, no key.

    Exit status: 0 the same bytes; 2 the input is wrong, or was changed since; 4 something differs; 5 configuration.
    """
    with told():
        from crisis_filter.experiments.calls import Calls
        from crisis_filter.experiments.folder import CALLS, read_experiment, same_experiment, state_of, written
        from crisis_filter.experiments.items import read_data
        from crisis_filter.experiments.lines import write_whole
        from crisis_filter.experiments.opening import opener
        from crisis_filter.experiments.plan import load_plan, rooted
        from crisis_filter.experiments.replaying import matching, replay_cells
        from crisis_filter.experiments.variants import columns

        found = read_experiment(folder)
        plan = load_plan(file)
        whole = rooted(plan, file.resolve().parent)
        made = columns(whole, keys=False)
        data = read_data(whole.tests, made.taxonomy.ids)
        same_experiment(folder, found.state, state_of(plan, made, data))
        matching(found, data, file)
        calls = Calls(folder / CALLS, replaying=True)
        openers = {column.variant.id: opener(column, calls, live=False) for column in made.columns}
        stopper = Stopper()
        with stopper.watching():
            again, replay = stopper.run(replay_cells(found, data, openers, concurrency=plan.options.max_concurrency))
        if output is not None:
            if output.resolve().parent == folder.resolve():
                raise ConfigurationError(f"{output}: the folder of the experiment stays as it is; choose another")
            write_whole(output, written(again))
        with putting_out():
            if as_json:
                typer.echo(replay.model_dump_json())
            else:
                typer.echo(
                    f"{counted(replay.cells, 'answer')} made again, {replay.same:,} the same to the byte; results sha256 {replay.sha256}"
                )
        if not replay.whole:
            for variant, item, repeat in replay.differing[:10]:
                say(f"differs: {variant}, message {item}, repeat {repeat}")
            raise typer.Exit(NOT_PASSED)
