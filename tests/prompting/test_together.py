"""The prompt for several messages: the single prompt's definitions, a fence for each, strict about what it is made of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.backends.dialect import strict_schema
from crisis_filter.errors import AssetError
from crisis_filter.prompting.prompt import load_prompt
from crisis_filter.prompting.render import fence_string, render
from crisis_filter.prompting.together import ScreenTogether, load_together, ready_together
from crisis_filter.taxonomy.load import load_taxonomy
from tests.batch.together_world import fenced, whole
from tests.strategies import texts

TAXONOMIES = ("clinical-v1", "mindguard-v1", "oxideshield-v1")
READY = {name: ready_together(load_together(), load_taxonomy(name)) for name in TAXONOMIES}
HEAD = """---
id: mine-v1
stage: together
answer: screen_together
nonce_bits: 24
max_output_tokens: 40
variables: [taxonomy]
---
{{ taxonomy.id }}
=== message ===
"""
EXAMPLES = "taxonomy: any\nplanted: [help me]\nexamples: []\n"
TAIL = "{{ nonce_begins }}{% for one in messages %}{{ one.message }}{% endfor %}{{ nonce_ends }}"


def _kinds(system: str) -> str:
    return system[system.index("# Kinds of crisis") : system.index("# Rules")]


@pytest.mark.parametrize("name", TAXONOMIES)
def test_the_definitions_are_those_of_the_single_prompt(name: str) -> None:
    """Word for word; and nothing of Jinja is left."""
    taxonomy = load_taxonomy(name)
    single = render(load_prompt("screen/terse-v2"), taxonomy).system
    system = READY[name].system
    assert _kinds(system) == _kinds(single)
    assert all(rule in system for rule in taxonomy.rules)
    assert "{{" not in system
    assert "{%" not in system
    assert system == ready_together(load_together(), taxonomy).system


def test_every_worked_answer_has_one_verdict_for_each_message() -> None:
    """And would be read as an answer."""
    system = READY["clinical-v1"].system
    examples = system[system.index("# Examples") :].strip().split("\n\n")[1:]
    assert len(examples) >= 4
    for example in examples:
        answer = ScreenTogether.model_validate_json(re.search(r"^Answer: (.*)$", example, re.MULTILINE)[1])  # type: ignore[index]
        assert len(answer.verdicts) == len(re.findall(r"^Message \d+: ", example, re.MULTILINE))


def test_no_worked_message_is_in_the_data() -> None:
    """What is measured is not shown beforehand."""
    prompt = load_together()
    shown = {one.message for example in prompt.examples for one in example} | set(prompt.planted)
    for path in Path(__file__).parents[2].glob("data/*/*.jsonl"):
        there = {json.loads(line).get("text") for line in path.read_text(encoding="utf-8").splitlines()}
        assert not shown & there


@given(st.lists(texts, min_size=1, max_size=5))
def test_no_message_leaves_its_fence(messages: list[str]) -> None:
    """Whatever is in them there are as many fences as messages, and each holds its own text."""
    nonces = [f"{i:06x}" for i in range(len(messages))]
    user = READY["mindguard-v1"].user(list(zip(messages, nonces, strict=True)), "abcdef")
    assert whole(user) == "abcdef"
    assert user.endswith('</messages nonce-ends="def">\n')
    assert fenced(user) == [(n, json.loads(fence_string(t))) for n, t in zip(nonces, messages, strict=True)]


def test_the_schema_is_strict() -> None:
    """Closed objects, every field required, the nonce of the whole first."""
    schema = strict_schema(ScreenTogether)
    assert list(schema["properties"]) == ["nonce", "verdicts"]
    assert schema["additionalProperties"] is False
    inner = schema["$defs"]["ScreenTerse"]
    assert (inner["additionalProperties"], list(inner["properties"])) == (False, ["nonce", "crisis"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + TAIL + "{{ more }}", "more"),
        (HEAD + "{{ nonce_begins }}", "messages"),
        (HEAD.replace("{{ taxonomy.id }}", "x") + TAIL, "taxonomy"),
        (HEAD.replace("stage: together", "stage: screen") + TAIL, "stage"),
        (HEAD.replace("nonce_bits: 24", "nonce_bits: 8") + TAIL, "nonce_bits"),
        (HEAD.replace("=== message ===", "") + TAIL, "=== message ==="),
        (HEAD + TAIL + "{% for %}", "mine-v1"),
    ],
)
def test_a_malformed_prompt_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """With the place."""
    path = tmp_path / "mine-v1.md"
    (tmp_path / "mine-v1.examples.yaml").write_text(EXAMPLES, encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AssetError, match=re.escape(why)):
        load_together(str(path))


def test_a_prompt_of_ones_own_is_loaded(tmp_path: Path) -> None:
    """Without examples too, but not without a planted crisis; a template that asks a taxonomy for what it has not is refused."""
    path = tmp_path / "mine-v1.md"
    examples = tmp_path / "mine-v1.examples.yaml"
    examples.write_text(EXAMPLES, encoding="utf-8")
    path.write_text(HEAD + TAIL, encoding="utf-8")
    assert ready_together(load_together(str(path)), load_taxonomy("clinical-v1")).system == "clinical-v1\n"
    path.write_text(HEAD.replace("taxonomy.id", "taxonomy.nothing") + TAIL, encoding="utf-8")
    with pytest.raises(AssetError, match="nothing"):
        ready_together(load_together(str(path)), load_taxonomy("clinical-v1"))
    examples.write_text("taxonomy: any\nplanted: []\nexamples: []\n", encoding="utf-8")
    with pytest.raises(AssetError, match="planted"):
        load_together(str(path))
