"""`crisis-filter store`: the keys of a store, and what it keeps no longer."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crisis_filter.cli.options import AsJson
from crisis_filter.cli.show import plain, stdout_console
from crisis_filter.cli.store_acting import Reason, SubjectFrom, Tenant, operator, subject_in
from crisis_filter.cli.store_holds import hold, list_holds, release
from crisis_filter.cli.store_options import KeysFile, StoreUrl, opened_store, with_the_extra
from crisis_filter.cli.trouble import NOT_PASSED, putting_out, say, told
from crisis_filter.cli.usage import Commands
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from crisis_filter.store.erase import Erased

_IN_THE_WAY = "others read all the while, so that bytes of it are on the disk still: crisis-filter store scrub"
_SHOWN = 20

store = typer.Typer(
    name="store",
    cls=Commands,
    no_args_is_help=True,
    help="The keys that a store's texts lie under, and what it keeps no longer: retention, erasure, legal holds.",
)

Vacuum = Annotated[
    bool, typer.Option("--vacuum", help="Write the whole file anew as well; nobody can write to it meanwhile.")
]


@store.command("keygen")
def keygen(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", show_default=False, help="Where the keys are to lie (.toml).")
    ],
    add: Annotated[bool, typer.Option("--add", help="Put one more key into the file and seal under it.")] = False,
    later: Annotated[
        bool, typer.Option("--later", help="With --add: let the present key go on sealing, until --use.")
    ] = False,
    use: Annotated[
        str | None, typer.Option(metavar="KEY", show_default=False, help="Seal under this key of the file from now on.")
    ] = None,
    begun: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            show_default=False,
            help="SQLite file of a store that was begun without keys: the new file fits it; store rotate then seals what lies open.",
        ),
    ] = None,
) -> None:
    """Make a file of keys, for its owner's eyes only; or add a key to one, to change over.

    A service takes its keys at its start. Where one process uses the store: --add, start it anew, store rotate. Where several do: --add --later,
    start all anew, --use KEY, start all anew, store rotate.

    Exit status: 0 done; 5 the file is there already, is none of keys, or cannot be written.
    """
    with told():
        with with_the_extra():
            from crisis_filter.store.key_files import add_key, choose_key, make_keys

        if use is not None:
            ring = choose_key(file, use)
        elif add:
            ring = add_key(file, entropy=secrets.token_bytes, later=later)
        else:
            ring = make_keys(file, entropy=secrets.token_bytes, begun=begun)
            say("keep a copy of the file, apart from the backups of the database: without it no text can be read")
        say(f"{file}: {counted(len(ring.keys), 'key')}: {', '.join(ring.keys)}; {ring.current} seals")


@store.command("rotate")
def rotate(
    url: StoreUrl,
    keys: KeysFile,
    drop: Annotated[
        bool, typer.Option("--drop", help="Then take the keys out of the file that nothing lies under any more.")
    ] = False,
) -> None:
    """Seal everything under the key that seals now; the service may run meanwhile. Stopped, it is gone on with the next time.

    Exit status: 0 done; 4 something does not open, and was left as it is; 5 the store or the keys cannot be opened.
    """
    with told(), opened_store(url, keys) as opened:
        from crisis_filter.store.key_files import drop_keys
        from crisis_filter.store.rotate import keys_in_use
        from crisis_filter.store.rotate import rotate as rotated

        done = rotated(opened, operator("all", "store rotate"))
        say(f"{done.resealed:,} sealed anew under {opened.keys.current}")
        if drop and keys is not None and not done.unopened:
            used = frozenset(key_id for key_id in opened.read(keys_in_use) if key_id is not None)
            gone = drop_keys(keys, used)
            say(f"keys taken out of {keys}: {', '.join(gone) or 'none'}")
        if done.unopened:
            say(f"{len(done.unopened):,} do not open: {', '.join(done.unopened[:_SHOWN])}")
            raise typer.Exit(NOT_PASSED)


@store.command("erase")
def erase(
    url: StoreUrl,
    keys: KeysFile = None,
    tenant: Tenant = "default",
    subject_from: SubjectFrom = None,
    message: Annotated[
        list[str] | None,
        typer.Option(show_default=False, help="Our id of a message, instead of a person; may be repeated."),
    ] = None,
    reason: Reason = None,
    also_unread: Annotated[
        bool,
        typer.Option(
            "--also-unread",
            help="Though a person has not read all of them yet; those stay in their queue, without text.",
        ),
    ] = False,
    vacuum: Vacuum = False,
    as_json: AsJson = False,
) -> None:
    """Forget a person: texts, quotes, reasons, notes and whatever leads back to them. Verdicts stay, and belong to nobody.

    All of it or nothing: refused where a message is still being judged, waits for a person who has not read it, or is under a legal
    hold. Backups, exported files and what receivers of webhooks keep are not reached.

    Exit status: 0 done; 2 nobody was named; 4 refused, or bytes are left on the disk; 5 the store cannot be opened.
    """
    with told():
        subject = subject_in(subject_from)
        with opened_store(url, keys) as opened:
            from crisis_filter.store.erase import erase as forget
            from crisis_filter.store.erase import scrub

            by, name = operator(tenant, "store erase"), opened.new_id()
            found = opened.write(
                lambda connection: forget(
                    connection,
                    opened.keys,
                    by,
                    erasure=name,
                    now_ms=opened.clock(),
                    subject=subject,
                    message_ids=message or (),
                    reason=reason,
                    also_unread=also_unread,
                ),
                point="erase",
            )
            clean = not found.done or scrub(opened, vacuum=vacuum)
        _tell(found, as_json=as_json)
        if not clean:
            say(_IN_THE_WAY)
        if not found.done or not clean:
            raise typer.Exit(NOT_PASSED)


def _tell(found: Erased, *, as_json: bool) -> None:
    with putting_out():
        if as_json:
            typer.echo(found.model_dump_json())
            return
        lines = [
            f"{counted(found.messages, 'message')} forgotten, {counted(found.texts, 'text')} deleted; erasure {found.erasure}"
            if found.done
            else f"refused, nothing was changed; erasure {found.erasure}"
        ]
        for ids, words in (
            (found.pending, "still being judged; come again in a moment"),
            (found.unread, "not yet read by a person; --also-unread if that may not hold it up"),
            (found.held, "under a legal hold"),
            (found.unknown, "no messages of this tenant"),
        ):
            if ids:
                more = ", ..." if len(ids) > _SHOWN else ""
                lines.append(f"{len(ids):,} {words}: {', '.join(ids[:_SHOWN])}{more}")
        for line in lines:
            stdout_console().print(plain(line), soft_wrap=True)


@store.command("sweep")
def sweep(
    url: StoreUrl,
    keys: KeysFile = None,
    text_days: Annotated[int, typer.Option(min=1, help="Messages, and quotes and reasons of assessments.")] = 30,
    note_days: Annotated[int, typer.Option(min=1, help="What readers wrote.")] = 30,
    decision_days: Annotated[
        int, typer.Option(min=1, help="Verdicts, routes and readings, from the last thing that happened to a message.")
    ] = 2192,
    audit_days: Annotated[int, typer.Option(min=1, help="Rows of the audit.")] = 2192,
    outbox_days: Annotated[int, typer.Option(min=1, help="Webhooks that were delivered or given up.")] = 30,
    idempotency_hours: Annotated[int, typer.Option(min=24, help="Keys of requests.")] = 24,
    vacuum: Vacuum = False,
    as_json: AsJson = False,
) -> None:
    """Delete what was kept long enough. Never the text of a message that somebody may still have to read, nor what is under a legal hold.

    Exit status: 0 done; 4 bytes are left on the disk; 5 the store cannot be opened.
    """
    with told(), opened_store(url, keys) as opened:
        from crisis_filter.store.erase import scrub
        from crisis_filter.store.retention import Retention, sweep_all

        policy = Retention(
            text_days=text_days,
            note_days=note_days,
            decision_days=decision_days,
            audit_days=audit_days,
            outbox_days=outbox_days,
            idempotency_hours=idempotency_hours,
        )
        done = sweep_all(opened, policy, operator("all", "store sweep"))
        clean = scrub(opened, vacuum=vacuum)
        with putting_out():
            if as_json:
                typer.echo(done.model_dump_json())
            else:
                stdout_console().print("deleted: " + ", ".join(f"{name} {count:,}" for name, count in done))
        if not clean:
            say(_IN_THE_WAY)
            raise typer.Exit(NOT_PASSED)


@store.command("scrub")
def scrub_files(url: StoreUrl, keys: KeysFile = None, vacuum: Vacuum = False) -> None:
    """Bring what was deleted off the disk, as far as a database can: empty SQLite's log, and with --vacuum write the file anew.

    Exit status: 0 done; 4 others were in the way; 5 the store cannot be opened.
    """
    with told(), opened_store(url, keys) as opened:
        from crisis_filter.store.erase import scrub

        if not scrub(opened, vacuum=vacuum):
            say(_IN_THE_WAY)
            raise typer.Exit(NOT_PASSED)


store.command("hold")(hold)
store.command("release")(release)
store.command("holds")(list_holds)
