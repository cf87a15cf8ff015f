"""Files as people have them, nasty ones included: no row is lost, no row stops the rest."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import Message
from crisis_filter.tables.delimited import delimited_rows
from crisis_filter.tables.duplicates import SeenIds
from crisis_filter.tables.lines import Lines
from crisis_filter.tables.reading import MessageReader, read_messages

REPAIRED = frozenset({"encoding_repaired"})


def stdin(data: bytes, **options: str) -> tuple[list[Message], MessageReader]:
    reader = read_messages("-", stdin=io.BytesIO(data), **options)
    return list(reader), reader


NASTY: list[tuple[str, str, bytes, list[tuple[str, str | None, bool]]]] = [
    # what, format, bytes, [(id, text or None when unreadable, repaired)]
    ("LF, CRLF and CR", "text", b"a\nb\r\nc\rd", [("stdin:1", "a", False), ("stdin:2", "b", False), ("stdin:3", "c", False), ("stdin:4", "d", False)]),
    ("blank line", "text", b"a\n\nb\n", [("stdin:1", "a", False), ("stdin:3", "b", False)]),
    ("only spaces", "text", b"  \n", [("stdin:1", "  ", False)]),
    ("separators that are no line ends", "text", "a\u2028b\x0cc\x85d\n".encode(), [("stdin:1", "a\u2028b\x0cc\x85d", False)]),
    ("invalid UTF-8", "text", b"caf\xe9\nok\n", [("stdin:1", "caf\ufffd", True), ("stdin:2", "ok", False)]),
    ("NUL", "text", b"a\x00b\n", [("stdin:1", "a\x00b", True)]),
    ("UTF-8 with mark", "text", b"\xef\xbb\xbfa\n", [("stdin:1", "a", False)]),
    ("UTF-16, little end", "text", b"\xff\xfe" + "h\u00e9\nb\n".encode("utf-16-le"), [("stdin:1", "h\u00e9", False), ("stdin:2", "b", False)]),
    ("UTF-16, big end", "text", b"\xfe\xff" + "h\u00e9\n".encode("utf-16-be"), [("stdin:1", "h\u00e9", False)]),
    ("UTF-16, cut", "text", b"\xff\xfe" + "ab".encode("utf-16-le") + b"c", [("stdin:1", "ab\ufffd", True)]),
    ("UTF-32", "text", "ab\n".encode("utf-32"), [("stdin:1", "ab", False)]),
    ("UTF-16 CSV", "csv", "id,text\r\n1,h\u00e9\r\n".encode("utf-16"), [("1", "h\u00e9", False)]),
    ("CSV with mark", "csv", b"\xef\xbb\xbftext\nx\n", [("stdin:2", "x", False)]),
    ("quoted newlines", "csv", b'id,text\n1,"a, c\r\nb"\n2,d\n', [("1", "a, c\r\nb", False), ("2", "d", False)]),
    ("quoted newlines and a line that may be a row", "csv", b'id,text\n1,"a\r\nb, c"\n2,d\n', [("1", "a\r\nb, c", True), ("2", "d", False)]),
    ("rows between two stray quotes", "csv", b'id,text\n1,"die\n2,hello\n\n3,he is 6\'2"\n4,ok\n', [("1", "die\n2,hello\n\n3,he is 6'2", True), ("1", "die", True), ("2", "hello", True), ("3", "he is 6'2\"", True), ("4", "ok", False)]),
    ("rows without ids between stray quotes", "csv", b'text,day\n"die,1\nhello,2\n6\'2",3\nok,4\n', [("stdin:2", "die,1\nhello,2\n6'2", True), ("stdin:3", "hello", True), ("stdin:4", "6'2\"", True), ("stdin:5", "ok", False)]),
    ("stray quotes and a record that makes no row", "csv", b'id,text\n1,"die\n2,x",y\n3,"a\n4,b"\n', [("stdin:2", None, False), ("1", "die", True), ("3", "a\n4,b", True), ("3", "a", True), ("4", 'b"', True)]),
    ("stray quote in the header", "csv", b'id,text,"note\n1,die,x"\n2,ok,y\n', [("1", "die", True), ("2", "ok", False)]),
    ("several lines after a quote gone astray", "csv", b'text\nhe said "no"\n"a\nb"\n', [("stdin:2", 'he said "no"', False), ("stdin:3", "a\nb", True)]),
    ("too few and too many fields", "csv", b"id,text\n1\n2,a,b\n3,c\n", [("stdin:2", None, False), ("stdin:3", None, False), ("3", "c", False)]),
    ("quote never closed", "csv", b'id,text\n1,"a\n2,b\n3,c\n', [("1", "a", True), ("2", "b", False), ("3", "c", False)]),
    ("two quotes never closed", "csv", b'id,text\n1,"a\n2,b\n3,"c\n4,d\n', [("1", "a", True), ("2", "b", False), ("3", "c", True), ("4", "d", False)]),
    ("quote inside a quoted field", "csv", b'id,text\n1,"he said "no" x"\n2,b\n', [("1", 'he said no" x"', True), ("2", "b", False)]),
    ("quote inside a plain field", "csv", b'id,text\n1,he said "no"\n', [("1", 'he said "no"', False)]),
    ("blank line in CSV", "csv", b"id,text\n\n1,a\n", [("1", "a", False)]),
    ("no id in one row", "csv", b"id,text\n,a\n", [("stdin:2", "a", False)]),
    ("NUL and bad byte in CSV", "csv", b"id,text\n1,a\x00\n2,\xff\n", [("1", "a\x00", True), ("2", "\ufffd", True)]),
    ("TSV", "tsv", b"id\ttext\n1\ta, b\n", [("1", "a, b", False)]),
    ("header in another case", "csv", b"ID, Text \n1,a\n", [("1", "a", False)]),
    ("lone surrogate", "jsonl", rb'{"id":"x","text":"a\ud83d"}', [("x", "a\ufffd", True)]),
    ("surrogate pair", "jsonl", rb'{"text":"\ud83d\ude00"}', [("stdin:1", "\U0001f600", False)]),
    ("NUL escape", "jsonl", rb'{"text":"a\u0000"}', [("stdin:1", "a\x00", True)]),
    ("invalid UTF-8 in JSON", "jsonl", b'{"text":"caf\xe9"}', [("stdin:1", "caf\ufffd", True)]),
    ("not JSON, then JSON", "jsonl", b'{"text":\n{"text":"a"}\n', [("stdin:1", None, False), ("stdin:2", "a", False)]),
    ("deep JSON", "jsonl", b"[" * 100_000 + b'\n{"text":"a"}\n', [("stdin:1", None, False), ("stdin:2", "a", False)]),
    ("deep JSON object", "jsonl", b'{"text":"a"}\n' + b'{"text":' * 100_000 + b"\n", [("stdin:1", "a", False), ("stdin:2", None, False)]),
    ("long number", "jsonl", b'{"text":"a"}\n{"text":"b","n":' + b"9" * 10_000 + b"}\n", [("stdin:1", "a", False), ("stdin:2", None, False)]),
    ("number, null, array, object, boolean", "jsonl", b'{"text":1}\n{"text":null}\n{"text":[]}\n{"text":{}}\n{"text":true}\n', [(f"stdin:{n}", None, False) for n in range(1, 6)]),
    ("bare values", "jsonl", b'1\nnull\n"a"\n[1]\n', [(f"stdin:{n}", None, False) for n in range(1, 5)]),
    ("missing field first", "jsonl", b'{"x":1}\n[]\n{"text":"a"}\n', [("stdin:1", None, False), ("stdin:2", None, False), ("stdin:3", "a", False)]),
    ("missing field later", "jsonl", b'{"text":"a"}\n{"x":1}\n', [("stdin:1", "a", False), ("stdin:2", None, False)]),
    ("two texts in one object", "jsonl", b'{"text":"a","text":"b"}\n', [("stdin:1", None, False)]),
    ("ids of several kinds", "jsonl", b'{"custom_id":7,"text":"a"}\n{"id":true,"text":"b"}\n{"id":"","text":"c"}\n', [("7", "a", False), ("stdin:2", "b", False), ("stdin:3", "c", False)]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "kind", "data", "expected"), NASTY, ids=[row[0] for row in NASTY])
def test_nasty_input(what: str, kind: str, data: bytes, expected: list[tuple[str, str | None, bool]]) -> None:
    """Each row comes out once, in order, readable or marked as not."""
    messages, reader = stdin(data, format=kind)
    assert [(m.id, None if m.unreadable else m.text, "encoding_repaired" in m.flags) for m in messages] == expected
    assert all(m.text == "" for m in messages if m.unreadable)
    assert reader.report.rows == len(expected)
    assert reader.report.unreadable == sum(text is None for _, text, _ in expected)
    assert reader.report.repaired == sum(repaired for *_, repaired in expected)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (b"id,note\n1,a\n", {"format": "csv"}, ["id, note", "--text-column"]),
        (b"text,body\n1,a\n", {"format": "csv"}, ["text, body", "--text-column", "several"]),
        (b"text,text\n1,a\n", {"format": "csv"}, ["several"]),
        (b"text\na\n", {"format": "csv", "text_column": "words"}, ["'words'", "Columns: text"]),
        (b"text\na\n", {"format": "csv", "id_column": "nr"}, ["'nr'", "--id-column"]),
        (b"", {"format": "csv"}, ["no header"]),
        (b'{"note":1}\n', {"format": "jsonl"}, ["Fields: note", "--text-column"]),
        (b'{"text":"a","body":"b"}\n', {"format": "jsonl"}, ["text, body"]),
        (b'{"text":"a"}\n', {"format": "jsonl", "text_column": "words"}, ["'words'", "Fields: text"]),
        (b"x", {"format": "xml"}, ["'xml'", "jsonl"]),
        (b"x", {"format": "parquet"}, ["standard input"]),
    ],
)
def test_input_wrong_as_a_whole(data: bytes, options: dict[str, str], words: list[str]) -> None:
    """What cannot be read at all is an error that names what there is and the flag to use."""
    with pytest.raises(InputError) as caught:
        stdin(data, **options)
    assert [w for w in words if w not in str(caught.value)] == []


def test_a_message_for_a_header_stays_out_of_the_error() -> None:
    """A table without a header has a person's words in its first line; the error does not repeat them."""
    with pytest.raises(InputError) as caught:
        stdin(b"I cannot go on,second thing said\nx,y\n", format="csv")
    assert "cannot go on" not in str(caught.value)
    assert "second" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "kind"), [(b"1,suicidal\n2,ok\n", "csv"), (b"suicidal\n", "csv"), (b'{"suicidal":1}\n', "jsonl")]
)
def test_a_word_for_a_header_stays_out_of_the_error(data: bytes, kind: str) -> None:
    """One word can be a message too: names are listed only beside a usual one."""
    with pytest.raises(InputError) as caught:
        stdin(data, format=kind)
    assert "suicidal" not in str(caught.value)
    assert "--text-column" in str(caught.value)


def test_many_objects_without_a_text_end_the_reading() -> None:
    """A file whose first hundred objects have no text is wrong as a whole, and is not read to its end to say so."""
    stream = io.BytesIO(b'{"x":1}\n' * 1_000_000)
    with pytest.raises(InputError):
        list(read_messages("-", format="jsonl", stdin=stream))
    assert stream.tell() < 1_000_000


def test_columns_given() -> None:
    """Columns named by the caller are used whatever else there is."""
    messages, _ = stdin(b"text,nr,words\na,5,b\n", format="csv", text_column="words", id_column="nr")
    assert [(m.id, m.text) for m in messages] == [("5", "b")]


def test_duplicates() -> None:
    """The same id and text come once; the same id with another text is kept each time it is new, and flagged."""
    messages, reader = stdin(b"id,text\n1,a\n1,a\n1,b\n1,a\n1,b\n1,c\n2,a\n", format="csv")
    assert [(m.id, m.text, "duplicate_id" in m.flags) for m in messages] == [
        ("1", "a", False),
        ("1", "b", True),
        ("1", "c", True),
        ("2", "a", False),
    ]
    report = reader.report
    assert (report.rows, report.duplicates_dropped, report.duplicates_kept) == (7, 3, 2)


def test_unreadable_rows_are_never_duplicates() -> None:
    """Two rows that could not be read may have held different texts, so neither is left out."""
    messages, _ = stdin(b'{"id":1,"text":5}\n{"id":1,"text":6}\n{"id":1,"text":""}\n', format="jsonl")
    assert [(m.unreadable, "duplicate_id" in m.flags) for m in messages] == [(True, False), (True, True), (False, True)]


def test_duplicates_across_inputs() -> None:
    """An id that is in two inputs may be two people, so it is kept and flagged; within one it still comes once."""
    seen = SeenIds()
    for data, expected in ((b"id,text\n1,a\n", [("1", "a", False)]), (b"id,text\n1,a\n1,a\n2,b\n", [("1", "a", True), ("2", "b", False)])):  # fmt: skip
        reader = read_messages("-", format="csv", stdin=io.BytesIO(data), seen=seen)
        assert [(m.id, m.text, "duplicate_id" in m.flags) for m in reader] == expected
    assert (reader.report.duplicates_dropped, reader.report.duplicates_kept) == (1, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"id,text\nJos\xe9,help\nJos\xe8,help\n",
        b"id,text\n1,caf\xe9\n1,caf\xe8\n",
        b"id,text\n1,caf\xe9\n1,caf\xef\xbf\xbd\n",
        b'id,text\n1,a\n1,"a\n',
    ],
)
def test_what_was_repaired_is_never_a_duplicate(data: bytes) -> None:
    """Ids and texts that look alike only once repaired may be two people, so both rows are kept and the second flagged."""
    messages, reader = stdin(data, format="csv")
    assert ["duplicate_id" in m.flags for m in messages] == [False, True]
    assert messages[0].flags | messages[1].flags >= REPAIRED
    assert reader.report.duplicates_dropped == 0


@pytest.mark.parametrize("text", ["ok", "\ufeffok", "\u00e9"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_a_short_line_on_an_open_pipe(text: str, encoding: str) -> None:
    """A line comes out as soon as it is there, however short, without waiting for what may never follow."""
    ours, theirs = os.pipe()
    with os.fdopen(ours, "rb", buffering=0) as source:
        os.write(theirs, f"{text}\n".encode(encoding))
        timer = threading.Timer(20, os.close, [theirs])  # a reader that waits gets an end, and the line too late
        timer.start()
        message = next(read_messages("-", stdin=source))
        assert timer.is_alive()
        timer.cancel()
        os.close(theirs)
    assert message.text == text.removeprefix("\ufeff" if encoding == "utf-8" else "")


def test_report_names_the_first_unreadable_rows_without_their_text() -> None:
    """The report tells line and reason of the first few, and counts the rest."""
    messages, reader = stdin(b'{"text":"secretword"\n' * 8, format="jsonl")
    assert len(messages) == 8
    assert [u.line for u in reader.report.first_unreadable] == [1, 2, 3, 4, 5]
    assert "secretword" not in repr(reader.report)


def test_a_line_too_long_is_one_unreadable_row() -> None:
    """A line over the limit is skipped in pieces, and the next one is read."""
    lines = list(Lines(io.BytesIO(b"x" * 5000 + b"\nshort\n" + b"y" * 101), max_chars=100))
    assert [(line.number, line.text, line.overlong) for line in lines] == [
        (1, "", True),
        (2, "short\n", False),
        (3, "", True),
    ]


def test_a_record_too_long_gives_up_its_first_line_only() -> None:
    """An open quote is not followed beyond the limit, and the lines behind it are rows again."""
    lines = iter(Lines(io.BytesIO(b'id,text\n1,"open\n' + b"2,b\n" * 50 + b'3,"x"\n'), max_chars=100))
    rows = list(delimited_rows(lines, delimiter=",", text_name=None, id_name=None, source="x", max_chars=100))
    texts = [row.text for row in rows if row is not None]
    assert texts == ["open", *["b"] * 50, "x"]


def test_fields_over_a_megabyte() -> None:
    """A message longer than the CSV module's own limit is read whole."""
    long = "long words " * 200_000
    messages, _ = stdin(f'id,text\n1,"{long}"\n2,b\n'.encode(), format="csv")
    assert [len(m.text) for m in messages] == [len(long), 1]


def test_ids_locale_and_fraction_of_a_file(tmp_path: Path) -> None:
    """Ids come from the file's stem and the line; the fraction read ends at one; the locale is put on each message."""
    path = tmp_path / "day-1.txt"
    path.write_text("a\nb\n", encoding="utf-8")
    reader = read_messages(path, locale="en-US")
    assert reader.fraction == 0.0
    assert [(m.id, m.locale) for m in reader] == [("day-1:1", "en-US"), ("day-1:2", "en-US")]
    assert reader.fraction == 1.0
    assert stdin(b"a")[1].fraction is None


@pytest.mark.parametrize(("name", "words"), [("missing.txt", "no such file"), (".", "folder"), ("x.bin", "--format")])
def test_no_such_input(tmp_path: Path, name: str, words: str) -> None:
    """A file that is not there, a folder and an unknown ending are told before anything is read."""
    with pytest.raises(InputError, match=words):
        read_messages(tmp_path / name, format="text" if name == "." else None)


def write_parquet(path: Path, **columns: pa.Array) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet(tmp_path: Path) -> None:
    """Parquet is read by batches, with null as an unreadable row and a number as a fine id."""
    texts = pa.array([None if n % 300 == 7 else f"text {n}" for n in range(1000)])
    path = write_parquet(tmp_path / "in.parquet", id=pa.array(range(1000)), text=texts)
    with read_messages(path) as reader:
        messages = list(reader)
        assert reader.fraction == 1.0
    assert [m.id for m in messages] == [str(n) for n in range(1000)]
    assert [m.id for m in messages if m.unreadable] == ["7", "307", "607", "907"]
    assert messages[999].text == "text 999"


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet_kinds_of_text(tmp_path: Path, kind: pa.DataType) -> None:
    """Text is text however a Parquet file stores it, and an id may be stored so too."""
    column = pa.array(["a", "b\u00e9"]).cast(kind)
    messages = list(read_messages(write_parquet(tmp_path / "in.parquet", message=column, message_id=column)))
    assert [(m.id, m.text, m.flags) for m in messages] == [("a", "a", frozenset()), ("b\u00e9", "b\u00e9", frozenset())]


def test_parquet_with_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A wrong byte costs its own row a repair and no other row anything."""
    path = write_parquet(tmp_path / "in.parquet", text=pa.array([b"ok", b"caf\xe9", b"ok too"]))
    messages = list(read_messages(path))
    assert [(m.text, m.flags) for m in messages] == [
        ("ok", frozenset()),
        ("caf\ufffd", REPAIRED),
        ("ok too", frozenset()),
    ]


def test_parquet_wrong_as_a_whole(tmp_path: Path) -> None:
    """A column of numbers and a file that is no Parquet are errors."""
    with pytest.raises(InputError, match="int64, not text"):
        read_messages(write_parquet(tmp_path / "in.parquet", text=pa.array([1])))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="not a Parquet file"):
        read_messages(tmp_path / "bad.parquet")


def test_parquet_damaged_inside(tmp_path: Path) -> None:
    """A file that is damaged in the middle ends in an error that says how far it was read."""
    table = pa.table({"text": [f"words {n} {n * 7919}" for n in range(20_000)]})
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, row_group_size=5_000, compression="zstd", use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    count = 0
    with pytest.raises(InputError, match="damaged after row"):  # the count is of what came before
        for _ in read_messages(path):
            count += 1
    assert 4_000 <= count < 20_000


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the error names what to install."""
    path = write_parquet(tmp_path / "in.parquet", text=pa.array(["a"]))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigurationError, match=r'pip install "crisis-filter\[parquet\]"'):
        read_messages(path)


texts = st.text(st.characters(codec="utf-8"), max_size=40)


@given(st.lists(texts, max_size=20))
def test_csv_round_trip(rows: list[str]) -> None:
    """What the CSV module writes comes back whole, but for NUL and lines that may be rows being told."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["id", "text"])
    writer.writerows([[f"n{n}", row] for n, row in enumerate(rows)])
    messages, _ = stdin(file.getvalue().encode(), format="csv")
    expected = [(f"n{n}", row) for n, row in enumerate(rows)]
    assert [pair for m in messages if (pair := (m.id, m.text)) in expected] == expected
    told = any("\0" in row or ("," in row and ("\n" in row or "\r" in row)) for row in rows)
    assert told or (len(messages) == len(rows) and not any(m.flags for m in messages))


@given(st.lists(texts, max_size=20))
def test_json_lines_round_trip(rows: list[str]) -> None:
    """What the JSON module writes comes back text by text."""
    data = "".join(json.dumps({"text": row}, ensure_ascii=len(row) % 2 == 0) + "\n" for row in rows)
    assert [m.text for m in stdin(data.encode(), format="jsonl")[0]] == rows


@given(st.binary(max_size=300), st.sampled_from(["text", "csv", "tsv", "jsonl", "openai-batch"]))
def test_any_bytes(data: bytes, kind: str) -> None:
    """Any bytes at all give messages that can be sent on, or an error of the input; the counts always add up."""
    reader = read_messages("-", format=kind, stdin=io.BytesIO(b"text,id\n" + data if kind == "csv" else data))
    try:
        messages = list(reader)
    except InputError:
        return
    for message in messages:
        message.text.encode("utf-8")
        message.id.encode("utf-8")
    assert reader.report.rows == len(messages) + reader.report.duplicates_dropped


quotes = st.sampled_from(["", '"', '""', '"x"', 'x"', '"""'])


@given(st.lists(st.tuples(quotes, quotes), max_size=12))
def test_stray_quotes_lose_no_words(lines: list[tuple[str, str]]) -> None:
    """However quotes stand in a CSV file of one column, the words of every line reach some message."""
    body = "".join(f"{before}word{n}.{after}\n" for n, (before, after) in enumerate(lines))
    messages, _ = stdin(b"text\n" + body.encode(), format="csv")
    everything = "\n".join(m.text for m in messages)
    assert [n for n in range(len(lines)) if f"word{n}." not in everything] == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"id;text\n1;hello\n", "parted by ';': save the file with commas, or as JSON Lines"),
        (b'"id";"text"\n"1";"hello"\n', "parted by ';': save the file with commas, or as JSON Lines"),
        (b"id\ttext\n1\thello\n", "parted by tabs: add --format tsv"),
        ("id,text\n1,hello\n".encode("utf-16-le"), "looks like UTF-16 without a mark: save it as UTF-8"),
        ("id,text\n1,hello\n".encode("utf-16-be"), "looks like UTF-16 without a mark: save it as UTF-8"),
    ],
)
def test_a_layout_that_is_another(data: bytes, words: str) -> None:
    """A header that cannot be used is told by what it looks like."""
    with pytest.raises(InputError, match=words):
        stdin(data, format="csv")


def test_a_semicolon_in_a_header_that_can_be_used() -> None:
    """A semicolon in the name of a column is no trouble where the column for the text is known."""
    messages, _ = stdin(b"why; text\nhello\n", format="csv", text_column="why; text")
    assert [m.text for m in messages] == ["hello"]
