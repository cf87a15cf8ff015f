"""What was asked in an experiment and what came back, a line each: the cache, the account of money, and the recording in one.

A call is found by who was asked (with which prompts), what, about which item, in which repeat, and the how manieth time in that cell. Nonces differ from
run to run and are left out, so that a run that was killed, or is replayed without a model, finds what it was told before.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import Field

from crisis_filter import assets
from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.moderation import Moderation, ModerationReply
from crisis_filter.backends.recorded import Recording, record, replay, request_hash
from crisis_filter.errors import BackendError, ConfigurationError, Fault
from crisis_filter.experiments.earlier import Earlier
from crisis_filter.experiments.lines import Lines
from crisis_filter.schema import Record

__all__ = [
    "Call",
    "Calls",
    "Listening",
    "ListeningModeration",
    "NoReply",
    "Used",
    "asking_about",
    "spent_by_variant",
]

_STOPPED = "stopped before a reply"
_LATE = "the deadline passed"
"""What a stage says of a call that it gave up."""


class NoReply(Record):
    """A call to which no reply came back."""

    fault: Fault
    detail: str
    attempts: int = Field(ge=0)
    troubles: tuple[tuple[str, Fault], ...] = ()
    stopped: bool = False
    """Whether it was given up from outside, by a stage that had no more time for it or with the whole run; nobody knows how many requests
    it had sent, and it is taken to be one."""


class Call(Record):
    """One line: what came of one call."""

    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    variant: str
    item: str
    repeat: int = Field(ge=1)
    reply: Recording | None = None
    moderated: ModerationReply | None = None
    """Of a moderation endpoint."""
    none: NoReply | None = None
    """Exactly one of the three is there."""
    earlier: bool = False
    """Taken from an earlier experiment, so nothing was asked or paid."""

    @property
    def used(self) -> Used:
        """What it used here."""
        said = self.reply or self.moderated or self.none
        if self.earlier or said is None:
            return Used()
        reply = self.reply
        prompt, completion = (reply.prompt_tokens, reply.completion_tokens) if reply is not None else (0, 0)
        return Used(said.attempts, prompt, completion, int(self.none is None and prompt == 0))


@dataclass(frozen=True, slots=True)
class Used:
    """What calls used: requests that were sent, and tokens as far as a server told them."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    untold: int = 0
    """Replies whose server did not say how many tokens they took; a prompt of none is not said."""

    def __add__(self, other: Used) -> Used:
        """Both together."""
        return Used(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.untold + other.untold,
        )


class Calls:
    """The calls of one experiment.

    Args:
        path: of its file; need not exist.
        earlier: files of other experiments, whose replies are taken for the same questions; one that is damaged is left out.
        replaying: whether errors are repeated as well, and nothing is written.

    Raises:
        InputError: a line is no call; names file and line.
        ConfigurationError: a file cannot be read.
    """

    def __init__(self, path: Path, *, earlier: tuple[Path, ...] = (), replaying: bool = False) -> None:
        self._lines = Lines(path, Call, mend=not replaying)
        self._replaying = replaying
        self._known: dict[str, Call] = {}
        for call in self._lines.records:
            if call.none is None or replaying:
                self._known[call.key] = call
        self._earlier = Earlier(earlier, Call, lambda call: call.key if call.none is None else None)
        self.broken: ConfigurationError | None = None
        """Why a line could not be written; a run that sees it stops, for what comes after would be paid twice."""

    @property
    def records(self) -> list[Call]:
        """All lines, in their order."""
        return self._lines.records

    @property
    def skipped(self) -> tuple[str, ...]:
        """A line in words for every earlier file that was left out."""
        return self._earlier.skipped

    def find(self, key: str, variant: str) -> Call | None:
        """What came of a call before."""
        known = self._known.get(key)
        if known is None and (before := self._earlier.find(key)) is not None:
            known = before.model_copy(update={"earlier": True, "variant": variant})
            self.add(known)
        return known

    def add(self, call: Call) -> None:
        """Write a call down.

        Raises:
            ConfigurationError: it cannot be written.
        """
        try:
            self._lines.append(call)
        except ConfigurationError as error:
            self.broken = error
            raise
        if call.none is None:
            self._known[call.key] = call


@dataclass(frozen=True, slots=True)
class _Cell:
    """What the calls of one task are about."""

    item: str
    repeat: int
    asked: Counter[str] = field(default_factory=Counter)
    """How often each question was asked so far."""

    def key(self, who: str, question: str) -> str:
        """By which a call is found again."""
        self.asked[question] += 1
        parts = (who, question, self.item, str(self.repeat), str(self.asked[question]))
        return assets.sha256(*(part.encode("utf-8", "surrogatepass") for part in parts))


_CELL: ContextVar[_Cell] = ContextVar("cell")


@contextmanager
def asking_about(item: str, repeat: int) -> Iterator[None]:
    """Calls inside, also those of tasks begun inside, belong to this cell."""
    token = _CELL.set(_Cell(item, repeat))
    try:
        yield
    finally:
        _CELL.reset(token)


class Listening:
    """A language model whose replies are written down, and asked only what is not known.

    Args:
        name: as in provenance.
        asked: hash of who is asked, with which prompts and settings.
        variant: in the account.
        calls: of the experiment.
        backend: who is asked; `None` replays and asks nobody.
    """

    def __init__(self, name: str, asked: str, variant: str, calls: Calls, backend: Backend | None) -> None:
        self._name = name
        self._asked = asked
        self._variant = variant
        self._calls = calls
        self._backend = backend

    @property
    def name(self) -> str:
        """That of the backend."""
        return self._name

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request from what is known, or ask; see `Backend.complete`.

        Live replies go through the form in which they are written down, so that a replay cannot differ from them.

        Raises:
            BackendError: no reply came back, now or then; `MISCONFIGURED` when nobody is there to be asked.
            ConfigurationError: the reply cannot be written down.
        """
        cell = _CELL.get()
        key = cell.key(self._asked, request_hash(request))
        known = self._calls.find(key, self._variant)
        if known is not None:
            return _again(known, request)
        if self._backend is None:
            raise BackendError(Fault.MISCONFIGURED, "no reply was recorded", retryable=False)
        told = {"key": key, "variant": self._variant, "item": cell.item, "repeat": cell.repeat}
        with _noting(self._calls, told):
            reply = await self._backend.complete(request)
        call = Call(**told, reply=record(reply, request))
        self._calls.add(call)
        return _again(call, request)

    async def aclose(self) -> None:
        """Release what the backend holds."""
        if self._backend is not None:
            await self._backend.aclose()


class ListeningModeration:
    """The same for a moderation endpoint.

    Args:
        name: as in provenance.
        asked: hash of who is asked, with which settings.
        variant: in the account.
        calls: of the experiment.
        moderation: who is asked; `None` replays and asks nobody.
    """

    def __init__(self, name: str, asked: str, variant: str, calls: Calls, moderation: Moderation | None) -> None:
        self._name = name
        self._asked = asked
        self._variant = variant
        self._calls = calls
        self._moderation = moderation

    @property
    def name(self) -> str:
        """That of the endpoint."""
        return self._name

    async def moderate(self, text: str, deadline_s: float) -> ModerationReply:
        """Judge one text from what is known, or ask; see `Moderation.moderate` and `Listening.complete`."""
        cell = _CELL.get()
        key = cell.key(self._asked, assets.sha256(text.encode("utf-8", "surrogatepass")))
        known = self._calls.find(key, self._variant)
        if known is None and self._moderation is None:
            raise BackendError(Fault.MISCONFIGURED, "no reply was recorded", retryable=False)
        if known is None and self._moderation is not None:
            told = {"key": key, "variant": self._variant, "item": cell.item, "repeat": cell.repeat}
            with _noting(self._calls, told):
                reply = await self._moderation.moderate(text, deadline_s)
            known = Call(**told, moderated=reply)
            self._calls.add(known)
        if known is None or known.moderated is None:
            raise _error(known)
        return known.moderated

    async def aclose(self) -> None:
        """Release what the endpoint holds."""
        if self._moderation is not None:
            await self._moderation.aclose()


@contextmanager
def _noting(calls: Calls, told: Mapping[str, Any]) -> Iterator[None]:
    """Write down that no reply came back."""
    try:
        yield
    except BackendError as error:
        none = NoReply(fault=error.fault, detail=error.detail, attempts=error.attempts, troubles=error.troubles)
        calls.add(Call(**told, none=none))
        raise
    except asyncio.CancelledError:
        calls.add(Call(**told, none=NoReply(fault=Fault.TIMEOUT, detail=_STOPPED, attempts=1, stopped=True)))
        raise


def _again(call: Call, request: Request[AnswerT]) -> Reply[AnswerT]:
    if call.reply is None:
        raise _error(call)
    return replay(call.reply, request)


def _error(call: Call | None) -> BackendError:
    none = call.none if call is not None else None
    none = none or NoReply(fault=Fault.INTERNAL, detail="neither a reply nor a fault was recorded", attempts=0)
    if none.stopped:
        # A replay has to run out of time at the same place, and the stage that gave it up was told of no request.
        return BackendError(none.fault, _LATE, retryable=False)
    error = BackendError(none.fault, none.detail, retryable=False)
    error.attempts, error.troubles = none.attempts, none.troubles
    return error


def spent_by_variant(calls: Iterable[Call]) -> Mapping[str, Used]:
    """What each variant used here; one that is missing used nothing."""
    found: dict[str, Used] = {}
    for call in calls:
        found[call.variant] = found.get(call.variant, Used()) + call.used
    return found
