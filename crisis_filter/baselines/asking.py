"""Asking a guard model: its questions about one text go out, its replies are read in its own format, and joined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crisis_filter.backends.base import Backend, Choice, PlainText, Reply, Request, Turn
from crisis_filter.baselines.base import Ask, Said, Told
from crisis_filter.errors import BackendError, Fault
from crisis_filter.schema import Failure, Flag, PromptRef

__all__ = ["BLANKS", "Format", "Question", "Read", "asking", "question", "unfenced"]

_log = logging.getLogger(__name__)

BLANKS = " \t\r\n"
"""What may stand around a reply without being part of it."""

Read = Callable[[str], Said | Failure]
"""Reads a complete reply. A negative only from exactly what is documented; a clear positive also from a flawed one, with the fault `schema`."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, and how its reply is read."""

    request: Request[PlainText]
    """Has a `choice`: its positive survives a reply that was cut off, and its log-probabilities give the score."""
    read: Read


@dataclass(frozen=True, slots=True)
class Format:
    """How one guard model is spoken to."""

    questions: Callable[[str], Sequence[Question]]
    """All that is asked about one text, at least one; every one must be answered in full for a negative."""
    prompts: tuple[PromptRef, ...] = ()
    """Identities of the prompts that are ours to send."""


def question(
    user: str,
    read: Read,
    choice: Choice,
    *,
    deadline_s: float,
    most_tokens: int,
    system: str = "",
    turns: tuple[Turn, ...] = (),
    raw: bool = False,
    extra: dict[str, Any] | None = None,
) -> Question:
    """One question for a plain text; the arguments are those of `Request`."""
    request = Request(
        system=system,
        user=user,
        answer=PlainText,
        nonce="",
        max_output_tokens=most_tokens,
        deadline_s=deadline_s,
        purpose="baseline",
        choice=choice,
        turns=turns,
        raw=raw,
        extra=extra,
    )
    return Question(request, read)


def asking(backend: Backend, speaks: Format) -> Ask:
    """Ask a model behind any backend: all questions about a text at once."""

    async def ask(text: str) -> Told:
        questions = speaks.questions(text)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_asked(backend, each)) for each in questions]
        return _joined([task.result() for task in tasks])

    return ask


def unfenced(text: str) -> str:
    """A reply without the blanks around it and without the code fence that holds the whole of it, if one does."""
    body = text.strip(BLANKS)
    lines = body.split("\n")
    if len(lines) > 2 and lines[0].strip(BLANKS) in ("```json", "```") and lines[-1].strip(BLANKS) == "```":
        return "\n".join(lines[1:-1]).strip(BLANKS)
    return body


async def _asked(backend: Backend, asked: Question) -> Told:
    try:
        reply = await backend.complete(asked.request)
    except BackendError as error:
        failure = Failure(fault=error.fault, detail=error.detail)
        return Told(failure, attempts=error.attempts, troubles=error.troubles)
    except Exception as error:  # noqa: BLE001  # a bug about one question must not discard what the others found
        return Told(_bug(error))
    return Told(
        _judged(reply, asked),
        model=reply.model,
        attempts=reply.attempts,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        flags=_flags(reply),
        troubles=reply.troubles,
    )


def _judged(reply: Reply[PlainText], asked: Question) -> Said | Failure:
    try:
        return _verdict(reply, asked)
    except Exception as error:  # noqa: BLE001  # as above
        return _bug(error)


def _bug(error: Exception) -> Failure:
    """An error in code, by its type alone: its words may hold the message."""
    detail = type(error).__name__
    _log.error("one question of a baseline failed with %s", detail)
    return Failure(fault=Fault.INTERNAL, detail=detail)


def _verdict(reply: Reply[PlainText], asked: Question) -> Said | Failure:
    if reply.answer is not None:
        said = asked.read(reply.answer.text)
        if isinstance(said, Said) and reply.score is not None:
            return replace(said, score=reply.score, score_source="logprobs")
        return said
    fault = reply.fault or Fault.INTERNAL
    choice = asked.request.choice
    if reply.text is not None and choice is not None and choice.claims(reply.text):
        said = asked.read(reply.text)
        labels = said.labels if isinstance(said, Said) and said.flagged else ()
        return Said(flagged=True, labels=labels, fault=fault)
    return Failure(fault=fault, detail=reply.detail)


def _flags(reply: Reply[PlainText]) -> frozenset[Flag]:
    refused = reply.finish in ("refused", "filtered")
    said: dict[Flag, bool] = {"refused_or_filtered": refused, "filter_named_danger": reply.danger}
    return frozenset(flag for flag, noticed in said.items() if noticed)


def _joined(parts: Sequence[Told]) -> Told:
    if len(parts) == 1:
        return parts[0]
    return Told(
        _joined_results([part.result for part in parts]),
        model=next((part.model for part in parts if part.model is not None), None),
        attempts=sum(part.attempts for part in parts),
        prompt_tokens=sum(part.prompt_tokens for part in parts),
        completion_tokens=sum(part.completion_tokens for part in parts),
        flags=frozenset().union(*(part.flags for part in parts)),
        troubles=tuple(trouble for part in parts for trouble in part.troubles),
    )


def _joined_results(results: Sequence[Said | Failure]) -> Said | Failure:
    """Crisis before undetermined before not crisis; a question without an answer forbids a negative."""
    verdicts = [result for result in results if isinstance(result, Said)]
    failures = [result for result in results if isinstance(result, Failure)]
    positives = [verdict for verdict in verdicts if verdict.flagged]
    if not positives and (failures or not verdicts):
        return failures[0] if failures else Failure(fault=Fault.INTERNAL, detail="nothing was asked")
    scored = [verdict for verdict in positives or verdicts if verdict.score is not None]
    top = max(scored, key=lambda verdict: verdict.score or 0.0, default=None)
    faults = [*(verdict.fault for verdict in positives if verdict.fault), *(failure.fault for failure in failures)]
    return Said(
        flagged=bool(positives),
        labels=tuple(label for verdict in positives for label in verdict.labels),
        score=top.score if top is not None else None,
        score_source=top.score_source if top is not None else None,
        fault=next(iter(faults), None),
    )
