"""Meta Llama Guard 3: `safe`, or `unsafe` and a line of codes.

Sources: the model card (https://huggingface.co/meta-llama/Llama-Guard-3-8B) for format, codes and score ("the probability for the first
token"), llama-stack for the wording of the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crisis_filter.backends.base import Choice
from crisis_filter.baselines.asking import BLANKS, Format, question
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.options import Choices
from crisis_filter.baselines.templates import load_template
from crisis_filter.errors import Fault
from crisis_filter.schema import Failure
from crisis_filter.taxonomy.records import Taxonomy

__all__ = ["CUSTOM_OPTIONS", "OPTIONS", "custom", "read", "stock"]

OPTIONS: Choices = {}
CUSTOM_OPTIONS: Choices = {"definitions": ("whole", "short")}
"""Of our categories the whole definition, or the one line for tables."""
_MOST_TOKENS = 64
_CODE = r"S\d{1,2}"
_UNSAFE = re.compile(rf"unsafe[ \t\r]*\n[ \t]*({_CODE}(?:[ \t]*,[ \t]*{_CODE})*)")
_POSITIVE = re.compile(r"unsafe(?!\w)", re.IGNORECASE)
# All that was written may hold several choices: the word first in any of its lines.
_CLAIM = re.compile(r"^[ \t\r]*unsafe(?!\w)", re.IGNORECASE | re.MULTILINE)
_CODES = re.compile(rf"(?<!\w){_CODE}(?!\w)")
# A raw prompt is read token by token, special ones included; a message must not hold any.
_SPECIAL = re.compile(r"<(?=\|)")


def stock(_: Mapping[str, str], deadline_s: float) -> Format:
    """The model with its own categories: only the message is sent, and the server's chat template adds the rest."""
    return Format(lambda text: [question(text, read, _CHOICE, deadline_s=deadline_s, most_tokens=_MOST_TOKENS)])


def custom(options: Mapping[str, str], deadline_s: float, taxonomy: Taxonomy) -> Format:
    """The model with the categories of a taxonomy, `S1` onwards in its order, as a raw prompt for `/completions`.

    In the message `<|` becomes `< |`, since a server would read a special token there as its own.
    """
    template = load_template("llama-guard-3-custom-v1")
    pages = [
        f"S{number}: {page.name}. {page.definition if options['definitions'] == 'whole' else page.short}"
        for number, page in enumerate(taxonomy.categories, start=1)
    ]
    categories = "\n".join(pages)

    def prompt(text: str) -> str:
        return template.filled(categories=categories, message=_SPECIAL.sub("< ", text))

    return Format(
        lambda text: [question(prompt(text), read, _CHOICE, deadline_s=deadline_s, most_tokens=_MOST_TOKENS, raw=True)],
        (template.ref,),
    )


def read(text: str) -> Said | Failure:
    """Read a reply: `safe` alone is a negative; `unsafe` and a line of codes, between commas, a positive.

    A reply that begins with the word `unsafe` and goes on otherwise is a positive with the fault `schema`; anything else, `Not safe.` and
    `safe unsafe` and `safe` with codes among it, is no verdict.
    """
    body = text.strip(BLANKS)
    if body == "safe":
        return Said(flagged=False)
    if whole := _UNSAFE.fullmatch(body):
        return Said(flagged=True, labels=tuple(_CODES.findall(whole[1])))
    if _POSITIVE.match(body):
        return Said(flagged=True, labels=tuple(_CODES.findall(body)), fault=Fault.SCHEMA)
    return Failure(fault=Fault.SCHEMA, detail="neither the word for a negative alone nor the word for a positive first")


def _first_word(text: str) -> int | None:
    at = len(text) - len(text.lstrip(BLANKS))
    return at if at < len(text) else None


_CHOICE = Choice(
    yes=("unsafe",), no=("safe",), place=_first_word, positive=lambda text: _CLAIM.search(text) is not None
)
