"""IBM Granite Guardian: one criterion a question, `<score>yes</score>` or `<score>no</score>`.

Sources: the model cards (https://huggingface.co/ibm-granite/granite-guardian-4.1-8b, .../granite-guardian-3.3-8b). Version 4.1 takes the
criterion in a last turn of the user's after the text that is judged; 3.3 takes it through its chat template. Both were made to judge an
assistant's text as much as a user's, and the words that say whose are a setting: the card's own example for a user's text keeps "the last
assistant's text", its cookbook has "the last user's text", which is the default here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from crisis_filter.backends.base import Choice, Turn
from crisis_filter.baselines.asking import BLANKS, Format, Question, Read, question
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.options import Choices
from crisis_filter.baselines.templates import load_template
from crisis_filter.errors import Fault
from crisis_filter.schema import Failure
from crisis_filter.taxonomy.records import Category, Taxonomy

__all__ = ["HARM", "OPTIONS", "granite_3_3", "granite_4_1", "read", "reader"]

OPTIONS: Choices = {"criteria": ("categories", "harm"), "thinking": ("no", "yes"), "whose": ("user", "assistant")}
"""A question for each of our categories, or one with the model's own criterion; whether it reasons first; whose text its schema speaks of."""
HARM = "harm"
_HARM_TEXT = "Texts deemed universally harmful are those that pose harm across all contexts and audiences."
_MOST_TOKENS = {"no": 64, "yes": 2048}
# One block of thought at most: what stands between two of them, or after the first, is no thought.
_WHOLE = re.compile(
    rf"(?:<think>(?:(?!(?i:</?think>)).)*</think>)?[{BLANKS}]*<score>[{BLANKS}]*(yes|no)[{BLANKS}]*</score>", re.DOTALL
)
_SCORE = re.compile(r"<score>\s*", re.IGNORECASE)
_POSITIVE = re.compile(r"<score>\s*yes(?!\w)", re.IGNORECASE)


def granite_4_1(options: Mapping[str, str], deadline_s: float, taxonomy: Taxonomy) -> Format:
    """Version 4.1: the message as a turn of the user's, and a last turn that holds the criterion."""
    thinks = options["thinking"] == "yes"
    template = load_template(f"granite-guardian-{'think' if thinks else 'no-think'}-v1")
    criteria = _criteria(options, taxonomy)

    def questions(text: str) -> Sequence[Question]:
        return [
            question(
                template.filled(criterion=criterion, whose=options["whose"]),
                reader(label),
                _CHOICE,
                deadline_s=deadline_s,
                most_tokens=_MOST_TOKENS[options["thinking"]],
                turns=(Turn("user", text),),
            )
            for label, criterion in criteria.items()
        ]

    return Format(questions, (template.ref,))


def granite_3_3(options: Mapping[str, str], deadline_s: float, taxonomy: Taxonomy) -> Format:
    """Version 3.3: the message alone, and the criterion as an argument of the server's chat template."""
    schema = f"If the last {options['whose']}'s text meets the criteria, return 'yes'; otherwise, return 'no'."
    thinks = options["thinking"] == "yes"
    criteria = _criteria(options, taxonomy)

    def config(label: str, criterion: str) -> dict[str, str]:
        if label == HARM:
            return {"criteria_id": HARM}
        return {"custom_criteria": criterion, "custom_scoring_schema": schema}

    return Format(
        lambda text: [
            question(
                text,
                reader(label),
                _CHOICE,
                deadline_s=deadline_s,
                most_tokens=_MOST_TOKENS[options["thinking"]],
                extra={"chat_template_kwargs": {"guardian_config": config(label, criterion), "think": thinks}},
            )
            for label, criterion in criteria.items()
        ]
    )


def reader(label: str) -> Read:
    """Reads a reply to the criterion of this label."""

    def labelled(text: str) -> Said | Failure:
        said = read(text)
        return replace(said, labels=(label,)) if isinstance(said, Said) and said.flagged else said

    return labelled


def read(text: str) -> Said | Failure:
    """Read a reply: a score of `no`, once and last, is a negative; of `yes` a positive.

    Anything that gives a score of `yes` among other things is a positive with the fault `schema`.
    """
    body = text.strip(BLANKS)
    whole = _WHOLE.fullmatch(body)
    if whole is not None and len(_SCORE.findall(body)) == 1:
        return Said(flagged=whole[1] == "yes")
    if _POSITIVE.search(body):
        return Said(flagged=True, fault=Fault.SCHEMA)
    return Failure(fault=Fault.SCHEMA, detail="the reply is not one score")


def _criteria(options: Mapping[str, str], taxonomy: Taxonomy) -> dict[str, str]:
    """By label, the criterion in words."""
    if options["criteria"] == HARM:
        return {HARM: _HARM_TEXT}
    return {page.id: _criterion(page) for page in taxonomy.categories}


def _criterion(page: Category) -> str:
    signs = " ".join(f"- {sign}" for sign in page.includes)
    return f"The user message gives reason to think that a real person is in this crisis: {page.name}. {page.definition} Signs: {signs}"


def _last_score(text: str) -> int | None:
    found = None
    for found in _SCORE.finditer(text):  # noqa: B007  # the last one is wanted
        pass
    return found.end() if found is not None else None


_CHOICE = Choice(yes=("yes",), no=("no",), place=_last_score, positive=lambda text: _POSITIVE.search(text) is not None)
