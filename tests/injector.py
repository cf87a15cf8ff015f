"""An exception at any call that the package makes on a message's way, in the manner of SQLite's tests of failing memory.

A clean run counts the calls; then the run is made again for each of them, and that one call raises. Nothing is replaced: the
interpreter's profiling hook sees every call, wherever a function is looked up, closures, validators and threads included, and
what the hook raises the caller gets. A second way lets one function raise whenever it is called, as a bug would.
"""

from __future__ import annotations

import asyncio
import dis
import importlib
import inspect
import logging
import pkgutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, Literal, TypeVar

import crisis_filter

ResultT = TypeVar("ResultT")

Event = Literal["enter", "leave", "outside"]
"""A function of the package is called; it returns, and loses what it found; it calls somebody else's function."""

PACKAGE = str(Path(crisis_filter.__file__).parent)
# The drill's servers run in the same process and are no part of a message's way.
_APART = (f"{PACKAGE}/drill", f"{PACKAGE}/local/train")
SECRET = "heron5520 told nobody"
"""The words of every exception that is raised here."""

KINDS: dict[str, Callable[[], Exception]] = {
    "RuntimeError": lambda: RuntimeError(SECRET),
    "KeyError": lambda: KeyError(SECRET),
    "ValueError": lambda: ValueError(SECRET),
    "TypeError": lambda: TypeError(SECRET),
    "AttributeError": lambda: AttributeError(SECRET),
    "AssertionError": lambda: AssertionError(SECRET),
    "MemoryError": lambda: MemoryError(SECRET),
    "RecursionError": lambda: RecursionError(SECRET),
    "UnicodeError": lambda: UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET),
    "OSError": lambda: OSError(5, SECRET, SECRET),
    "TimeoutError": lambda: TimeoutError(SECRET),
    "StopAsyncIteration": lambda: StopAsyncIteration(SECRET),
}
"""Each made anew. `StopIteration` has a test of its own."""
_OF_THE_COLLECTOR = {"_remove", "__del__", "remove"}
_RESUMABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


@cache
def ours(code: CodeType) -> bool:
    """Whether a function is the package's own."""
    return (
        code.co_filename.startswith(PACKAGE) and not code.co_filename.startswith(_APART) and code.co_name != "<module>"
    )


@cache
def _beginning(code: CodeType) -> int:
    """Offset up to which a frame has not begun: beyond it, a generator or coroutine is being resumed."""
    return next((i.offset for i in dis.get_instructions(code) if i.opname == "RESUME" and i.arg == 0), 0)


@dataclass(slots=True)
class Injection:
    """The hook: counts calls of one kind, and at one of them raises, once.

    Raising in a hook also removes it from its thread. A coroutine that is resumed is not called again: its own `try` would
    be passed over, which nothing but this hook could do.
    """

    event: Event
    at: int = 0
    """Number of the call that raises, from 1; 0 only counts."""
    error: Callable[[], Exception] = KINDS["RuntimeError"]
    only: str = ""
    """Name of the one function that counts; empty for all."""
    never: frozenset[str] = frozenset()
    """Names of functions that do not count."""
    seen: int = 0
    place: str = ""
    """Where it was raised."""
    codes: set[CodeType] = field(default_factory=set)
    """The package's functions that were called."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        place = self._meant(frame, event, arg)
        if place is None or place in self.never or (self.only and place != self.only):
            return
        with self.lock:
            self.seen += 1
            self.codes.add(frame.f_code)
            if self.seen != self.at:
                return
        self.place = place
        raise self.error()

    def _meant(self, frame: FrameType, event: str, arg: object) -> str | None:
        code = frame.f_code
        if self.event == "enter" and event == "call" and ours(code):
            return code.co_qualname if frame.f_lasti <= _beginning(code) else None
        if self.event == "leave" and event == "return" and ours(code):
            return None if code.co_flags & _RESUMABLE else f"end of {code.co_qualname}"
        if self.event == "outside" and event == "c_call" and ours(code):
            return f"{getattr(arg, '__qualname__', arg)} in {code.co_qualname}"
        above = frame.f_back
        if self.event == "outside" and event == "call" and above is not None and ours(above.f_code) and not ours(code):
            # What the collector calls has no caller to raise to.
            return None if code.co_name in _OF_THE_COLLECTOR else f"{code.co_qualname} in {above.f_code.co_qualname}"
        return None


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run with an injection ended."""

    value: Any = None
    error: BaseException | None = None
    log: str = ""


@dataclass(slots=True)
class Tally:
    """How many exceptions were raised in a session, for its summary."""

    kinds: Counter[str] = field(default_factory=Counter)
    places: set[str] = field(default_factory=set)
    """The functions in which."""

    def add(self, place: str, kind: str) -> None:
        """Count one."""
        self.kinds[kind] += 1
        self.places.add(place)


TALLY = Tally()


def run(work: Callable[[], Coroutine[Any, Any, ResultT]], hook: Injection | None, *, most_s: float = 5.0) -> Ran:
    """Run a coroutine in a loop of its own, with the hook in the loop's thread and in every thread that it starts.

    What `work` does before it gives the coroutine is not hooked. A run that has not ended after `most_s` seconds ends as a
    `TimeoutError`.
    """
    collector = _Collector()
    root = logging.getLogger()
    level = root.level

    async def hooked() -> ResultT:
        task = asyncio.current_task()
        assert task is not None
        coroutine = work()
        sys.setprofile(hook)
        try:
            return await coroutine
        finally:
            sys.setprofile(None)

    async def bounded() -> ResultT:
        return await asyncio.wait_for(hooked(), most_s)

    root.addHandler(collector)
    root.setLevel(logging.DEBUG)
    threading.setprofile(hook)
    value, error = None, None
    try:
        value = asyncio.run(bounded())
    except Exception as caught:  # noqa: BLE001  # the caller looks at it
        error = caught
    finally:
        threading.setprofile(None)
        root.removeHandler(collector)
        root.setLevel(level)
    return Ran(value, error, "\n".join(collector.lines))


def functions(codes: set[CodeType]) -> dict[str, FunctionType]:
    """The functions of the package with these codes, by where they stand; closures, which are made anew, are not among them."""
    found: dict[str, FunctionType] = {}
    for module in _modules():
        for owner in (module, *(v for v in vars(module).values() if inspect.isclass(v))):
            for value in list(vars(owner).values()):
                for function in _inside(value):
                    if function.__code__ in codes:
                        found[f"{function.__module__}.{function.__qualname__}"] = function
    return dict(sorted(found.items()))


def _modules() -> Iterator[Any]:
    for info in pkgutil.walk_packages(crisis_filter.__path__, "crisis_filter."):
        if info.name in sys.modules:
            yield importlib.import_module(info.name)


def _inside(value: object) -> Iterator[FunctionType]:
    """The function itself, or the one that a property, a class method or a cache is made of."""
    for name in ("__func__", "fget", "func", "__wrapped__", "wrapped"):
        # Some objects of other packages have any attribute that they are asked for.
        known = hasattr(type(value), name) or name in _own(value)
        inner = getattr(value, name, None) if known else None
        if inner is not None and inner is not value:
            yield from _inside(inner)
    if isinstance(value, FunctionType):
        yield value


def _own(value: object) -> Collection[str]:
    """Names of what an object itself holds, without asking it."""
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return ()


@contextmanager
def always(function: FunctionType, error: Callable[[], Exception]) -> Iterator[None]:
    """The function raises at every call, whoever holds a reference to it."""
    before = function.__code__, function.__defaults__, function.__kwdefaults__
    function.__code__ = _raising(before[0])
    function.__defaults__, function.__kwdefaults__ = None, {"_raise": error}
    try:
        yield
    finally:
        function.__code__, function.__defaults__, function.__kwdefaults__ = before


def _raising(code: CodeType) -> CodeType:
    """A body that raises, with as many free variables as the one it stands in for."""
    kept = [f"free{i}" for i in range(len(code.co_freevars))]
    awaited = "async " if code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR) else ""
    given = code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR)
    source = [
        "def outer():",
        *(f"    {name} = None" for name in kept),
        f"    {awaited}def broken(*args, _raise, **kwargs):",
        "        raise _raise()",
        *(["        yield"] if given else []),
        *(f"        {name}" for name in kept),
        "    return broken",
    ]
    space: dict[str, Any] = {}
    exec("\n".join(source), space)  # noqa: S102  # a fixed text
    broken: FunctionType = space["outer"]()
    return broken.__code__
