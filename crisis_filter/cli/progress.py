"""The progress line of a long run, on the standard error of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from crisis_filter.cli.inputs import Inputs
    from crisis_filter.cli.tally import Tally


class ProgressLine:
    """Counts, rate and time left; nothing at all unless `shown` and the standard error is a terminal."""

    def __init__(self, *, shown: bool) -> None:
        console = Console(stderr=True)
        self._progress = (
            Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.fields[counts]}"),
                TimeRemainingColumn(compact=True),
                console=console,
                transient=True,
            )
            if shown and console.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
            self._task = self._progress.add_task("", total=None, counts="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, tally: Tally, inputs: Inputs) -> None:
        """Show where a run over inputs stands."""
        counts = (
            f"{tally.total:,} messages | {tally.outcomes['crisis']:,} crisis"
            f" | {tally.outcomes['undetermined']:,} undetermined"
        )
        self.show(counts, done=tally.total, fraction=inputs.fraction)

    def show(self, counts: str, *, done: int, fraction: float | None) -> None:
        """Show counts, with the rate at which `done` grew since the start.

        Args:
            counts: in words.
            done: how many things are done since the start.
            fraction: share of all the work, 0 to 1; `None` where nobody knows.
        """
        if self._progress is None:
            return
        elapsed = self._progress.tasks[self._task].elapsed or 0.0
        rate = f" | {done / elapsed:,.{0 if done >= 10 * elapsed else 1}f}/s" if elapsed > 0 else ""
        self._progress.update(
            self._task, total=None if fraction is None else 1.0, completed=fraction or 0.0, counts=f"{counts}{rate}"
        )
