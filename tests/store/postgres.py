"""A PostgreSQL server for tests: real, on the loopback, with a data folder of its own; gone when the tests end."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from crisis_filter.store.engines import make_engine, store_url
from crisis_filter.store.upgrading import upgrade

USER = "crisis"
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))


def binary(name: str) -> str:
    """The newest installed one.

    Fails the test, loudly, where there is none: what is said of PostgreSQL must have been seen there.
    """
    for folder in _BINARIES:
        if (folder / name).exists():
            return str(folder / name)
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"these tests need PostgreSQL, and {name} is not installed: apt-get install postgresql", pytrace=False
        )
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """One server. `url(name)` makes a new database from `template`, where one is named."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="crisis-pg-"))
        self.data = self.folder / "data"
        self.port = free_port()
        self._as: list[str] = []
        if os.geteuid() == 0:  # it refuses to run as root
            known = pwd.getpwnam("postgres")
            os.chown(self.folder, known.pw_uid, known.pw_gid)
            self._as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self._run("initdb", "-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n"
                "max_connections = 80\nshared_buffers = 64MB\nfsync = on\nlog_min_messages = panic\n"
            )
        self._control("start")

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as, binary(name), *arguments],
            cwd=self.folder,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{name} failed: {done.stdout.decode(errors='replace')[-2000:]}", pytrace=False)

    def _control(self, *order: str) -> None:
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-t", "60", *order)

    def restart(self) -> None:
        """As after a power cut: nothing is ended in order, and what was not durable is gone."""
        self._control("-m", "immediate", "restart")

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        self._control("start")

    def address(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def make(self, name: str, template: str = "template0") -> str:
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.address(name)

    def close(self) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def with_tables(name: str) -> Iterator[Server]:
    """A server, with a database that holds the tables and nothing else."""
    server = Server()
    try:
        engine = make_engine(store_url(server.make(name)))
        upgrade(engine, name)
        engine.dispose()
        yield server
    finally:
        server.close()
