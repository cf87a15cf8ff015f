"""NVIDIA Llama 3.1 NemoGuard 8B Content Safety: a JSON object with a rating for the user and the names of categories.

Source: the model card (https://huggingface.co/nvidia/llama-3.1-nemoguard-8b-content-safety) and NeMo Guardrails. The names of categories
are found under `Safety Categories` or `Violated Categories`; NeMo reads one of them only and loses the other's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from crisis_filter.backends.base import Choice
from crisis_filter.backends.parse import load_object
from crisis_filter.baselines.asking import Format, Read, question, unfenced
from crisis_filter.baselines.base import Said
from crisis_filter.baselines.options import Choices
from crisis_filter.baselines.templates import load_template
from crisis_filter.errors import Fault
from crisis_filter.schema import Failure
from crisis_filter.taxonomy.maps import TaxonomyMap

__all__ = ["OPTIONS", "nemoguard", "reader"]

OPTIONS: Choices = {}
# NeMo's 50 cut a reply with several categories.
_MOST_TOKENS = 160
_USER, _RESPONSE = "User Safety", "Response Safety"
_NAMED = ("Safety Categories", "Violated Categories")
_RATING = re.compile(r"""["']?User Safety["']?\s*:\s*["']?""", re.IGNORECASE)
_POSITIVE = re.compile(rf"{_RATING.pattern}unsafe(?!\w)", re.IGNORECASE)


def nemoguard(_: Mapping[str, str], deadline_s: float, labels: TaxonomyMap) -> Format:
    """The model with its own prompt, which is sent to the letter as one user message."""
    template = load_template("nemoguard-8b-v1")
    read = reader(labels)
    return Format(
        lambda text: [
            question(template.filled(message=text), read, _CHOICE, deadline_s=deadline_s, most_tokens=_MOST_TOKENS)
        ],
        (template.ref,),
    )


def reader(labels: TaxonomyMap) -> Read:
    """Reads replies whose categories are the names, or the codes, of these labels."""
    ids = {label.name.casefold(): label.id for label in labels.labels}
    ids |= {label.id.casefold(): label.id for label in labels.labels}
    ids |= {f"{label.id}: {label.name}".casefold(): label.id for label in labels.labels}

    def read(text: str) -> Said | Failure:
        """`{"User Safety": "safe"}`, with a safe response at most, is a negative; an unsafe user a positive."""
        body = unfenced(text)
        found = load_object(body)
        if found is None:
            return _salvaged(body, Fault.BAD_JSON)
        if found.get(_USER) == "safe" and found.get(_RESPONSE, "safe") == "safe" and set(found) <= {_USER, _RESPONSE}:
            return Said(flagged=False)
        if found.get(_USER) != "unsafe":
            return _salvaged(body, Fault.SCHEMA)
        held = [found[key] for key in _NAMED if key in found]
        names = [name.strip() for value in held if isinstance(value, str) for name in value.split(",")]
        given = tuple(ids.get(name.rstrip(".").casefold(), name) for name in names if name)
        whole = len(held) == 1 and given and found.get(_RESPONSE, "safe") in ("safe", "unsafe")
        flawed = not whole or not set(found) <= {_USER, _RESPONSE, *_NAMED}
        return Said(flagged=True, labels=given, fault=Fault.SCHEMA if flawed else None)

    def _salvaged(body: str, fault: Fault) -> Said | Failure:
        """A positive that stands in a reply which is not as documented, with the categories that are named in it."""
        if _POSITIVE.search(body) is None:
            return Failure(fault=fault, detail="the reply is not as documented")
        named = tuple(label.id for label in labels.labels if len(label.name) > 5 and label.name in body)
        return Said(flagged=True, labels=named, fault=fault)

    return read


def _rating(text: str) -> int | None:
    found = _RATING.search(text)
    return found.end() if found is not None else None


_CHOICE = Choice(yes=("unsafe",), no=("safe",), place=_rating, positive=lambda text: _POSITIVE.search(text) is not None)
