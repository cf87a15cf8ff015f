"""What the tour of `crisis-filter demo` does and shows, one part after the other."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crisis_filter.cli.show import outcome_text, plain
from crisis_filter.cli.wording import counted
from crisis_filter.errors import CrisisFilterError
from crisis_filter.schema import OUTCOMES, URGENCIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from crisis_filter.service.demo import Demo, DemoMessage
    from crisis_filter.service.demo_receiver import Arrived

_WIDTH = 80
_BATCH = 13
_AS_OPENAI = 2
_WEBHOOKS_S = 15.0
_ID, _LONG = 12, 30
_UNITS = ((172_800, 86_400, "d"), (3600, 3600, "h"), (60, 60, "min"))


@dataclass(frozen=True, slots=True)
class Judged:
    """A message and what the service answered of it."""

    message: DemoMessage = field(repr=False)
    result: dict[str, Any] = field(repr=False)

    @property
    def place(self) -> tuple[int, int, str]:
        """What stands together in the table, and in which order."""
        told = self.result["disposition"]
        return OUTCOMES.index(self.result["outcome"]), URGENCIES.index(told["urgency"]), told["queue"]


class Tour:
    """The tour.

    Args:
        demo: the running service.
        messages: that are sent.
        console: where it is shown.
        show_texts: whether the beginning of each text is shown.
    """

    def __init__(self, demo: Demo, messages: Sequence[DemoMessage], console: Console, *, show_texts: bool) -> None:
        self._demo = demo
        self._messages = messages
        self._console = console
        self._show_texts = show_texts
        self._queues = {queue.id: queue for queue in demo.policy.queues}
        self._whole = True

    def follow(self) -> bool:
        """All parts, in order.

        Returns:
            Whether everything added up: each message answered once, every webhook verified and every equation of the ledger true.

        Raises:
            CrisisFilterError: the service does not answer.
        """
        self._line(Text("crisis-filter demo", style="bold"), depth=0)
        self._line(
            "A service on this machine alone: the embedded engine judges, the store is SQLite in a temporary folder, texts are encrypted, and "
            "nothing is sent anywhere else. All messages are fictional. Some tell of distress and danger, so their words "
            + ("are shown by their beginnings." if self._show_texts else "are not shown (--show-texts).")
        )
        judged = self._came_in()
        self._said(judged)
        self._queue()
        self._webhooks(sum(one.result["outcome"] != "no_crisis" for one in judged))
        self._ledger()
        return self._whole

    def leave(self) -> None:
        """Addresses, and lines to copy."""
        demo, bearer = self._demo, '-H "Authorization: Bearer $KEY"'
        self._part("Now you")
        self._line("It stays up until you press Ctrl-C. In another terminal, copy what you like:")
        self._console.print()
        for line in (
            f"export URL={demo.url}",
            f"export KEY={demo.key}",
            f"export STORE={demo.store}",
            f"export KEYS={demo.keys}",
            f"curl -s $URL/v1/classify {bearer} \\",
            "  -H 'Content-Type: application/json' -d '{\"text\": \"i dont want to wake up tomorrow\"}'",
            f"curl -s -X POST $URL/v1/queue/next {bearer}",
            f"curl -s $URL/v1/ledger {bearer}",
            "curl -s $URL/readyz",
            "curl -s $URL/openapi.json",
            f"{_program()} queue board --as me --store $STORE --keys $KEYS",
            f"{_program()} queue work --as me --store $STORE --keys $KEYS",
        ):
            self._console.print(Text(line), soft_wrap=True)
        self._console.print()
        self._line(
            "docs/service.md runs it for real. No clinician has reviewed the policy, the protocols or the engine's verdicts: docs/intended-use.md says "
            "what to do before you rely on them."
        )

    def _came_in(self) -> list[Judged]:
        ask = self._demo.caller.ask
        begun = time.monotonic()
        plainly, as_openai = self._messages[:-_AS_OPENAI], self._messages[-_AS_OPENAI:]
        requests = [plainly[at : at + _BATCH] for at in range(0, len(plainly), _BATCH)]
        results: list[dict[str, Any]] = []
        for number, batch in enumerate(requests):
            results += self._classify(batch, number)
        sender = as_openai[0]
        asked = {"input": [one.text for one in as_openai], "source": sender.source, "subject": sender.subject}
        moderated = ask("POST", "/v1/moderations", asked)
        results += [ask("GET", f"/v1/messages/{one['message_id']}") for one in moderated["results"]]
        took = time.monotonic() - begun
        again = self._classify(requests[0], 0)
        same = [one["message_id"] for one in again] == [one["message_id"] for one in results[: len(again)]]
        self._part("What came in")
        sources = Counter(one.source for one in self._messages)
        told = ", ".join(f"{n} by {source}" for source, n in sources.most_common())
        self._line(f"{counted(len(results), 'message')} over HTTP in {took:.1f} s: {told}.")
        self._line(
            f"{len(plainly)} by POST /v1/classify in {counted(len(requests), 'request')}, {len(as_openai)} by POST /v1/moderations as a "
            "client of OpenAI's sends them. Each was stored before it was judged."
        )
        self._check(
            same,
            "The first request once more, as after a broken connection: answered from what was decided, nothing was judged twice.",
            "The first request once more was answered as if it were a new one.",
        )
        self._check(
            len({one["message_id"] for one in results}) == len(self._messages),
            "",
            "Not every message was answered once.",
        )
        return [Judged(message, result) for message, result in zip(self._messages, results, strict=True)]

    def _classify(self, batch: Sequence[DemoMessage], number: int) -> list[dict[str, Any]]:
        answer = self._demo.caller.ask(
            "POST",
            "/v1/classify",
            {"messages": [one.model_dump() for one in batch]},
            {"Idempotency-Key": f"demo-{number}"},
        )
        found: list[dict[str, Any]] = answer["results"]
        return found

    def _said(self, judged: Sequence[Judged]) -> None:
        self._part("What was said, and who reads it")
        for together in _together(judged):
            first = together[0].result
            where, queue = first["disposition"], self._queues[first["disposition"]["queue"]]
            head = Text.assemble(f"{len(together):>2} ", outcome_text(first["outcome"], self._console))
            if queue.staffed_by is None:
                head.append("   no queue; the message takes its ordinary way")
            else:
                within = _time(where["within_s"]) if where.get("within_s") else "no limit"
                head.append(f"   {where['urgency']}, within {within}: {queue.name} ({queue.staffed_by})")
            self._line(head)
            self._each(together, alone=queue.staffed_by is None)
            self._console.print()
        self._line(
            "Undetermined is never 'not crisis': it names its reason and a person reads it. The engine raises some that turn out to be nothing, "
            "and misses some. No clinician labelled these messages, so nothing here says how good it is: see bench/README.md."
        )

    def _each(self, together: Sequence[Judged], *, alone: bool) -> None:
        if alone and not self._show_texts:
            self._line(" ".join(one.message.id for one in together), depth=3)
            return
        rows = [(one.message.id, one.message.source, _why(one.result)) for one in together]
        table = Table.grid(padding=(0, 2, 0, 0))
        for at in range(3):
            table.add_column(no_wrap=True, min_width=max(len(row[at]) for row in rows))
        if self._show_texts:
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row, one in zip(rows, together, strict=True):
            table.add_row(*row, *([Text(_beginning(one.message.text))] if self._show_texts else []))
        self._console.print(Padding(table, (0, 0, 0, 6), expand=False), width=min(_WIDTH, self._console.width))

    def _queue(self) -> None:
        ask = self._demo.caller.ask
        item = ask("POST", "/v1/queue/next", {})["item"]
        if item is None:
            raise CrisisFilterError("the queue gives nothing")
        seen = ask("POST", f"/v1/queue/items/{item['id']}/view")
        ask("POST", f"/v1/queue/items/{item['id']}/release")
        board = ask("GET", "/v1/queue/board")
        told = seen["assessment"]["disposition"]
        protocol = self._protocol(told.get("protocol"))
        left = max(0, item["due_ms"] // 1000 - int(time.time()))
        self._part("The queue gives the next most urgent")
        what = ", ".join(name.replace("_", " ") for name in seen["categories"]) or seen["outcome"]
        self._line(
            f"POST /v1/queue/next: {item['urgency']}, {what}, to be opened within {_time(left)}. There is no list to pick from, and nobody else "
            "gets it while it is held."
        )
        shown = _beginning(seen["text"])[:60] if self._show_texts else counted(len(seen["text"]), "character")
        self._line(f"Opened, and written into the audit: {shown}{'...' if self._show_texts else ', not shown here.'}")
        if protocol:
            self._line(f"Protocol: {protocol}.")
        blind = board["blind_waiting"]
        self._line(
            f"Given back. {counted(sum(line['waiting'] for line in board['lines']), 'item')} waiting"
            + (f", and {blind} of 'not crisis' that somebody reads blind, to see misses." if blind else ".")
        )

    def _protocol(self, name: str | None) -> str | None:
        from crisis_filter.triage.protocols import load_protocols

        pack = self._demo.policy.protocols
        found = load_protocols(pack).get(name) if pack else None
        return found.title if found else None

    def _webhooks(self, expected: int) -> None:
        arrived = list(self._arriving(expected))
        good = [one for one in arrived if one.signed and one.wordless]
        self._part("A webhook arrived")
        self._check(
            len(good) == len(arrived) == expected,
            f"{len(good)} of {expected} at a receiver of our own: signatures verified, not a word of a message in any. One of them:",
            f"{len(arrived)} of {expected} arrived at a receiver of our own, {len(good)} of them signed and without words of a message.",
        )
        if good:
            shown = {name: _short(value) for name, value in good[0].payload.items() if value is not None}
            self._line(plain(json.dumps(shown, ensure_ascii=False)), depth=2)

    def _arriving(self, expected: int) -> Iterator[Arrived]:
        deadline = time.monotonic() + _WEBHOOKS_S
        for _ in range(expected):
            arrived = self._demo.receiver.next(deadline - time.monotonic())
            if arrived is None:
                return
            yield arrived

    def _ledger(self) -> None:
        found = self._demo.caller.ask("GET", "/v1/ledger")
        self._part("The ledger")
        for line in found["equations"]:
            if line["parts"] or not line["holds"]:
                parts = " + ".join(f"{n:,}" for n in line["parts"].values()) or f"{line['right']:,}"
                mark = "holds" if line["holds"] else "DOES NOT HOLD"
                self._line(f"{mark}: {line['words']} ({line['left']:,} = {parts})")
        self._check(
            found["balanced"], "Nothing lost, nothing twice, nobody routed to no one.", "The ledger is not balanced."
        )

    def _check(self, holds: bool, good: str, bad: str) -> None:
        self._whole = self._whole and holds
        if said := good if holds else bad:
            self._line(said if holds else Text(said, style="bold red"))

    def _part(self, title: str) -> None:
        self._console.print()
        self._console.print(Text(title, style="bold"))

    def _line(self, words: str | Text, depth: int = 1) -> None:
        shown = Text(words) if isinstance(words, str) else words
        self._console.print(Padding(shown, (0, 0, 0, 2 * depth), expand=False), width=min(_WIDTH, self._console.width))


def _program() -> str:
    """How whoever started this can start its other commands."""
    started = Path(sys.argv[0])
    return "crisis-filter" if shutil.which("crisis-filter") or started.name != "crisis-filter" else str(started)


def _together(judged: Sequence[Judged]) -> list[list[Judged]]:
    """Those that went to the same place for the same outcome, the gravest first, in the order in which they came."""
    found: dict[tuple[int, int, str], list[Judged]] = {}
    for one in judged:
        found.setdefault(one.place, []).append(one)
    return [found[place] for place in sorted(found)]


def _why(result: dict[str, Any]) -> str:
    """Kinds of crisis, or why nobody could say."""
    if result["findings"]:
        return ", ".join(plain(one["category"]).replace("_", " ") for one in result["findings"])
    return str(result["fault"] or "").replace("_", " ")


def _beginning(text: str) -> str:
    return plain(" ".join(text.split()))


def _short(value: object) -> object:
    """An id or a pseudonym by its beginning."""
    return f"{value[:_ID]}..." if isinstance(value, str) and len(value) > _LONG else value


def _time(seconds: int) -> str:
    """`3 d`, `24 h`, `15 min`, rounded."""
    return next((f"{round(seconds / size)} {unit}" for least, size, unit in _UNITS if seconds >= least), f"{seconds} s")
