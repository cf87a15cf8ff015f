"""Whether a server reads a long prompt whole: codes at its very front and its very end, which the answer must repeat.

Some servers drop what does not fit their window and answer as if nothing had been. Ollama's window is 4,096 tokens unless it is
told otherwise, and our longer screen prompt alone is more than twice that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Annotated, Literal

from pydantic import Field

from crisis_filter.backends.base import Reply, Request
from crisis_filter.drill.finding import Finding
from crisis_filter.drill.probes import Look, Witness
from crisis_filter.drill.signs import TURNED_DOWN
from crisis_filter.errors import BackendError, Fault
from crisis_filter.prompting.render import NonceSource, Rendered
from crisis_filter.taxonomy.answers import Answer

Ending = Literal["whole", "cut", "lost", "turned_down", "not_told", "no_answer", "no_reply"]
"""`whole`: both ends were repeated. `cut`: in silence. `lost`: not repeated any more, though the server counts as many tokens as
it should. `turned_down`: said to be too long. `not_told`: an end is not repeated, and was at no smaller size. `no_answer`: a faulty one. `no_reply`: none at all."""

# About 1,000, 3,000, 6,000 and 12,000 tokens. At the first size only a model that cannot repeat a code fails.
SIZES = (4_000, 12_000, 24_000, 48_000)
_NEAR = 0.85
# A server that counts less than this share of the tokens that the first size makes one expect has not read all. The first size
# counts too many for its length, since what goes with every request weighs most there.
_LEAST_SHARE = 0.75
_CODE_BITS = 32
_SUBJECTS = ("the baker", "a gardener", "the postman", "our neighbour", "a painter", "the ferry", "the library")
_DOINGS = ("waits for", "walks past", "writes down", "looks after", "talks about", "counts", "remembers", "paints")
_THINGS = ("the old bridge.", "five blue chairs.", "the morning train.", "a basket of pears.", "the rain.")


class Ends(Answer):
    """Both ends of a prompt."""

    front: Annotated[str, Field(description="The code on the first line, copied exactly.", repr=False)]


@dataclass(frozen=True, slots=True)
class Tried:
    """One size, and how it ended."""

    characters: int
    """Of the whole prompt."""
    ending: Ending
    prompt_tokens: int = 0
    """As the server counted them; 0 where it did not say."""
    why: str = ""
    """Fault and detail where no reply came."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the filter sends, in characters."""

    prompt: int
    """The screen prompt with a short message."""
    longest: int
    """The screen prompt with the longest piece of a message that the policy lets through."""
    system: int
    """The stable part alone."""

    @classmethod
    def of(cls, rendered: Rendered, chunk_characters: int) -> Need:
        """That of a screen prompt and a policy."""
        system, fence = len(rendered.system), len(rendered.user("", "0" * 32))
        return cls(system + fence, system + fence + chunk_characters, system)


async def try_window(
    witness: Witness, need: Need, *, timeout_s: float, output_cap: int, nonces: NonceSource
) -> list[Tried]:
    """Ask with longer and longer prompts until one is cut, turned down or not answered.

    The first request without a reply may be an accident: it alone is sent again.

    Args:
        witness: who is asked.
        need: the longest prompt of the filter, which is tried too.
        timeout_s: for one request.
        output_cap: most tokens of an answer.
        nonces: where codes come from.
    """
    tried: list[Tried] = []
    spare = True
    for size in _sizes(need.longest):
        outcome = await _try(witness, size, need, timeout_s, output_cap, nonces)
        if outcome.ending == "no_reply" and spare and not witness.gave_up:
            spare = False
            outcome = await _try(witness, size, need, timeout_s, output_cap, nonces)
        if outcome.ending == "not_told" and tried and tried[0].ending == "whole":
            outcome = replace(outcome, ending="lost" if _counts_all(outcome, tried[0]) else "cut")
        tried.append(outcome)
        if outcome.ending in ("cut", "turned_down", "no_reply") or witness.gave_up:
            break
    return tried


def _counts_all(outcome: Tried, first: Tried) -> bool:
    """Whether the server counts as many tokens as a prompt read whole must have; false where it does not say."""
    expected = first.prompt_tokens * outcome.characters / first.characters
    return outcome.prompt_tokens > 0 and outcome.prompt_tokens >= expected * _LEAST_SHARE


def _sizes(longest: int) -> list[int]:
    others = [size for size in SIZES if not _NEAR <= size / longest <= 1 / _NEAR]
    return sorted([*others, longest])


async def _try(
    witness: Witness, size: int, need: Need, timeout_s: float, output_cap: int, nonces: NonceSource
) -> Tried:
    front, nonce = nonces(_CODE_BITS), nonces(_CODE_BITS)
    request = _request(size, need.system / need.longest, front, nonce, timeout_s, output_cap)
    characters = len(request.system) + len(request.user)
    try:
        reply = await witness.complete(request)
    except BackendError as error:
        return Tried(characters, _without_reply(error), why=f"{error.fault}: {error.detail}")
    return Tried(characters, _ending(reply, front), reply.prompt_tokens)


def _without_reply(error: BackendError) -> Ending:
    if error.fault is Fault.CONTEXT_OVERFLOW:
        return "turned_down"
    # That a server does not take this very question (HTTP 400, 501) says nothing of its window.
    other = error.fault is Fault.MISCONFIGURED and error.detail not in TURNED_DOWN
    return "no_answer" if other else "no_reply"


def _ending(reply: Reply[Ends], front: str) -> Ending:
    if reply.fault is Fault.CONTEXT_OVERFLOW:  # fewer tokens than `window.least_tokens`
        return "cut"
    if reply.answer is not None:
        return "whole" if reply.answer.front == front else "not_told"
    return "not_told" if reply.fault is Fault.NONCE_MISMATCH else "no_answer"


def _request(size: int, share: float, front: str, nonce: str, timeout_s: float, output_cap: int) -> Request[Ends]:
    """A prompt of about `size` characters, laid out as the screen's: most of it in the stable part."""
    head = f"The code on the first line is {front}.\nWhat follows is filler that means nothing.\n"
    tail = (
        f"\nThe filler ends here. Answer with one JSON object: `nonce` is {nonce}, "
        "and `front` is the code on the very first line of the system part, copied exactly."
    )
    room = max(0, size - len(head) - len(tail))
    lines = _filler()
    return Request(
        system=head + _cut_to(lines, int(room * share)),
        user=_cut_to(lines, room - int(room * share)) + tail,
        answer=Ends,
        nonce=nonce,
        max_output_tokens=output_cap,
        deadline_s=timeout_s,
        purpose="window",
    )


def _filler() -> Iterator[str]:
    """Plain sentences, no two the same, so that no tokeniser makes short work of them."""
    words = zip(cycle(_SUBJECTS), cycle(_DOINGS), cycle(_THINGS), strict=False)
    return (f"Line {number}: {' '.join(sentence)}\n" for number, sentence in enumerate(words, 1))


def _cut_to(lines: Iterator[str], characters: int) -> str:
    longest = islice(lines, characters // 20 + 1)
    return "".join(longest)[:characters]


def judge_window(tried: Iterable[Tried], need: Need, looks: Iterable[Look]) -> Finding:
    """What the sizes that were tried, and the looks at the screen prompt, say of the window."""
    sizes, faulty = list(tried), [one for one in looks if one.fault is Fault.CONTEXT_OVERFLOW]
    whole = max((each.characters for each in sizes if each.ending == "whole"), default=0)
    cut = next((each for each in sizes if each.ending == "cut"), None)
    down = next((each for each in sizes if each.ending == "turned_down"), None)
    seen = f"{_largest(whole)}; the screen needs {need.prompt:,} characters, {need.longest:,} with the longest piece"
    if cut is not None or any(one.reply is not None for one in faulty):
        if cut is not None:
            told = f", {cut.prompt_tokens:,} tokens by its own count" if cut.prompt_tokens else ""
            seen = f"cuts a prompt of {cut.characters:,} characters in silence{told}; {seen}"
        return _found("warn" if whole >= need.longest and not faulty else "fail", seen, _SILENT)
    if faulty:
        return _found("fail", f"turns down the screen prompt as too long; {seen}", _TOO_SMALL)
    if whole >= need.longest:
        return _found("ok", seen, "")
    if down is not None:
        seen = f"turns down a prompt of {down.characters:,} characters as too long; {seen}"
        return _found("fail" if down.characters <= need.prompt else "warn", seen, _TOO_SMALL)
    silent = next((each for each in sizes if each.ending == "no_reply"), None)
    if silent is not None:  # no more was asked; what is no longer than the screen prompt was answered before
        seen = f"no reply to a prompt of {silent.characters:,} characters ({silent.why}); {seen}"
        return _found("fail" if silent.characters <= need.prompt else "warn", seen, _SILENCE)
    lost = next((each for each in sizes if each.ending == "lost"), None)
    if lost is not None:
        return _found("warn", f"does not repeat the first line of {lost.characters:,} characters; {seen}", _LOST)
    return _found("unknown", f"{seen}; the codes are not repeated", "")


_SILENT = (
    "Give the server a larger window (Ollama: OLLAMA_CONTEXT_LENGTH, or num_ctx in a Modelfile), or take a shorter screen prompt: "
    "it judges what it has not read"
)
_SILENCE = "See why the endpoint stopped answering, or give long prompts more time with --timeout; then run this again"
_LOST = (
    "Either a little is cut or the model loses sight of the start: try long messages of your own, or a larger window"
)
_TOO_SMALL = (
    "Give the server a larger window or take another model; else a shorter screen prompt (screen/terse-v1) or a smaller "
    "limits.chunk_characters in the policy"
)


def _largest(characters: int) -> str:
    return f"reads {characters:,} characters whole" if characters else "no prompt was seen to be read whole"


def _found(status: Literal["ok", "warn", "fail", "unknown"], seen: str, advice: str) -> Finding:
    return Finding(check="window", status=status, seen=seen, advice=advice)
