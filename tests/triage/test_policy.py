"""Policy packs: what a rule may say, and that nobody is routed to no one."""

from __future__ import annotations

from pathlib import Path

import pytest

from crisis_filter.assets import find
from crisis_filter.errors import AssetError
from crisis_filter.schema import Fault
from crisis_filter.taxonomy.load import load_taxonomy
from crisis_filter.triage.policy import load_policy

DEFAULT = find("policies", "default", ".toml").read_text(encoding="utf-8")


@pytest.fixture
def pack(tmp_path: Path):
    def write(old: str = "", new: str = "") -> str:
        assert old in DEFAULT
        path = tmp_path / "mine.toml"
        path.write_text(DEFAULT.replace(old, new), encoding="utf-8")
        return str(path)

    return write


def test_the_default_pack_fits_its_taxonomy():
    """The released policy loads and names only categories that exist."""
    policy = load_policy("default")
    policy.for_taxonomy(load_taxonomy(policy.stages.taxonomy))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('staffed_by = "clinical team"\n', "", "nobody reads"),
        ('staffed_by = "triage reader"\n', "", "nobody reads"),
        ('staffed_by = "clinical team"', 'staffed_by = "  "', "staffed_by"),
        ('queue = "act-now"', 'queue = "act-later"', "does not exist"),
        (
            'id = "crisis"\noutcome = "crisis"',
            'id = "crisis"\noutcome = "crisis"\nscore_at_least = 0.1',
            "no rule takes every crisis",
        ),
        (
            'id = "undetermined"\noutcome = "undetermined"',
            'id = "undetermined"\noutcome = "undetermined"\nfaults = ["timeout"]',
            "no rule takes every undetermined",
        ),
        (
            'id = "not-crisis"\noutcome = "no_crisis"',
            'id = "not-crisis"\noutcome = "no_crisis"\nscore_at_least = 0.1',
            "no rule takes every no_crisis",
        ),
        ('id = "severe"\n', 'id = "imminent"\n', "ids repeat"),
        ("chunk_overlap = 800", "chunk_overlap = 8000", "chunk_overlap"),
        ('urgency = "soon"', 'urgency = "someday"', "urgency"),
        ("version = 1", "version = 1\nsurprise = true", "surprise"),
        ("version = 1", "version = ", "not valid TOML"),
    ],
)
def test_a_policy_with_a_hole_is_refused_when_loaded(pack, old, new, says):
    """The message names the rule or field; no crisis and no undetermined message can go to no person."""
    with pytest.raises(AssetError, match=says):
        load_policy(pack(old, new))


def test_empty_content_alone_may_be_set_aside(pack):
    """A rule for empty content and nothing else may name a queue nobody reads."""
    policy = load_policy(
        pack('faults = ["empty_content"]\nqueue = "review"', 'faults = ["empty_content"]\nqueue = "none"')
    )
    assert any(rule.queue == "none" and rule.faults == {Fault.EMPTY_CONTENT} for rule in policy.rules)


def test_empty_content_together_with_another_fault_may_not(pack):
    """The exception does not stretch."""
    with pytest.raises(AssetError, match="nobody reads"):
        load_policy(
            pack(
                'faults = ["empty_content"]\nqueue = "review"', 'faults = ["empty_content", "timeout"]\nqueue = "none"'
            )
        )


def test_a_rule_on_a_category_that_does_not_exist_is_refused(pack):
    """A misspelt category would never match, silently."""
    policy = load_policy(pack('categories = ["abuse", "neglect"]', 'categories = ["abuze", "neglect"]'))
    with pytest.raises(AssetError, match="abuze"):
        policy.for_taxonomy(load_taxonomy("clinical-v1"))


def test_another_taxonomy_keeps_the_rules_that_can_match():
    """Rules on categories that it lacks are left out; every outcome still has its rule."""
    policy = load_policy("default").for_taxonomy(load_taxonomy("mindguard-v1"), own=False)
    assert "safeguarding-other" not in {rule.id for rule in policy.rules}
    assert {"imminent", "crisis", "undetermined", "not-crisis"} <= {rule.id for rule in policy.rules}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("prompted_screen = 0.5", "prompted_screen = 0.51"),
        ("chunk_overlap = 800", "chunk_overlap = 0"),
        ("chunk_characters = 8_000", "chunk_characters = 1_000_000"),
    ],
)
def test_a_limit_that_would_switch_protection_off_is_refused(tmp_path, old, new):
    """A model that thinks a crisis likelier than not, a sentence cut in two, a piece too long to be read well."""
    text = find("policies", "default-v3", ".toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(AssetError, match=new.split(" = ")[0]):
        load_policy(str(path))


V4 = find("policies", "default-v4", ".toml").read_text(encoding="utf-8")


@pytest.fixture
def v4(tmp_path: Path):
    def write(old: str = "", new: str = "", *, times: int = 1) -> str:
        assert old in V4
        path = tmp_path / "mine.toml"
        path.write_text(V4.replace(old, new, times), encoding="utf-8")
        return str(path)

    return write


UNDETERMINED = 'id = "undetermined"\noutcome = "undetermined"'
NOT_CRISIS = 'id = "not-crisis"\noutcome = "no_crisis"'


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            UNDETERMINED,
            f'{UNDETERMINED}\nfaults = ["timeout"]',
            "nothing covers 'undetermined, fault truncated, the service whole' .and .* more cases",
        ),
        (UNDETERMINED, f"{UNDETERMINED}\ndegraded = true", "fault truncated, the service whole"),
        (
            UNDETERMINED,
            f'{UNDETERMINED}\nhours = "09:00-17:00"',
            "fault truncated, the service whole, Monday 00:00'",
        ),
        (UNDETERMINED, f'{UNDETERMINED}\nweekdays = ["mon", "tue"]', "the service whole, Wednesday 00:00'"),
        (UNDETERMINED, f'{UNDETERMINED}\nsources = ["app"]', "fault truncated"),
        (UNDETERMINED, f'{UNDETERMINED}\nlocales = ["US"]', "a locale that no rule names"),
        (UNDETERMINED, f"{UNDETERMINED}\nscore_at_least = 0.0", "fault truncated"),
        (
            'id = "crisis"\noutcome = "crisis"',
            'id = "crisis"\noutcome = "crisis"\nsubjects = ["self"]',
            "'crisis, a category that no rule names, severity mild, subject self'|subject other",
        ),
        (NOT_CRISIS, f'{NOT_CRISIS}\nflags = ["chunked"]', "nothing covers 'no_crisis';"),
        (
            'queue = "none"\nurgency = "routine"',
            'queue = "none"\nurgency = "routine"\nhours = "08:00-08:30"',
            "no_crisis, Monday 00:00",
        ),
    ],
)
def test_the_case_that_no_rule_covers_is_named(v4, old, new, says):
    """Not only that there is a hole, but where."""
    with pytest.raises(AssetError, match=says):
        load_policy(v4(old, new))


def test_a_pack_without_any_rule_for_undetermined_is_refused(v4):
    """Every fault is a case, and the first is named."""
    start, end = V4.index("# Undetermined"), V4.index('[[rules]]\nid = "not-crisis"')
    with pytest.raises(AssetError, match=r"'undetermined, fault refusal_field' \(and 27 more cases\)"):
        load_policy(v4(V4[start:end], ""))


def test_rules_that_cover_all_between_them_still_need_one_for_everything(v4):
    """What cannot be looked at goes by it."""
    two = f'{UNDETERMINED}\ndegraded = true\nqueue = "review"\nurgency = "soon"\nwithin = "24h"\n\n[[rules]]\nid = "whole"\noutcome = "undetermined"\ndegraded = false'
    with pytest.raises(AssetError, match="whatever else is known of it"):
        load_policy(v4(UNDETERMINED, two))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('staffed_by = "clinical lead"', "", "escalates to 'lead', which nobody reads"),
        ('escalate_to = "lead"', 'escalate_to = "leader"', "escalates to 'leader', which does not exist"),
        ('escalate_to = "lead"', 'escalate_to = "act-now"', "circle: act-now > act-now"),
        ('escalate_to = "lead"', 'escalate_to = "clinical"', "circle: (act-now|clinical) > (act-now|clinical) > "),
        ('escalate_after = "5m"\n', "", "go together"),
        ('escalate_to = "lead"\n', "", "go together"),
        ('escalate_after = "5m"', 'escalate_after = "16m"', "only after its time limit"),
        ('escalate_after = "5m"', 'escalate_after = "0m"', "escalate_after"),
        ('within = "15m"', 'within = "16m"', "'imminent-others': within 16m is longer than 'emergency' allows"),
        ('within = "2h"', 'within = "5h"', "longer than 'urgent' allows"),
        ('within = "24h"', 'within = "25h"', "longer than 'soon' allows"),
        ('within = "3d"', 'within = "8d"', "longer than 'routine' allows"),
        ('within = "15m"', 'within = "15"', "within"),
        ('within = "15m"', "within = 15", "within"),
        ('within = "15m"\n', "", "'imminent-others' sends to people and says not within which time"),
        (
            'protocol = "outage"',
            'protocol = "outrage"',
            "'outage': protocols-v1 has no protocol 'outrage'; there are: duty",
        ),
        ('protocols = "protocols-v1"', "", "names no protocols"),
        ('protocols = "protocols-v1"', 'protocols = "protocols-v0"', "there is no 'protocols-v0'"),
        ('timezone = "UTC"', 'timezone = "Middle/Earth"', "no time zone 'Middle/Earth'"),
        ('hours = "20:00-08:00"', 'hours = "8pm-8am"', "hours"),
        ('hours = "20:00-08:00"', 'hours = "20:00-08:00"\nweekdays = ["friday"]', "weekdays"),
        ('hours = "20:00-08:00"', 'locales = ["Germany"]', "locales"),
        ('hours = "20:00-08:00"', 'sources = [""]', "sources"),
        ("degraded = true", 'degraded = "perhaps"', "degraded"),
        ("format = 2", "format = 3", "format"),
        ("format = 2", "", "within needs format = 2"),
        (
            'queue = "none"\nurgency = "routine"',
            'queue = "none"\nurgency = "routine"\nescalate_to = "lead"\nescalate_after = "1h"',
            "nobody is waited for",
        ),
        (
            'queue = "review"\nurgency = "routine"\nwithin = "3d"\nprotocol = "read-it-yourself"\nescalate_to = "clinical"\nescalate_after = "2d"',
            'hours = "08:00-10:00"\nqueue = "none"\nurgency = "routine"',
            "nobody reads",
        ),
    ],
)
def test_a_rule_that_leads_nowhere_or_too_late_is_refused(v4, old, new, says):
    """With the rule's name."""
    with pytest.raises(AssetError, match=says):
        load_policy(v4(old, new))


def test_a_longer_circle_of_escalation_is_refused(v4):
    """Over two queues as over one."""
    new = 'protocol = "duty-to-protect"\nescalate_to = "review"'
    with pytest.raises(AssetError, match="goes in a circle"):
        load_policy(v4('protocol = "duty-to-protect"\nescalate_to = "act-now"', new))


@pytest.mark.parametrize(
    "extra", ["degraded = true", 'locales = ["US"]', 'protocol = "outage"', 'within = "5m"', 'weekdays = ["mon"]']
)
def test_a_pack_of_the_old_format_takes_no_new_fields(pack, extra):
    """It says how to get them."""
    with pytest.raises(AssetError, match=f"{extra.split(' ')[0]} needs format = 2"):
        load_policy(pack('severity_at_least = "imminent"', f'severity_at_least = "imminent"\n{extra}'))


def test_the_examples_in_the_pack_can_be_used(tmp_path):
    """Its commented rules load when the marks are taken away."""
    start = V4.index("# Rules may also look at where")
    example = "\n".join(line[2:] for line in V4[start:].splitlines()[2:] if line.startswith("# "))
    path = tmp_path / "mine.toml"
    path.write_text(V4[:start] + example.replace("# [[rules]]", "[[rules]]"), encoding="utf-8")
    rules = {rule.id: rule for rule in load_policy(str(path)).rules}
    assert rules["emergency-form"].sources == {"emergency-form"}
    assert rules["uk-team"].weekdays == {"sat", "sun"}
