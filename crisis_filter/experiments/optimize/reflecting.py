"""Asking a language model for a better text of one part, and keeping what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template

from crisis_filter import assets
from crisis_filter.backends.base import Backend, PlainText, Request
from crisis_filter.errors import BackendError
from crisis_filter.experiments.calls import Calls, Listening, asking_about
from crisis_filter.experiments.optimize.proposals import Rejection, longest, proposed_text
from crisis_filter.experiments.optimize.purse import REFLECTION, HaltError, Purse
from crisis_filter.experiments.optimize.sections import EXPRESSION
from crisis_filter.experiments.running import NO_REPLY

__all__ = ["Proposal", "Reflecting", "asking_sha256"]

_PATIENCE = 10


@dataclass(frozen=True, slots=True)
class Proposal:
    """What came of asking: a text, or why there is none."""

    text: str = field(default="", repr=False)
    rejected: Rejection | None = None


def _asking() -> str:
    return files("crisis_filter.experiments.optimize").joinpath("asking.md").read_text(encoding="utf-8")


def asking_sha256() -> str:
    """Of the question that a reflection model is asked, before it is filled in."""
    return assets.sha256(_asking().encode())


class Reflecting:
    """The reflection model of a search.

    Args:
        backend: who is asked; `None` replays.
        name: of the backend.
        asked: hash of who is asked, with which settings.
        calls: take what is said.
        purse: says whether more may be asked.
        tokens: most of an answer.
        deadline_s: seconds for one answer.
    """

    def __init__(
        self,
        backend: Backend | None,
        name: str,
        asked: str,
        calls: Calls,
        purse: Purse,
        *,
        tokens: int,
        deadline_s: float,
    ) -> None:
        self._live = backend is not None
        self._listening = Listening(name, asked, REFLECTION, calls, backend)
        self._calls = calls
        self._purse = purse
        self._tokens = tokens
        self._deadline_s = deadline_s
        self._template = Template(_asking())
        self._paid = {call.item for call in calls.records if call.variant == REFLECTION and call.reply is not None}
        self._silent = 0
        self.asked = 0
        """Proposals asked for in this search."""
        self.faults = 0
        """Proposals that a fault of the service has cost."""

    async def propose(self, name: str, text: str, seed: str, cases: Sequence[str]) -> Proposal:
        """A new text for a part, as the model wrote it.

        Args:
            name: of the part.
            text: as it is.
            seed: as it was in the prompt that the search began with.
            cases: what the reflection model is told of messages, in words.

        Raises:
            HaltError: the budget is spent, or nobody answers.
            ConfigurationError: the answer cannot be written down.
        """
        self.asked += 1
        item = f"proposal-{self.asked}"
        if self._live and item not in self._paid and not self._purse.allows("reflection", 0):
            self.asked -= 1
            raise HaltError("budget")
        user = self._question(name, text, seed, cases)
        request = Request(
            system="",
            user=user,
            answer=PlainText,
            nonce="",
            max_output_tokens=self._tokens,
            deadline_s=self._deadline_s,
            purpose="reflect",
        )
        try:
            with asking_about(item, 1):
                reply = await self._listening.complete(request)
        except BackendError as error:
            # Such as a prompt that is too long: it stays so, and asking again at the next start would never end.
            lost = error.fault in NO_REPLY
            self._silent, self.faults = self._silent + 1, self.faults + lost
            if self._live and self._silent >= _PATIENCE:
                raise HaltError("silence") from None
            return Proposal(rejected="no_reply")
        self._silent = 0
        if reply.answer is None:
            return Proposal(rejected="no_answer")
        found = proposed_text(reply.answer.text, name)
        return Proposal(rejected="no_text") if found is None else Proposal(found)

    def _question(self, name: str, text: str, seed: str, cases: Sequence[str]) -> str:
        variables = list(dict.fromkeys(EXPRESSION.findall(seed)))
        keep = f"- Keep what stands in double braces, once and as it is: {' '.join(variables)}\n" if variables else ""
        numbered = (f"Case {number}\n{case}" for number, case in enumerate(cases, start=1))
        return self._template.substitute(
            name=name, text=text, cases="\n\n".join(numbered), longest=longest(seed), keep=keep
        ).strip()
