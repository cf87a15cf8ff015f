"""One thread that writes: it takes whatever waits, runs it in one transaction and commits once for all.

A commit to a disk costs milliseconds and a row microseconds, so that whoever waits for a commit shares it with the others. A function
that raises takes nobody with it: everything is rolled back and each is run again alone. So every function is one of the
connection and its arguments, and safe to be run twice, also when the first time was committed and the answer to that was lost.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from crisis_filter.errors import StoreBusy, StoreClosed, StoreError, StoreUnavailable
from crisis_filter.store.crash import Crash, no_crash

__all__ = ["WRITES", "Bulk", "Trouble", "Writer", "WriterLimits", "trouble_of", "without_words"]

T = TypeVar("T")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
OwnerT = TypeVar("OwnerT")

WRITES = {"writes": True}
"""The execution option of a connection that is going to write."""
_DISK_FULL = {10: "the disk cannot be written", 13: "the disk is full", 8: "the file may only be read"}
"""SQLite's IOERR, FULL and READONLY."""
_LOCKED = {5, 6}
"""SQLite's BUSY and LOCKED."""
_AGAIN = {"40001", "40P01", "55P03"}
"""PostgreSQL: serialisation failure, deadlock, lock not available."""
_NO_ROOM = {
    "53100": "the disk is full",
    "53200": "the database is out of memory",
    "25006": "the database may only be read",
}
_GONE = ("08", "57P", "53300")
"""PostgreSQL: the connection failed, the server is shut down or starts up, too many connections."""


@dataclass(frozen=True, slots=True)
class Bulk(Generic[OwnerT, ItemT, ResultT]):
    """A function that does the same for many callers at once, cheaper than one by one.

    Attributes:
        point: the name of its crash points, `POINT:before_commit` and `POINT:after_commit`.
        run: takes the connection, the owner of the writer (the store) and what each caller handed over; gives a result for each, in
            order. A `StoreError` as a result is raised to that caller alone; one that is raised goes to whoever caused it.
    """

    point: str
    run: Callable[[Connection, OwnerT, Sequence[ItemT]], Sequence[ResultT | StoreError]]


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """How much is taken together and how long anything lasts."""

    most_waiting: int = 4096
    """More is refused with `StoreBusy`, at once."""
    most_together: int = 512
    window_s: float = 0.0
    """How long more is waited for, at most 0.005, once callers come several at a time. Whatever comes while a commit is under way joins the next,
    so that even 0 gathers under load; more saves little and costs everybody that wait."""
    patience_s: float = 20.0
    """How long a lost database is waited for before the callers hear of it."""
    first_wait_s: float = 0.05
    longest_wait_s: float = 1.0


@dataclass(slots=True, eq=False)
class _Job:
    bulk: Bulk[Any, Any, Any] | None
    payload: Any
    """The function, or what a bulk takes."""
    point: str | None
    future: Future[Any] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a database error means for the callers.

    Attributes:
        words: fixed words of ours.
        again: whether the same may go well a moment later.
    """

    words: str
    again: bool


def trouble_of(error: SQLAlchemyError) -> Trouble | None:
    """What is to be done about an error of the database; `None` where it is a bug of whoever asked."""
    if isinstance(error, PoolTimeout):
        return Trouble("all connections to the database are in use", again=True)
    if not isinstance(error, DBAPIError):
        return None
    origin = error.orig
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None:
        if code & 0xFF in _DISK_FULL:
            return Trouble(_DISK_FULL[code & 0xFF], again=False)
        return Trouble("another process keeps the file locked", again=True) if code & 0xFF in _LOCKED else None
    state = getattr(origin, "sqlstate", None) or ""
    if state in _NO_ROOM:
        return Trouble(_NO_ROOM[state], again=False)
    if state in _AGAIN:
        return Trouble("the database is busy with another transaction", again=True)
    lost = error.connection_invalidated or state.startswith(_GONE)
    if lost or (not state and isinstance(error, OperationalError | InterfaceError)):
        return Trouble("the database cannot be reached", again=True)
    return None


def without_words(error: SQLAlchemyError) -> StoreError:
    """An error of ours in place of the database's, whose words hold values of rows."""
    origin = getattr(error, "orig", None)
    kind = type(origin if origin is not None else error).__name__
    state = getattr(origin, "sqlstate", None) or getattr(origin, "sqlite_errorname", None)
    return StoreError(f"the database refused: {kind}{f' {state}' if state else ''}")


class Writer(Generic[OwnerT]):
    """Runs functions on one connection of its own, in a thread of its own.

    Args:
        engine: of the database.
        owner: what bulk functions are given beside the connection.
        limits: how much together, and for how long.
        crash: for tests.
        clock_s: seconds that only go forward.
        sleep: for tests.
    """

    def __init__(
        self,
        engine: Engine,
        owner: OwnerT,
        limits: WriterLimits,
        *,
        crash: Crash = no_crash,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._engine, self._owner, self._limits, self._crash = engine, owner, limits, crash
        self._clock = clock_s
        self._hurry = threading.Event()
        self._sleep = sleep or self._hurry.wait
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._work, name="crisis-filter store writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many functions wait to be run."""
        return len(self._jobs)

    @property
    def alive(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def submit(self, function: Callable[[Connection], T], *, point: str | None = None) -> Future[T]:
        """Hand over a function; its future is done once its transaction is committed, or it failed.

        Functions that are handed over without waiting for one another may be run in another order.

        Raises:
            StoreBusy: too many wait; nothing was taken.
            StoreClosed: the store is being closed.
        """
        return self._put(_Job(None, function, point))

    def gather(self, bulk: Bulk[OwnerT, ItemT, ResultT], item: ItemT) -> Future[ResultT]:
        """The same for one caller's part of a bulk."""
        return self._put(_Job(bulk, item, bulk.point))

    def close(self) -> None:
        """Take nothing more, do all that waits, and end. A lost database is not waited for any longer."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._hurry.set()
        self._thread.join()

    def _put(self, job: _Job) -> Future[Any]:
        with self._changed:
            if self._closing or not self._thread.is_alive():
                raise StoreClosed("the store is being closed")
            if len(self._jobs) >= self._limits.most_waiting:
                raise StoreBusy("more waits to be written than can be in good time")
            self._jobs.append(job)
            if len(self._jobs) == 1:
                self._changed.notify()
        return job.future

    def _work(self) -> None:
        several = False
        while jobs := self._taken(several=several):
            several = len(jobs) > 1
            try:
                self._do(jobs)
            except BaseException as error:  # noqa: BLE001  # a caller must never wait for ever; its kind is told and no more
                self._fail(jobs, StoreError(f"a bug of ours in the store: {type(error).__name__}"))
        self._drop()

    def _taken(self, *, several: bool) -> list[_Job]:
        """What waits now and was not cancelled; nothing when the store is closed and all is done."""
        while True:
            with self._changed:
                while not self._jobs and not self._closing:
                    self._changed.wait()
            if several and self._limits.window_s and not self._closing and len(self._jobs) < self._limits.most_together:
                time.sleep(self._limits.window_s)
            with self._changed:
                taken = [self._jobs.popleft() for _ in range(min(len(self._jobs), self._limits.most_together))]
            wanted = [job for job in taken if job.future.set_running_or_notify_cancel()]
            if wanted or not taken:
                return wanted

    def _do(self, jobs: list[_Job]) -> None:
        """All together; where that fails, each alone."""
        try:
            results = self._patiently(jobs)
        except StoreUnavailable as error:
            self._fail(jobs, error)
        except Exception as error:  # noqa: BLE001  # it is told to whoever caused it
            if len(jobs) == 1:
                self._fail(jobs, error)
                return
            for job in jobs:
                self._do([job])
        else:
            for job, result in zip(jobs, results, strict=True):
                if isinstance(result, StoreError):
                    job.future.set_exception(result)
                else:
                    job.future.set_result(result)

    @staticmethod
    def _fail(jobs: Sequence[_Job], error: BaseException) -> None:
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)

    def _patiently(self, jobs: list[_Job]) -> list[Any]:
        """Once more, and once more again, while the database is away.

        Raises:
            StoreUnavailable: it stayed away, or has no room.
            StoreError: the database refused what a function asked.
        """
        until, wait = self._clock() + self._limits.patience_s, self._limits.first_wait_s
        while True:
            try:
                return self._transaction(jobs)
            except SQLAlchemyError as error:
                trouble = trouble_of(error)
                self._drop()
                if trouble is None:
                    raise without_words(error) from None
                if not trouble.again or self._closing or self._clock() >= until:
                    raise StoreUnavailable(trouble.words) from None
            self._sleep(wait)
            wait = min(2 * wait, self._limits.longest_wait_s)

    def _transaction(self, jobs: list[_Job]) -> list[Any]:
        connection = self._opened()
        points = list(dict.fromkeys(job.point for job in jobs if job.point is not None))
        with self._begun(connection):
            results = self._run(connection, jobs)
            for point in points:
                self._crash(f"{point}:before_commit")
        for point in points:
            self._crash(f"{point}:after_commit")
        return results

    @contextmanager
    def _begun(self, connection: Connection) -> Iterator[None]:
        transaction = connection.begin()
        try:
            yield
        except BaseException:
            with suppress(SQLAlchemyError):
                transaction.rollback()
            raise
        transaction.commit()

    def _run(self, connection: Connection, jobs: list[_Job]) -> list[Any]:
        """In the order in which they came, but that a bulk is run once, where the first of it came."""
        results: dict[_Job, Any] = {}
        together: dict[int, list[_Job]] = {}
        for job in jobs:
            if job.bulk is not None:
                together.setdefault(id(job.bulk), []).append(job)
        for job in jobs:
            if job in results:
                continue
            if job.bulk is None:
                results[job] = job.payload(connection)
                continue
            same = together[id(job.bulk)]
            found = job.bulk.run(connection, self._owner, [other.payload for other in same])
            results.update(zip(same, found, strict=True))
        return [results[job] for job in jobs]

    def _opened(self) -> Connection:
        if self._connection is None or self._connection.closed or self._connection.invalidated:
            self._drop()
            self._connection = self._engine.connect().execution_options(**WRITES)
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None
