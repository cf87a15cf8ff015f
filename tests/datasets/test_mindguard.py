"""The conversations of MindGuard are rebuilt from their turns, or loading fails. All texts are made up."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.datasets.mindguard import LABELS, load_mindguard
from crisis_filter.errors import InputError
from crisis_filter.taxonomy.load import load_taxonomy

SELF, OTHERS = "unsafe_self_harm_risk", "unsafe_harm_to_others"


def _row(*said: str, label: str = "safe", annotators: tuple[str | None, ...] = ()) -> dict[str, Any]:
    """A row whose prompt alternates between user and assistant."""
    given = annotators or (label,) * 3
    return {
        "prompt": [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(said)],
        "user_message": said[-1],
        "label": label,
        "annotator_labels": {f"annotator_{at}": name for at, name in enumerate(given, start=1)},
    }


def _rows(*said: str, unsafe: dict[int, str] | None = None) -> list[dict[str, Any]]:
    """All rows of one conversation; `unsafe` gives labels by turn."""
    turns = range(1, len(said) + 1, 2)
    return [_row(*said[:end], label=(unsafe or {}).get(at, "safe")) for at, end in enumerate(turns, start=1)]


def _file(folder: Path, rows: list[dict[str, Any]], name: str = "test.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


TALKS = [
    _rows("hello", "Hi, how are you?", "tired of all of it", "All of it?", "yes, of being here", unsafe={3: SELF}),
    _rows("hello", "Good evening.", "my sleep is better"),
    _rows("hello"),
    _rows("can we talk about my brother", "Of course.", "i am so angry i might hurt him", unsafe={2: OTHERS}),
]
FLAT = [row for talk in TALKS for row in talk]


def test_conversations_are_rebuilt(tmp_path: Path) -> None:
    """Three of them begin with the same greeting and are kept apart; every turn knows what was said before it."""
    rows, report = load_mindguard(_file(tmp_path, FLAT), expected=4)
    assert [row.id.removeprefix("mindguard-testset-") for row in rows] == [
        *("1:1", "1:2", "1:3"),
        *("2:1", "2:2"),
        "3:1",
        *("4:1", "4:2"),
    ]
    assert rows[2].text == "yes, of being here"
    assert rows[2].context == ("hello", "Hi, how are you?", "tired of all of it", "All of it?")
    assert rows[2].speakers == ("user", "assistant", "user", "assistant")
    assert [(row.crisis, row.categories) for row in rows if row.crisis] == [
        (True, ("self_harm_risk",)),
        (True, ("harm_to_others",)),
    ]
    assert all(row.categories == () for row in rows if not row.crisis)
    assert (report.turns, report.conversations, report.crisis_turns, report.crisis_conversations) == (8, 4, 2, 2)
    assert report.categories == {"self_harm_risk": 1, "harm_to_others": 1}
    assert "8 turns in 4 conversations" in str(report)
    assert "tired" not in repr(rows)


def test_the_categories_are_those_of_the_taxonomy() -> None:
    """S1 and S2 of the set are the two of `mindguard-v1`."""
    assert {name for name in LABELS.values() if name} == set(load_taxonomy("mindguard-v1").ids)


def test_parquet_reads_like_json_lines(tmp_path: Path) -> None:
    """The set is released as Parquet."""
    path = tmp_path / "test.parquet"
    pq.write_table(pa.Table.from_pylist(FLAT), path)
    lines = load_mindguard(_file(tmp_path, FLAT), expected=4)[0]
    assert [(r.id, r.text, r.context) for r in load_mindguard(path, expected=4)[0]] == [
        (r.id, r.text, r.context) for r in lines
    ]


@given(
    st.lists(
        st.lists(st.sampled_from(["hello", "yes", "no"]), min_size=1, max_size=7),
        min_size=1,
        max_size=6,
    ),
    st.randoms(use_true_random=False),
)
def test_any_order_of_the_rows_gives_as_many_conversations(
    tmp_path_factory: pytest.TempPathFactory, talks: list[list[str]], order: Any
) -> None:
    """Rows mixed up at will chain to as many conversations as there were, each a chain of prefixes with turns 1, 2, 3, ..."""
    talks = [talk if len(talk) % 2 else talk[:-1] for talk in talks]
    rows = [row for talk in talks for row in _rows(*talk)]
    order.shuffle(rows)
    path = _file(tmp_path_factory.mktemp("mixed"), rows)
    found, report = load_mindguard(path, expected=len(talks))
    assert report.conversations == len(talks)
    by_talk: dict[str | None, list[Any]] = {}
    for row in found:
        by_talk.setdefault(row.conversation, []).append(row)
    for chain in by_talk.values():
        chain.sort(key=lambda row: row.turn)
        assert [row.turn for row in chain] == list(range(1, len(chain) + 1))
        for before, after in itertools.pairwise(chain):
            assert after.context[: len(before.context) + 1] == (*before.context, before.text)
    assert report.gaps == 0


@pytest.mark.parametrize("rows", [FLAT, [*FLAT, FLAT[2]], [*FLAT[:3], *FLAT[4:]]])
def test_another_number_of_conversations_is_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """67 unless said otherwise: a part of the set, a row twice or a lost beginning does not pass for the set."""
    path = _file(tmp_path, rows)
    with pytest.raises(InputError, match=r"test\.jsonl: field 'prompt' chains to \d conversations and not to 67"):
        load_mindguard(path)
    assert len(load_mindguard(path, expected=None)[0]) == len(rows)


def test_a_row_twice_makes_another_conversation(tmp_path: Path) -> None:
    """What a copy of a turn goes on with is taken already, so the count gives it away."""
    with pytest.raises(InputError, match="5 conversations and not to 4"):
        load_mindguard(_file(tmp_path, [*FLAT, FLAT[2]]), expected=4)


def test_the_majority_stands_beside_the_label(tmp_path: Path) -> None:
    """The label of the set decides; where annotators disagree that is kept and counted."""
    rows = [
        _row("one", label=SELF, annotators=("safe", "safe", SELF)),
        _row("two", label=SELF, annotators=("safe", OTHERS, SELF)),
        _row("three", label="safe", annotators=("safe", "safe", None)),
        _row("four", label="safe", annotators=("safe", OTHERS, None)),
    ]
    found, report = load_mindguard(_file(tmp_path, rows), expected=4)
    assert [(row.crisis, row.labels["majority"]) for row in found] == [
        (True, "safe"),
        (True, None),
        (False, "safe"),
        (False, None),
    ]
    assert found[0].labels["annotator_3"] == SELF
    assert (report.no_majority, report.against_majority) == (2, 1)


def test_an_empty_turn_is_kept(tmp_path: Path) -> None:
    """The denominator is all turns."""
    rows, report = load_mindguard(_file(tmp_path, _rows("hello", "Hi.", "")), expected=1)
    assert [row.text for row in rows] == ["hello", ""]
    assert report.empty == 1


def test_turns_count_what_the_user_said_also_where_a_row_is_missing(tmp_path: Path) -> None:
    """A conversation whose second turn has no row goes on with its third; one may begin later than with its first."""
    first = _rows("a", "b", "c", "d", "e")
    rows, report = load_mindguard(_file(tmp_path, [first[0], first[2], _row("x", "y", "z")]), expected=2)
    assert report.gaps == 2
    assert [(row.conversation, row.turn) for row in rows] == [
        ("mindguard-testset-1", 1),
        ("mindguard-testset-1", 3),
        ("mindguard-testset-2", 2),
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"label": "canary7731"}, "'label' holds a text that is none of safe"),
        ({"label": None}, "'label' holds null"),
        ({"user_message": "canary7731"}, "'prompt' does not end with"),
        ({"prompt": []}, "'prompt' holds an array"),
        ({"prompt": "canary7731"}, "'prompt' holds a text"),
        ({"prompt": [{"role": "canary7731", "content": "x"}]}, "'prompt' holds a message without"),
        ({"prompt": [{"role": "user", "content": None}]}, "'prompt' holds a message without"),
        ({"prompt": ["canary7731"]}, "'prompt' holds a message without"),
        ({"prompt": [{"role": "assistant", "content": "hello"}]}, "'prompt' does not end with"),
        ({"annotator_labels": ["canary7731"]}, "'annotator_labels' holds an array"),
        ({"annotator_labels": {"annotator_1": "canary7731"}}, "'annotator_labels' holds a label"),
        ({"annotator_labels": {"annotator_1": ["canary7731"]}}, "'annotator_labels' holds a label"),
    ],
)
def test_a_row_of_another_kind_is_refused(tmp_path: Path, change: dict[str, Any], what: str) -> None:
    """The error names line and field, and shows no text."""
    path = _file(tmp_path, [FLAT[0], FLAT[0] | change])
    with pytest.raises(InputError, match=f"line 2: field {what}") as caught:
        load_mindguard(path, expected=None)
    assert "canary7731" not in str(caught.value)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row can be used"):
        load_mindguard(_file(tmp_path, []), expected=None)


def test_of_equal_beginnings_the_nearest_before_is_taken(tmp_path: Path) -> None:
    """A greeting that stood alone stays alone, and its label with it."""
    rows = [*_rows("hello", unsafe={1: SELF}), *_rows("hello", "Good evening.", "my sleep is better")]
    found, report = load_mindguard(_file(tmp_path, rows), expected=2)
    assert [row.id.removeprefix("mindguard-testset-") for row in found] == ["1:1", "2:1", "2:2"]
    assert report.crisis_conversations == 1
