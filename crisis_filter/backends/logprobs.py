"""The probability of a label, from the log-probabilities of the tokens that wrote it."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["probability_at", "probability_true", "value_offset"]

# Its exponential is zero; an integer of 400 digits, which JSON allows, has none.
_IMPOSSIBLE = -1000.0


def probability_true(tokens: object, text: str, field: str) -> float | None:
    """P(`field` is true), over the alternatives at the token where the value begins; see `probability_at`.

    Args:
        tokens: as for `probability_at`.
        text: the answer, one valid JSON object.
        field: a key at its top level; where there is none, the answer is `None`.
    """
    return probability_at(tokens, text, value_offset(text, field), ("true",), ("false",))


def probability_at(tokens: object, text: str, place: int | None, yes: Sequence[str], no: Sequence[str]) -> float | None:
    """P(a word of `yes`), over the alternatives at the token where the verdict begins.

    The token is found by its place in the text, so that the same word elsewhere cannot be taken for it. The probabilities of
    alternatives that begin a word of `yes` are summed, those that begin one of `no` likewise, and the two are normalised; an alternative
    that could begin either is left out.

    Args:
        tokens: `choices[0].logprobs.content` as received: a list of objects with `token`, `logprob`, `bytes` and
            `top_logprobs`.
        text: what the model wrote.
        place: offset of the verdict's first character.
        yes: words of a positive.
        no: words of a negative.

    Returns:
        0 to 1, or `None` when anything needed is missing: no place, no log-probabilities, an entry without its bytes, tokens that do
        not hold the text exactly once, no alternative that begins any of the words. 1.0 or 0.0 when only one side is among the
        alternatives.
    """
    if not isinstance(tokens, Sequence) or isinstance(tokens, str) or not all(isinstance(t, Mapping) for t in tokens):
        return None
    pieces = [_bytes(token) for token in tokens]
    whole = [piece for piece in pieces if piece is not None]
    # Servers take away from the text what their tokens still hold: a code fence, a block of reasoning, an end mark.
    everything, wanted = b"".join(whole), text.encode("utf-8", "surrogatepass")
    begin = everything.find(wanted)
    if place is None or len(whole) != len(pieces) or begin < 0 or everything.find(wanted, begin + 1) >= 0:
        return None
    at = begin + len(text[:place].encode("utf-8", "surrogatepass"))
    starts = list(accumulate((len(piece) for piece in whole), initial=0))
    index = bisect_right(starts, at) - 1
    if index >= len(tokens):
        return None
    before = whole[index][: at - starts[index]].decode("utf-8", "replace")
    return _share(tokens[index], before, yes, no)


def value_offset(text: str, field: str) -> int | None:
    """Offset of the value of a top-level key in a text that is one JSON object; `None` when there is no such key."""
    decoder = json.JSONDecoder()
    at = _skip(text, text.find("{") + 1)
    try:
        while at < len(text) and text[at] == '"':
            key, end = decoder.raw_decode(text, at)
            at = _skip(text, _skip(text, end) + 1)  # past the colon
            if key == field:
                return at
            _, end = decoder.raw_decode(text, at)
            at = _skip(text, _skip(text, end) + 1)  # past the comma
    except (ValueError, RecursionError):
        return None
    return None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _bytes(token: Mapping[str, Any]) -> bytes | None:
    raw, text = token.get("bytes"), token.get("token")
    if isinstance(raw, list):
        return bytes(raw) if all(type(b) is int and 0 <= b < 256 for b in raw) else None
    # Without bytes, a token that is part of a character comes as U+FFFD and its length is unknown.
    # Half of a surrogate pair, which JSON can escape, has no bytes at all.
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) and "\ufffd" not in text else None


def _share(token: Mapping[str, Any], before: str, yes: Sequence[str], no: Sequence[str]) -> float | None:
    alternatives = token.get("top_logprobs")
    entries = [token, *(alternatives if isinstance(alternatives, list) else [])]
    found = {e["token"]: e["logprob"] for e in entries if _usable(e)}
    positive, negative = _mass(found.items(), before, yes, no), _mass(found.items(), before, no, yes)
    return positive / (positive + negative) if positive + negative > 0 else None


def _usable(entry: object) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("token"), str)
        and isinstance(entry.get("logprob"), int | float)
        and entry["logprob"] <= 0.001  # also false for NaN; rounding may lift a certain token a little above zero
    )


def _mass(found: Iterable[tuple[str, float]], before: str, words: Sequence[str], others: Sequence[str]) -> float:
    total = 0.0
    for token, logprob in found:
        if before.strip() and not token.startswith(before):
            continue  # it writes something else before the value
        begun = (token[len(before) :] if before.strip() else token).strip()
        if _begins(begun, words) and not _begins(begun, others):
            total += math.exp(max(logprob, _IMPOSSIBLE))
    return total


def _begins(begun: str, words: Sequence[str]) -> bool:
    return bool(begun) and any(word.startswith(begun) or begun.startswith(word) for word in words)
