"""`crisis-filter demo`: the service on this machine, with 40 messages of ours and a short tour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.demo_tour import Tour
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.stopping import Stopper
from crisis_filter.cli.store_options import with_the_extra
from crisis_filter.cli.trouble import INTERNAL, putting_out, say, told
from crisis_filter.errors import CrisisFilterError

if TYPE_CHECKING:
    from rich.console import Console

    from crisis_filter.service.demo import Demo

_LOOK_S = 0.5


def demo(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where it listens; 0 takes a free one.")] = 8080,
    once: Annotated[bool, typer.Option("--once", help="End after the tour.")] = False,
    show_texts: Annotated[
        bool, typer.Option("--show-texts", help="Show the beginning of each text; they are fictional.")
    ] = False,
) -> None:
    """Follow 40 fictional messages through the service: stored, judged, routed, queued, told of by webhook and accounted for.

    Needs no key and no network: the embedded engine judges, the store lies in a temporary folder, and everything stays on this machine.
    Some of the messages describe distress and danger; their texts are not shown unless you ask. Afterwards it stays up for you to try,
    until Ctrl-C; then nothing of it is left.

    Exit status: 0 ended; 1 something did not add up; 5 the port is taken or a package is missing; 130 stopped during the tour.
    """
    stopper, console = Stopper(), stdout_console()
    with told(), stopper.watching():
        with with_the_extra():
            from crisis_filter.service.demo import demo_messages, open_demo

        messages = demo_messages()
        say("starting ...")
        with open_demo(messages, port) as opened:
            tour = Tour(opened, messages, console, show_texts=show_texts)
            with putting_out():
                whole = tour.follow()
                if not once:
                    tour.leave()
                console.file.flush()
            if not once:
                _stay(opened, console)
        if not whole:
            raise typer.Exit(INTERNAL)


def _stay(opened: Demo, console: Console) -> None:
    """Until a signal, show what arrives."""
    try:
        while opened.running():
            arrived = opened.receiver.next(_LOOK_S)
            if arrived is not None:
                signed = "signature verified" if arrived.signed else "SIGNATURE WRONG"
                told_of = (str(arrived.payload.get(name)) for name in ("kind", "urgency", "queue"))
                with putting_out():
                    console.print(plain(f"webhook: {', '.join(told_of)}; {signed}"), soft_wrap=True)
                    console.file.flush()
    except KeyboardInterrupt:
        # This is how it is meant to end.
        say("ending; the folder is removed")
        return
    raise CrisisFilterError("the service ended by itself")
