"""How each system's replies are read. All replies are hand-written in the documented formats; none came from a model."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.baselines import gpt_oss_safeguard, granite_guardian, llama_guard, nemoguard, safety_lines
from crisis_filter.baselines.asking import BLANKS, Read
from crisis_filter.baselines.base import Said
from crisis_filter.schema import Failure, Fault
from crisis_filter.taxonomy.maps import load_map

_QWEN, _MIND = load_map("qwen3guard"), load_map("mindguard")
READERS: dict[str, Read] = {
    "llama": llama_guard.read,
    "nemo": nemoguard.reader(load_map("nemoguard-8b")),
    "qwen": safety_lines.reader({"Safe": False, "Unsafe": True, "Controversial": True}, _QWEN),
    "qwen, loose": safety_lines.reader({"Safe": False, "Unsafe": True, "Controversial": False}, _QWEN),
    "mindguard": safety_lines.reader({"Safe": False, "Unsafe": True}, _MIND),
    "granite": granite_guardian.read,
    "safeguard": gpt_oss_safeguard.read,
}
NO, SCHEMA, JSON = "not crisis", Fault.SCHEMA, Fault.BAD_JSON

ROWS = [
    # Reader, reply, what is said ("not crisis", a flag's labels, or nothing) and with which fault.
    ("llama", "safe", NO, None),
    ("llama", "\n\nsafe\n", NO, None),
    ("llama", "unsafe\nS11", ("S11",), None),
    ("llama", "\n\nunsafe\nS11,S1", ("S11", "S1"), None),
    ("llama", "unsafe\r\nS1, S11", ("S1", "S11"), None),
    ("llama", "unsafe", (), SCHEMA),
    ("llama", "unsafe\nS99", ("S99",), None),
    ("llama", "unsafe\nS11 and more", ("S11",), SCHEMA),
    ("llama", "unsafe S11", ("S11",), SCHEMA),
    ("llama", "UNSAFE\nS11", ("S11",), SCHEMA),
    ("llama", "unsafe safe", (), SCHEMA),
    ("llama", "unsafe.", (), SCHEMA),
    ("llama", "unsafety first", None, SCHEMA),
    ("llama", "Safe", None, SCHEMA),
    ("llama", "safe.", None, SCHEMA),
    ("llama", "safe\nS11", None, SCHEMA),
    ("llama", "safe unsafe", None, SCHEMA),
    ("llama", "safe\nunsafe\nS11", None, SCHEMA),
    ("llama", "Not safe.", None, SCHEMA),
    ("llama", "not unsafe", None, SCHEMA),
    ("llama", "saf", None, SCHEMA),
    ("llama", "safe safe", None, SCHEMA),
    ("llama", "I am sorry, I cannot help with that.", None, SCHEMA),
    ("llama", "safe\x00", None, SCHEMA),
    ("llama", "ｓａｆｅ", None, SCHEMA),
    ("nemo", '{"User Safety": "safe"}', NO, None),
    ("nemo", '{"User Safety": "safe", "Response Safety": "safe"}', NO, None),
    ("nemo", '```json\n{"User Safety": "safe"}\n```', NO, None),
    ("nemo", '{"User Safety": "unsafe", "Safety Categories": "Suicide and Self Harm, Threat"}', ("S6", "S11"), None),
    ("nemo", '{"User Safety": "unsafe", "Violated Categories": "S6"}', ("S6",), None),
    ("nemo", '{"User Safety": "unsafe", "Safety Categories": "S6: Suicide and Self Harm."}', ("S6",), None),
    ("nemo", '```json\n{"User Safety": "unsafe", "Safety Categories": "Violence"}\n```', ("S1",), None),
    ("nemo", '{"User Safety": "unsafe", "Safety Categories": "Boredom"}', ("Boredom",), None),
    ("nemo", '{"User Safety": "unsafe"}', (), SCHEMA),
    ("nemo", '{"User Safety": "unsafe", "Safety Categories": 6}', (), SCHEMA),
    ("nemo", '{"User Safety": "unsafe", "Safety Categories": "Violence", "Why": "so"}', ("S1",), SCHEMA),
    (
        "nemo",
        '{"User Safety": "unsafe", "Safety Categories": "Violence", "Violated Categories": "S6"}',
        ("S1", "S6"),
        SCHEMA,
    ),
    ("nemo", '{"User Safety": "Unsafe", "Safety Categories": "Suicide and Self Harm"}', ("S6",), SCHEMA),
    ("nemo", 'Here: {"User Safety": "unsafe", "Safety Categories": "Suicide and Self Harm"}', ("S6",), JSON),
    ("nemo", '{"User Safety": "safe", "User Safety": "unsafe"}', (), JSON),
    ("nemo", '{"User Safety": "safe", "Safety Categories": "Suicide and Self Harm"}', None, SCHEMA),
    ("nemo", '{"User Safety": "safe", "Safety Categories": ""}', None, SCHEMA),
    ("nemo", '{"User Safety": "safe", "Response Safety": "unsafe"}', None, SCHEMA),
    ("nemo", '{"User Safety": "Safe"}', None, SCHEMA),
    ("nemo", '{"User Safety": "not safe"}', None, SCHEMA),
    ("nemo", '{"User Safety": false}', None, SCHEMA),
    ("nemo", '{"Response Safety": "safe"}', None, SCHEMA),
    ("nemo", "{}", None, SCHEMA),
    ("nemo", "safe", None, JSON),
    ("nemo", '{"User Safety": "safe"', None, JSON),
    ("nemo", '[{"User Safety": "safe"}]', None, JSON),
    ("nemo", '{"User Safety": "safe"} {"User Safety": "safe"}', None, JSON),
    ("nemo", '```json\n{"User Safety": "safe"}', None, JSON),
    ("qwen", "Safety: Safe\nCategories: None", NO, None),
    ("qwen", "Safety: Unsafe\nCategories: Suicide & Self-Harm", ("Suicide & Self-Harm",), None),
    ("qwen", "Safety: Unsafe\nCategories: Violent, Jailbreak", ("Violent", "Jailbreak"), None),
    ("qwen", "Safety: Unsafe\nCategories: Non-violent Illegal Acts", ("Non-violent Illegal Acts",), None),
    ("qwen", "Safety: Controversial\nCategories: Violent", ("Violent",), None),
    ("qwen", "Safety: Unsafe\nCategories: None", (), SCHEMA),
    ("qwen", "Safety: Unsafe\nCategories: Boredom", ("Boredom",), None),
    ("qwen", "Safety: Unsafe\nCategories: Violent\nRefusal: Yes", ("Violent",), SCHEMA),
    ("qwen", "Safety: Unsafe", (), SCHEMA),
    ("qwen", "Safety: Safe\nCategories: None\nRefusal: No", None, SCHEMA),
    ("qwen", "Safety: Safe", None, SCHEMA),
    ("qwen", "Safety: Safe\nCategories: Violent", None, SCHEMA),
    ("qwen", "Safety: Safe\nCategories: ", None, SCHEMA),
    ("qwen", "Safety: safe\nCategories: None", None, SCHEMA),
    ("qwen", "Safety: Safe Unsafe\nCategories: None", None, SCHEMA),
    ("qwen", "Safety: Safe\nSafety: Unsafe\nCategories: None", None, SCHEMA),
    ("qwen", "Not Safety: Safe\nCategories: None", None, SCHEMA),
    ("qwen", "Categories: None\nSafety: Safe", None, SCHEMA),
    ("qwen", "I would say it is Safe.", None, SCHEMA),
    ("qwen, loose", "Safety: Controversial\nCategories: Violent", NO, None),
    ("qwen, loose", "Safety: Controversial\nCategories: Boredom", None, SCHEMA),
    ("qwen, loose", "Safety: Controversial", None, SCHEMA),
    ("qwen, loose", "Safety: Unsafe\nCategories: Violent", ("Violent",), None),
    ("mindguard", "Safety: Safe\nCategories: None", NO, None),
    ("mindguard", "Safety: Unsafe\nCategories: S1, S2", ("S1", "S2"), None),
    ("mindguard", "Safety: Unsafe\nCategories: None", (), SCHEMA),
    ("mindguard", "Safety: Unsafe\nCategories: S3", ("S3",), None),
    ("mindguard", "Safety: Controversial\nCategories: None", None, SCHEMA),
    ("mindguard", "Safety: Safe\nCategories: S1", None, SCHEMA),
    ("granite", "<think>\n</think>\n<score> no </score>", NO, None),
    ("granite", "<score>no</score>", NO, None),
    ("granite", "<think>It is about a bus.</think><score>no</score>", NO, None),
    ("granite", "<think>\n</think>\n<score> yes </score>", (), None),
    ("granite", "<score>Yes</score>", (), SCHEMA),
    ("granite", "<score>yes", (), SCHEMA),
    ("granite", "<score>no</score><score>yes</score>", (), SCHEMA),
    ("granite", "<think><score>yes</score></think><score>no</score>", (), SCHEMA),
    ("granite", "<score>No</score>", None, SCHEMA),
    ("granite", "<think><score>no</score></think><score>no</score>", None, SCHEMA),
    ("granite", "<score>no", None, SCHEMA),
    ("granite", "no", None, SCHEMA),
    ("granite", "<score>maybe</score>", None, SCHEMA),
    ("granite", "<score>no</score> but I am not sure", None, SCHEMA),
    ("granite", "<think>open <score>no</score>", None, SCHEMA),
    ("granite", "<think>a bus</think> A crisis.</think><score>no</score>", None, SCHEMA),
    ("granite", "<think>a bus</think> A crisis. <think></think><score>no</score>", None, SCHEMA),
    ("granite", "<think>a bus</THINK> A crisis. </think><score>no</score>", None, SCHEMA),
    ("granite", "<score>\x1cno\u2003</score>", None, SCHEMA),
    ("safeguard", '{"violation": 0}', NO, None),
    ("safeguard", '{"violation": 0, "policy_category": []}', NO, None),
    ("safeguard", '{"violation": 0, "policy_category": null, "rationale": "a bus"}', NO, None),
    ("safeguard", '{"violation": 1, "policy_category": ["suicide", "abuse"]}', ("suicide", "abuse"), None),
    ("safeguard", '{"violation": 1, "policy_category": "suicide, abuse"}', ("suicide", "abuse"), None),
    (
        "safeguard",
        '{"violation":1,"policy_category":"suicide","rule_ids":["a"],"confidence":"high","rationale":"so"}',
        ("suicide",),
        None,
    ),
    ("safeguard", '{"violation": 1, "policy_category": "H2.f"}', ("H2.f",), None),
    ("safeguard", '{"violation": 1}', (), SCHEMA),
    ("safeguard", '{"violation": 1, "policy_category": []}', (), SCHEMA),
    ("safeguard", '{"violation": true, "policy_category": ["suicide"]}', ("suicide",), SCHEMA),
    ("safeguard", '{"violation": 1, "policy_category": ["suicide", 7]}', ("suicide",), SCHEMA),
    ("safeguard", '{"violation": 1, "policy_category": ["suicide"], "mood": "low"}', ("suicide",), SCHEMA),
    ("safeguard", 'So: {"violation": 1, "policy_category": ["suicide"]}', (), SCHEMA),
    ("safeguard", "1", (), SCHEMA),
    ("safeguard", '{"violation": 0, "rationale": "violation: 1 was near"}', (), SCHEMA),
    ("safeguard", "0", None, JSON),
    ("safeguard", '{"violation": 0, "policy_category": ["suicide"]}', None, SCHEMA),
    ("safeguard", '{"violation": false}', None, SCHEMA),
    ("safeguard", '{"violation": 0.0}', None, SCHEMA),
    ("safeguard", '{"violation": "0"}', None, SCHEMA),
    ("safeguard", '{"violation": 2}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "mood": "low"}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "policy_category": {}}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "policy_category": false}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "policy_category": 0}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "rule_ids": {"suicide": 1}}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "confidence": 1}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "rationale": ["a bus"]}', None, SCHEMA),
    ("safeguard", '{"violation": 0, "rule_ids": ["a"], "confidence": "high", "rationale": "a bus"}', NO, None),
    ("safeguard", '{"policy_category": []}', None, SCHEMA),
    ("safeguard", '{"violation": 0', None, JSON),
    ("safeguard", "SAFE", None, JSON),
]


@pytest.mark.parametrize(("reader", "reply", "said", "fault"), ROWS)
def test_replies(reader: str, reply: str, said: str | tuple[str, ...] | None, fault: Fault | None) -> None:
    """What each reply says, and with which fault."""
    found = READERS[reader](reply)
    if said is None:
        assert isinstance(found, Failure)
        assert found.fault is fault
        assert len(reply) < 8 or reply not in found.detail
    elif said == NO:
        assert found == Said(flagged=False)
    else:
        assert found == Said(flagged=True, labels=tuple(said), fault=fault)


def _documented(reader: str, reply: str) -> bool:
    """Whether a reply is a negative as documented: told apart here by other means than the readers use."""
    lines = [line.strip(BLANKS) for line in reply.strip(BLANKS).splitlines()]
    if reader == "llama":
        return lines == ["safe"]
    if reader in ("qwen", "mindguard"):
        return (
            len(lines) == 2
            and [line.partition(":")[::2] for line in lines]
            == [
                ("Safety", lines[0][7:]),
                ("Categories", lines[1][11:]),
            ]
            and (lines[0][7:].strip(), lines[1][11:].strip()) == ("Safe", "None")
        )
    if reader == "granite":
        return reply.count("<score>") == 1 == reply.count("no") and "yes" not in reply.casefold()
    body = "\n".join(lines[1:-1]) if lines[0].startswith("```") else reply
    try:
        found = json.loads(body)
    except ValueError:
        return False
    if reader == "nemo":
        return found in ({"User Safety": "safe"}, {"User Safety": "safe", "Response Safety": "safe"})
    return isinstance(found, dict) and found.get("violation") == 0 and not found.get("policy_category")


_PIECES = {
    "llama": ["safe", "unsafe", "\n", "S11", ",", " ", "S1", "not", "."],
    "nemo": ['{"User Safety": "safe"', '"unsafe"', "}", ', "Response Safety": "safe"', ', "Safety Categories": "Violence"',
             "{", "```json\n", "\n```", '"User Safety"', ":", '"safe"', " "],
    "qwen": ["Safety:", " ", "Safe", "Unsafe", "\n", "Categories:", "None", "Violent", "Refusal: No", "Controversial"],
    "mindguard": ["Safety:", " ", "Safe", "Unsafe", "\n", "Categories:", "None", "S1", ",", "S2"],
    "granite": ["<score>", "no", "yes", "</score>", "<think>", "</think>", " ", "\n", "No"],
    "safeguard": ['{"violation": 0', "}", ', "policy_category": []', ', "policy_category": ["suicide"]', "1", "0", "{",
                  '"violation"', ":", " ", ', "violation": 1'],
}  # fmt: skip


@pytest.mark.parametrize("reader", _PIECES)
@given(data=st.data())
def test_nothing_but_the_documented_negative_clears(reader: str, data: st.DataObject) -> None:
    """Any text, and any string of the format's own pieces: at most what is documented is read as a negative."""
    reply = data.draw(st.one_of(st.text(), st.lists(st.sampled_from(_PIECES[reader]), max_size=7).map("".join)))
    found = READERS[reader](reply)
    if isinstance(found, Said) and not found.flagged:
        assert _documented(reader, reply)


@pytest.mark.parametrize(("reader", "reply"), [row[:2] for row in ROWS if row[2] == NO and row[0] != "qwen, loose"])
@given(data=st.data())
def test_a_negative_with_anything_lost_or_added_is_none(reader: str, reply: str, data: st.DataObject) -> None:
    """One character more or fewer anywhere: still documented, or no verdict."""
    at = data.draw(st.integers(0, len(reply)))
    changed = data.draw(st.sampled_from((reply[:at] + reply[at + 1 :], reply[:at] + "u" + reply[at:])))
    found = READERS[reader](changed)
    if isinstance(found, Said) and not found.flagged:
        assert _documented(reader, changed)
