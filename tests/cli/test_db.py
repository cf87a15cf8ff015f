"""`crisis-filter db`: the tables of a store are brought up to date by one command, and looked at by another."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from crisis_filter.cli.app import app
from crisis_filter.store.opening import open_store
from crisis_filter.store.upgrading import newest


def db(*words: str) -> tuple[int, str, str]:
    told = CliRunner().invoke(app, ["db", *words])
    return told.exit_code, told.stdout, told.stderr


def test_upgrade_makes_a_store_and_may_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    for _ in range(2):
        assert db("upgrade", "--store", f"sqlite:///{path}") == (0, f"the tables are at {newest()}, the newest\n", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    open_store(str(path)).close()


def test_check_tells_that_all_is_well(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    db("upgrade", "--store", url)
    assert db("check", "--store", url)[:2] == (0, f"the tables are at {newest()}, the newest, and whole\n")
    found = json.loads(db("check", "--store", url, "--json")[1])
    assert found == {"state": "newest", "at": newest(), "newest": newest(), "damages": 0}


def test_check_of_stale_tables_says_what_to_type(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    db("upgrade", "--store", url)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("DELETE FROM crisis_filter_version")
    connection.close()
    status, out, err = db("check", "--store", url)
    assert (status, out) == (5, "")
    assert f"type: crisis-filter db upgrade --store {url}" in err


def test_another_programs_tables_are_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        connection.execute("CREATE TABLE letters (id INTEGER)")
    connection.close()
    for command in ("upgrade", "check"):
        status, _, err = db(command, "--store", f"sqlite:///{tmp_path / 'theirs.db'}")
        assert status == 5
        assert "tables of another program" in err


def test_a_broken_foreign_key_is_damage(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    db("upgrade", "--store", url)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("INSERT INTO texts VALUES ('nobody', 'message', 0, 'north', NULL, x'00', 0)")
    connection.close()
    status, out, _ = db("check", "--store", url)
    assert status == 1
    assert out == "DAMAGED: the database reports 1 fault; restore a backup\n"


def test_a_password_is_not_repeated() -> None:
    status, out, err = db("upgrade", "--store", "postgresql://somebody:canary@127.0.0.1:1/name")
    assert status == 1
    assert "cannot be reached" in err
    assert "canary" not in out + err


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['alembic'] = None; from crisis_filter.cli import main; "
        f"sys.argv = ['crisis-filter', 'ledger', '--store', {str(tmp_path / 's.db')!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert "pip install 'crisis-filter[service]'" in done.stderr


def test_the_command_line_loads_no_database_until_it_is_asked_to() -> None:
    code = (
        "import sys; import crisis_filter.cli.app; import crisis_filter;"
        "found = {'sqlalchemy', 'alembic', 'psycopg', 'cryptography', 'fastapi'} & set(sys.modules); assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
