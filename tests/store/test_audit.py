"""Whatever somebody does to the rows of the audit is noticed, and the row is named."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import create_engine, delete, event, func, insert, select, update

from crisis_filter.errors import InputError, StoreError
from crisis_filter.store import audit as written
from crisis_filter.store.audit import GENESIS, Entry, Head, append, append_many, digest, floor, head, let_go, show
from crisis_filter.store.audit_verify import verify
from crisis_filter.store.tables import audit, facts, metadata
from tests.store.trust import CANARY, DAY, LEAD, NOW

COLUMNS = ("tenant", "at_ms", "actor", "action", "object", "reason", "origin", "result", "previous", "hash")


def entry(number: int = 0, **more: object) -> Entry:
    return Entry.of(LEAD, "view", f"message:{number}").model_copy(update=more)


def chained(connection, rows: int) -> None:
    connection.execute(delete(audit))
    connection.execute(delete(facts))
    for number in range(rows):
        append(connection, entry(number), NOW + number)


@pytest.fixture(scope="module")
def engine():
    made = create_engine("sqlite://")
    event.listen(made, "connect", lambda raw, _: setattr(raw, "isolation_level", None))
    event.listen(made, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def connection(engine):
    with engine.connect() as opened:
        chained(opened, 10)
        yield opened


def rows_of(connection) -> list[dict[str, object]]:
    return [dict(row) for row in connection.execute(select(audit).order_by(audit.c.seq)).mappings()]


def rewrite(connection, rows) -> None:
    connection.execute(delete(audit))
    if rows:
        connection.execute(insert(audit), rows)


def sealed(row: dict[str, object]) -> dict[str, object]:
    """A row whose hash fits it, as a forger would make one."""
    names = ("seq", "tenant", "at_ms", "actor", "action", "object", "reason", "origin", "result")
    return {**row, "hash": digest(str(row["previous"]), [row[name] for name in names])}


def flaw_of(connection, against: Head | None = None) -> tuple[int, str] | None:
    found = verify(connection, against).flaw
    return None if found is None else (found.seq, found.how)


@given(count=st.integers(0, 30))
def test_an_untouched_chain_is_whole(engine, count):
    with engine.connect() as connection:
        chained(connection, count)
        found = verify(connection)
        assert (found.flaw, found.rows, found.head.seq) == (None, count, count)
        assert head(connection) == (found.head if count else None)


def test_the_hash_is_what_the_page_says(connection):
    """Somebody with no program of ours can compute it."""
    import hashlib
    import json

    first = rows_of(connection)[0]
    told = json.dumps([1, "clinic", NOW, "lead", "view", "message:0", None, "test", "done"], separators=(",", ":"))
    assert first["previous"] == "0" * 64
    assert first["hash"] == hashlib.sha256(f"{'0' * 64}\n{told}".encode()).hexdigest()


def changed(row: dict[str, object], column: str, data: st.DataObject) -> object:
    old = row[column]
    values = st.integers(0, 2**40) if column == "at_ms" else st.text("abc0", max_size=8)
    if column in ("reason", "origin"):
        values = st.none() | values
    return data.draw(values.filter(lambda new: new != old))


@given(at=st.integers(1, 10), column=st.sampled_from(COLUMNS), data=st.data())
def test_an_edited_row_is_named(engine, at, column, data):
    """Any column of any row."""
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        rows[at - 1][column] = changed(rows[at - 1], column, data)
        rewrite(connection, rows)
        assert flaw_of(connection) == (at, "edited")


@given(at=st.integers(1, 10), column=st.sampled_from(COLUMNS[:8]), data=st.data())
def test_an_edited_row_with_a_fresh_hash_is_named(engine, at, column, data):
    """The row fits itself; the next one, or the note of the end, is chained to what it was."""
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        rows[at - 1][column] = changed(rows[at - 1], column, data)
        rows[at - 1] = sealed(rows[at - 1])
        rewrite(connection, rows)
        assert flaw_of(connection) == (at, "edited")


@given(at=st.integers(1, 10))
def test_a_row_that_is_chained_to_something_else_is_named(engine, at):
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        rows[at - 1] = sealed({**rows[at - 1], "previous": "a" * 64})
        rewrite(connection, rows)
        assert flaw_of(connection) == (at, "edited")


@given(first=st.integers(1, 10), many=st.integers(1, 10))
def test_removed_rows_are_named(engine, first, many):
    """In the middle and at the front they leave a gap, at the end the note of it stays behind."""
    with engine.connect() as connection:
        chained(connection, 10)
        connection.execute(delete(audit).where(audit.c.seq >= first, audit.c.seq < first + many))
        assert flaw_of(connection) == (first, "cut" if first + many > 10 else "removed")


@given(at=st.integers(1, 9), many=st.integers(1, 5))
def test_removed_rows_are_named_also_where_the_gap_is_closed(engine, at, many):
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        kept = [row for row in rows if not at <= int(str(row["seq"])) < at + many]
        rewrite(connection, [{**row, "seq": n} for n, row in enumerate(kept, start=1)])
        # Where nothing follows, the gap is one at the end.
        assert flaw_of(connection) == (at, "cut" if at + many > 10 else "removed")


@given(places=st.permutations(range(1, 11)))
def test_rows_in_another_order_are_named(engine, places):
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        rewrite(connection, [{**row, "seq": seq} for row, seq in zip(rows, places, strict=True)])
        wrong = next((n for n in range(1, 11) if places[n - 1] != n), None)
        found = flaw_of(connection)
        assert found == (None if wrong is None else (wrong, "reordered"))


@given(at=st.integers(1, 11), many=st.integers(1, 3), fits=st.booleans())
def test_inserted_rows_are_named(engine, at, many, fits):
    """Those behind are pushed on. A forged row fits what is before it, or nothing."""
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        before = rows[: at - 1]
        for extra in range(many):
            previous = str(before[-1]["hash"]) if before else GENESIS
            forged = {**rows[0], "seq": at + extra, "object": "message:forged", "previous": previous}
            before.append(sealed(forged) if fits else forged)
        rewrite(connection, [*before, *({**row, "seq": int(str(row["seq"])) + many} for row in rows[at - 1 :])])
        assert flaw_of(connection) == (at, "inserted" if fits else "edited")


@given(places=st.tuples(st.integers(1, 10), st.integers(1, 10)).filter(lambda p: p[0] != p[1]))
def test_a_row_overwritten_by_another_is_named(engine, places):
    source, target = places
    with engine.connect() as connection:
        chained(connection, 10)
        rows = rows_of(connection)
        rows[target - 1] = {**rows[source - 1], "seq": target}
        rewrite(connection, rows)
        seq, how = flaw_of(connection) or (0, "")
        assert seq == target
        assert how in ("edited", "removed", "reordered")


def test_a_row_before_the_first_is_named(connection):
    connection.execute(insert(audit), [sealed({**rows_of(connection)[0], "seq": 0})])
    assert flaw_of(connection) == (0, "inserted")


@pytest.mark.parametrize("value", [None, "nonsense", "7", "5:" + "a" * 64, f"10:{'a' * 64}", f"12:{'a' * 64}"])
def test_a_spoilt_note_of_the_end_is_noticed(connection, value):
    """And nothing more is written where it cannot be known after which row."""
    if value is None:
        connection.execute(delete(facts))
    else:
        connection.execute(update(facts).values(value=value))
    assert flaw_of(connection) is not None
    if value is None or not value[0].isdigit() or ":" not in value:
        with pytest.raises(StoreError, match="audit verify"):
            append(connection, entry(), NOW)


def forge(connection, upto: int, more: int) -> None:
    """What the owner of the database can do: a whole chain anew, and the note of its end with it."""
    chained(connection, upto)
    for number in range(more):
        append(connection, entry(actor=f"forged{number}"), NOW)


@given(upto=st.integers(0, 9), more=st.integers(0, 4))
def test_a_chain_made_anew_is_noticed_only_beside_a_head_that_was_kept(engine, upto, more):
    """Inside the database nothing shows; said plainly, and shown here."""
    with engine.connect() as connection:
        chained(connection, 10)
        kept = head(connection)
        forge(connection, upto, more)
        assert flaw_of(connection) is None
        found = flaw_of(connection, kept)
        assert found == ((upto + more + 1, "cut") if upto + more < 10 else (10, "rewritten"))


def test_a_head_that_was_kept_fits_a_chain_that_went_on(connection):
    kept = head(connection)
    append(connection, entry(), NOW)
    assert verify(connection, kept).flaw is None
    assert Head.parse(f" {kept}\n") == kept
    for wrong in ("", "7", "x:y", f"-1:{'a' * 64}", f"5:{'A' * 64}"):
        with pytest.raises(InputError):
            Head.parse(wrong)


def test_an_emptied_audit_is_noticed_beside_a_head_that_was_kept(connection):
    kept = head(connection)
    connection.execute(delete(audit))
    assert flaw_of(connection) == (1, "cut")
    connection.execute(delete(facts))
    assert flaw_of(connection) is None
    assert flaw_of(connection, kept) == (1, "cut")


def test_rows_that_retention_let_go_are_not_missed(connection):
    """The chain begins behind them; a row says so, and a head that was kept before still fits as long as its row is there."""
    kept = head(connection)
    assert let_go(connection, NOW + 4, LEAD, NOW + DAY, 100) == 4
    assert (floor(connection).seq, connection.scalar(select(func.min(audit.c.seq)))) == (4, 5)
    assert verify(connection, kept).flaw is None
    assert verify(connection).rows == 7
    assert let_go(connection, NOW + 4, LEAD, NOW + DAY, 100) == 0
    assert let_go(connection, NOW + 100, LEAD, NOW + 2 * DAY, 3) == 3
    assert let_go(connection, NOW + 100, LEAD, NOW + 3 * DAY, 100) == 3
    assert verify(connection, kept).flaw is None
    assert let_go(connection, NOW + 2 * DAY, LEAD, NOW + 4 * DAY, 100) == 1
    assert verify(connection).flaw is None
    with pytest.raises(InputError, match="newer head"):
        verify(connection, kept)


def test_rows_cut_off_the_front_are_named(connection):
    """Also where the note of the beginning is forged: no row backs it."""
    last = rows_of(connection)[3]
    connection.execute(delete(audit).where(audit.c.seq <= 4))
    assert flaw_of(connection) == (1, "removed")
    connection.execute(insert(facts), {"name": "audit_floor", "value": f"4:{last['hash']}"})
    assert flaw_of(connection) == (4, "cut")


def test_a_row_is_there_exactly_when_its_transaction_is(engine):
    with engine.connect() as connection:
        chained(connection, 2)
        connection.commit()
        append(connection, entry(), NOW)
        connection.rollback()
        assert connection.scalar(select(func.count()).select_from(audit)) == 2
        append_many(connection, [entry(n) for n in range(3)], NOW)
        assert append_many(connection, [], NOW) == head(connection)
        assert verify(connection).rows == 5
        connection.rollback()


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "look"},
        {"object": "no kind"},
        {"object": f"message:{CANARY} i want"},
        {"object": "message:"},
        {"actor": ""},
        {"actor": "a\nb"},
        {"reason": "x" * 129},
        {"reason": "\ud800"},
        {"origin": "\x00"},
        {"result": "maybe"},
    ],
)
def test_an_entry_that_cannot_stand_in_both_databases_is_refused(wrong):
    given_fields = {**entry().model_dump(), **wrong}
    with pytest.raises(ValidationError) as caught:
        Entry.model_validate(given_fields)
    assert CANARY not in str(caught.value)


def test_rows_are_shown_by_who_what_and_when(connection):
    append(connection, entry(actor="anna", action="decide"), NOW + 50)
    append(connection, entry(tenant="other", action="export"), NOW + 60)
    assert [row.seq for row in show(connection)] == list(range(1, 13))
    assert [row.seq for row in show(connection, last=3)] == [10, 11, 12]
    assert [row.seq for row in show(connection, tenant="other")] == [12]
    assert [row.seq for row in show(connection, actor="anna", action="decide", since_ms=NOW + 50)] == [11]
    assert list(show(connection, actor="nobody", last=3)) == []
    assert [row.seq for row in show(connection, tenant="clinic", last=1)] == [11]


def test_reading_goes_batch_by_batch(connection, monkeypatch):
    """Also where a chain is many batches long."""
    monkeypatch.setattr(written, "_BATCH", 3)
    assert verify(connection).rows == 10
    assert len(list(show(connection))) == 10
    connection.execute(delete(audit).where(audit.c.seq == 7))
    assert flaw_of(connection) == (7, "removed")


def test_many_who_append_at_once_make_one_chain(open_here):
    """Two processes' stores on one database: every transaction's rows are there, once, in one order, and a verification meanwhile finds nothing."""
    flaws, stores = [], [open_here(), open_here()]
    store = stores[0]

    def work(name: int) -> None:
        for number in range(15):
            stores[name % 2].write(lambda c, n=number: append(c, entry(n, actor=f"a{name}"), NOW))
            flaws.append(store.read(verify).flaw)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert flaws == [None] * 60
    found = store.read(verify)
    assert (found.rows, found.flaw) == (60, None)
    counts = store.read(lambda c: dict(c.execute(select(audit.c.actor, func.count()).group_by(audit.c.actor)).all()))
    assert counts == {f"a{n}": 15 for n in range(4)}
