"""Rows of files that keep their columns apart: how their texts and ids are found, whatever they are stored as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.tables.formats import COLUMNS_MISSING, id_column, text_column
from crisis_filter.tables.lines import MAX_LINE_CHARS
from crisis_filter.tables.plain import TOO_LONG
from crisis_filter.tables.rows import Row, repaired_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# No encoding of text needs more bytes than this for a code point.
_CHAR_BYTES = 4


class Batches(Protocol):
    """A file that gives its rows batch by batch."""

    schema: Any
    """Arrow schema of the whole file."""

    def of(self, names: Sequence[str]) -> Iterator[tuple[Any, float]]:
        """Record batches with these columns, each with the share of the file that it ends at, 0 to 1.

        Raises:
            InputError: the file breaks off, for a reason worth its own words.
        """

    def close(self) -> None: ...


class _TooLong:
    """Stands for a value of a cell that is too long to hold."""


def arrow() -> Any:
    """The library, loaded where it is used.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise ConfigurationError(COLUMNS_MISSING) from None
    return pa


def is_textual(kind: Any) -> bool:
    """Whether an Arrow type holds texts, or the bytes of texts."""
    kinds = arrow().types
    return any(
        is_kind(kind)
        for is_kind in (
            kinds.is_string,
            kinds.is_large_string,
            kinds.is_string_view,
            kinds.is_binary,
            kinds.is_large_binary,
            kinds.is_binary_view,
        )
    )


class ColumnRows:
    """Rows of a file of columns.

    Text is decoded here and not by pyarrow, because one wrong byte must cost one row and not the batch; and value by
    value, because a batch may hold very long ones. A text over `lines.MAX_LINE_CHARS` is an unreadable row.

    Args:
        batches: the file, closed with this object.
        text_name: name of the text column, or `None` to find it.
        id_name: name of the id column, or `None` to find it.
        source: what errors call the input.
        max_chars: code points that a text may have.

    Raises:
        InputError: when there is no column for the text, or one that holds no text; while reading, when the file is
            damaged.
    """

    def __init__(
        self,
        batches: Batches,
        *,
        text_name: str | None,
        id_name: str | None,
        source: str,
        max_chars: int = MAX_LINE_CHARS,
    ) -> None:
        self._pa = arrow()
        self._batches = batches
        self._source = source
        self._max = max_chars
        try:
            names = batches.schema.names
        except UnicodeDecodeError:
            raise InputError(f"{source}: the name of a column is not UTF-8") from None
        self._id = id_column(names, id_name, source)
        self._text = text_column(names, text_name, source)
        self._ids_are_texts = self._id is not None and is_textual(self._kind(self._id))
        if not is_textual(kind := self._kind(self._text)):
            raise InputError(
                f"{source}: column {self._text!r} holds {kind}, not text. Choose another with --text-column"
            )
        self._done = 0
        self._share = 0.0

    def _kind(self, name: str) -> Any:
        kind = self._batches.schema.field(name).type
        return kind.value_type if self._pa.types.is_dictionary(kind) else kind

    @property
    def fraction(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self._share

    def __iter__(self) -> Iterator[Row]:
        names = [self._text] if self._id is None else list(dict.fromkeys([self._text, self._id]))
        batches = self._batches.of(names)
        begin = 0.0
        while (given := self._next(batches)) is not None:
            batch, end = given
            texts = batch.column(self._text)
            ids = batch.column(self._id) if self._id is not None else None
            for at in range(batch.num_rows):
                self._done += 1
                self._share = begin + (end - begin) * (at + 1) / batch.num_rows
                yield self._row(texts[at], None if ids is None else self._id_of(ids[at]))
            begin = end
        self._share = 1.0

    def _next(self, batches: Iterator[tuple[Any, float]]) -> tuple[Any, float] | None:
        try:
            return next(batches, None)
        except (self._pa.ArrowException, OSError):
            raise InputError(f"{self._source}: the file is damaged after row {self._done}") from None

    def _row(self, scalar: Any, row_id: str | None) -> Row:
        text = self._text_of(scalar)
        if text is None:
            return Row(self._done, None, row_id, reason="null instead of a text")
        if isinstance(text, _TooLong):
            return Row(self._done, None, row_id, reason=TOO_LONG)
        mended, repaired = repaired_text(text)
        return Row(self._done, mended, row_id, repaired)

    def _text_of(self, scalar: Any) -> str | _TooLong | None:
        if isinstance(scalar, self._pa.DictionaryScalar):
            scalar = scalar.value
        buffer = None if scalar is None else scalar.as_buffer()
        if buffer is None:
            return None
        if buffer.size > self._max * _CHAR_BYTES:
            return _TooLong()
        text = buffer.to_pybytes().decode("utf-8", "surrogateescape")
        return text if len(text) <= self._max else _TooLong()

    def _id_of(self, scalar: Any) -> str | None:
        """An id as a text; `None` for what nobody means by one, and for what Python has no value for."""
        if self._ids_are_texts:
            text = self._text_of(scalar)
            return text if isinstance(text, str) and text else None
        try:
            value = scalar.as_py()
        except (ValueError, OverflowError):  # a time that Python cannot tell
            return None
        return None if value is None or isinstance(value, bool | float) else str(value)

    def close(self) -> None:
        """Close the file."""
        self._batches.close()
