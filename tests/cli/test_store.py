"""The commands on a store's keys, on what it forgets, and on its audit, from nothing to an audit that was tampered with."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import stat

import pytest
from sqlalchemy import delete, update

from crisis_filter.store.key_files import make_keys
from crisis_filter.store.keyring import Keyring
from crisis_filter.store.opening import now_ms, open_store
from crisis_filter.store.tables import audit, items
from tests.store.trust import CANARY, PHONE, Clock, World, disk

DAYS_AGO = 40 * 24 * 3600 * 1000


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A store with keys and two people's messages, 40 days old: one of each is read, one of the first is not."""
    folder = tmp_path_factory.mktemp("prepared")
    keys, clock = make_keys(folder / "keys.toml", entropy=secrets.token_bytes), Clock(now_ms() - DAYS_AGO)
    with open_store(f"sqlite:///{folder}/store.db", keys=keys, clock=clock) as store:
        world = World(store, clock)
        world.message(tenant="default")
        world.message(tenant="default", subject="other")
        world.message(tenant="default", read=False)
    return folder


@pytest.fixture
def place(tmp_path, prepared, run):
    """Runs commands on a copy of it."""
    folder = tmp_path / "place"
    shutil.copytree(prepared, folder)
    url, keys = f"sqlite:///{folder}/store.db", folder / "keys.toml"

    def go(*arguments: str, stdin: bytes | None = None, secret: bool = True):
        more = ("--keys", str(keys)) if secret else ()
        return run(*arguments, "--store", url, *more, stdin=stdin, backend=False)

    go.url, go.keys, go.folder = url, keys, folder  # type: ignore[attr-defined]
    return go


def opened(place) -> World:
    clock = Clock(now_ms())
    return World(open_store(place.url, keys=Keyring.from_toml(place.keys), clock=clock), clock)


def test_keys_are_made_once_and_never_shown(run, tmp_path):
    path = tmp_path / "keys.toml"
    ran = run("store", "keygen", str(path), backend=False)
    assert (ran.status, ran.out) == (0, "")
    found = re.findall(r'"([^"]{40,})"', path.read_text(encoding="utf-8"))
    assert len(found) == 2
    assert not any(secret in ran.err for secret in found)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = run("store", "keygen", str(path), backend=False)
    assert (again.status, "never written over" in again.err) == (5, True)
    assert run("store", "keygen", str(path), "--add", "--later", backend=False).status == 0
    ring = Keyring.from_toml(path)
    (newest,) = ring.keys.keys() - {ring.current}
    assert run("store", "keygen", str(path), "--use", newest, backend=False).status == 0
    assert Keyring.from_toml(path).current == newest
    assert run("store", "keygen", str(path), "--use", "none", backend=False).status == 5


def test_a_rotation_from_the_command_line(place, run):
    before = Keyring.from_toml(place.keys).current
    assert run("store", "keygen", str(place.keys), "--add", backend=False).status == 0
    ran = place("store", "rotate", "--drop")
    assert (ran.status, "8 sealed anew" in ran.err) == (0, True)
    left = Keyring.from_toml(place.keys)
    assert before not in left.keys
    with opened(place).store as store:
        store.write(lambda c: c.exec_driver_sql("UPDATE texts SET key_id = 'lost' WHERE kind = 'note'"))
    ran = place("store", "rotate", "--drop")
    assert (ran.status, "2 do not open" in ran.err) == (4, True)


def test_a_person_is_forgotten(place):
    refused = place("store", "erase", "--subject-from", "-", stdin=f"{PHONE}\n".encode())
    assert (refused.status, "1 not yet read by a person" in refused.out) == (4, True)
    done = place(
        "store",
        "erase",
        "--subject-from",
        "-",
        "--also-unread",
        "--reason",
        "case 7",
        "--vacuum",
        "--json",
        stdin=f"{PHONE}\n".encode(),
    )
    told = json.loads(done.out)
    assert (done.status, told["done"], told["messages"], told["texts"]) == (0, True, 2, 5)
    assert PHONE not in refused.out + refused.err + done.out + done.err
    assert place("store", "erase", "--message", "none").status == 4
    assert place("store", "erase").status == 2
    assert place("ledger", secret=False).status == 0
    assert place("audit", "verify", secret=False).status == 0
    shown = place("audit", "show", "--action", "erase", secret=False).out
    assert shown.count("REFUSED") == 2
    assert "case 7" in shown
    with opened(place).store as store:
        pseudonym = store.keys.pseudonym("default", "subject", PHONE)
    for gone in (PHONE, CANARY, pseudonym):
        assert gone.encode() not in disk(place.folder)


@pytest.mark.parametrize("content", [b"", b"\n", b"one\ntwo\n", b"\xff"])
def test_a_person_is_one_line(place, tmp_path, content):
    path = tmp_path / "subject"
    path.write_bytes(content)
    ran = place("store", "erase", "--subject-from", str(path))
    assert (ran.status, ran.out) == (2, "")
    assert place("store", "erase", "--subject-from", str(tmp_path / "none")).status == 5


def test_what_is_due_is_swept_and_what_is_held_stays(place):
    held = place("store", "hold", "--subject-from", "-", "--reason", "case 7", stdin=b"other\n")
    assert held.status == 0
    assert f"{held.out.strip()}  on  a person  case 7" in place("store", "holds").out
    swept = place("store", "sweep", "--json")
    assert (swept.status, json.loads(swept.out)["texts"], json.loads(swept.out)["notes"]) == (0, 2, 1)
    assert place("store", "release", held.out.strip()).status == 0
    assert place("store", "release", "none").status == 2
    assert json.loads(place("store", "holds", "--json").out)["ended_ms"] is not None
    assert "texts 2, notes 1" in place("store", "sweep", "--vacuum").out
    with opened(place).store as store:
        store.write(lambda c: c.execute(update(items).values(state="done")))
    assert json.loads(place("store", "sweep", "--json").out)["texts"] == 2
    assert json.loads(place("store", "sweep", "--decision-days", "39", "--json").out)["decisions"] == 3
    assert place("ledger", secret=False).status == 0
    assert place("store", "scrub").status == 0


@pytest.mark.parametrize("asked", [[], ["--message", "m", "--subject-from", "-"], ["--message", "none"]])
def test_a_hold_names_one_thing_that_is_there(place, asked):
    assert place("store", "hold", "--reason", "case", *asked, stdin=b"x\n").status == 2


def test_programs_get_keys(place):
    made = place("keys", "create", "--name", "portal", "--scope", "classify", "--days", "9", "--json", secret=False)
    key = json.loads(made.out)
    assert (made.status, key["key"].startswith(f"{key['id']}.")) == (0, True)
    plainly = place(
        "keys", "create", "--name", "desk", "--scope", "review", "--scope", "text", "--per-minute", "60", secret=False
    )
    assert re.fullmatch(r"[0-9a-f]{8}\.[\w-]{43}\n", plainly.out)
    shown = place("keys", "list", secret=False).out
    assert f"{key['id']}  opens for 9.0 days  default  portal  classify\n" in shown
    assert "desk  review, text, 60 a minute" in shown
    assert key["key"] not in shown + place("keys", "list", "--json", secret=False).out
    assert place("keys", "revoke", key["key"], secret=False).status == 0
    assert f"{key['id']}  revoked" in place("keys", "list", "--tenant", "default", secret=False).out
    assert place("keys", "revoke", "00000000", secret=False).status == 2
    assert "no keys" in place("keys", "list", "--tenant", "none", secret=False).err
    wrong = place("keys", "create", "--name", "x", "--scope", "fly", secret=False)
    assert (wrong.status, wrong.out) == (2, "")
    assert place("audit", "show", "--action", "key_create", secret=False).out.count("operator:") == 2


def test_a_tampered_audit_is_told_by_the_row(place):
    for number in range(4):
        place("keys", "create", "--name", f"n{number}", "--scope", "classify", secret=False)
    head = place("audit", "head", secret=False).out.strip()
    assert re.fullmatch(r"4:[0-9a-f]{64}", head)
    good = place("audit", "verify", "--against", head, secret=False)
    assert (good.status, "4 rows are as they were written and hold" in good.out) == (0, True)
    assert place("audit", "verify", "--against", "nonsense", secret=False).status == 2
    with opened(place).store as store:
        store.write(lambda c: c.execute(update(audit).where(audit.c.seq == 3).values(actor="nobody")))
    broken = place("audit", "verify", secret=False)
    assert (broken.status, broken.out.startswith("row 3: EDITED")) == (1, True)
    assert json.loads(place("audit", "verify", "--json", secret=False).out)["flaw"]["how"] == "edited"
    with opened(place).store as store:
        store.write(lambda c: c.execute(delete(audit)))
        store.write(lambda c: c.exec_driver_sql("DELETE FROM facts WHERE name = 'audit_head'"))
    assert place("audit", "head", secret=False).status == 1
    assert place("audit", "verify", secret=False).status == 0
    assert place("audit", "verify", "--against", head, secret=False).status == 1


def test_looking_at_the_audit_stands_in_it(place):
    place("keys", "create", "--name", "n", "--scope", "classify", secret=False)
    shown = place("audit", "show", "--since", "2020-01-01", "--last", "1", secret=False)
    assert (shown.status, len(shown.out.splitlines()), " view " in shown.out) == (0, 1, True)
    exported = place("audit", "show", "--json", secret=False).records
    assert [row["action"] for row in exported] == ["key_create", "view", "export"]
    assert exported[2]["previous"] == exported[1]["hash"]
    assert place("audit", "show", "--action", "look", secret=False).status == 2
    assert place("audit", "show", "--actor", "nobody", secret=False).out == ""
    with opened(place).store as store:
        store.write(lambda c: c.exec_driver_sql("UPDATE facts SET value = 'spoilt' WHERE name = 'audit_head'"))
    damaged = place("audit", "show", secret=False)
    assert (damaged.status, "not written down" in damaged.err, "key_create" in damaged.out) == (0, True, True)


@pytest.mark.parametrize(
    "command", [["audit", "verify"], ["audit", "head"], ["keys", "list"], ["keys", "revoke", "x"], ["audit", "show"]]
)
def test_a_store_that_is_not_there_is_not_made(run, tmp_path, command):
    ran = run(*command, "--store", f"sqlite:///{tmp_path}/none.db", backend=False)
    assert (ran.status, ran.out) == (5, "")
    assert list(tmp_path.glob("none*")) == []
