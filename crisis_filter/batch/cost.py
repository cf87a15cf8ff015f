"""What judging so many messages costs in four designs: arithmetic over mean tokens, prices and limits. Nothing is sent.

Design A asks two reasoned questions about every message; C asks the second only where the first found a crisis; C' asks the first
tersely; D lets the embedded engine clear, below a threshold that the operator has validated, what it may clear, and does the rest as C'.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from crisis_filter.batch.cost_prices import Price
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.schema import Record

__all__ = ["DESIGNS", "Assumptions", "Call", "Costed", "Measured", "Use", "costed", "uses"]

DesignName = Literal["A", "C", "C'", "D"]
DESIGNS: dict[DesignName, str] = {
    "A": "two reasoned calls on every message",
    "C": "reasoned Stage 1, Stage 2 on positives",
    "C'": "terse Stage 1, Stage 2 on positives",
    "D": "C' behind a validated cascade",
}


class Call(Record):
    """One kind of request, in mean tokens."""

    prompt: str
    """Id of the prompt."""
    prefix: float = Field(ge=0.0)
    """What is the same for every message: the system part and the schema of the answer."""
    message: float = Field(ge=0.0)
    """What changes: the fenced message and the nonce."""
    negative: float = Field(ge=0.0)
    """An answer without a crisis, nonce included."""
    positive: float = Field(ge=0.0)
    """An answer with one."""


class Measured(Record):
    """What a sample of messages comes to in the real prompts."""

    messages: int = Field(ge=0)
    """In the input."""
    sampled: int = Field(ge=0)
    """Of those, looked at."""
    texts: float = Field(ge=0.0)
    """Mean texts (views and chunks) of a message; each is a request of its own in each stage."""
    reasoned: Call
    terse: Call
    categorise: Call


class Assumptions(Record):
    """What nobody can know beforehand. Shares are 0 to 1."""

    flag_rate: float = Field(default=0.04, ge=0.0, le=1.0)
    """Share of messages in which Stage 1 finds a crisis."""
    cached: float = Field(default=0.95, ge=0.0, le=1.0)
    """Share of requests whose prefix the provider has cached, where it can be."""
    passed: float = Field(default=0.15, ge=0.0, le=1.0)
    """Share of messages that a cascade does not clear; at least `flag_rate`."""
    audited: float = Field(default=0.02, ge=0.0, le=1.0)
    """Share of what it would clear that is asked about all the same."""
    hidden: float = Field(default=0.0, ge=0.0)
    """Tokens of reasoning that the model bills beside each answer."""

    @model_validator(mode="after")
    def _a_cascade_clears_no_crisis(self) -> Self:
        if self.passed < self.flag_rate:
            raise ValueError("passed is at least flag_rate: what a cascade clears is not found to be a crisis")
        return self


class Use(Record):
    """Of one message, on average."""

    requests: float = 0.0
    input: float = 0.0
    """Tokens sent, cached ones included."""
    cached: float = 0.0
    output: float = 0.0

    def __add__(self, other: Use) -> Use:
        """Both together."""
        return Use(
            requests=self.requests + other.requests,
            input=self.input + other.input,
            cached=self.cached + other.cached,
            output=self.output + other.output,
        )

    def times(self, factor: float) -> Use:
        """So many of it."""
        return Use(
            requests=factor * self.requests,
            input=factor * self.input,
            cached=factor * self.cached,
            output=factor * self.output,
        )

    def money(self, price: Price) -> float:
        """What it costs, in the currency of the price."""
        fresh = self.input - self.cached
        return (fresh * price.input + self.cached * price.cached_input + self.output * price.output) / 1e6


class Costed(Record):
    """One design, for all messages."""

    design: DesignName
    name: str
    model: str
    requests: float
    input_tokens: float
    cached_tokens: float
    output_tokens: float
    money: float
    """In the currency of the table."""
    ratio: float | None
    """How many times as much design A costs; `None` where this one costs nothing."""
    minutes: float | None
    """At the limits; `None` without any."""
    bound_by: Literal["requests", "tokens"] | None
    """Which limit it is that takes so long."""


def uses(measured: Measured, assumed: Assumptions, price: Price) -> dict[DesignName, Use]:
    """What each design needs for one message."""
    flagged, texts = assumed.flag_rate, measured.texts

    def asked(call: Call, positive: float) -> Use:
        answer = positive * call.positive + (1 - positive) * call.negative + assumed.hidden
        cached = assumed.cached * _cacheable(call.prefix, price)
        return Use(requests=1.0, input=call.prefix + call.message, cached=cached, output=answer).times(texts)

    second = asked(measured.categorise, 1.0).times(flagged)
    terse = asked(measured.terse, flagged) + second
    # In a cascade the positives are among fewer messages.
    reached = assumed.passed + assumed.audited * (1 - assumed.passed)
    behind = asked(measured.terse, flagged / reached if reached else 0.0).times(reached) + second
    return {
        "A": asked(measured.reasoned, flagged) + asked(measured.categorise, flagged),
        "C": asked(measured.reasoned, flagged) + second,
        "C'": terse,
        "D": behind,
    }


def costed(
    measured: Measured,
    assumed: Assumptions,
    price: Price,
    limits: Limits | None = None,
    *,
    messages: int | None = None,
) -> tuple[Costed, ...]:
    """All designs for one model, A first.

    Args:
        measured: of a sample.
        assumed: what nobody can know beforehand.
        price: of the model.
        limits: of the account, for the time; `None` gives none.
        messages: how many; `None` is as many as were measured.
    """
    count = measured.messages if messages is None else messages
    of_one = uses(measured, assumed, price)
    dearest = of_one["A"].money(price)
    found = []
    for design, name in DESIGNS.items():
        use = of_one[design].times(count)
        money = of_one[design].money(price)
        minutes, bound = _time(use, limits)
        found.append(
            Costed(
                design=design,
                name=name,
                model=price.model,
                requests=use.requests,
                input_tokens=use.input,
                cached_tokens=use.cached,
                output_tokens=use.output,
                money=money * count,
                ratio=dearest / money if money > 0 else None,
                minutes=minutes,
                bound_by=bound,
            )
        )
    return tuple(found)


def _cacheable(prefix: float, price: Price) -> float:
    """Tokens of a prefix that a provider can cache."""
    return prefix // price.cache_step * price.cache_step if prefix >= price.cache_from else 0.0


def _time(use: Use, limits: Limits | None) -> tuple[float | None, Literal["requests", "tokens"] | None]:
    """Minutes at the limits; cached tokens count to them."""
    if limits is None:
        return None, None
    by: dict[Literal["requests", "tokens"], float] = {}
    if limits.requests_per_minute is not None:
        by["requests"] = use.requests / (limits.requests_per_minute * limits.share)
    if limits.tokens_per_minute is not None:
        by["tokens"] = (use.input + use.output) / (limits.tokens_per_minute * limits.share)
    slowest = max(by, key=lambda name: by[name], default=None)
    return (by[slowest], slowest) if slowest is not None else (None, None)
