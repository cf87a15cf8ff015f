"""Files of answers, and answers beside labels: what they may look like, and what is refused, never by value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crisis_filter.errors import InputError
from crisis_filter.evaluation.matching import match
from crisis_filter.evaluation.runs import Cut, read_run
from crisis_filter.schema import Assessment
from crisis_filter.tables.writing import AssessmentWriter
from tests.evaluation.filing import CATEGORIES, assessed, gold, labelled, lines, run

SECRET = "my secret words"


def test_an_export_in_any_format_says_the_same(tmp_path: Path) -> None:
    rows = [
        assessed("=a", "abuse", "suicide", score=0.75),
        assessed("-b", score=0.25),
        assessed("c", outcome="undetermined", fault="refusal_field"),
        assessed("d", outcome="crisis"),
    ]
    for name in ("x.jsonl", "x.csv", "x.parquet"):
        with AssessmentWriter(tmp_path / name) as writer:
            for row in rows:
                writer.write(Assessment.model_validate(row))
    found = {
        name: [
            (at, one.outcome, one.score, one.source, one.categories, one.fault)
            for at, one in run(tmp_path / name).answers.items()
        ]
        for name in ("x.jsonl", "x.csv", "x.parquet")
    }
    assert found["x.jsonl"] == [
        ("=a", "crisis", 0.75, "engine", frozenset({"abuse", "suicide"}), None),
        ("-b", "no_crisis", 0.25, "engine", frozenset(), None),
        ("c", "undetermined", None, None, frozenset(), "refusal_field"),
        ("d", "crisis", None, None, frozenset(), None),
    ]
    assert found["x.csv"] == found["x.jsonl"]
    assert found["x.parquet"] == found["x.jsonl"]
    assert [run(tmp_path / name).system.detector for name in found] == ["scripted"] * 3
    systems = [run(tmp_path / name).system for name in found]
    assert {(s.policy, s.taxonomy, s.prompts) for s in systems} == {
        (
            f"default-v3 {'1' * 12}",
            f"clinical-v1 {'0' * 12}",
            (f"screen/reasoned-v2 {'2' * 12}", f"categorise/reasoned-v2 {'3' * 12}"),
        )
    }


def test_other_systems_say_crisis_or_how_severe(tmp_path: Path) -> None:
    flags = run(
        lines(
            tmp_path / "flags.jsonl",
            [{"id": 1, "crisis": True, "score": 1}, {"id": 2, "crisis": 0}, {"id": 3, "crisis": None}],
        )
    )
    assert [(at, one.outcome, one.score) for at, one in flags.answers.items()] == [
        ("1", "crisis", 1.0),
        ("2", "no_crisis", None),
        ("3", "undetermined", None),
    ]
    assert (flags.system.kind, flags.answers["1"].categories) == ("binary", None)
    levels = [{"id": n, "severity": level} for n, level in enumerate(["none", "mild", "high", "critical", None])]
    graded = run(lines(tmp_path / "graded.jsonl", levels), cut=Cut("high"))
    assert [one.outcome for one in graded.answers.values()] == [
        "no_crisis",
        "no_crisis",
        "crisis",
        "crisis",
        "undetermined",
    ]
    assert (graded.system.kind, graded.system.cut) == ("severity", "high")
    words = run(
        lines(
            tmp_path / "w.jsonl",
            [{"id": "a", "outcome": "crisis"}, {"id": "b", "outcome": "undetermined", "fault": SECRET}],
        )
    )
    assert words.answers["b"].fault == "not said", "another system's words may quote a message"


def test_a_severity_that_is_no_word_is_refused(tmp_path: Path) -> None:
    """Taken for a failure it would look like perfect sensitivity once failures count as flagged."""
    for value, said in ((["severe"], "holds an array instead of a word"), (0.5, "holds a number instead of a word")):
        with pytest.raises(InputError, match=said):
            run(lines(tmp_path / "s.jsonl", [{"id": "a", "severity": value}]), cut=Cut("severe"))


def test_categories_are_those_of_any_row(tmp_path: Path) -> None:
    """The first row decides nothing."""
    rows = [
        {"id": "a", "crisis": False},
        {"id": "b", "crisis": True, "categories": ["abuse"]},
        {"id": "c", "crisis": True},
    ]
    labels = gold(lines(tmp_path / "g.jsonl", [labelled("a"), labelled("b", "abuse"), labelled("c", "neglect")]))
    for name, order in (("one", rows), ("two", rows[::-1])):
        said = match(labels, [run(lines(tmp_path / f"{name}.jsonl", order))], CATEGORIES).systems[0].said
        assert said is not None
        assert said.tolist() == [[False] * 3, [True, False, False], [False] * 3]


def test_messages_that_stand_alone_are_clusters_by_themselves(tmp_path: Path) -> None:
    rows = [labelled("a", conversation=1.0), labelled("b", conversation=1), labelled("c"), labelled("d")]
    labels = gold(lines(tmp_path / "g.jsonl", rows))
    answers = run(lines(tmp_path / "r.jsonl", [assessed(at) for at in "abcd"]))
    clusters = match(labels, [answers], CATEGORIES).clusters
    assert clusters is not None
    assert [clusters.index(each) for each in clusters] == [0, 0, 2, 3]


def test_severities_need_a_cut_and_one_scale(tmp_path: Path) -> None:
    path = lines(tmp_path / "s.jsonl", [{"id": "a", "severity": "low"}, {"id": "b", "severity": "high"}])
    for cut, said in (
        (None, "say from which on it is a crisis"),
        (Cut("imminent", ("none", "imminent")), "no known scale has"),
        (Cut("terrible"), "no known scale has"),
    ):
        with pytest.raises(InputError, match=said):
            run(path, cut=cut)
    own = run(path, cut=Cut("low", ("low", "high")))
    assert [one.outcome for one in own.answers.values()] == ["crisis", "crisis"]
    assert [one.outcome for one in run(path, cut=Cut("high")).answers.values()] == ["no_crisis", "crisis"]


def test_fields_may_have_other_names(tmp_path: Path) -> None:
    rows = [{"msg_id": "a", "flag": "Y"}, {"msg_id": "b", "flag": "N"}]
    names = {"id": "msg_id", "crisis": "flag"}
    path = lines(tmp_path / "x.jsonl", rows)
    assert [(r.id, r.crisis) for r in gold(path, names=names).rows.values()] == [("a", True), ("b", False)]
    assert [(at, one.outcome) for at, one in run(path, names=names).answers.items()] == [
        ("a", "crisis"),
        ("b", "no_crisis"),
    ]
    for wrong, said in (
        ({"crisis": "label"}, "there is no field 'label'"),
        ({"msg_id": "flag"}, "'msg_id' is there already"),
    ):
        with pytest.raises(InputError, match=said):
            gold(path, names=wrong)


BAD_RUNS: dict[str, tuple[list[dict[str, object] | str], str]] = {
    "an id twice": (
        [assessed("a"), assessed("b"), assessed("a", "abuse")],
        "line 3: a second answer for the id of line 1",
    ),
    "unknown category": ([assessed("a", "psychosis")], "line 1: a finding has an unknown category; there are abuse"),
    "two policies": ([assessed("a"), assessed("b", policy="other")], "line 2: made with another policy than line 1"),
    "two detectors": (
        [assessed("a"), assessed("b", detector="local")],
        "line 2: made with another detector than line 1",
    ),
    "a score that is NaN": ([json.dumps(assessed("a", score=0.5)).replace("0.5", "NaN")], "line 1: is not valid JSON"),
    "a score out of range": (
        [{**assessed("a", score=0.5), "score": 1.5}],
        "line 1: no assessment of this version: score",
    ),
    "a fault beside no crisis": ([{**assessed("a"), "fault": "timeout"}], "line 1: no assessment of this version"),
    "a field of another version": (
        [{**assessed("a"), "mood": SECRET}],
        "line 1: no assessment of this version: an unknown field",
    ),
    "a key with words": ([{**assessed("a"), SECRET: 1}], "line 1: no assessment of this version: an unknown field"),
    "a crisis overwritten": (
        [
            json.dumps(assessed("a", "abuse")),
            json.dumps(assessed("b", "abuse"))[:-1] + ', "outcome": "no_crisis", "findings": []}',
        ],
        "line 2: has an object with the same key twice",
    ),
    "two answers in a row": (
        [{"id": "a", "outcome": "no_crisis", "crisis": True}],
        "'crisis' and 'outcome' contradict",
    ),
    "a fault and no crisis": (
        [{"id": "a", "outcome": "no_crisis", "fault": "timeout"}],
        "a message that failed is undetermined",
    ),
    "a score with a gap": ([{"id": "a", "crisis": True, "score": "0_1"}], "'score' is no number from 0 to 1"),
    "an endless id": ([{"id": 10**200, "crisis": True}], "'id' is a number too long"),
    "half a line": ([json.dumps(assessed("a"))[:-9]], "line 1: is not valid JSON"),
    "labels for answers": (
        [labelled("a", stratum="billing")],
        "has 'stratum', a field of labels; name what a system said",
    ),
    "two policies in a table": (
        [{"id": "a", "crisis": True, "policy": "one 1"}, {"id": "b", "crisis": True, "policy": "two 2"}],
        "line 2: 'policy' is not that of line 1; put each configuration in a file of its own",
    ),
    "nothing": ([], "there are no answers"),
    "no answer at all": ([{"id": "a", "text": SECRET}], "have none of 'outcome', 'crisis' and 'severity'"),
    "an answer that is missing": ([{"id": "a", "crisis": True}, {"id": "b"}], "line 2: 'crisis' is missing"),
    "an outcome of other words": (
        [{"id": "a", "outcome": "safe"}],
        "'outcome' is none of crisis, no_crisis, undetermined",
    ),
    "a score in words": ([{"id": "a", "crisis": True, "score": SECRET}], "line 1: 'score' is no number from 0 to 1"),
    "a score too great": ([{"id": "a", "crisis": True, "score": 10**400}], "line 1: 'score' is no number from 0 to 1"),
    "categories and no crisis": (
        [{"id": "a", "crisis": None, "categories": ["abuse"]}],
        "beside an outcome that is no crisis",
    ),
}


@pytest.mark.parametrize(("rows", "said"), BAD_RUNS.values(), ids=BAD_RUNS.keys())
def test_bad_runs_are_refused(tmp_path: Path, rows: list[dict[str, object] | str], said: str) -> None:
    with pytest.raises(InputError, match=r"run\.jsonl") as caught:
        run(lines(tmp_path / "run.jsonl", rows))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_another_taxonomy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="judged by the taxonomy clinical-v1, and the labels are read by other"):
        read_run(lines(tmp_path / "run.jsonl", [assessed("a")]), CATEGORIES, "other")


@pytest.mark.parametrize(
    ("more", "fewer", "said"),
    [
        (["x", "y"], [], "line 4: no label for this id, nor for 1 more of this run"),
        ([], ["b"], "no answer for 1 of 3 labelled messages, the first at"),
    ],
)
def test_ids_must_be_those_of_the_labels(tmp_path: Path, more: list[str], fewer: list[str], said: str) -> None:
    """Neither side is dropped in silence; with `common` the rest is counted."""
    labels = gold(lines(tmp_path / "gold.jsonl", [labelled("a"), labelled("b", "abuse"), labelled("c")]))
    answers = run(
        lines(tmp_path / "run.jsonl", [assessed(at) for at in "abc" if at not in fewer] + [assessed(at) for at in more])
    )
    with pytest.raises(InputError) as caught:
        match(labels, [answers], CATEGORIES)
    assert said in str(caught.value)
    assert "--common" in str(caught.value)
    found = match(labels, [answers], CATEGORIES, common=True)
    assert (found.left_out, found.systems[0].left_out, len(found.ids)) == (len(fewer), len(more), 3 - len(fewer))


def test_systems_need_names_of_their_own_and_a_message_in_common(tmp_path: Path) -> None:
    labels = gold(lines(tmp_path / "gold.jsonl", [labelled("a")]))
    one = run(lines(tmp_path / "run.jsonl", [assessed("a")]))
    with pytest.raises(InputError, match="same name"):
        match(labels, [one, one], CATEGORIES)
    flags = lines(tmp_path / "both.jsonl", [{"id": "a", "crisis": True}])
    with pytest.raises(InputError, match="is the file of the labels"):
        match(gold(flags), [run(flags)], CATEGORIES)
    other = run(lines(tmp_path / "other.jsonl", [assessed("z")]))
    with pytest.raises(InputError, match="no message is labelled and answered by every system"):
        match(labels, [one, other], CATEGORIES, common=True)
