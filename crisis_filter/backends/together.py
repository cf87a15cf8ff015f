"""Several messages to one Stage 1 request: concurrent requests are gathered, asked about at once, and each gets its own verdict back.

Only a text for which somebody has given leave (`may_share`) is gathered, and only the first request about it; every other request goes straight
to the backend below. Whoever does not get exactly one sound verdict with a nonce of its own is asked about singly. In every request a crisis of ours is planted: an answer
that does not find it is not believed about anybody.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

from crisis_filter.backends.base import AnswerT, Backend, Reply, Request
from crisis_filter.backends.together_reading import Cause, Found, read_together
from crisis_filter.errors import FAULTS, BackendError
from crisis_filter.prompting.render import NonceSource, Rendered, fresh_nonce
from crisis_filter.prompting.together import ReadyTogether, ScreenTogether
from crisis_filter.schema import Fault
from crisis_filter.taxonomy.answers import ScreenTerse

__all__ = ["MOST", "Together", "TogetherFigures", "may_share", "shared_link"]

MOST = 16
"""Messages to a request at most."""
_WAIT_S = 0.03
# Of a message's time: what waiting for others may take, and what the request about all may take, so that asking singly is left enough.
_WAIT_SHARE = 0.05
_CALL_SHARE = 0.5


@dataclass(slots=True)
class _Leave:
    text: str = field(repr=False)
    used: bool = False


_leave: ContextVar[_Leave | None] = ContextVar("may_share", default=None)


@contextmanager
def may_share(text: str) -> Generator[None]:
    """The first Stage 1 request about this text in the block, in tasks begun in it too, may be answered together with others.

    Args:
        text: the whole message as it stands; a view, a piece or another text gets no leave by it.
    """
    token = _leave.set(_Leave(text))
    try:
        yield
    finally:
        _leave.reset(token)


def shared_link(link: str, messages: int) -> str:
    """How `provenance.answered_by` names an endpoint that judged a message together with others."""
    return f"{link} ({messages} messages together)"


@dataclass(slots=True)
class TogetherFigures:
    """What was asked together. Lives for one run."""

    calls: int = 0
    """Requests about several messages."""
    messages: int = 0
    """Messages in them."""
    sound: int = 0
    """Of those, the ones that got their verdict there."""
    kept: int = 0
    """Positives kept from answers that were not sound."""
    alone: int = 0
    """Messages that found no other to go with in time."""
    again: Counter[Cause] = field(default_factory=Counter)
    """Messages asked about once more by themselves, by cause. `messages` is `sound`, `kept`, these, and any whose caller has gone."""


@dataclass(frozen=True, slots=True)
class _Spent:
    """What requests have used."""

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: _Spent) -> _Spent:
        return _Spent(
            self.attempts + other.attempts,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class _Part:
    """What a message got out of a request about several."""

    reply: Reply[ScreenTerse] | None = None
    """`None` when it is to be asked about singly."""
    spent: _Spent = _Spent()
    """Its share."""
    troubles: tuple[tuple[str, Fault], ...] = ()


@dataclass(eq=False, slots=True)
class _Asked:
    """A message that waits for its verdict."""

    request: Request[Any] = field(repr=False)
    text: str = field(repr=False)
    until: float
    """On the event loop's clock."""
    part: asyncio.Future[_Part] = field(repr=False)


class Together:
    """Any backend, with first requests about plain messages gathered, up to so many at a time.

    A verdict from a request about several carries no score, and its link says how many there were. What the request has used is shared out
    among the messages so that sums stay exact; its count of requests goes with the first.

    Args:
        backend: answers both kinds of request.
        single: the `screen` prompt that single requests are made with; its answer is `ScreenTerse`.
        combined: the prompt for several messages.
        most: messages to a request, 2 to `MOST`.
        wait_s: seconds that a message waits for others at most.
        served: the models that may answer for several, as the server names them; `None` takes any.
        nonces: where nonces come from.
        figures: are added to; new ones when not given.

    Raises:
        ValueError: `most` is out of range, or the single prompt asks for more than a verdict.
    """

    def __init__(
        self,
        backend: Backend,
        single: Rendered,
        combined: ReadyTogether,
        *,
        most: int,
        wait_s: float = _WAIT_S,
        served: frozenset[str | None] | None = None,
        nonces: NonceSource = fresh_nonce,
        figures: TogetherFigures | None = None,
    ) -> None:
        if not 2 <= most <= MOST or single.answer is not ScreenTerse:
            raise ValueError(f"2 to {MOST} messages go together, where a single answer is a verdict alone")
        self.figures = TogetherFigures() if figures is None else figures
        self._backend = backend
        self._single = single
        self._combined = combined
        self._most = most
        self._wait_s = wait_s
        self._served = served
        self._nonces = nonces
        self._waiting: list[_Asked] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._owed = _Spent()

    @property
    def name(self) -> str:
        """`together:4:PROMPT,BACKEND`."""
        return f"together:{self._most}:{self._combined.prompt.id},{self._backend.name}"

    async def complete(self, request: Request[AnswerT]) -> Reply[AnswerT]:
        """Answer one request; see `Backend.complete`."""
        text = self._shareable(request)
        if text is None:
            return await self._backend.complete(request)
        loop = asyncio.get_running_loop()
        asked = _Asked(request, text, loop.time() + request.deadline_s, loop.create_future())
        part = await self._part(asked)
        if part.reply is not None:
            found: Reply[Any] = part.reply  # the answer model is `ScreenTerse`, or it would not have been gathered
            return found
        return await self._singly(request, part, asked.until - loop.time())

    async def aclose(self) -> None:
        """End what is on its way and release what the backend holds."""
        if self._alarm is not None:
            self._alarm.cancel()
        for call in tuple(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        _singly_all(self._waiting)
        self._waiting = []
        await self._backend.aclose()

    def _shareable(self, request: Request[Any]) -> str | None:
        """The text of a request that may be gathered; takes its leave."""
        leave = _leave.get()
        if leave is None or leave.used or request.answer is not ScreenTerse or request.system != self._single.system:
            return None
        # What is fenced in the request is the text that has leave, to the letter.
        if request.beyond or request.user != self._single.user(leave.text, request.nonce):
            return None
        leave.used = True
        return leave.text

    async def _part(self, asked: _Asked) -> _Part:
        """Wait for others, and for what comes back."""
        loop = asyncio.get_running_loop()
        self._waiting.append(asked)
        if len(self._waiting) >= self._most:
            self._send()
        elif len(self._waiting) == 1:
            if self._alarm is not None:  # of somebody who has gone
                self._alarm.cancel()
            wait = min(self._wait_s, _WAIT_SHARE * asked.request.deadline_s)
            self._alarm = loop.call_later(wait, self._send)
        try:
            return await asked.part
        except asyncio.CancelledError:
            if asked in self._waiting:
                self._waiting.remove(asked)
            elif asked.part.done() and not asked.part.cancelled():
                self._owed += asked.part.result().spent
            raise

    def _send(self) -> None:
        """Send what waits."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        group, self._waiting = self._waiting, []
        if len(group) < 2:
            self.figures.alone += len(group)
            _singly_all(group)
            return
        call = asyncio.get_running_loop().create_task(self._ask(group))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        call.add_done_callback(lambda _: _singly_all(group))  # cancelled before it began, it tells nobody

    async def _ask(self, group: Sequence[_Asked]) -> None:
        """One request about several messages. Whatever happens, each of them is told."""
        self.figures.calls += 1
        self.figures.messages += len(group)
        try:
            whole, planted, *others = self._fresh(len(group) + 2)
            own = dict(zip(others, group, strict=True))
            try:
                reply = await self._backend.complete(self._request(own, whole, planted))
            except BackendError as error:
                self._tell(own, Found(cause="no_reply"), None, _Spent(error.attempts), error.troubles)
            else:
                spent = _Spent(reply.attempts, reply.prompt_tokens, reply.completion_tokens)
                found = read_together(reply, tuple(own), planted, self._served)
                self._tell(own, found, reply, spent, reply.troubles)
        except Exception:  # noqa: BLE001  # a bug; each message is asked about singly
            self.figures.again["bug"] += sum(not asked.part.done() for asked in group)
        finally:
            _singly_all(group)

    def _tell(
        self,
        own: dict[str, _Asked],
        found: Found,
        reply: Reply[ScreenTogether] | None,
        spent: _Spent,
        troubles: tuple[tuple[str, Fault], ...],
    ) -> None:
        """Give each message that still waits its part."""
        there = {nonce: asked for nonce, asked in own.items() if not asked.part.done()}
        shares = self._shares(spent, len(there))
        # A sign of danger belongs to one of them, and shows again when that one is asked about singly, as all are then.
        met = tuple((link, fault) for link, fault in troubles if not FAULTS[fault].sign)
        for (nonce, asked), share in zip(there.items(), shares, strict=True):
            asked.part.set_result(self._one(nonce, asked, found, reply, share, met, len(own)))

    def _one(
        self,
        nonce: str,
        asked: _Asked,
        found: Found,
        reply: Reply[ScreenTogether] | None,
        share: _Spent,
        troubles: tuple[tuple[str, Fault], ...],
        messages: int,
    ) -> _Part:
        """What one message gets."""
        verdict = found.sound.get(nonce)
        if reply is None or (verdict is None and nonce not in found.raised):
            self.figures.again[found.cause or "missing"] += 1
            return _Part(None, share, troubles)
        answer = ScreenTerse(nonce=asked.request.nonce, crisis=True if verdict is None else verdict)
        common: Reply[ScreenTerse] = Reply(
            finish="answered",
            answer=answer,
            text=answer.model_dump_json(),
            model=reply.model,
            attempts=share.attempts,
            link=shared_link(reply.link or self._backend.name, messages),
            degraded=reply.degraded,
            troubles=troubles,
            prompt_tokens=share.prompt_tokens,
            completion_tokens=share.completion_tokens,
        )
        if verdict is not None:
            self.figures.sound += 1
            return _Part(common)
        self.figures.kept += 1
        fault = reply.fault or Fault.NONCE_MISMATCH
        finish = "mismatched" if reply.finish == "answered" else reply.finish
        detail = "a positive in an answer about several that was not sound"
        return _Part(replace(common, finish=finish, answer=None, fault=fault, detail=detail))

    async def _singly(self, request: Request[AnswerT], part: _Part, left_s: float) -> Reply[AnswerT]:
        """Ask about one message as if nobody had before; what was spent on it is added."""
        try:
            reply = await self._backend.complete(replace(request, deadline_s=left_s))
        except BackendError as error:
            error.attempts += part.spent.attempts
            error.troubles = (*part.troubles, *error.troubles)
            self._owed += replace(part.spent, attempts=0)
            raise
        except BaseException:
            self._owed += part.spent
            raise
        return replace(
            reply,
            attempts=reply.attempts + part.spent.attempts,
            prompt_tokens=reply.prompt_tokens + part.spent.prompt_tokens,
            completion_tokens=reply.completion_tokens + part.spent.completion_tokens,
            troubles=(*part.troubles, *reply.troubles),
        )

    def _request(self, own: dict[str, _Asked], whole: str, planted: str) -> Request[ScreenTogether]:
        """The request about all, with a planted crisis somewhere among them."""
        prompt, group = self._combined.prompt, list(own.values())
        left = min(asked.until for asked in group) - asyncio.get_running_loop().time()
        messages = [(asked.text, nonce) for nonce, asked in own.items()]
        # A nonce is as random as anything here: which crisis is planted, and where.
        which, place = divmod(int(planted, 16), len(messages) + 1)
        messages.insert(place, (prompt.planted[which % len(prompt.planted)], planted))
        return Request(
            system=self._combined.system,
            user=self._combined.user(messages, whole),
            answer=ScreenTogether,
            nonce=whole,
            # The same for every number of messages, so that a lane that learns requests by their shape learns one.
            max_output_tokens=prompt.max_output_tokens * (self._most + 2),
            deadline_s=_CALL_SHARE * left,
            purpose=group[0].request.purpose,
            claim=group[0].request.claimed,
        )

    def _fresh(self, count: int) -> list[str]:
        """So many different nonces."""
        found: dict[str, None] = {}
        while len(found) < count:
            found[self._nonces(self._combined.prompt.nonce_bits)] = None
        return list(found)

    def _shares(self, spent: _Spent, among: int) -> list[_Spent]:
        """What each of so many has used, what is owed from before included; with nobody there, it is owed again."""
        whole, self._owed = spent + self._owed, _Spent()
        if not among:
            self._owed = whole
            return []
        prompt, completion = _split(whole.prompt_tokens, among), _split(whole.completion_tokens, among)
        return [_Spent(0 if i else whole.attempts, prompt[i], completion[i]) for i in range(among)]


def _singly_all(group: Sequence[_Asked]) -> None:
    """Tell messages that still wait to be asked about singly."""
    for asked in group:
        if not asked.part.done():
            asked.part.set_result(_Part())


def _split(total: int, among: int) -> list[int]:
    """Whole numbers that differ by one at most, and add up."""
    each, left = divmod(total, among)
    return [each + (i < left) for i in range(among)]
