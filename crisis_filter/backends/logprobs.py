"""The probability of a boolean label, from the log-probabilities of the tokens that wrote it."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

__all__ = ["probability_true", "value_offset"]

# Its exponential is zero; an integer of 400 digits, which JSON allows, has none.
_IMPOSSIBLE = -1000.0


def probability_true(tokens: object, text: str, field: str) -> float | None:
    """P(`field` is true), over the alternatives at the token where the value begins.

    The token is found by its place in the text, so that neither the same word nor the same key inside the reasoning can be
    taken for it. The probabilities of alternatives that begin `true` are summed, those that begin `false` likewise, and the
    two are normalised.

    Args:
        tokens: `choices[0].logprobs.content` as received: a list of objects with `token`, `logprob`, `bytes` and
            `top_logprobs`.
        text: the answer, one valid JSON object.
        field: a key at its top level.

    Returns:
        0 to 1, or `None` when anything needed is missing: no log-probabilities, an entry without its bytes, tokens that do
        not hold the text exactly once, no alternative that begins either word. 1.0 or 0.0 when only one of the words is among the
        alternatives.
    """
    if not isinstance(tokens, Sequence) or isinstance(tokens, str) or not all(isinstance(t, Mapping) for t in tokens):
        return None
    pieces = [_bytes(token) for token in tokens]
    whole = [piece for piece in pieces if piece is not None]
    place = value_offset(text, field)
    # Servers take away from the text what their tokens still hold: a code fence, a block of reasoning, an end mark.
    everything, wanted = b"".join(whole), text.encode()
    begin = everything.find(wanted)
    if place is None or len(whole) != len(pieces) or begin < 0 or everything.find(wanted, begin + 1) >= 0:
        return None
    at = begin + len(text[:place].encode())
    starts = list(accumulate((len(piece) for piece in whole), initial=0))
    index = bisect_right(starts, at) - 1
    if index >= len(tokens):
        return None
    before = whole[index][: at - starts[index]].decode("utf-8", "replace")
    return _share_of_true(tokens[index], before)


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


def _share_of_true(token: Mapping[str, Any], before: str) -> float | None:
    alternatives = token.get("top_logprobs")
    entries = [token, *(alternatives if isinstance(alternatives, list) else [])]
    found = {e["token"]: e["logprob"] for e in entries if _usable(e)}
    true, false = (_mass(found.items(), before, word) for word in ("true", "false"))
    return true / (true + false) if true + false > 0 else None


def _usable(entry: object) -> bool:
    return (
        isinstance(entry, Mapping)
        and isinstance(entry.get("token"), str)
        and isinstance(entry.get("logprob"), int | float)
        and entry["logprob"] <= 0.001  # also false for NaN; rounding may lift a certain token a little above zero
    )


def _mass(found: Iterable[tuple[str, float]], before: str, word: str) -> float:
    total = 0.0
    for token, logprob in found:
        if before.strip() and not token.startswith(before):
            continue  # it writes something else before the value
        begun = (token[len(before) :] if before.strip() else token).strip()
        if begun and (word.startswith(begun) or begun.startswith(word)):
            total += math.exp(max(logprob, _IMPOSSIBLE))
    return total
