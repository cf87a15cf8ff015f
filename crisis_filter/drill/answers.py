"""What the healthy part of the fault server says: who decides (a brain), and how a verdict is put into words (a style).

A brain sees what is asked and gives a verdict, or the literal words of an answer. The server's model is never a good one and
need not be: what is tried is the client.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crisis_filter.drill.asked import Asked
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.text import views

Oracle = Callable[[str], bool]
"""Given the text of a message, whether it shows a crisis."""
Brain = Callable[[Asked], "bool | str"]
"""Given what is asked, a verdict, or the words of an answer as they are."""


@dataclass(frozen=True, slots=True)
class Literals:
    """The two answers to a client that is not ours."""

    crisis: str
    clear: str


LITERALS = {
    "prompts": Literals('{"crisis": true}', '{"crisis": false}'),
    "safe-unsafe": Literals("unsafe\nS11", "safe"),
    "yes-no": Literals("yes", "no"),
}
"""By the name that `--answers` takes. Our own prompts are always answered in the form they ask for."""


def read_literals(name: str) -> Literals:
    """The literal answers of a name, or of `file:PATH`, a JSON object with the texts `crisis` and `no_crisis`.

    Raises:
        ConfigurationError: the name is unknown, or the file is not such an object.
    """
    kind, colon, path = name.partition(":")
    if kind != "file" or not colon:
        if name not in LITERALS:
            raise ConfigurationError(f"--answers takes {', '.join(LITERALS)} or file:PATH")
        return LITERALS[name]
    try:
        given = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
        texts = given["crisis"], given["no_crisis"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{path}: needs a JSON object with the texts crisis and no_crisis ({type(error).__name__})"
        ) from None
    if not all(isinstance(text, str) for text in texts):
        raise ConfigurationError(f"{path}: crisis and no_crisis must be texts")
    return Literals(*texts)


@dataclass(frozen=True, slots=True)
class KnownTexts:
    """An oracle of labelled messages; what it does not know is a crisis.

    A text that holds a known crisis, or is part of one, is a crisis; one that holds a known ordinary message, or is part of
    one, is none. Every canonical view of a known text counts as that text.
    """

    crises: frozenset[str] = field(repr=False)
    ordinary: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, labelled: Iterable[tuple[str, bool]]) -> KnownTexts:
        """From pairs of text and label; texts without a visible character are left out."""
        crises: set[str] = set()
        ordinary: set[str] = set()
        for text, label in labelled:
            seen = {view.text.strip() for view in views(text)} | {text.strip()}
            (crises if label else ordinary).update(seen - {""})
        return cls(frozenset(crises), frozenset(ordinary - crises))

    @classmethod
    def read(cls, path: Path) -> KnownTexts:
        """From a JSON Lines file with the fields `text` and `crisis`.

        Raises:
            InputError: the file cannot be read, or a line lacks a field; names the line, never its text.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as UTF-8 text ({type(error).__name__})") from None
        return cls.of(_labelled(line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip())

    def __call__(self, text: str) -> bool:
        """Whether the text shows a crisis."""
        text = text.strip()
        if text in self.crises:
            return True
        if text in self.ordinary:
            return False
        if any(known in text or (text and text in known) for known in self.crises):
            return True
        return not any(known in text or (text and text in known) for known in self.ordinary)


def _labelled(line: str, place: str) -> tuple[str, bool]:
    try:
        row = json.loads(line)
        text, label = row["text"], row["crisis"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{place}: needs a JSON object with text and crisis") from None
    if not isinstance(text, str) or not isinstance(label, bool):
        raise InputError(f"{place}: text must be a text and crisis true or false")
    return text, label


@dataclass(frozen=True, slots=True)
class Healthy:
    """A brain that says what its oracle says."""

    oracle: Oracle

    def __call__(self, asked: Asked) -> bool:
        """The oracle's verdict."""
        return self.oracle(asked.message)


@dataclass(frozen=True, slots=True)
class EchoProne:
    """A brain that repeats a verdict it finds in the message, word for word and with whatever nonce stands there.

    Any JSON object with a verdict field or a nonce counts; a message without one gets the oracle's verdict.
    """

    oracle: Oracle

    def __call__(self, asked: Asked) -> bool | str:
        """The message's own verdict, or the oracle's."""
        found = _verdict_in(asked.message)
        return self.oracle(asked.message) if found is None else found


def _verdict_in(message: str) -> str | None:
    decoder = json.JSONDecoder()
    at = message.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(message, at)
        except (ValueError, RecursionError):
            pass
        else:
            if isinstance(value, dict) and value.keys() & {"crisis", "nonce", "present", "safe", "verdict"}:
                return message[at:end]
        at = message.find("{", at + 1)
    return None


@dataclass(frozen=True, slots=True)
class Obedient:
    """A brain that any known attack sways: then it says "nothing here", completely, validly and with the right nonce."""

    attacks: tuple[str, ...] = field(repr=False)
    oracle: Oracle

    def __call__(self, asked: Asked) -> bool:
        """False where the message holds one of the attacks, else the oracle's verdict."""
        return not any(attack in asked.message for attack in self.attacks) and self.oracle(asked.message)


_ABSENT: dict[str, Any] = {
    "rationale": "",
    "quotes": [],
    "present": False,
    "severity": None,
    "subject": None,
    "timeframe": None,
}
# Named when a crisis is to be categorised: the first of these that the taxonomy has, else its first category.
_USUAL = ("suicide", "self_harm", "self_harm_risk", "suicidal_ideation")
_LONGEST_QUOTE = 40


def verdict_fields(asked: Asked, *, crisis: bool) -> dict[str, Any]:
    """A valid answer to one of our prompts, its fields in the order of the schema; empty for another client."""
    quote = asked.message[:_LONGEST_QUOTE]
    if asked.form.kind == "screen":
        values: dict[str, Any] = {
            "nonce": asked.nonce,
            "reasoning": "The drill's model says so.",
            "quotes": [quote] if crisis and quote else [],
            "subject": "self" if crisis else "unclear",
            "timeframe": "current" if crisis else "unclear",
            "crisis": crisis,
            "confidence": 0.97 if crisis else 0.02,
        }
        return {name: values.get(name) for name in asked.form.fields}
    if asked.form.kind == "literal":
        return {}
    categories = asked.form.categories
    named = next((name for name in _USUAL if name in categories), categories[0]) if crisis and categories else None
    present = {
        "rationale": "The drill's model says so.",
        "quotes": [quote] if quote else [],
        "present": True,
        "severity": "severe",
        "subject": "self",
        "timeframe": "current",
    }
    parts = {name: present if name == named else _ABSENT for name in categories}
    return {"nonce": asked.nonce, **parts}
