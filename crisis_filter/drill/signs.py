"""What the looks at an endpoint say of it: one function for each thing that can be wrong. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType
from typing import Any

from crisis_filter.backends.base import Reply
from crisis_filter.backends.spec import BackendSpec
from crisis_filter.drill.finding import Check, Finding, Status
from crisis_filter.drill.probes import IN_A_ROW, UNCLEAR, Look
from crisis_filter.errors import BackendError, Fault
from crisis_filter.schema import ScreenVerdict

LEAST_REPLIES = 5
"""Fewer replies than these, or fewer verdicts, are no ground for a grade."""
_LEAST_REPEATS = 3
_REFUSALS = (Fault.REFUSAL_FIELD, Fault.REFUSAL_PROSE)
_FILTERS = (Fault.FILTER_PROMPT, Fault.FILTER_FINISH)
# Each has a finding of its own.
_ELSEWHERE = {*_REFUSALS, *_FILTERS, Fault.TRUNCATED, Fault.NONCE_MISMATCH, Fault.CONTEXT_OVERFLOW, Fault.MODEL_DRIFT}
# From this share on it is no accident.
_OFTEN = 0.25

_NO_REPLY: Mapping[Fault, str] = MappingProxyType(
    {
        Fault.TIMEOUT: "Give more time with --timeout, or see why the server is this slow",
        Fault.RATE_LIMITED: "Ask for a higher rate limit, or run this again later",
        Fault.SERVER_ERROR: "The server is there and fails: look at its own log, then run this again",
    }
)
_UNREACHED = "Check that the server is up, that the address is right, and for https the trust_store line"
TURNED_DOWN: Mapping[str, str] = MappingProxyType(
    {
        "HTTP 401": "The key is wrong or revoked: set CRISIS_FILTER_API_KEY, or the variable that api_key_env names",
        "HTTP 403": "The key may not use this model: ask the provider for access, or give another key",
        "HTTP 404": "There is no such model or deployment at this address: check --backend, and that the address ends as "
        "the server wants it (often /v1)",
        "HTTP 429, the quota is used up": "Waiting does not help: raise the quota or the budget of the account",
    }
)
_TURNED_DOWN_OTHERWISE = "Check the key, the model's name and the address"
FILTER_ADVICE = (
    "Ask the provider to set the filter for self-harm and violence to annotate only (Azure's default, medium, blocks these very "
    "messages), or put another endpoint first"
)
REFUSAL_ADVICE = (
    "Try another model or a version without added safety training, and keep a second endpoint behind this one"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """An endpoint and the looks at it."""

    link: BackendSpec
    looks: tuple[Look, ...]
    form: str | None
    """How it came to be asked for the shape of an answer; `None` where the backend does not tell."""
    categories: frozenset[str]
    """Of the taxonomy."""
    deadline_s: float
    """Of the policy, for a whole message."""
    output_cap: int
    """Most tokens of an answer of the screen."""
    states_score: bool
    """Whether the answer holds a probability in the model's own words."""

    @property
    def replied(self) -> list[tuple[Look, Reply[Any]]]:
        """Looks that brought a reply."""
        return [(one, one.reply) for one in self.looks if one.reply is not None]

    def count(self, *faults: Fault) -> int:
        """Replies with any of these faults."""
        return sum(1 for one, _ in self.replied if one.fault in faults)


Sign = Callable[[Seen], Finding]


def examine_looks(seen: Seen) -> list[Finding]:
    """Every finding that the looks give; those about replies are `unknown` where none came."""
    findings = [_reachable(seen), _key(seen)]
    for check, sign in _SIGNS.items():
        if check == "schema_form" and seen.form is None:
            continue
        findings.append(sign(seen) if seen.replied else _unknown(check, "no reply to look at"))
    return findings


def _unknown(check: Check, why: str) -> Finding:
    return Finding(check=check, status="unknown", seen=why)


def _few(check: Check, seen: str, least: int = LEAST_REPLIES) -> Finding:
    return _unknown(check, f"{seen}; fewer than {least} tell nothing")


def _any(check: Check, bad: int, of: int, seen: str, advice: str) -> Finding:
    """One that is bad is enough to fail, one that is not is too little to say that all is well."""
    if bad:
        return Finding(check=check, status="fail", seen=seen, advice=advice)
    return Finding(check=check, status="ok", seen=seen) if of >= LEAST_REPLIES else _few(check, seen)


def _graded(check: Check, bad: int, of: int, what: str, advice: str) -> Finding:
    """`bad` of `of`: none is ok, a quarter or more fails; `unknown` for fewer than `LEAST_REPLIES`."""
    if of < LEAST_REPLIES:
        return _few(check, f"{bad} of {of} {what}")
    status: Status = "ok" if bad == 0 else "fail" if bad >= of * _OFTEN else "warn"
    return Finding(check=check, status=status, seen=f"{bad} of {of} {what}", advice=advice if bad else "")


def _faults(looks: tuple[Look, ...]) -> str:
    found = Counter(one.error.fault.value for one in looks if one.error is not None)
    return ", ".join(f"{fault} {n}" for fault, n in found.most_common())


def advice_on(error: BackendError) -> str:
    """What to do about a request that brought no reply, on one line."""
    if error.fault is Fault.MISCONFIGURED:
        return TURNED_DOWN.get(error.detail, _TURNED_DOWN_OTHERWISE)
    return _NO_REPLY.get(error.fault, _UNREACHED)


def _reachable(seen: Seen) -> Finding:
    lost = [one.error for one in seen.looks if one.lost and one.error is not None]
    came, sent = len(seen.looks) - len(lost), len(seen.looks)
    times = [one.elapsed_ms for one in seen.looks]
    took = f"; median {median(times):,.0f} ms, slowest {max(times):,.0f} ms" if times else ""
    if not lost:
        return Finding(check="reachable", status="ok", seen=f"{came} of {sent} requests came back{took}")
    # Of several faults the commonest is the one to mend; what the first request met may be an accident.
    fault, _ = Counter(error.fault for error in lost).most_common(1)[0]
    error = next(error for error in lost if error.fault is fault)
    broke_off = sum(1 for one in seen.looks[-IN_A_ROW:] if one.lost) == IN_A_ROW
    end = f", none of the last {IN_A_ROW}" if broke_off and came else ""
    words = f"{came} of {sent} requests came back{end} ({_faults(seen.looks)}: {error.detail}){took}"
    status: Status = "fail" if broke_off or len(lost) >= sent * _OFTEN else "warn"
    return Finding(check="reachable", status=status, seen=words, advice=advice_on(error))


def _key(seen: Seen) -> Finding:
    refused = next((e for one in seen.looks if (e := one.error) is not None and e.fault is Fault.MISCONFIGURED), None)
    if refused is not None:
        return Finding(check="key", status="fail", seen=f"turned down: {refused.detail}", advice=advice_on(refused))
    overflowed = any(one.error is not None and one.error.fault is Fault.CONTEXT_OVERFLOW for one in seen.looks)
    if not seen.replied and not overflowed:
        return _unknown("key", "no reply to look at")
    return Finding(check="key", status="ok", seen="accepted" if seen.link.api_key else "none is set, none was wanted")


def _speed(seen: Seen) -> Finding:
    slowest = max(one.elapsed_ms for one, _ in seen.replied) / 1000
    words = f"slowest answer {slowest:,.1f} s; the policy gives {seen.deadline_s:g} s for a message, which is asked about twice"
    if 2 * slowest <= seen.deadline_s:
        few = len(seen.replied) < LEAST_REPLIES
        return _few("speed", words) if few else Finding(check="speed", status="ok", seen=words)
    advice = "Raise deadline_s in the policy, or take a faster model: what is late ends undetermined"
    return Finding(check="speed", status="warn", seen=words, advice=advice)


def _model(seen: Seen) -> Finding:
    named = sorted({reply.model for _, reply in seen.replied if reply.model})
    pinned, asked = seen.link.model_reported, seen.link.model.rpartition(":")[2]
    asked = seen.link.model if seen.link.kind == "openai" else asked
    said = ", ".join(named[:3]) or "nothing"
    if not named:
        return _unknown("model", f"asked {asked}; the server does not say which model answers")
    if pinned is not None:
        status: Status = "ok" if named == [pinned] else "fail"
        advice = (
            ""
            if status == "ok"
            else "Every negative is undetermined: mend model_reported, or see who changed the model"
        )
        return Finding(check="model", status=status, seen=f"pinned {pinned}; reported {said}", advice=advice)
    if named == [asked]:
        return Finding(check="model", status="ok", seen=f"asked {asked}; reported the same; not pinned")
    advice = (
        "Name the dated model, and pin it: model_reported in the chain of the policy, or after --fallback's backend"
    )
    return Finding(check="model", status="warn", seen=f"asked {asked}; reported {said}", advice=advice)


def _schema_form(seen: Seen) -> Finding:
    if seen.form == "json_schema":
        return Finding(check="schema_form", status="ok", seen="a strict JSON schema is taken")
    how = "JSON mode" if seen.form == "json_object" else "the words of the prompt alone"
    advice = "Use a server or model with structured output where you can: answers in a wrong shape end undetermined"
    return Finding(check="schema_form", status="warn", seen=f"no JSON schema is taken; asked by {how}", advice=advice)


def _answers(seen: Seen) -> Finding:
    bad = Counter(one.fault.value for one, _ in seen.replied if one.fault is not None and one.fault not in _ELSEWHERE)
    names = f" ({', '.join(f'{fault} {n}' for fault, n in bad.most_common())})" if bad else ""
    advice = "Try another model, or a server that keeps to a JSON schema"
    total = len(seen.replied)
    return _graded("answers", bad.total(), total, f"replies are no valid answer to the screen prompt{names}", advice)


def _verdicts(seen: Seen) -> Finding:
    asked = [one for one, _ in seen.replied if one.message is not UNCLEAR]
    crises = [one for one in asked if one.message.crisis and seen.categories & set(one.message.categories)]
    ordinary = [one for one in asked if not one.message.crisis]
    found, missed = _verdict(crises, crisis=True), _verdict(crises, crisis=False)
    alarms, clear = _verdict(ordinary, crisis=True), _verdict(ordinary, crisis=False)
    words = (
        f"of {len(crises)} clear crises {found} called crisis, {missed} not; of {len(ordinary)} ordinary {clear} not crisis, "
        f"{alarms} crisis"
    )
    if found + missed + alarms + clear < LEAST_REPLIES:
        return _few("verdicts", words)
    if not missed and not alarms:
        return Finding(check="verdicts", status="ok", seen=f"{words} (so few say nothing of accuracy)")
    advice = "Measure this model on labelled messages of your own before anybody relies on it"
    return Finding(check="verdicts", status="fail" if missed > found else "warn", seen=words, advice=advice)


def _verdict(looks: list[Look], *, crisis: bool) -> int:
    return sum(1 for one in looks if isinstance(one.result, ScreenVerdict) and one.result.crisis is crisis)


def _refusals(seen: Seen) -> Finding:
    n, total = seen.count(*_REFUSALS), len(seen.replied)
    words = f"{n} of {total} replies refuse to judge"
    if n:
        words += f" ({Fault.REFUSAL_FIELD} {seen.count(Fault.REFUSAL_FIELD)}, {Fault.REFUSAL_PROSE} "
        words += f"{seen.count(Fault.REFUSAL_PROSE)})"
    return _any("refusals", n, total, words, REFUSAL_ADVICE)


def _filters(seen: Seen) -> Finding:
    n, total = seen.count(*_FILTERS), len(seen.replied)
    words = f"{n} of {total} requests or answers blocked by a content filter"
    if n:
        danger = sum(1 for _, reply in seen.replied if reply.danger)
        words += f" ({Fault.FILTER_PROMPT} {seen.count(Fault.FILTER_PROMPT)}, {Fault.FILTER_FINISH} "
        words += f"{seen.count(Fault.FILTER_FINISH)}; {danger} named self-harm or violence)"
    return _any("filters", n, total, words, FILTER_ADVICE)


def _output_limit(seen: Seen) -> Finding:
    n, total = seen.count(Fault.TRUNCATED), len(seen.replied)
    longest = max(reply.completion_tokens for _, reply in seen.replied)
    words = f"replies cut at the limit of {seen.output_cap:,} tokens; longest {longest:,}"
    advice = "Turn the model's thinking off or down, or use a screen prompt with a higher max_output_tokens"
    return _graded("output_limit", n, total, words, advice)


def _nonce(seen: Seen) -> Finding:
    good, lost = sum(1 for _, reply in seen.replied if reply.answer is not None), seen.count(Fault.NONCE_MISMATCH)
    advice = "The end of the prompt is cut, replies are mixed up by a cache, or the model is too small: see window; try without cache"
    return _graded("nonce", lost, good + lost, "answers do not repeat the nonce of their request", advice)


def _score(seen: Seen) -> Finding:
    answered = [reply for _, reply in seen.replied if reply.answer is not None]
    given = sum(1 for reply in answered if reply.score is not None)
    words = f"token probabilities of the label with {given} of {len(answered)} answers"
    if len(answered) < LEAST_REPLIES:
        return _few("score", words)
    if given == len(answered):
        return Finding(check="score", status="ok", seen=words)
    if seen.states_score:
        return Finding(check="score", status="ok", seen=f"{words}; else the probability is in the model's own words")
    advice = (
        "Use a prompt that asks for a probability (screen/reasoned-v1): without one neither threshold nor votes act"
    )
    return Finding(check="score", status="warn", seen=words, advice=advice)


def _repeatable(seen: Seen) -> Finding:
    results = [one.result for one, _ in seen.replied if one.message is UNCLEAR]
    verdicts = [result for result in results if isinstance(result, ScreenVerdict)]
    if len(verdicts) < _LEAST_REPEATS:
        return _few(
            "repeatable", f"{len(verdicts)} verdicts on the message that was sent again and again", _LEAST_REPEATS
        )
    crises = sum(1 for verdict in verdicts if verdict.crisis)
    flips = min(crises, len(verdicts) - crises)
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    spread = f"; scores {max(scores) - min(scores):.2f} apart" if len(scores) > 1 else ""
    words = f"{flips} of {len(verdicts)} verdicts on one text differ from the others{spread}"
    advice = "Ask for several verdicts near the threshold: votes.count = 3 or more in the policy; any positive wins"
    return Finding(check="repeatable", status="warn" if flips else "ok", seen=words, advice=advice if flips else "")


_SIGNS: Mapping[Check, Sign] = MappingProxyType(
    {
        "speed": _speed,
        "model": _model,
        "schema_form": _schema_form,
        "answers": _answers,
        "verdicts": _verdicts,
        "refusals": _refusals,
        "filters": _filters,
        "output_limit": _output_limit,
        "nonce": _nonce,
        "score": _score,
        "repeatable": _repeatable,
    }
)
