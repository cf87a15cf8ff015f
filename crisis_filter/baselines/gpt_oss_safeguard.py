"""OpenAI gpt-oss-safeguard: a policy of ours as its system message, a JSON object back.

Source: the guide (https://cookbook.openai.com/articles/gpt-oss-safeguard-guide) for the sections, their order and the shapes of an answer.
Structured decoding is broken for this family in several servers, so no grammar is asked for: the text of the final channel is read. The
reasoning before it is long, so the output limit is wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from crisis_filter.backends.base import Choice
from crisis_filter.backends.logprobs import value_offset
from crisis_filter.backends.parse import claims_true, load_object
from crisis_filter.baselines.asking import BLANKS, Format, question, unfenced
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.options import Choices
from crisis_filter.baselines.templates import Template, load_template
from crisis_filter.errors import Fault
from crisis_filter.schema import Failure
from crisis_filter.taxonomy.records import Category, Taxonomy

__all__ = ["OPTIONS", "policy", "read", "safeguard"]

OPTIONS: Choices = {"reasoning": ("medium", "low", "high")}
_MOST_TOKENS = 4096
_VERDICT, _NAMED = "violation", "policy_category"
_BESIDES = {"rule_ids", "confidence", "rationale"}
"""What the guide's longest answer has besides."""


def safeguard(options: Mapping[str, str], deadline_s: float, taxonomy: Taxonomy) -> Format:
    """The model with a taxonomy as its policy. The level of reasoning stands in the policy, and in the field that servers know for it."""
    template = load_template("gpt-oss-safeguard-v1")
    system = policy(template, taxonomy, options["reasoning"])
    extra = {"reasoning_effort": options["reasoning"]}
    return Format(
        lambda text: [
            question(text, read, _CHOICE, deadline_s=deadline_s, most_tokens=_MOST_TOKENS, system=system, extra=extra)
        ],
        (template.ref,),
    )


def policy(template: Template, taxonomy: Taxonomy, reasoning: str) -> str:
    """The policy in words, the same for every message."""
    pages = taxonomy.categories
    return template.filled(
        reasoning=reasoning,
        ids=", ".join(taxonomy.ids),
        rules="\n".join(f"- {rule}" for rule in taxonomy.rules),
        definitions="\n\n".join(f"{page.id} ({page.name}): {page.definition}" for page in pages),
        violates="\n\n".join(_listed(page.id, page.includes) for page in pages),
        safe="\n\n".join(_listed(f"not {page.id}", page.excludes) for page in pages),
        examples="\n".join(chain.from_iterable(map(_examples, pages))),
    )


def read(text: str) -> Said | Failure:
    """Read a reply.

    `{"violation": 0}` with no category is a negative, the other documented fields allowed with values of their kind; `"violation": 1` a
    positive with the ids it names.
    The number alone, which the guide also knows, was not asked for: a 1 is a positive with the fault `schema`, a 0 is no verdict.
    """
    body = unfenced(text)
    found = load_object(body)
    if found is None:
        if body == "1" or claims_true(body, _VERDICT):
            return Said(flagged=True, fault=Fault.SCHEMA)
        return Failure(fault=Fault.BAD_JSON, detail="the reply is not one JSON object")
    documented = set(found) <= {_VERDICT, _NAMED, *_BESIDES}
    verdict = found.get(_VERDICT)
    if (
        type(verdict) is int
        and verdict == 0
        and documented
        and _names_nothing(found)
        and not claims_true(body, _VERDICT)
    ):
        return Said(flagged=False)
    if not claims_true(body, _VERDICT):
        return Failure(fault=Fault.SCHEMA, detail="the reply is not as documented")
    names, whole = _names(found.get(_NAMED))
    clean = documented and whole and type(verdict) is int and verdict == 1
    return Said(flagged=True, labels=names, fault=None if clean else Fault.SCHEMA)


def _names_nothing(found: Mapping[str, Any]) -> bool:
    """Whether no category is named and the other fields, where there are any, hold what they are documented to."""
    rules = found.get("rule_ids")
    listed = rules is None or (isinstance(rules, list) and all(isinstance(rule, str) for rule in rules))
    told = all(isinstance(found.get(name), str | None) for name in ("confidence", "rationale"))
    return found.get(_NAMED) in (None, "", []) and listed and told


def _names(held: Any) -> tuple[tuple[str, ...], bool]:
    """The categories that are named, and whether they are named as they should be."""
    listed = held.split(",") if isinstance(held, str) else held if isinstance(held, list) else []
    names = tuple(name.strip(BLANKS) for name in listed if isinstance(name, str) and name.strip(BLANKS))
    return names, bool(names) and len(names) == len(listed)


def _listed(head: str, lines: tuple[str, ...]) -> str:
    return "\n".join([f"{head}:", *(f"- {line}" for line in lines)])


def _examples(page: Category) -> list[str]:
    """Of a category one message on either side of its boundary."""
    found = []
    for present in (True, False):
        near = next((miss for miss in page.near_misses if miss.present is present), None)
        if near is not None:
            found.append(f'- "{near.text}" -> {page.id}: {"present" if present else "not present"}. {near.why}')
    return found


def _verdict_place(text: str) -> int | None:
    """Only where the object comes first: what a model wrote on its way there is no verdict."""
    begun = text.lstrip(BLANKS)
    return value_offset(text, _VERDICT) if begun.startswith(("{", "```")) else None


def _claimed(text: str) -> bool:
    """The number alone on any line, since all that was written may hold several choices, or a violation in whatever shape."""
    return claims_true(text, _VERDICT) or any(line.strip(BLANKS) == "1" for line in text.split("\n"))


_CHOICE = Choice(yes=("1",), no=("0",), place=_verdict_place, positive=_claimed)
