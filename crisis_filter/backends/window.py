"""Whether a server read the whole prompt: some cut what is too long for their window and answer as if nothing had been."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from crisis_filter.backends.base import AnswerT, Reply, Request
from crisis_filter.errors import Fault

__all__ = ["characters", "least_tokens", "prompt_was_cut", "whole"]

# Tokenisers of chat models give English prose and JSON 3 to 5 characters a token. A prompt of which half is gone looks like 8.
_MOST_CHARACTERS = 7
# What repeats may be one token however long it is.
_REPEATED = re.compile(r"(.{1,4}?)\1{2,}", re.DOTALL)


def least_tokens(request: Request[Any]) -> int:
    """A number of tokens that no tokeniser in use stays below for this request; at least 0.

    The part of the answer's schema that some backends add is not counted.
    """
    return sum(len(_REPEATED.sub(r"\1\1", part)) for part in _parts(request)) // _MOST_CHARACTERS


def _parts(request: Request[Any]) -> tuple[str, ...]:
    return (request.system, *(turn.content for turn in request.turns), request.user)


def characters(request: Request[Any]) -> int:
    """How long the prompt is."""
    return sum(map(len, _parts(request)))


def prompt_was_cut(request: Request[Any], prompt_tokens: int) -> bool:
    """Whether the server's own count says that part of the prompt was dropped.

    Finds a loss of about two fifths or more. The halves of the nonce before and after the message find the loss of either end; a
    prompt that has its nonce in one piece (`v1`) does not find a message cut at its end. A small loss in the middle is found by neither.

    Args:
        request: what was sent.
        prompt_tokens: as the server counted them; 0 where it did not say, which proves nothing.
    """
    # Counting what repeats takes milliseconds for a long prompt, and can only lower the number.
    return 0 < prompt_tokens < characters(request) // _MOST_CHARACTERS and prompt_tokens < least_tokens(request)


def whole(reply: Reply[AnswerT], request: Request[AnswerT], prompt_tokens: int) -> Reply[AnswerT]:
    """The reply, or `context_overflow` where it answers a prompt that was cut; a positive in it is kept by its text."""
    if reply.answer is None or not prompt_was_cut(request, prompt_tokens):
        return reply
    detail = "the server read less than the whole prompt"
    return replace(reply, finish="mismatched", answer=None, score=None, fault=Fault.CONTEXT_OVERFLOW, detail=detail)
