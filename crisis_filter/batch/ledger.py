"""The ledger of a run: what came in, what became of it, and whether every count agrees with every other.

The counts are taken where they stand: rows from the inputs, assessments from the journal's proved lines, rows and outcomes from the
output and the errors as they lie on the disk. Nothing is taken from what a run believed of itself.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from hashlib import file_digest
from itertools import zip_longest
from pathlib import Path

from pydantic import Field

from crisis_filter.batch.journal_files import Files
from crisis_filter.batch.journal_lines import Made, content_key
from crisis_filter.batch.journal_reading import unreadable
from crisis_filter.batch.journal_view import View
from crisis_filter.batch.rows import BatchRow
from crisis_filter.errors import ConfigurationError, InputError
from crisis_filter.schema import OUTCOMES, Record
from crisis_filter.tables.flat import inert
from crisis_filter.tables.formats import PARQUET_MISSING
from crisis_filter.tables.writing import OUTPUT_ENDINGS

__all__ = ["Equation", "Ledger", "ledger"]

# A cell of evidence is as long as the message that it quotes.
_LONGEST_CELL = 256 * 1024 * 1024
_BATCH = 1000


class Equation(Record):
    """Two counts that must be one."""

    words: str
    """What is equal to what."""
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.left == self.right


class Ledger(Record):
    """The counts of a run, and the equations between them."""

    received: int = Field(ge=0)
    decided: int = Field(ge=0)
    pending: int = Field(ge=0)
    aside: int = Field(ge=0)
    """Rows whose id and text came before."""
    outcomes: dict[str, int]
    faults: dict[str, int]
    """Of undetermined rows."""
    judged_again: int = Field(ge=0)
    """Assessments that a later one took the place of."""
    finished: bool
    equations: tuple[Equation, ...]

    @property
    def balanced(self) -> bool:
        """Whether all equations hold. A run that is not finished can be balanced too."""
        return all(equation.holds for equation in self.equations)


def ledger(out: Path, *, received: int | None = None, rows: Iterable[BatchRow] | None = None) -> Ledger:
    """Count a run.

    Args:
        out: its output.
        received: rows of all inputs, where the caller has counted them.
        rows: the rows of all inputs, from `rows.numbered`: they are counted, the content of each is held against its line in the
            journal, and its id against the output. Without this and `received` the number that the end of the journal names counts.

    Raises:
        ValueError: nothing says how many rows there were: the run is not finished, and neither argument is given.
        InputError: the journal is damaged, an input cannot be read, or output or errors are no files that a run wrote.
        ConfigurationError: a file cannot be read.
    """
    files = Files(out)
    with View(out) as view:
        matched: list[Equation] = []
        if rows is not None:
            received, matched = _matched(view, rows, out if view.end else None)
        elif received is None:
            if view.end is None:
                raise ValueError("the rows of a run that is not finished have to be counted")
            received = view.end.received
        outcomes, faults = view.outcomes(), view.faults()
        decided, pending, aside = view.decided, view.pending(received), view.aside
        parts = [outcomes.get(outcome, 0) for outcome in OUTCOMES]
        equations = [
            Equation(words="received = decided + pending + set aside", left=received, right=decided + pending + aside),
            Equation(words="decided = crisis + undetermined + not crisis", left=decided, right=sum(parts)),
            Equation(
                words="undetermined = all its faults", left=outcomes.get("undetermined", 0), right=sum(faults.values())
            ),
            Equation(words="rows both judged and set aside = 0", left=view.contradictions, right=0),
            *matched,
        ]
        if view.end is not None:
            equations += _of_files(files, view, outcomes, faults)
        return Ledger(
            received=received,
            decided=decided,
            pending=pending,
            aside=aside,
            outcomes=outcomes,
            faults=faults,
            judged_again=view.lines - decided,
            finished=view.end is not None,
            equations=tuple(equations),
        )


def _of_files(files: Files, view: View, outcomes: dict[str, int], faults: dict[str, int]) -> Iterator[Equation]:
    """What output and errors have to be, beside what they are."""
    end = view.end
    if end is None:
        return
    found: Counter[str] = Counter(outcome for _, outcome in _output(files.out))
    yield Equation(words="rows of the output = decided", left=found.total(), right=view.decided)
    for outcome in OUTCOMES:
        words = outcome.replace("_", " ").replace("no ", "not ")
        yield Equation(words=f"{words} in the output = {words}", left=found[outcome], right=outcomes.get(outcome, 0))
    told = Counter(fault for fault in _errors(files.errors))
    yield Equation(words="rows of the errors = undetermined", left=told.total(), right=outcomes.get("undetermined", 0))
    for fault in sorted(told.keys() | faults.keys()):
        yield Equation(words=f"{fault} in the errors = {fault}", left=told[fault], right=faults.get(fault, 0))
    changed = _changed(files.out, end.output) + _changed(files.errors, end.errors)
    yield Equation(words="files that are not as they were written = 0", left=changed, right=0)


def _matched(view: View, rows: Iterable[BatchRow], out: Path | None) -> tuple[int, list[Equation]]:
    """How many rows the inputs have, and how many do not fit what journal and output say of them."""
    salt = bytes.fromhex(view.head.salt)
    received = strangers = displaced = 0

    def expected() -> Iterator[str]:
        nonlocal received, strangers
        for row in rows:
            received = row.number + 1
            state = view.state(row.number)
            line = view.line(row.number)
            if row.message is None:
                strangers += state == "decided"
            else:
                strangers += state == "aside"
                strangers += line is not None and line.key != content_key(salt, row.message.id, row.message.text)
                if line is not None:
                    yield row.message.id

    if out is None:
        for _ in expected():
            pass
    else:
        formula = inert if out.suffix.lower() == ".csv" else str
        for wanted, found in zip_longest(expected(), _output(out)):
            displaced += wanted is None or found is None or formula(wanted) != found[0]
    beyond = sum(view.state(row) != "pending" for row in range(received, view.rows))
    equations = [
        Equation(words="rows of the journal that are not those of the inputs = 0", left=strangers + beyond, right=0),
        Equation(words="rows of the output that are not in their place = 0", left=displaced, right=0),
    ]
    return received, equations[: 1 if out is None else 2]


def _output(path: Path) -> Iterator[tuple[str, str]]:
    """Id and outcome of each row of an output."""
    ending = path.suffix.lower()
    if ending not in OUTPUT_ENDINGS:
        raise InputError(f"{path}: cannot tell the format; its name ends with none of {', '.join(OUTPUT_ENDINGS)}")
    try:
        if ending == ".parquet":
            yield from _of_parquet(path)
        elif ending == ".csv":
            yield from _of_csv(path)
        else:
            for told in _json_lines(path):
                yield str(told["id"]), str(told["outcome"])
    except OSError as error:
        raise unreadable(path, error) from None
    except (KeyError, TypeError, csv.Error):
        raise InputError(f"{path}: is no file of assessments any more") from None


def _of_csv(path: Path) -> Iterator[tuple[str, str]]:
    # The limit is the parser's own global; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield row["id"], row["outcome"]


def _of_parquet(path: Path) -> Iterator[tuple[str, str]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigurationError(PARQUET_MISSING) from None
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH, columns=["id", "outcome"]):
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
    except pa.ArrowException:
        raise InputError(f"{path}: is no file of assessments any more") from None


def _errors(path: Path) -> Iterator[str]:
    """The fault of each row of the errors."""
    try:
        for told in _json_lines(path):
            yield str(told["fault"])
    except OSError as error:
        raise unreadable(path, error) from None
    except (KeyError, TypeError):
        raise InputError(f"{path}: is no file of errors any more") from None


def _json_lines(path: Path) -> Iterator[dict[str, object]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except ValueError:
                raise InputError(f"{path}: line {number} is not JSON any more") from None


def _changed(path: Path, made: Made) -> bool:
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest() != made.sha256
    except OSError as error:
        raise unreadable(path, error) from None
