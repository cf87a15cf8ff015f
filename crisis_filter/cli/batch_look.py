"""`crisis-filter batch status`, `batch ledger` and `batch recover`: looking at a run without judging anything."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.batch_run import read_asked, spec_of
from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.trouble import INTERNAL, UNDETERMINED, putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from crisis_filter.batch.journal_lines import Head
    from crisis_filter.batch.journal_view import View
    from crisis_filter.batch.spec import BatchSpec

Output = Annotated[Path, typer.Argument(metavar="OUTPUT", show_default=False, help="The output of the run.")]


def batch_status(output: Output, as_json: AsJson = False) -> None:
    """Tell how far a run is, from its journal alone; the run may be at work.

    Exit status: 0 finished; 2 there is no run, or its journal is damaged; 3 not finished.
    """
    with told(), _viewed(output) as view:
        import json

        outcomes = view.outcomes()
        finished = view.end is not None
        with putting_out():
            if as_json:
                found = {
                    "finished": finished,
                    "decided": view.decided,
                    "aside": view.aside,
                    "outcomes": outcomes,
                    "faults": view.faults(),
                }
                typer.echo(json.dumps(found))
            else:
                console = stdout_console()
                words = ", ".join(f"{outcomes.get(o, 0):,} {w}" for o, w in _WORDS.items())
                of = f" of {view.end.received:,}" if view.end is not None else ""
                console.print(
                    plain(f"{'finished' if finished else 'not finished'}: {view.decided:,}{of} judged, {words}"),
                    soft_wrap=True,
                )
                if view.aside:
                    console.print(
                        plain(f"{counted(view.aside, 'row')} set aside, whose id and text came before"), soft_wrap=True
                    )
                if faults := view.faults():
                    told_of = ", ".join(f"{f} {n:,}" for f, n in sorted(faults.items(), key=lambda x: -x[1]))
                    console.print(plain(f"undetermined: {told_of}"), soft_wrap=True)
        if not finished:
            raise typer.Exit(UNDETERMINED)


def batch_ledger(output: Output, as_json: AsJson = False) -> None:
    """Count everything where it lies: rows in the inputs, assessments in the journal, lines in output and errors; and hold each against the others.

    Exit status: 0 every equation holds; 1 one does not; 2 there is no run, or a file is damaged.
    """
    with told():
        from crisis_filter.batch.ledger import ledger
        from crisis_filter.batch.run import rows_of

        # Reading the inputs needs none of the keys that judging does.
        found = ledger(output, rows=rows_of(_reading(output)))
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                console = stdout_console()
                for equation in found.equations:
                    mark = "holds" if equation.holds else "DOES NOT HOLD"
                    console.print(
                        plain(f"{mark}: {equation.words} ({equation.left:,} = {equation.right:,})"), soft_wrap=True
                    )
                console.print(
                    plain(
                        f"{'finished' if found.finished else 'not finished'}: received {found.received:,}, decided {found.decided:,}, pending {found.pending:,}, set aside {found.aside:,}, judged again {found.judged_again:,}"
                    ),
                    soft_wrap=True,
                )
        if not found.balanced:
            raise typer.Exit(INTERNAL)


def batch_recover(output: Output, as_json: AsJson = False) -> None:
    """Put a new journal in place of a damaged one, with all that can be proved; what cannot is asked again. No verdict is made up.

    Exit status: 0 done; 2 the inputs were changed; 5 what judges was changed, or a run is at work.
    """
    with told():
        from crisis_filter.batch.recover import recover
        from crisis_filter.batch.run import rows_of

        spec = spec_of(read_asked(output), output)
        head = asyncio.run(_head(spec))
        found = recover(output, head, rows_of(spec))
        with putting_out():
            if as_json:
                typer.echo(found.model_dump_json())
            else:
                counts = ", ".join(
                    f"{name.replace('_', ' ')} {value:,}" for name, value in found if isinstance(value, int)
                )
                stdout_console().print(plain(counts), soft_wrap=True)
        say(f"go on with: crisis-filter batch resume {output}")


_WORDS = {"crisis": "crisis", "no_crisis": "not crisis", "undetermined": "undetermined"}


def _viewed(output: Path) -> View:
    from crisis_filter.batch.journal_files import Files
    from crisis_filter.batch.journal_view import View

    if not Files(output).journal.exists():
        raise InputError(f"{output}: there is no run: no {Files(output).journal.name} beside it")
    return View(output)


def _reading(output: Path) -> BatchSpec:
    from crisis_filter.batch.spec import BatchSpec, Reading

    asked = read_asked(output)
    return BatchSpec(inputs=asked.inputs, output=str(output), reading=Reading.model_validate(asked.reading))


async def _head(spec: BatchSpec) -> Head:
    from crisis_filter.assets import package_version
    from crisis_filter.batch.journal_lines import Head
    from crisis_filter.batch.rows import input_files
    from crisis_filter.batch.spec import fingerprint
    from crisis_filter.pipeline.spec import open_filter

    crisis_filter = open_filter(spec.judging)
    try:
        return Head(
            run=secrets.token_hex(8),
            salt=secrets.token_hex(16),
            version=package_version(),
            inputs=input_files(map(Path, spec.inputs)),
            fingerprint=fingerprint(spec, crisis_filter),
        )
    finally:
        await crisis_filter.aclose()
