"""A sample of messages put into the real prompts, to see how many tokens they come to. No request is made, and no text is kept.

Tokens are counted by a tokenizer that the caller gives, or estimated: four characters a token, and two in a run of hexadecimal digits
such as a nonce. Texts in other scripts than the Latin one use more than that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from crisis_filter.backends.dialect import prepare
from crisis_filter.batch.cost import Call, Measured
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import Rendered, render
from crisis_filter.schema import Message
from crisis_filter.taxonomy.answers import Categorised, CategoryAnswer
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.text import chunks, mended, views
from crisis_filter.triage.policy import Policy

__all__ = ["REASONED", "TERSE", "Tokens", "by_characters", "drawn", "measure"]

REASONED = "screen/reasoned-v2"
TERSE = "screen/terse-v2"

Tokens = Callable[[str], float]
"""How many tokens a text is."""

_HEXADECIMAL = re.compile(r"(?<![0-9a-z])(?=[a-f]*[0-9])[0-9a-f]{3,}(?![0-9a-z])")
_CHARACTERS = 4.0
_NONCE_DIGITS = "0f1e2d3c4b5a6978"
_ABSENT = CategoryAnswer(
    rationale="", quotes=(), present=False, severity=None, subject=None, timeframe=None
).model_dump(mode="json")


def by_characters(text: str) -> float:
    """Tokens by the number of characters; 0 for an empty text."""
    digits = sum(len(run) for run in _HEXADECIMAL.findall(text))
    return (len(text) + digits) / _CHARACTERS


def drawn(messages: Iterable[Message], most: int, rng: np.random.Generator) -> tuple[list[Message], int]:
    """A random sample, each message as likely as any other, in bounded memory.

    Args:
        messages: read once, to the end.
        most: size of the sample, at least 1; all of them where there are fewer.
        rng: decides which.

    Returns:
        The sample, and how many there were.
    """
    kept: list[Message] = []
    count = 0
    for message in messages:
        count += 1
        if len(kept) < most:
            kept.append(message)
        elif (place := int(rng.integers(count))) < most:
            kept[place] = message
    return kept, count


def measure(sample: Sequence[Message], count: int, policy: Policy, *, tokens: Tokens = by_characters) -> Measured:
    """Put a sample into the prompts.

    Args:
        sample: messages; one that cannot be judged (empty, too long, unreadable) needs no request.
        count: how many messages there are in all.
        policy: names the prompt of Stage 2 and the taxonomy, and how long a piece of a text may be.
        tokens: counts them.

    Raises:
        AssetError: a prompt or the taxonomy is missing or malformed.
    """
    taxonomy = load_taxonomy(policy.stages.taxonomy)
    texts = [text for message in sample for text in _texts(message, policy)]
    reasoned, terse, categorise = (
        _call(render(load_prompt(name), taxonomy), texts, tokens)
        for name in (REASONED, TERSE, policy.stages.categorise)
    )
    mean = len(texts) / len(sample) if sample else 0.0
    return Measured(
        messages=count, sampled=len(sample), texts=mean, reasoned=reasoned, terse=terse, categorise=categorise
    )


def _texts(message: Message, policy: Policy) -> Iterator[str]:
    """What is judged of a message, as in `pipeline.judge`."""
    limits = policy.limits
    if message.unreadable or len(message.text.encode("utf-8", "surrogatepass")) > limits.most_bytes:
        return
    for view in views(mended(message.text)):
        yield from chunks(view.text, size=limits.chunk_characters, overlap=limits.chunk_overlap)


def _call(rendered: Rendered, texts: Sequence[str], tokens: Tokens) -> Call:
    """The mean request of one prompt, as a server with strict schemas is sent it."""
    prompt = rendered.prompt
    system, shape = prepare(rendered.answer, rendered.system, "json_schema")
    digits = -(-prompt.nonce_bits // 8) * 2
    nonce = (_NONCE_DIGITS * (digits // len(_NONCE_DIGITS) + 1))[:digits]
    users = [tokens(rendered.user(text, nonce)) for text in texts] or [tokens(rendered.user("", nonce))]
    answers = [_answer(rendered, example.answer, nonce) for example in prompt.examples]
    negative = [tokens(text) for text, positive in answers if not positive]
    positive = [tokens(text) for text, positive in answers if positive]
    if issubclass(rendered.answer, Categorised):
        negative = [tokens(_answer(rendered, {}, nonce)[0])]
    return Call(
        prompt=prompt.id,
        prefix=tokens(system) + (0.0 if shape is None else tokens(json.dumps(shape))),
        message=_mean(users),
        negative=_mean(negative or positive),
        positive=_mean(positive or negative),
    )


def _answer(rendered: Rendered, given: dict[str, Any], nonce: str) -> tuple[str, bool]:
    """A worked answer as a model writes it, every field of it, and whether it is a positive.

    A Stage 2 example leaves absent categories out, which an answer must not.
    """
    if not issubclass(rendered.answer, Categorised):
        return json.dumps({"nonce": nonce, **given}, ensure_ascii=False), bool(given.get("crisis"))
    fields = [name for name in rendered.answer.model_fields if name != "nonce"]
    whole = {"nonce": nonce, **{name: given.get(name, _ABSENT) for name in fields}}
    return json.dumps(whole, ensure_ascii=False), any(entry["present"] for entry in given.values())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
