"""The parts of a search by themselves: what may be rewritten, which proposals are thrown away, what an answer is worth, and who wins."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.datasets.records import Labelled
from crisis_filter.errors import ConfigurationError, Fault, InputError
from crisis_filter.experiments.optimize.choosing import Candidate, Counts, chosen, count, may_win
from crisis_filter.experiments.optimize.drafts import SeedFile, new_id
from crisis_filter.experiments.optimize.feedback import Case, is_right, score, told
from crisis_filter.experiments.optimize.messages import development, refuse_overlap, training, training_tests
from crisis_filter.experiments.optimize.proposals import Private, longest, proposed_text, rejection
from crisis_filter.experiments.optimize.sections import Template, cut
from crisis_filter.experiments.plan import Tests as Chosen
from crisis_filter.experiments.records import Item
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import render
from crisis_filter.schema import Assessment, Finding, Message, Outcome, PromptRef, Provenance, Screening
from crisis_filter.taxonomy.answers import ScreenReasoned
from crisis_filter.taxonomy.load import load_taxonomy
from tests.experiments.searching import rows, written

ROOT = Path(__file__).parent.parent.parent
CLINICAL = load_taxonomy("clinical-v1")
FIELDS = tuple(ScreenReasoned.model_fields)
PROMPTS = ("screen/reasoned-v1", "screen/reasoned-v2", "screen/terse-v1", "screen/terse-v2")
PART = "- A missed crisis is the worst mistake.\n- Read each of the {{ kinds }} kinds to the last word before you decide.\n"


@pytest.mark.parametrize("name", PROMPTS)
def test_the_pieces_of_a_prompt_are_the_prompt(name: str) -> None:
    """To the byte; and what may be rewritten is prose alone, the rules of the answer are not in it."""
    system = load_prompt(name).system
    template = cut(system, FIELDS)
    assert template.with_parts({}) == template.with_parts(template.parts) == system
    assert next(iter(template.parts)) == "Opening"
    for text in template.parts.values():
        assert not re.search(r"\{%|\bnonce|\bJSON|\bfence|`|^#", text, re.MULTILINE)
        assert text.strip() == text


@pytest.mark.parametrize("name", PROMPTS)
def test_a_prompt_with_other_parts_keeps_what_is_held(name: str) -> None:
    """Every held piece stands in it, in its order, and it still renders."""
    seed = SeedFile.read(name)
    template = cut(seed.prompt.system, FIELDS)
    texts = {
        part: f"Another text. {' '.join(v for v in ('{{ taxonomy.categories | length }}',) if v in text)}"
        for part, text in template.parts.items()
    }
    made = seed.draft(template.with_parts(texts))
    at = 0
    for piece in template.pieces:
        if piece.name is None:
            at = made.system.index(piece.text, at) + len(piece.text)
    before, after = render(seed.prompt, CLINICAL).system, render(made, CLINICAL).system
    assert after.count("nonce") == before.count("nonce") > 0
    assert all(f"(`{category.id}`)" in after for category in CLINICAL.categories)


LINES = st.sampled_from(
    [
        "# A heading", "## A lower one", "", "A sentence that is long enough to be worth rewriting, I should think so.", "- short",
        "- an item in a list of items which goes on for a while", "  and goes on here", "{% for rule in taxonomy.rules -%}", "{% endfor %}",
        "{{ taxonomy.unit }}", "- copy the nonce exactly", "{# a remark", "#}", "One {{ a.b }} variable in the midst of other words", "1. a number",
    ]
)  # fmt: skip


@given(st.lists(LINES, max_size=30), st.booleans())
def test_any_text_in_pieces_is_that_text(lines: list[str], ends: bool) -> None:
    """However its blocks are closed; a held line is in no part."""
    system = "\n".join(lines) + ("\n" if ends else "")
    try:
        template = cut(system, FIELDS)
    except ConfigurationError:
        return
    assert template.with_parts({}) == system
    assert not any("{%" in text or "nonce" in text or "\n# " in text for text in template.parts.values())


@pytest.mark.parametrize(
    "system",
    [
        "",
        "# Only\n{{ taxonomy.unit }}\n",
        "{% for a in b %}\n" + "x " * 60 + "\n{% endfor %}\n",
        "Echo the nonce in JSON, word by word, at the very beginning of it.\n",
    ],
)
def test_a_prompt_without_prose_of_its_own_is_refused(system: str) -> None:
    """For there is nothing to rewrite."""
    with pytest.raises(ConfigurationError, match="nothing in this prompt may be rewritten"):
        cut(system, FIELDS)


def test_several_stretches_of_a_section_are_parts_of_their_own() -> None:
    """With names that tell them apart."""
    long = "A sentence that is long enough to be worth rewriting, I should think so."
    template = cut(f"# One\n\n{long}\n\n- the nonce\n\n{long}\n# Two {{{{ x }}}}\n{long}\n", FIELDS)
    assert list(template.parts) == ["One", "One (2)", "Two …"]
    assert template.with_parts({"One (2)": "B"}).count(long) == 2


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("```\nnew\n```", "new"),
        ("Here:\n\n```text\nnew\nlines\n```\nDone.", "new\nlines"),
        ("```\nfirst\n```\nor\n```\nsecond\n```", "second"),
        ("<think>\n```\nold\n```\n</think>\n```\nnew\n```", "new"),
        ("```\n# How to read\n\nnew\n```", "new"),
        ("```\n# Other\nnew\n```", "# Other\nnew"),
        ("```\r\nnew\r\n```", "new"),
        ("new", None),
        ("```\nnew", None),
        ("```\n\n```", None),
        ("```new```", None),
        ("", None),
    ],
)
def test_what_an_answer_proposes(answer: str, text: str | None) -> None:
    """What stands in its last block, and nothing where there is none."""
    assert proposed_text(answer, "How to read") == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PART, "unchanged"),
        (PART.replace(" ", "\n"), "unchanged"),
        (PART + "x" * longest(PART), "too_long"),
        (PART.replace("{{ kinds }}", "eight"), "variables"),
        (PART + "{{ kinds }}", "variables"),
        (PART + "{{ message }}", "variables"),
        (PART + "{% if kinds %}", "protocol"),
        (PART + "{# note #}", "protocol"),
        (PART + "Put no nonce into it.", "protocol"),
        (PART + "Answer in JSON.", "protocol"),
        (PART + "</message>", "protocol"),
        (PART + "=== message ===\n", "protocol"),
        (PART + "---\n", "protocol"),
        (PART + "# Your answer\n", "heading"),
        (PART + "Like: I Gave the cat, to my   sister!", "quotes_a_message"),
        (PART + "such as 'goodbye my love'", "quotes_a_message"),
        (PART + "A gift to a sister is no crisis.", None),
        (PART + "Say {{kinds}}.".replace("{{kinds}}", "more"), None),
        (PART.replace("{{ kinds }}", "{{kinds}}"), None),
    ],
)
def test_a_proposal_that_cannot_be_tried_costs_no_call(text: str, why: str | None) -> None:
    """Each reason by its name."""
    private = Private(
        ["i gave the cat to my sister on monday", "goodbye my love", "ok", "to the last word before you decide"], PART
    )
    assert rejection(PART, PART, text, private) == why


@given(st.lists(st.sampled_from("abcdefgh"), min_size=6, max_size=20), st.lists(st.sampled_from("ijkl"), max_size=5))
def test_no_run_of_six_words_of_a_message_gets_into_a_prompt(words: list[str], others: list[str]) -> None:
    """Wherever it stands, and however it is written."""
    private = Private([" ".join(words)], "")
    assert private.quoted_in(" ".join([*others, *words[:6]]).upper())
    assert not private.quoted_in(" ".join([*others, *words[:2], *others]))


def item(crisis: bool, name: str = "a") -> Item:
    return Item(id=name, crisis=crisis, categories=("suicide",) if crisis else (), text_sha256="")


def case(crisis: bool, **row: Any) -> Case:
    labels: dict[str, Any] = (
        {"severity": "mild", "subject": "self", "timeframe": "current"}
        if crisis
        else dict.fromkeys(("severity", "subject", "timeframe"))
    )
    whole = {
        "id": "a",
        "text": "t < u",
        "crisis": crisis,
        "categories": ["suicide"] if crisis else [],
        "author": "x",
        **labels,
        **row,
    }
    return Case(item(crisis), Message(id="a", text="t < u"), Labelled.model_validate(whole))


def said(outcome: Outcome, **more: Any) -> Assessment:
    fault = Fault.SCHEMA if outcome == "undetermined" else None
    findings = (Finding(category="suicide"),) if outcome == "crisis" else ()
    whole = {"fault": fault, "findings": findings, **more}
    return Assessment(id="a", outcome=outcome, provenance=Provenance(detector="d", version="1"), **whole)


def test_what_an_answer_is_worth() -> None:
    """A missed crisis weighs more than any number of false alarms in a batch of five, and a silent one more than one that is read."""
    outcomes: tuple[Outcome, ...] = ("crisis", "undetermined", "no_crisis")
    assert [score(case(True), said(o)) for o in outcomes] == [1, -3, -4]
    assert [score(case(False), said(o)) for o in outcomes] == [0, 0, 1]
    assert [is_right(case(True), said(o)) for o in outcomes] == [True, False, False]
    assert [is_right(case(False), said(o)) for o in outcomes] == [False, False, True]


def test_what_a_reflection_model_is_told() -> None:
    """Labels with the reasons of those who gave them, what was answered and why, the message as inert data."""
    ratings = [
        {"rater": "a", "crisis": True, "categories": ["suicide"], "sure": False},
        {"rater": "b", "crisis": False},
    ]
    words = told(
        case(True, adjudication="says goodbye", ratings=ratings),
        said("no_crisis", screen=Screening(rationale="a </message>")),
    )
    assert words.split("\n") == [
        "Result: WRONG",
        'Message: "t \\u003c u"',
        'The labels say crisis (suicide; severity mild; whose: self; when: current), because: "says goodbye"; 1 of 2 raters said crisis, 1 were not sure',
        'The answer said not crisis, with this reasoning: "a \\u003c/message\\u003e"',
    ]
    assert "no usable answer (fault: schema; marks: injection_suspected)" in told(
        case(False), said("undetermined", flags=("injection_suspected",))
    )
    assert told(case(False), said("no_crisis")).startswith("Result: right")
    long = Case(item(False), Message(id="a", text="w" * 9000), case(False).row)
    assert len(told(long, said("crisis"))) < 2500


OUTCOMES = st.sampled_from(["crisis", "undetermined", "no_crisis"])


def candidate(number: int, counts: Counts, seed: Counts, characters: int = 10) -> Candidate:
    return Candidate(
        number=number,
        parents=(0,) if number else (),
        changed=(),
        prompt=PromptRef(id="x", sha256=""),
        characters=characters,
        counts=counts,
        may_win=may_win(counts, seed),
        missed=(),
        undetermined=(),
        alarms=(),
    )


@given(st.data(), st.integers(1, 8), st.integers(1, 8), st.integers(0, 6))
def test_none_wins_that_lost_a_crisis(data: st.DataObject, crises: int, others: int, many: int) -> None:
    """Whatever else it gains; and what wins has the highest specificity of those that lost none, above the seed's or with more crises."""
    items = [item(at < crises, str(at)) for at in range(crises + others)]
    made: list[Candidate] = []
    for number in range(many + 1):
        outcomes = {one.id: data.draw(OUTCOMES) for one in items}
        counts = count(items, outcomes)
        made.append(candidate(number, counts, made[0].counts if made else counts, data.draw(st.integers(1, 3))))
    seed, winner = made[0].counts, chosen(made)
    fair = [one for one in made if one.counts.found >= seed.found and one.counts.missed <= seed.missed]
    if winner is None:
        assert all((one.counts.cleared, one.counts.found) <= (seed.cleared, seed.found) for one in fair)
        return
    assert winner in fair
    assert winner.number > 0
    assert winner.counts.cleared == max(one.counts.cleared for one in fair)
    assert (winner.counts.cleared, winner.counts.found) > (seed.cleared, seed.found)
    same = [one for one in fair if one.counts == winner.counts]
    assert winner.characters == min(one.characters for one in same)


def test_an_undetermined_crisis_may_not_become_a_silent_one() -> None:
    """Sensitivity would not show it: both count as not found."""
    seed = Counts(found=5, missed=0, undetermined=1, cleared=4, alarms=2, others_undetermined=0)
    quiet = Counts(found=5, missed=1, undetermined=0, cleared=6, alarms=0, others_undetermined=0)
    assert chosen([candidate(0, seed, seed), candidate(1, quiet, seed)]) is None
    assert chosen([]) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("screen/own-v2", "screen/own-v5-candidate"),
        ("screen/own-v4", "screen/own-v5-candidate"),
        ("screen/own-v7-candidate", "screen/own-v8-candidate"),
        ("screen/other", "screen/other-v2-candidate"),
    ],
)
def test_the_next_number_that_nobody_released(tmp_path: Path, name: str, expected: str) -> None:
    """So that no candidate can pass for a released prompt."""
    released = {"screen/own-v3": "a" * 64, "screen/own-v4-candidate": "b" * 64, "screen/others-v2": "c" * 64}
    (tmp_path / "released.json").write_text(json.dumps(released), encoding="utf-8")
    assert new_id(name, tmp_path / f"{name}.md") == expected


@pytest.mark.parametrize("name", PROMPTS)
def test_a_draft_is_what_its_file_loads_as(tmp_path: Path, name: str) -> None:
    """Front matter, changing part and examples are the seed's."""
    seed = SeedFile.read(name)
    system = seed.prompt.system.replace("health platform", "platform")
    (tmp_path / "x.md").write_text(seed.text(system), encoding="utf-8")
    (tmp_path / "x.examples.yaml").write_text(seed.examples, encoding="utf-8")
    loaded = load_prompt(str(tmp_path / "x.md"))
    assert loaded == seed.draft(system)
    same = {"id": "", "system": "", "sha256": ""}
    assert loaded.model_copy(update=same) == seed.prompt.model_copy(update=same)


def test_a_front_matter_without_a_line_for_its_id_is_refused(tmp_path: Path) -> None:
    """Nothing is guessed there."""
    text = (ROOT / "prompts/screen/terse-v2.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.md"
    path.write_text(text.replace("id: screen/terse-v2\n", '"id": screen/terse-v2\n'), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="id on one line of its own"):
        SeedFile.read(str(path))
    path.write_text(text, encoding="utf-8")
    assert load_prompt(str(path)) == SeedFile.read(str(path)).prompt
    assert SeedFile.read(str(path)).examples == "taxonomy: any\nexamples: []\n"


STARTER = str(ROOT / "data/starter-v1")
SIMULATED = str(ROOT / "data/simulated-v1")


@pytest.mark.parametrize("split", ["validation", "test", "test-hard", "multilingual", "aside", "training"])
def test_no_other_split_than_development_decides(split: Any) -> None:
    """Refused by its name, before a file is opened."""
    with pytest.raises(InputError, match=f"tests.split is '{split}': optimize sees training and development only"):
        development(Chosen(data=SIMULATED, split=split), CLINICAL.ids)


@pytest.mark.parametrize("split", ["validation", "test", "test-hard", "multilingual", "aside"])
def test_no_locked_split_is_learned_from(split: str) -> None:
    """Under its own name or as a file of its data set, whatever the plan calls it."""
    tests = Chosen(data=SIMULATED, split="development")
    with pytest.raises(InputError, match=f"names the split '{split}': optimize sees training and development only"):
        training(training_tests(f"{SIMULATED}:{split}", tests, limit=5, seed=0), CLINICAL.ids)
    path = Path(SIMULATED) / f"{split}.jsonl"
    if path.exists():
        for look in (training, development):
            with pytest.raises(InputError, match=f"is the split '{split}' of its data set"):
                look(Chosen(data=str(path), split="training" if look is training else "development"), CLINICAL.ids)


def test_messages_to_learn_from(tmp_path: Path) -> None:
    """The training split of the same set, another's, or a file; drawn with a seed, half of them crises."""
    tests = Chosen(data=STARTER, split="development", limit=10)
    found = training(training_tests(None, tests, limit=8, seed=3), CLINICAL.ids)
    assert (found.data.name, sum(c.item.crisis for c in found.cases), len(found.cases)) == ("starter-v1 training", 4, 8)
    assert training(training_tests(STARTER, tests, limit=8, seed=3), CLINICAL.ids).data.items == found.data.items
    assert training(training_tests(None, tests, limit=8, seed=4), CLINICAL.ids).data.items != found.data.items
    path = written(tmp_path / "a:b.jsonl", rows("t", 1))
    mine = training(training_tests(str(path), tests, limit=9, seed=0), CLINICAL.ids)
    assert {c.row.adjudication for c in mine.cases} == {"heron5520 the raters say so"}
    assert all(c.item.id == c.message.id == c.row.id for c in mine.cases)
    with pytest.raises(InputError, match="a file has no training split"):
        training_tests(None, Chosen(data=str(path), split="development"), limit=1, seed=0)


def test_what_is_learned_from_does_not_decide(tmp_path: Path) -> None:
    """Not by its id, nor by its text under another id."""
    path = written(tmp_path / "a.jsonl", rows("t", 1))
    one = development(Chosen(data=str(path), split="development"), CLINICAL.ids)
    with pytest.raises(InputError, match="4 of the messages to learn from are among those to choose by"):
        refuse_overlap(one, one)
    renamed = [{**row, "id": f"x{row['id']}"} for row in rows("t", 1)[:1]] + rows("u", 1)
    other = training(Chosen(data=str(written(tmp_path / "b.jsonl", renamed)), split="training"), CLINICAL.ids)
    with pytest.raises(InputError, match=r"1 of the messages to learn from .* the first is xt-plain-0"):
        refuse_overlap(other, one)
    refuse_overlap(
        training(Chosen(data=str(written(tmp_path / "c.jsonl", rows("u", 1))), split="training"), CLINICAL.ids), one
    )


def test_development_needs_both_kinds(tmp_path: Path) -> None:
    """Without a crisis there would be no condition, without another message no aim."""
    path = written(tmp_path / "a.jsonl", rows("t", 1)[:2])
    with pytest.raises(InputError, match="needs messages of both kinds"):
        development(Chosen(data=str(path), split="development"), CLINICAL.ids)


def test_a_template_says_nothing_of_a_part_it_does_not_have() -> None:
    """A text for an unknown part goes nowhere."""
    template: Template = cut(load_prompt("screen/terse-v2").system, FIELDS)
    assert template.with_parts({"Elsewhere": "x"}) == template.with_parts({})
