"""Everything that can go wrong with one message: a closed set, and for each what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

__all__ = ["FAULTS", "Fault", "FaultRule"]


class Fault(StrEnum):
    """Why a message is undetermined, or what went wrong beside a verdict. Closed; `docs/faults.md` has a row for each."""

    REFUSAL_FIELD = "refusal_field"
    REFUSAL_PROSE = "refusal_prose"
    FILTER_PROMPT = "filter_prompt"
    FILTER_FINISH = "filter_finish"
    TRUNCATED = "truncated"
    BAD_JSON = "bad_json"
    SCHEMA = "schema"
    UNKNOWN_CATEGORY = "unknown_category"
    STAGE_CONFLICT = "stage_conflict"
    NONCE_MISMATCH = "nonce_mismatch"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    MISCONFIGURED = "misconfigured"
    BROKEN_REPLY = "broken_reply"
    CONTEXT_OVERFLOW = "context_overflow"
    EMPTY_REPLY = "empty_reply"
    NONDETERMINISM = "nondeterminism"
    MODEL_DRIFT = "model_drift"
    LOCAL_MODEL = "local_model"
    OVERLOAD = "overload"
    INTERNAL = "internal"
    EMPTY_CONTENT = "empty_content"
    INPUT_UNREADABLE = "input_unreadable"
    INPUT_TOO_LONG = "input_too_long"
    UNVALIDATED_LANGUAGE = "unvalidated_language"
    INJECTION_SUSPECTED = "injection_suspected"
    MAY_NOT_CLEAR = "may_not_clear"


@dataclass(frozen=True, slots=True)
class FaultRule:
    """What is done about a fault. Its final outcome is `undetermined` unless a positive was read besides."""

    retry: Literal["no", "reask", "transport"] = "no"
    """Of the same endpoint: never; once in a call, with a reminder; the same request again after a wait."""
    most_retries: int | None = None
    """Of a `transport` fault, per endpoint and call; `None` is as long as budget and deadline last."""
    trips: bool = False
    """Counts against the endpoint's breaker. What the message caused never does, or one writer could close the door on all."""
    next_link: bool = True
    """Whether another endpoint is asked."""
    sign: bool = False
    """A weak positive sign: models and filters refuse what they find dangerous. Read first by people."""
    rejudge: Literal["healed", "other", "never"] = "never"
    """By itself, when the service works again: by the same detector; only by another one; not at all."""
    after_positive: bool = False
    """Stands only beside a crisis: Stage 1 has spoken."""


_ANSWER = FaultRule(retry="reask", rejudge="healed")
_OF_THE_TEXT = FaultRule(next_link=False)

FAULTS: Mapping[Fault, FaultRule] = MappingProxyType(
    {
        Fault.REFUSAL_FIELD: FaultRule(sign=True, rejudge="other"),
        Fault.REFUSAL_PROSE: FaultRule(retry="reask", sign=True, rejudge="other"),
        Fault.FILTER_PROMPT: FaultRule(sign=True, rejudge="other"),
        Fault.FILTER_FINISH: FaultRule(sign=True, rejudge="other"),
        Fault.TRUNCATED: _ANSWER,
        Fault.BAD_JSON: _ANSWER,
        Fault.SCHEMA: _ANSWER,
        Fault.UNKNOWN_CATEGORY: FaultRule(next_link=False, after_positive=True, rejudge="other"),
        Fault.STAGE_CONFLICT: FaultRule(next_link=False, after_positive=True, rejudge="other"),
        Fault.NONCE_MISMATCH: _ANSWER,
        Fault.TIMEOUT: FaultRule(retry="transport", trips=True, rejudge="healed"),
        Fault.RATE_LIMITED: FaultRule(retry="transport", trips=True, rejudge="healed"),
        Fault.SERVER_ERROR: FaultRule(retry="transport", most_retries=2, trips=True, rejudge="healed"),
        Fault.MISCONFIGURED: FaultRule(rejudge="healed"),
        Fault.BROKEN_REPLY: FaultRule(retry="transport", most_retries=1, trips=True, rejudge="healed"),
        Fault.CONTEXT_OVERFLOW: FaultRule(rejudge="other"),
        Fault.EMPTY_REPLY: _ANSWER,
        Fault.NONDETERMINISM: FaultRule(next_link=False, after_positive=True),
        Fault.MODEL_DRIFT: FaultRule(rejudge="healed"),
        Fault.LOCAL_MODEL: FaultRule(next_link=False, rejudge="healed"),
        Fault.OVERLOAD: FaultRule(retry="transport", rejudge="healed"),
        Fault.INTERNAL: FaultRule(rejudge="healed"),
        Fault.EMPTY_CONTENT: _OF_THE_TEXT,
        Fault.INPUT_UNREADABLE: _OF_THE_TEXT,
        Fault.INPUT_TOO_LONG: _OF_THE_TEXT,
        Fault.UNVALIDATED_LANGUAGE: FaultRule(next_link=False, rejudge="other"),
        Fault.INJECTION_SUSPECTED: _OF_THE_TEXT,
        Fault.MAY_NOT_CLEAR: FaultRule(next_link=False, rejudge="other"),
    }
)
"""Every fault has its row."""
