"""`crisis-filter queue work`: one item after the other, by single keys; where there is no terminal, by lines."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import typer
from rich.text import Text

from crisis_filter.cli.queue_answers import Draft, needs_reason
from crisis_filter.cli.queue_show import rule, show_item, show_view
from crisis_filter.cli.show import plain
from crisis_filter.cli.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from crisis_filter.cli.queue_answers import Says
    from crisis_filter.store.queue_records import Decided, Item, View
    from crisis_filter.triage.protocols import Protocol as Steps

__all__ = ["Keyboard", "Keys", "Lines", "Reader", "work"]

_ENTER = {"\r", "\n", ""}
_STOP = {"\x03", "\x04", "q"}
_FOR_A_CRISIS = frozenset({"detector_missed", "wrong_category", "wrong_severity"})
"""Reasons for calling something a crisis, or another one; all the others are reasons against."""
_KEYS: dict[str, Says] = {
    "a": "accept",
    "c": "crisis",
    "n": "not-crisis",
    "u": "undetermined",
    "e": "escalate",
}


class Keys(Protocol):
    """Where a reader's keys come from."""

    single: bool
    """Whether one key is one answer, so that a screen can be drawn anew."""

    def key(self) -> str:
        """One key, or one line in small letters; `q` where no more comes."""

    def words(self, prompt: str) -> str:
        """A line."""


class Keyboard:
    """A terminal."""

    single = True

    def key(self) -> str:
        """One key."""
        try:
            return typer.getchar().lower()
        except (KeyboardInterrupt, EOFError):
            return "q"

    def words(self, prompt: str) -> str:
        """A line."""
        try:
            return input(prompt).strip()
        except EOFError:
            return ""


class Lines:
    """Anything else: a line for each key, in their order."""

    single = False

    def key(self) -> str:
        """One line."""
        line = sys.stdin.readline()
        return line.strip().lower() if line else "q"

    def words(self, prompt: str) -> str:  # noqa: ARG002  # nobody is there to be asked
        """The next line."""
        return sys.stdin.readline().strip()


@dataclass(slots=True)
class Reader:
    """What the loop does to the store, and what the policy says.

    Attributes:
        take: the next item.
        open: an item, opened.
        say: an answer, taken; in words why not, where it was refused.
        give_back: an item, unread.
        categories: ids, in the order of their keys.
        queues: that an item may be sent to.
        protocol: by its id.
        rest_after: items after which a pause is proposed; 0 never does.
    """

    take: Callable[[], Item | None]
    open: Callable[[Item], View]
    say: Callable[[Item, View, Draft], Decided | str]
    give_back: Callable[[Item], None]
    clock: Callable[[], int]
    categories: Sequence[str]
    queues: Sequence[str]
    protocol: Callable[[str | None], Steps | None]
    rest_after: int


@dataclass(slots=True)
class _Screen:
    """One item before the reader."""

    item: Item
    told: View
    open_text: bool = False
    seen: bool = False
    """Whether the words were uncovered at all."""
    marked: list[str] = field(default_factory=list)
    note: str | None = None
    word: str = ""
    """The last thing to tell, such as why a key does nothing."""


def work(reader: Reader, keys: Keys, console: Console) -> int:
    """Until the reader stops or nothing is left. Gives how many items were decided.

    On a terminal everything is shown on its second screen, so that no words stay in what can be scrolled back to.
    """
    if not keys.single:
        return _through(reader, keys, console)
    console.set_alt_screen(True)
    try:
        return _through(reader, keys, console)
    finally:
        console.set_alt_screen(False)


def _through(reader: Reader, keys: Keys, console: Console) -> int:
    done = 0
    while (item := reader.take()) is not None:
        screen = _Screen(item, reader.open(item))
        answered = _one(reader, keys, console, screen, done)
        if answered is None:
            reader.give_back(item)
            return done
        done += answered
        if reader.rest_after and answered and done % reader.rest_after == 0:
            _rest(keys, console, done)
    if keys.single:
        console.clear()
        console.print(Text("Nothing waits that you may have. Any key ends."))
        keys.key()
    else:
        console.print("nothing waits that you may have")
    return done


def _one(reader: Reader, keys: Keys, console: Console, screen: _Screen, done: int) -> bool | None:
    """Whether the item was decided; `None` where the reader stops."""
    drawn = False
    while True:
        if keys.single or not drawn:
            _draw(reader, console, screen, done, clear=keys.single)
            drawn = True
        elif screen.word:
            console.print(screen.word)
        screen.word = ""
        key = keys.key()
        if key in _STOP:
            return None
        draft = _understood(reader, keys, console, screen, key)
        if draft is None:
            continue
        if not _sure(reader, keys, console, screen, draft):
            screen.word = "nothing was decided"
            continue
        became = reader.say(screen.item, screen.told, draft)
        if not isinstance(became, str):
            return True
        screen.word = became
        again = reader.take()
        if again is None or again.id != screen.item.id:
            console.print(f"{became}; on to the next")
            if keys.single:
                keys.key()
            return False
        screen.item, screen.told = again, reader.open(again)
        drawn = False


def _understood(reader: Reader, keys: Keys, console: Console, screen: _Screen, key: str) -> Draft | None:
    """What a key asks for; `None` where it was done here, or is none."""
    if key in {" ", "t"}:
        screen.open_text = not screen.open_text
        screen.seen = True
        if not keys.single:
            show_view(screen.told, console, open_text=screen.open_text, protocol=None)
        return None
    if key == "w":
        screen.note = keys.words("note: ") or None
        return None
    if all(one.isdigit() for one in key.split()) and key.split():
        for one in key.split():
            _mark(reader, screen, int(one))
        return None
    says: Says | None = "crisis" if key in _ENTER and screen.marked else _KEYS.get(key)
    if says is None or (screen.item.blind and says in {"accept", "escalate"}):
        screen.word = "that key does nothing here"
        return None
    if says != "escalate" and not screen.seen and screen.told.text is not None:
        screen.word = "read the words first: space shows them"
        return None
    if says == "accept" and screen.told.outcome == "undetermined":
        screen.word = "nobody could tell yet: say crisis, not crisis, or that you cannot tell either"
        return None
    return Draft(says, list(screen.marked) if says == "crisis" else [], note=screen.note)


def _mark(reader: Reader, screen: _Screen, number: int) -> None:
    if not 1 <= number <= len(reader.categories):
        screen.word = "there is no such kind"
        return
    name = reader.categories[number - 1]
    if name in screen.marked:
        screen.marked.remove(name)
    else:
        screen.marked.append(name)


def _sure(reader: Reader, keys: Keys, console: Console, screen: _Screen, draft: Draft) -> bool:
    """Ask what is missing, and once more before the answer is final."""
    if draft.says == "escalate":
        others = [name for name in reader.queues if name != screen.item.queue]
        chosen = _choose(keys, console, "Send it to", others)
        if chosen is not None:
            draft.to = chosen
        return chosen is not None
    if needs_reason(screen.told, draft):
        from crisis_filter.store.queue_records import REASONS

        fitting = [one for one in REASONS if one == "other" or (one in _FOR_A_CRISIS) == (draft.says == "crisis")]
        chosen = _choose(keys, console, f"{_told(draft)}. Why", fitting)
        if chosen is None:
            return False
        draft.reason = next(one for one in REASONS if one == chosen)
        return True
    if not keys.single:
        return True
    console.print(Text(f"{_told(draft)}. Enter keeps it, any other key goes back.", style="bold"))
    return keys.key() in _ENTER


def _told(draft: Draft) -> str:
    """The answer in words."""
    words = {
        "accept": "It stands as it was said",
        "crisis": "A crisis",
        "not-crisis": "Not a crisis",
        "undetermined": "You cannot tell either",
        "escalate": "To somebody else",
    }[draft.says]
    return f"{words}: {', '.join(_name(one) for one in draft.categories)}" if draft.categories else words


def _choose(keys: Keys, console: Console, title: str, choices: Sequence[str]) -> str | None:
    """One of a list; `None` for anything else."""
    letters = "123456789abcdefghijklmnoprstuvwxyz"
    console.print(Text(f"{title}?", style="bold"))
    for letter, name in zip(letters, choices, strict=False):
        console.print(f"  {letter}  {plain(_name(name))}", soft_wrap=True)
    console.print("  any other key goes back")
    place = letters.find(keys.key() or "-")
    return choices[place] if 0 <= place < len(choices) else None


def _name(name: str) -> str:
    return name.replace("_", " ")


def _draw(reader: Reader, console: Console, screen: _Screen, done: int, *, clear: bool) -> None:
    if clear:
        console.clear()
    show_item(screen.item, console, reader.clock())
    rule(console)
    disposition = screen.told.assessment.disposition if screen.told.assessment else None
    protocol = reader.protocol(disposition.protocol if disposition else None)
    show_view(screen.told, console, open_text=screen.open_text, protocol=protocol)
    console.print()
    rule(console)
    for line in _help(reader, screen, console.width):
        console.print(line)
    if screen.note:
        console.print("a note is kept with the answer")
    console.print(Text(screen.word or f"{counted(done, 'item')} read", style="" if screen.word else "dim"))


def _help(reader: Reader, screen: _Screen, width: int) -> list[Text]:
    kinds = [
        (str(number), _name(name), name in screen.marked) for number, name in enumerate(reader.categories, start=1)
    ]
    crisis = ("Enter", "a crisis of these kinds") if screen.marked else ("c", "crisis, kind unknown")
    rest = [crisis, ("n", "not a crisis"), ("u", "cannot tell")]
    if not screen.item.blind:
        stands = [] if screen.told.outcome == "undetermined" else [("a", "as it was said")]
        rest = [*stands, *rest, ("e", "send on")]
    rest += [("space", "cover" if screen.open_text else "show the words"), ("w", "note"), ("q", "stop")]
    return [*_rows(kinds, width), *_rows([(key, words, False) for key, words in rest], width)]


def _rows(keys: Sequence[tuple[str, str, bool]], width: int) -> list[Text]:
    """Keys with their words, none torn in two."""
    rows = [Text()]
    for key, words, chosen in keys:
        part = Text(f"{key} ", style="bold").append(
            f"*{words}" if chosen else words, "reverse" if chosen else "not bold"
        )
        if rows[-1] and rows[-1].cell_len + 3 + part.cell_len > width:
            rows.append(Text())
        rows[-1] = Text.assemble(rows[-1], "   ", part) if rows[-1] else part
    return rows


def _rest(keys: Keys, console: Console, done: int) -> None:
    """Propose a pause. Nothing is held meanwhile, so nobody waits for it."""
    if keys.single:
        console.clear()
    console.print(f"You have read {counted(done, 'item')}. Nothing is held for you now: rest your eyes for a while.")
    if keys.single:
        console.print(Text("any key goes on", style="dim"))
        keys.key()
