"""A model that is close to the threshold and changes its mind: a negative at first, a positive when it is asked again."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from crisis_filter.backends.logprobs import value_offset
from crisis_filter.drill.behaviour import Behaviour
from crisis_filter.drill.http import Response
from crisis_filter.drill.scene import Scene, answered, choice, completion
from crisis_filter.schema import Fault
from crisis_filter.triage.policy import Policy

NEAR = 0.45
"""The probability of a crisis that the negative comes with."""
_ROUND_S = 30.0
_REMEMBERED = 4096


def asks_again(policy: Policy) -> bool:
    """Whether a negative as near the threshold as `wavering` gives it is asked for again."""
    threshold, votes = policy.thresholds.prompted_screen, policy.votes
    return votes.count > 1 and threshold - votes.margin <= NEAR < threshold


class _Wavering:
    """Remembers by its hash which message it cleared, and under which nonce, until Stage 2 asks about it or half a minute has gone."""

    def __init__(self) -> None:
        self._cleared: dict[bytes, tuple[str, float]] = {}

    def __call__(self, scene: Scene) -> Response:
        asked = scene.asked
        key = hashlib.sha256(asked.message.encode("utf-8", "surrogatepass")).digest()
        if asked.form.kind != "screen":
            self._cleared.pop(key, None)
            return answered(scene, scene.words(verdict=True))
        nonce, at = self._cleared.get(key, ("", -math.inf))
        if abs(scene.now - at) > _ROUND_S:
            self._remember(key, asked.nonce, scene.now)
            nonce = asked.nonce
        return _near(scene) if nonce == asked.nonce else answered(scene, scene.words(verdict=True))

    def _remember(self, key: bytes, nonce: str, now: float) -> None:
        self._cleared.pop(key, None)
        self._cleared[key] = (nonce, now)
        if len(self._cleared) > _REMEMBERED:
            del self._cleared[next(iter(self._cleared))]


def _near(scene: Scene) -> Response:
    fields = scene.fields(verdict=False)
    words = json.dumps(fields | ({"confidence": NEAR} if "confidence" in fields else {}), ensure_ascii=False)
    if not scene.body.get("logprobs"):
        return answered(scene, words)
    one = {**choice(scene, words), "logprobs": {"content": _tokens(words), "refusal": None}}
    return Response(completion(scene, words, choices=[one]))


def _tokens(words: str) -> list[dict[str, Any]]:
    """The answer in three tokens, the verdict in the middle one."""
    at = value_offset(words, "crisis") or 0
    end = at + len("false")
    shares = {"false": 1 - NEAR, "true": NEAR}
    verdict = _token(words[at:end], math.log(shares["false"]))
    verdict["top_logprobs"] = [_token(word, math.log(share)) for word, share in shares.items()]
    return [_token(words[:at], 0.0), verdict, _token(words[end:], 0.0)]


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode()), "top_logprobs": []}


WAVERING = Behaviour(
    "wavering",
    "answer",
    "a negative near the threshold, with log-probabilities where asked for; a positive when the message is asked about again",
    Fault.NONDETERMINISM,
    _Wavering(),
    says="positive",
    ours_only=True,
)
