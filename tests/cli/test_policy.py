"""`crisis-filter policy`: looked over, shown, and tried on a run in each format that classify writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crisis_filter.assets import find
from crisis_filter.cli.app import app
from crisis_filter.cli.policy_try import DEFAULT
from crisis_filter.schema import Assessment, Fault, Finding
from crisis_filter.tables.writing import AssessmentWriter
from crisis_filter.triage.policy import ROUTING_POLICY, Policy, Rule, load_policy
from tests.triage.making import calm, crisis, undetermined

V4 = find("policies", "default-v4", ".toml").read_text(encoding="utf-8")
MADE = [
    crisis(Finding(category="suicide", severity="imminent", subject="self")),
    crisis(Finding(category="psychosis", severity="severe", subject="self")),
    crisis(Finding(category="abuse", subject="other"), Finding(category="self_harm", severity="mild")),
    crisis(Finding(category="self_harm", severity="mild"), flags=("chunked", "obfuscated")),
    undetermined(Fault.TIMEOUT),
    undetermined(Fault.REFUSAL_FIELD, 0.4),
    undetermined(Fault.EMPTY_CONTENT),
    *(calm() for _ in range(13)),
]
RUN = [one.model_copy(update={"id": f"m{at}"}) for at, one in enumerate(MADE)]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def ran(*arguments: object):
    return CliRunner().invoke(app, ["policy", *map(str, arguments)])


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def write(tmp_path):
    """Writes a run as classify does."""

    def go(name: str = "run.jsonl", made: list[Assessment] = RUN) -> Path:
        path = tmp_path / name
        with AssessmentWriter(path, force=True) as out:
            for one in made:
                out.write(one)
        return path

    return go


@pytest.fixture
def times(tmp_path):
    """The messages, one an hour from a Monday midnight on, with source and locale."""
    path = tmp_path / "messages.jsonl"
    rows = [
        {
            "id": one.id,
            "text": "hello",
            "at": f"2026-03-02T{at:02}:30:00Z",
            "from": "form" if at % 2 else None,
            "locale": "en-GB",
        }
        for at, one in enumerate(RUN)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["default", "default-v2", "default-v3", "default-v4"])
def test_check_passes_the_released_packs(name):
    """The last without a warning."""
    done = ran("check", name)
    assert done.exit_code == 0, done.output
    assert "every case is covered" in done.output
    assert ("no warnings" in done.output) is (name == "default-v4")
    record = json.loads(ran("check", name, "--json").stdout)
    assert record["rules"] == len(load_policy(name).rules)
    assert len(record["warnings"]) == (name != "default-v4")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            'id = "undetermined"\noutcome = "undetermined"',
            'id = "undetermined"\noutcome = "undetermined"\nfaults = ["timeout"]',
            "nothing covers 'undetermined, fault truncated",
        ),
        ('staffed_by = "clinical team"', "", "which nobody reads"),
        ('categories = ["violence"]', 'categories = ["violins"]', "no category violins"),
        ('pack = "resources-v1"', 'pack = "resources-v0"', "there is no 'resources-v0'"),
        ('taxonomy = "clinical-v1"', 'taxonomy = "clinical-v0"', "clinical-v0"),
    ],
)
def test_check_refuses_what_does_not_hold(tmp_path, old, new, says):
    """With status 5 and the case, rule or name."""
    path = tmp_path / "mine.toml"
    path.write_text(V4.replace(old, new), encoding="utf-8")
    done = ran("check", path)
    assert done.exit_code == 5
    assert says in flat(done.output)


def test_check_warns_and_passes(tmp_path):
    """A rule that never decides is no hole."""
    path = tmp_path / "mine.toml"
    extra = '\n[[rules]]\nid = "late"\noutcome = "undetermined"\nfaults = ["timeout"]\nqueue = "review"\nurgency = "soon"\nwithin = "24h"\nprotocol = "outage"\n'
    path.write_text(V4 + extra, encoding="utf-8")
    done = ran("check", path)
    assert done.exit_code == 0
    assert "warning: late: never decides: undetermined, outage go first" in flat(
        done.output
    ) or "warning: late: never decides: outage, undetermined go first" in flat(done.output)
    assert "1 warning" in done.output


def test_check_of_a_pack_that_is_not_there_is_refused():
    """It names those that are."""
    done = ran("check", "default-v99")
    assert done.exit_code == 5
    assert "default-v4" in done.output


def test_show_tells_rules_in_the_order_in_which_they_decide():
    """With limits, protocols, escalation, and that nobody has reviewed the protocols."""
    done = ran("show")
    assert done.exit_code == 0, done.output
    order = [
        done.output.index(f"\n{name} ")
        for name in ("imminent-others", "night ", "crisis ", "empty ", "undetermined ", "not-crisis ")
    ]
    assert order == sorted(order)
    assert "severe or worse; 20:00-08:00" in done.output
    assert "lead after 5m" in done.output
    assert "no clinician has reviewed it" in done.output
    assert "Asking does not put the thought there" not in done.output
    assert "Asking does not put the thought there" in flat(ran("show", "--protocols").output)
    old = ran("show", "default-v3")
    assert old.exit_code == 0
    assert "Protocols" not in old.output


def test_show_as_json_has_all_of_it():
    """Rules with their words, and the protocols."""
    record = json.loads(ran("show", "--json").stdout)
    assert record["rules"][0]["id"] == "imminent-others"
    assert len(record["rules"]) == len(load_policy("default-v4").rules)
    assert all(rule["when"] for rule in record["rules"])
    assert {each["id"] for each in record["protocol_pack"]["protocols"]} >= {"outage"}
    assert ran("show", "--json").stdout == ran("show", "--json").stdout


def test_try_counts_where_messages_would_have_gone(write):
    """The last week's run, a day at a time."""
    done = ran("try", write(), "--days", 2)
    assert done.exit_code == 0, done.output
    assert "20 messages (4 crisis, 3 undetermined, 13 not crisis)" in done.output
    assert "Over 2 days, as told." in done.output
    assert "act-now urgent clinician on call 1 5.00% 0.5" in flat(done.output)
    assert "review routine triage reader 1 5.00% 0.5" in flat(done.output)
    assert "To people: 7 of 20, 3.5 a day." in done.output
    assert "20 messages without a time: every rule with hours matched" in flat(done.output)


@pytest.mark.parametrize("name", ["run.csv", "run.parquet"])
def test_every_format_of_a_run_says_the_same(write, name):
    """Lists of one empty item included."""
    jsonl, other = (ran("try", write(each), "--days", 2, "--json") for each in ("run.jsonl", name))
    assert other.exit_code == 0, other.output
    assert json.loads(other.stdout.splitlines()[0]) == json.loads(jsonl.stdout.splitlines()[0])
    assert "does not say whether the service was degraded" in flat(other.output)


def test_times_sources_and_locales_come_from_the_messages(write, times, tmp_path):
    """By id; then hours decide, and the days are those of the messages."""
    done = ran("try", write(), "--messages", times, "--time-column", "at", "--source-column", "from", "--json")
    assert done.exit_code == 0, done.output
    tried = json.loads(done.stdout.splitlines()[0])["tried"]
    assert (tried["hours_unknown"], tried["sources_unknown"]) == (0, 10)
    assert (tried["days"], tried["days_from"]) == (1.0, "times")
    assert tried["rules"]["night-psychosis"] == 1
    mine = tmp_path / "mine.toml"
    rule = '[[rules]]\nid = "form"\noutcome = "crisis"\nsources = ["form"]\nlocales = ["GB"]\nqueue = "act-now"\nurgency = "emergency"\nwithin = "5m"\n\n'
    mine.write_text(V4.replace("[[rules]]", f"{rule}[[rules]]", 1), encoding="utf-8")
    columns = ("--time-column", "at", "--source-column", "from", "--locale-column", "locale")
    done = ran("try", write(), "--policy", mine, "--messages", times, *columns, "--json")
    assert json.loads(done.stdout.splitlines()[0])["tried"]["rules"]["form"] == 2
    assert "10 messages of unknown source" in flat(done.output)


def test_columns_of_the_run_itself_are_read_too(write, tmp_path):
    """As where somebody has joined them; a time may be seconds or milliseconds since 1970, or have no zone."""
    path = tmp_path / "joined.jsonl"
    given = ["2026-03-02T12:00:00", 1772452800, 1772452800000, 1772452800.5, None]
    rows = [{**one.model_dump(mode="json"), "at": when} for one, when in zip(RUN, given, strict=False)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = ran("try", path, "--time-column", "at", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[0])["tried"]["hours_unknown"] == 1
    assert "1 time without a zone, taken in UTC" in flat(done.output)


def test_compare_says_what_goes_elsewhere_and_lists_ids_when_asked(write):
    """And loses nobody."""
    path = write()
    done = ran("try", path, "--policy", "default-v3", "--compare", "default-v4")
    assert "clinical, urgent act-now, urgent 1" in flat(done.output)
    assert (
        "1 of 20 messages go elsewhere: 0 more urgent, 0 less; 0 crises and undetermined ones would lose their reader."
        in flat(done.output)
    )
    assert "m1: " not in done.output
    listed = ran("try", path, "--policy", "default-v3", "--compare", "default-v4", "--list")
    assert "m1: clinical, urgent > act-now, urgent" in listed.output
    bare = json.loads(
        ran("try", path, "--policy", "default-v3", "--compare", "default-v4", "--json").stdout.splitlines()[0]
    )
    assert "ids" not in bare["compared"]["moves"][0]
    whole = json.loads(
        ran("try", path, "--policy", "default-v3", "--compare", "default-v4", "--list", "--json").stdout.splitlines()[0]
    )
    assert whole["compared"]["moves"][0]["ids"] == ["m1"]


def test_readers_are_told_with_what_they_rest_on(write):
    """By the formula, for the busiest hour, and what is not counted."""
    done = ran("try", write(), "--volume", 10000, "--minutes-per-message", 6, "--within", "5m", "--peak", 2)
    assert done.exit_code == 0, done.output
    assert "By Erlang's delay formula" in done.output
    assert "Nothing of the run went to outage, lead" in flat(done.output)
    rates = ("--prevalence", 0.02, "--sensitivity", 0.99, "--specificity", 0.97)
    found = json.loads(
        ran("try", write(), "--volume", 10000, "--minutes-per-message", 6, *rates, "--json").stdout.splitlines()[0]
    )
    assert found["staffed"]["alarms"]["crises"] == pytest.approx(200)
    assert found["staffed"]["alarms"]["undetermined"] == pytest.approx(1500)
    assert all(one["in_time"] >= 0.95 for one in found["staffed"]["queues"])
    assert "200.0 crises" in flat(ran("try", write(), "--volume", 10000, "--minutes-per-message", 6, *rates).output)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--volume", 100), "add --minutes-per-message"),
        (("--within", "5m"), "add --minutes-per-message"),
        (("--minutes-per-message", 5), "say for how many messages a day"),
        (("--minutes-per-message", 5, "--days", 1, "--prevalence", 0.1), "together"),
        (("--minutes-per-message", 5, "--days", 1, "--within", "5"), "--within is a time"),
        (("--list",), "--list needs --compare"),
        (("--messages", "run.jsonl"), "--messages needs a column"),
        (("--time-column", "when"), "there is no field 'when'"),
        (("--time-column", "id"), "'id' is no time"),
        (("--days", 0), "--help says what it takes"),
    ],
)
def test_halves_of_a_question_are_refused(write, monkeypatch, arguments, says):
    """With status 2 and what is missing."""
    path = write()
    monkeypatch.chdir(path.parent)
    done = ran("try", path, *arguments)
    assert done.exit_code == 2, done.output
    assert says in flat(done.output)


def test_what_is_no_run_is_refused_and_no_word_of_it_repeated(write, tmp_path, times):
    """Labels, messages, a baseline's run, an id twice, a broken row."""
    secret = "canary7731"
    for name, row in {
        "labels.jsonl": {"id": "a", "crisis": True, "text": secret},
        "broken.jsonl": {**RUN[0].model_dump(mode="json"), "outcome": secret},
        "more.jsonl": {**RUN[0].model_dump(mode="json"), secret: secret},
    }.items():
        path = tmp_path / name
        path.write_text(json.dumps(row) + "\n", encoding="utf-8")
        done = ran("try", path)
        assert done.exit_code == 2, done.output
        assert secret not in done.output
    run = write()
    assert "an id that was there before" in flat(ran("try", run, run).output)
    theirs = [
        one.model_copy(update={"provenance": one.provenance.model_copy(update={"detector": "baseline:x"})})
        for one in RUN
    ]
    assert "never routed" in flat(ran("try", write("theirs.jsonl", theirs)).output)
    table = write("run.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "cut.csv").write_text(
        "\n".join([table[0], table[3].replace("other | unclear", "other")]) + "\n", encoding="utf-8"
    )
    assert "another number of items" in flat(ran("try", tmp_path / "cut.csv").output)
    assert ran("try", tmp_path / "absent.jsonl").exit_code == 2
    assert ran("try", times, "--days", 1).exit_code == 2


def test_the_default_pack_is_the_newest():
    """In one place for library and command line."""
    assert DEFAULT == ROUTING_POLICY


PAGE = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")


def test_the_page_names_every_field_of_a_rule_and_of_a_pack():
    """Whoever writes one finds it."""
    left_to_us = {"sha256", "rules"}
    for name in {*Rule.model_fields, *Policy.model_fields} - left_to_us:
        assert any(f"{mark}{name}" in PAGE for mark in ("`", "[", "[[")), name


def test_the_pages_rule_is_one(tmp_path):
    """Put into the newest pack, it loads and changes nothing for the worse."""
    rule = PAGE.split("```toml\n", 1)[1].split("```", 1)[0]
    path = tmp_path / "mine.toml"
    path.write_text(V4.replace("[[rules]]", f"{rule}\n[[rules]]", 1), encoding="utf-8")
    done = ran("check", path)
    assert (done.exit_code, "no warnings" in done.output) == (0, True), done.output


def test_the_pages_commands_run(write, tmp_path, monkeypatch):
    """As they stand, on a run and its messages."""
    write()
    rows = [{"id": one.id, "text": "hello", "received_at": "2026-03-02T09:00:00Z"} for one in RUN]
    (tmp_path / "messages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    commands = [line.split("#")[0].split() for line in PAGE.splitlines() if line.startswith("crisis-filter policy ")]
    assert len(commands) >= 7
    for words in commands:
        days = () if words[2] != "try" or "--days" in words else ("--days", "1")
        done = ran(*words[2:], *days)
        assert done.exit_code == 0, done.output
