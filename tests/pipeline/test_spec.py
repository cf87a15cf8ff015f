"""Opening a filter from its frozen description."""

from __future__ import annotations

import json
import pickle

import pytest

from crisis_filter.assets import find
from crisis_filter.errors import AssetError, ConfigurationError
from crisis_filter.pipeline.spec import FilterSpec, open_filter
from crisis_filter.schema import Fault, Message


def test_the_default_is_the_embedded_engine_as_sole_detector():
    """It may clear because the operator named it, and every assessment says so."""
    with open_filter(FilterSpec()) as crisis_filter:
        a = crisis_filter.classify("can i move my appointment to thursday please")
    assert a.provenance.detector == "local:standard-v1"
    assert a.provenance.attempts == 0
    assert "sole_detector" in a.flags
    assert a.provenance.prompts == ()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backend": "nonsense"}, "known are"),
        ({"backend": "openai:"}, "incomplete"),
        ({"backend": "openai:m"}, "OPENAI_API_KEY"),
        ({"policy": "absent"}, "default"),
        ({"taxonomy": "absent"}, "clinical-v1"),
        ({"taxonomy": "mindguard-v1"}, "trained for other categories"),
        ({"engine": "absent"}, "absent"),
        ({"backend": "openai:m", "api_key": "k", "screen_prompt": "categorise/reasoned-v1"}, "for the stage"),
        ({"backend": "scripted:/absent.jsonl"}, "absent.jsonl"),
    ],
)
def test_a_wrong_setting_says_what_and_what_there_is(fields, says):
    """Configuration errors come when the filter is opened, before a message is read."""
    with pytest.raises((ConfigurationError, AssetError), match=says):
        open_filter(FilterSpec(**fields))


def test_an_unreachable_server_leaves_everything_undetermined():
    """Every message comes back, with the fault and the number of requests that were sent."""
    spec = FilterSpec(backend="openai:m", base_url="http://127.0.0.1:9/v1", deadline_s=5, attempts=2)
    with open_filter(spec) as crisis_filter:
        done = crisis_filter.classify_many([Message(id=str(i), text="hello") for i in range(3)])
    assert [(a.outcome, a.fault) for a in done] == [("undetermined", Fault.BROKEN_REPLY)] * 3
    # The third finds the door shut after five failures in a row.
    assert all(1 <= a.provenance.attempts <= 2 for a in done)
    assert all(a.degraded for a in done)


def test_a_policy_by_path_names_its_own_taxonomy(tmp_path):
    """A misspelt category is an error for a policy of one's own too."""
    from crisis_filter.assets import find

    text = find("policies", "default", ".toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(
        text.replace('categories = ["suicide", "violence"]', 'categories = ["sucide", "violence"]'), encoding="utf-8"
    )
    with pytest.raises(AssetError, match="sucide"):
        open_filter(FilterSpec(policy=str(path)))
    own = find("categories", "clinical-v1")
    path.write_text(path.read_text().replace('taxonomy = "clinical-v1"', f'taxonomy = "{own}"'), encoding="utf-8")
    with pytest.raises(AssetError, match="sucide"):
        open_filter(FilterSpec(policy=str(path)))


def test_a_script_runs_through_the_whole_filter(tmp_path):
    """`scripted:FILE` is a backend like any other."""
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"error": "timeout"}), encoding="utf-8")
    with open_filter(FilterSpec(backend=f"scripted:{script}")) as crisis_filter:
        assert crisis_filter.classify("x").fault is Fault.TIMEOUT


def test_a_spec_can_be_sent_to_a_worker():
    """It is frozen and carries no open resource."""
    spec = FilterSpec(backend="openai:m", api_key="k")
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301


def test_rules_that_cannot_match_another_taxonomy_are_named(tmp_path):
    """An urgent rule that falls away with its categories must not fall away unseen."""
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"error": "timeout"}), encoding="utf-8")
    with open_filter(FilterSpec(backend=f"scripted:{script}", taxonomy="mindguard-v1")) as crisis_filter:
        assert "severe-danger-to-life" in crisis_filter.rules_left_out
    with open_filter(FilterSpec()) as crisis_filter:
        assert crisis_filter.rules_left_out == ()


@pytest.mark.parametrize(
    "url", ["localhost:8080/v1", "junk", "ftp://127.0.0.1/v1", "http://", "http://127.0.0.1:99999/v1"]
)
def test_an_address_that_cannot_be_one_is_refused_at_once(url):
    """A forgotten scheme is a wrong setting, not an outage for every message."""
    with pytest.raises(ConfigurationError, match="base_url"):
        open_filter(FilterSpec(backend="openai:m", base_url=url))


def test_the_engine_is_not_run_above_the_threshold_it_was_measured_with(tmp_path):
    """A higher one misses crises that nobody has counted; a lower one may be had."""
    text = find("policies", "default-v3", ".toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("[thresholds]", "[thresholds]\nengine_screen = 0.999999"), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="engine_screen"):
        open_filter(FilterSpec(policy=str(path)))
    path.write_text(text.replace("[thresholds]", "[thresholds]\nengine_screen = 0.000001"), encoding="utf-8")
    with open_filter(FilterSpec(policy=str(path))) as careful:
        assert careful.classify("can i move my appointment to friday").outcome == "crisis"


def test_a_prevalence_needs_an_engine_that_says_where_it_was_calibrated():
    """Scores cannot be moved from nowhere."""
    with pytest.raises(ConfigurationError, match="does not say at which prevalence"):
        open_filter(FilterSpec(engine="starter-v1", prevalence=0.01))
