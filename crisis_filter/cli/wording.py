"""Words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from crisis_filter.schema import Fault

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crisis_filter.schema import Outcome, ScoreSource

OUTCOMES: dict[Outcome, str] = {"crisis": "crisis", "undetermined": "undetermined", "no_crisis": "not crisis"}
SYMBOLS: dict[Outcome, str] = {"crisis": "▲", "undetermined": "?", "no_crisis": "○"}
ASCII_SYMBOLS: dict[Outcome, str] = {"crisis": "!", "undetermined": "?", "no_crisis": "-"}
STYLES: dict[Outcome, str] = {"crisis": "bold red", "undetermined": "yellow", "no_crisis": "green"}
SCORE_SOURCES: dict[ScoreSource, str] = {
    "logprobs": "from the model's token probabilities",
    "engine": "from the embedded engine",
    "votes": "from votes",
    "stated": "in the model's own words",
    "classifier": "from the classifier's own number",
}


class FaultWords(NamedTuple):
    """A fault for people."""

    meaning: str
    advice: str


_PERSON = "A person has to read the message."
_MODEL = "A person has to read the message; if this happens often, try another model."

FAULTS: dict[Fault, FaultWords] = {
    Fault.REFUSAL_FIELD: FaultWords("The model refused to judge the message.", _MODEL),
    Fault.REFUSAL_PROSE: FaultWords("The model wrote prose instead of a judgement.", _MODEL),
    Fault.FILTER_PROMPT: FaultWords(
        "The provider's content filter blocked the message.",
        "A person has to read the message; ask the provider to turn the filter to annotate only.",
    ),
    Fault.FILTER_FINISH: FaultWords(
        "The provider's content filter cut the answer off.",
        "A person has to read the message; ask the provider to turn the filter to annotate only.",
    ),
    Fault.TRUNCATED: FaultWords("The answer was cut off before its end.", _MODEL),
    Fault.BAD_JSON: FaultWords("The answer was not one JSON object.", _MODEL),
    Fault.SCHEMA: FaultWords("The answer did not have the agreed shape.", _MODEL),
    Fault.UNKNOWN_CATEGORY: FaultWords("The answer named a category that the taxonomy does not have.", _MODEL),
    Fault.STAGE_CONFLICT: FaultWords("Stage 1 said crisis and Stage 2 found no category.", "The crisis stands."),
    Fault.NONCE_MISMATCH: FaultWords("The answer belonged to some other request.", _MODEL),
    Fault.TIMEOUT: FaultWords(
        "No answer came in time.", "Run it again, or give more time with --timeout; until then a person has to read it."
    ),
    Fault.RATE_LIMITED: FaultWords(
        "The server is asked too often.", "Run it again later, or with a lower --concurrency."
    ),
    Fault.SERVER_ERROR: FaultWords(
        "The server failed.", "Check that the server is up and that --base-url is right; then run it again."
    ),
    Fault.MISCONFIGURED: FaultWords(
        "The server turned the request down for good: a wrong key, model or address.",
        "Check CRISIS_FILTER_API_KEY (or OPENAI_API_KEY), --backend and --base-url; then run it again.",
    ),
    Fault.BROKEN_REPLY: FaultWords(
        "The server could not be reached, or what came back was no answer.",
        "Check that the server is up and that --base-url is right; then run it again.",
    ),
    Fault.CONTEXT_OVERFLOW: FaultWords(
        "The message and the prompt are longer than the model can read.", "Use a model with a larger context."
    ),
    Fault.EMPTY_REPLY: FaultWords("The answer was empty.", _MODEL),
    Fault.NONDETERMINISM: FaultWords("The same question got different answers.", _MODEL),
    Fault.MODEL_DRIFT: FaultWords("Another model answered than the one asked for.", "Pin the model's version."),
    Fault.LOCAL_MODEL: FaultWords(
        "The embedded engine failed.", "Install the package again; if it fails again, report it."
    ),
    Fault.OVERLOAD: FaultWords("There was more to do than could be done.", "Run it again later."),
    Fault.INTERNAL: FaultWords("A bug of ours.", "A person has to read the message; please report the bug."),
    Fault.EMPTY_CONTENT: FaultWords("There is nothing to be seen in the message.", "A person may look at its source."),
    Fault.INPUT_UNREADABLE: FaultWords(
        "The row held no text, or text that was damaged.", "Look at the row in the input; a person has to read it."
    ),
    Fault.INPUT_TOO_LONG: FaultWords("The message is longer than the policy allows.", _PERSON),
    Fault.UNVALIDATED_LANGUAGE: FaultWords("The message is in a language nobody has tested this with.", _PERSON),
    Fault.INJECTION_SUSPECTED: FaultWords("The message tries to steer the model that judges it.", _PERSON),
    Fault.MAY_NOT_CLEAR: FaultWords("The detector that answered may raise an alarm but not clear a message.", _PERSON),
}

_NO_ANSWER = {
    "scripted": FaultWords(
        "The script has no answer for the message.", "Add one to the file that --backend scripted:FILE names."
    ),
    "recorded": FaultWords(
        "The recording has no answer for the message.",
        "Record again: the message, the prompts, the taxonomy or the model are others than those recorded.",
    ),
}


def fault_words(fault: Fault, detectors: Iterable[str]) -> FaultWords:
    """The words for a fault.

    Args:
        fault: what happened.
        detectors: names of those that judged; where it was a file of answers, no server is to blame.
    """
    names = set(detectors)
    if fault is Fault.MISCONFIGURED and len(names) == 1:
        return _NO_ANSWER.get(names.pop(), FAULTS[fault])
    return FAULTS[fault]


SHARED_CAUSES = frozenset(
    {
        Fault.TIMEOUT,
        Fault.RATE_LIMITED,
        Fault.SERVER_ERROR,
        Fault.MISCONFIGURED,
        Fault.BROKEN_REPLY,
        Fault.LOCAL_MODEL,
        Fault.INTERNAL,
        Fault.MODEL_DRIFT,
    }
)
"""Faults of the set-up rather than of a message: when every message has the same one, it is said once."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 message`, `2 messages`, `1,204 messages`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
