"""`crisis-filter experiment run`: ask about every message of a plan, and go on where a run was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.progress import ProgressLine
from crisis_filter.cli.show import stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.trouble import UNDETERMINED, putting_out, say, told
from crisis_filter.cli.wording import counted
from crisis_filter.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from crisis_filter.experiments.folder import Folder
    from crisis_filter.experiments.items import Data
    from crisis_filter.experiments.looks import Look
    from crisis_filter.experiments.plan import Plan
    from crisis_filter.experiments.records import Experiment, State
    from crisis_filter.experiments.running import Ending, Progress
    from crisis_filter.experiments.variants import Columns

_WHERE, _OUTPUT, _LOCKED = "Where", "Output", "Locked splits"
ROOT = Path("experiments")
"""Where experiments lie by default."""


def experiment_run(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="The experiment: a file of YAML.")],
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            "-o",
            help="Where it lies (default: in ./experiments, named after file and content).",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    looks: Annotated[
        Path | None,
        typer.Option(
            help="Ledger of looks at locked splits (default: looks.jsonl beside the data).", rich_help_panel=_LOCKED
        ),
    ] = None,
    unlock_validation: Annotated[
        str | None,
        typer.Option(
            metavar="REASON", help="Look at the validation split, and write down why.", rich_help_panel=_LOCKED
        ),
    ] = None,
    unlock_test: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Look at a test split, and write down why.", rich_help_panel=_LOCKED),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write a JUnit file, a case for each message.", rich_help_panel=_OUTPUT)
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write a page ending in .html.", rich_help_panel=_OUTPUT)] = None,
    with_text: Annotated[
        bool,
        typer.Option(
            "--with-text",
            help="Put the texts into the page, hidden until clicked. Then it is as private as they are.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Ask every variant (prompt x provider) about every message, as often as the file says.

    Start the same command again after a stop of any kind and it goes on where it was. Development is free; a look at another split needs a reason.

    Exit status: 0 done; 2 the input is wrong; 3 not every answer is there; 5 configuration; 130 stopped.
    """
    with told():
        from crisis_filter.experiments.folder import Folder, begun, default_folder, state_of
        from crisis_filter.experiments.items import read_data
        from crisis_filter.experiments.plan import load_plan, rooted
        from crisis_filter.experiments.variants import columns

        if with_text and output is None:
            raise InputError("--with-text is for a page: add --output page.html, or leave it out")
        if output is not None and output.suffix.lower() != ".html":
            raise InputError(f"{output}: end the name in .html")
        plan = load_plan(file)
        whole = rooted(plan, file.resolve().parent)
        made = columns(whole)
        data = read_data(whole.tests, made.taxonomy.ids)
        state = state_of(plan, made, data)
        where = folder or default_folder(ROOT, file, state)
        look = _Look(whole, state, looks, {"validation": unlock_validation, "test": unlock_test})
        if not begun(where, state):
            look.refuse_unreasoned()
        stopper = Stopper()
        with stopper.watching(), Folder.begin(where, state) as opened:
            for words in opened.skipped:
                say(words)
            look.enter(opened)
            try:
                with ProgressLine(shown=not quiet) as bar:
                    ending = stopper.run(_asked(opened, made, data, _telling(bar)))
            except KeyboardInterrupt:
                say(f"not finished, what was answered is in {where}: run the same command again, and it goes on")
                raise
            opened.put_results()
            found = opened.experiment
        _put_out(found, ending, where, data, junit=junit, output=output, with_text=with_text, as_json=as_json)
        if not ending.whole:
            _say_why(ending)
            raise typer.Exit(UNDETERMINED)


def locked_by(split: str) -> str:
    """Which option unlocks a split."""
    return "validation" if split == "validation" else "test"


def ledger_of(plan: Plan, looks: Path | None) -> Path:
    """Where looks at a plan's data are written down."""
    from crisis_filter.experiments.looks import ledger_beside

    return looks or ledger_beside(Path(plan.tests.data))


@dataclass(frozen=True, slots=True)
class _Look:
    """The look at a locked split that a run is; of a free one, nothing."""

    plan: Plan
    state: State
    ledger: Path | None
    reasons: dict[str, str | None]

    def refuse_unreasoned(self) -> None:
        """Refuse a look that would be a new one before anything is made for it.

        Raises:
            InputError: nobody gave a reason.
        """
        from crisis_filter.experiments.looks import Looks, is_locked

        split = self.plan.tests.split
        if not is_locked(split) or self._reason():
            return
        kind = locked_by(split)
        before = len(Looks(ledger_of(self.plan, self.ledger)).of(self.state.data_sha256))
        raise InputError(
            f"the split {split!r} is locked: it was looked at {counted(before, 'time')} so far, and every look makes its figures weaker. "
            f"To look all the same: --unlock-{kind} 'why'; or try things out on development"
        )

    def enter(self, folder: Folder) -> None:
        """Enter it before anything is asked. Only an experiment that goes on in its folder, and stands in the ledger, is the same look again.

        Raises:
            InputError: nobody gave a reason, or the ledger is damaged; a folder that began just now is gone again.
            ConfigurationError: the ledger cannot be written; likewise.
        """
        from crisis_filter.experiments.looks import Looks, is_locked

        if not is_locked(self.plan.tests.split):
            return
        try:
            looks = Looks(ledger_of(self.plan, self.ledger))
            if not folder.new and looks.has(self.state.sha256):
                return
            self.refuse_unreasoned()
            looks.add(self._record())
        except BaseException:
            folder.discard()
            raise
        say(f"{looks.path}: look {len(looks.of(self.state.data_sha256))} at these messages, written down")

    def _reason(self) -> str:
        return (self.reasons[locked_by(self.plan.tests.split)] or "").strip()

    def _record(self) -> Look:
        from crisis_filter.experiments.looks import Look

        return Look(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            data=self.state.data,
            split=self.plan.tests.split,
            data_sha256=self.state.data_sha256,
            experiment=self.state.sha256,
            variants=tuple(variant.id for variant in self.state.variants),
            items=len(self.state.items),
            reason=self._reason(),
            version=self.state.version,
        )


async def _asked(folder: Folder, made: Columns, data: Data, tell: Callable[[Progress], None]) -> Ending:
    from crisis_filter.experiments.opening import opener
    from crisis_filter.experiments.running import run

    openers = {column.variant.id: opener(column, folder.calls, live=True) for column in made.columns}
    return await run(folder, data, openers, tell=tell)


def _telling(bar: ProgressLine) -> Callable[[Progress], None]:
    def tell(at: Progress) -> None:
        money = f" | {at.money:,.2f}" if at.money is not None else ""
        bar.show(
            f"{at.done:,}/{at.cells:,} answers | {at.undetermined:,} undetermined{money}",
            done=at.asked,
            fraction=at.done / at.cells,
        )

    return tell


def _put_out(
    found: Experiment,
    ending: Ending,
    where: Path,
    data: Data,
    *,
    junit: Path | None,
    output: Path | None,
    with_text: bool,
    as_json: bool,
) -> None:
    from crisis_filter.cli.experiment_show import show_experiment, summary_json
    from crisis_filter.experiments.lines import write_whole

    if junit is not None:
        from crisis_filter.experiments.junit import junit_of_experiment

        write_whole(junit, junit_of_experiment(found))
    if output is not None:
        from crisis_filter.experiments.page import matrix_page

        texts = {item.id: data.messages[item.id].text for item in found.state.items} if with_text else None
        write_whole(output, matrix_page(found, texts))
    with putting_out():
        if as_json:
            typer.echo(summary_json(found, ending, where))
        else:
            show_experiment(found, stdout_console())
    for path in (junit, output):
        if path is not None:
            say(f"written: {path}")
    say(f"in {where}")


def _say_why(ending: Ending) -> None:
    if ending.over_budget:
        say(
            f"stopped at the budget with {ending.done:,} of {ending.cells:,} answers: raise it and run the same command again"
        )
    for name in ending.untold:
        say(
            f"{name}: its server did not say how many tokens a reply took, so a budget of money cannot be kept, and the run stopped with "
            f"{ending.done:,} of {ending.cells:,} answers: have it send usage, or give budget.requests instead of budget.money"
        )
    for name in ending.given_up:
        say(
            f"{name}: gave no reply ten times in a row and was left alone; see to its server, then run the same command again"
        )
    if ending.faults:
        say(
            f"{counted(ending.faults, 'answer')} lacking for a fault of a service: run the same command again, and only those are asked about"
        )
