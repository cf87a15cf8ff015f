"""What the arguments of a command stand for: files, the standard input, or the text itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crisis_filter.errors import InputError
from crisis_filter.schema import Message
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.formats import ENDINGS, format_of
from crisis_filter.tables.reading import STDIN, read_messages
from crisis_filter.tables.rows import repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from crisis_filter.tables.reading import MessageReader
    from crisis_filter.tables.rows import ReadReport


@dataclass(frozen=True, slots=True)
class Source:
    """One argument, understood."""

    kind: Literal["file", "stdin", "text"]
    value: str = field(repr=False)


def source_of(argument: str, *, text_only: bool = False, place: int = 1) -> Source:
    """What an argument stands for: a file that exists, `-` for the standard input, else the message itself.

    Args:
        argument: as given.
        text_only: it is the message, whatever it looks like.
        place: which argument it is, from 1; errors name one with white space in it by this alone.

    Raises:
        InputError: when it looks like the name of a file and there is none; it is never taken for a message.
    """
    if text_only:
        return Source("text", argument)
    if argument == STDIN:
        return Source("stdin", argument)
    if _exists(argument):
        return Source("file", argument)
    spaced = any(c.isspace() for c in argument)
    path_like = ("/" in argument or "\\" in argument) and not spaced
    if path_like or argument.lower().endswith(tuple(ENDINGS)):
        what = f"argument {place} looks like the name of a file, but there is" if spaced else f"{argument}:"
        raise InputError(f"{what} no such file. If this is the message itself, add --text")
    return Source("text", argument)


def _exists(argument: str) -> bool:
    try:
        return bool(argument) and Path(argument).exists()
    except (OSError, ValueError):  # longer than any name, or with a NUL in it: a text
        return False


def message_of(text: str, *, message_id: str, locale: str | None) -> Message:
    """A message from an argument, which may hold bytes that were no UTF-8."""
    mended, repaired = repaired_text(text)
    return Message(
        id=message_id, text=mended, locale=locale, flags=frozenset({"encoding_repaired"} if repaired else ())
    )


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How files and the standard input are to be read."""

    format: str | None = None
    text_column: str | None = None
    id_column: str | None = None
    locale: str | None = None


class _MetIds(SeenIds):
    """Also counts the ids that were met: all that rows give, and none that are made up for those that give none."""

    def __init__(self) -> None:
        super().__init__()
        self.met = 0

    def meet(self, row_id: str, text: str | None, source: int = 0) -> str:
        self.met += 1
        return super().meet(row_id, text, source)


@dataclass(frozen=True, slots=True)
class MadeUp:
    """An id that the program made up where a table could have given one."""

    name: str
    """The input, as it was named."""
    id: str


class Inputs:
    """The messages of all arguments, in order, read as they are asked for.

    Raises:
        InputError: for a file that is not there, has no known format, or is named twice; before anything is read.
    """

    def __init__(self, arguments: Sequence[str], options: ReadOptions, *, text_only: bool = False) -> None:
        self._sources = tuple(
            source_of(argument, text_only=text_only, place=place) for place, argument in enumerate(arguments, start=1)
        )
        self._options = options
        self._reports: dict[str, ReadReport] = {}
        # Name and reader change together, because the messages are read in one thread and told of in another.
        self._now: tuple[str, MessageReader] | None = None
        self._ended = 0
        self._made_up: MadeUp | None = None
        self._labels = self._checked()

    def _checked(self) -> dict[str, str]:
        """First part of made-up ids for each file: its stem, or the whole path where two files share one."""
        files = [s.value for s in self._sources if s.kind == "file"]
        for file in files:
            if not Path(file).is_dir():
                format_of(file, self._options.format)
        places = [Path(f).resolve() for f in files]
        if len(set(places)) < len(places) or sum(s.kind == "stdin" for s in self._sources) > 1:
            raise InputError("the same input is named twice; name it once")
        stems = [Path(f).stem for f in files]
        return {f: stem if stems.count(stem) == 1 else f for f, stem in zip(files, stems, strict=True)}

    @property
    def files(self) -> tuple[Path, ...]:
        """The files among the arguments."""
        return tuple(Path(s.value) for s in self._sources if s.kind == "file")

    @property
    def reports(self) -> dict[str, ReadReport]:
        """Counts so far, for each file and for the standard input."""
        now = self._now
        return {**self._reports, now[0]: now[1].report} if now is not None else dict(self._reports)

    @property
    def made_up(self) -> MadeUp | None:
        """The id of the first table so far whose first readable row gives none; lines of text never do, and are no table."""
        return self._made_up

    @property
    def fraction(self) -> float | None:
        """How much has been read, 0 to 1, every input counted alike; `None` where a size is not known."""
        if any(s.kind == "stdin" for s in self._sources):
            return None
        now = self._now
        begun = (now[1].fraction or 0.0) if now is not None else 0.0
        return min(1.0, (self._ended + begun) / len(self._sources))

    def __iter__(self) -> Iterator[Message]:
        seen = _MetIds()
        texts = 0
        for source in self._sources:
            if source.kind == "text":
                texts += 1
                yield message_of(source.value, message_id=f"argument:{texts}", locale=self._options.locale)
            else:
                yield from self._read(source, seen)
            self._ended += 1

    def _read(self, source: Source, seen: _MetIds) -> Iterator[Message]:
        name = "standard input" if source.kind == "stdin" else source.value
        with read_messages(
            source.value,
            format=self._options.format,
            text_column=self._options.text_column,
            id_column=self._options.id_column,
            locale=self._options.locale,
            label=self._labels.get(source.value),
            seen=seen,
        ) as reader:
            self._now = name, reader
            before = seen.met
            looking = self._made_up is None and format_of(source.value, self._options.format) != "text"
            for message in reader:
                if looking and not message.unreadable:
                    looking = False
                    if seen.met == before:
                        self._made_up = MadeUp(name, message.id)
                yield message
        self._reports[name] = reader.report
        self._now = None
