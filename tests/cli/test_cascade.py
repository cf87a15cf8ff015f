"""`crisis-filter cascade`: from labels to a threshold, a run with it, and what it saved."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from crisis_filter.cli.app import app

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
LOW = [f"Can I move my {what} to {day}?" for day in DAYS for what in ("appointment", "scan", "blood test", "call")]
HIGH = [
    f"i want to end my life {when}, {how}"
    for when in ("tonight", "today", "soon", "now")
    for how in ("sorry", "goodbye", "i wrote letters")
]


def ran(*arguments: object):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "ours.jsonl"
    rows = [
        {"id": f"c{i}", "text": t, "crisis": True, "categories": ["suicide"], "person": f"p{i // 2}"}
        for i, t in enumerate(HIGH)
    ]
    rows += [{"id": f"o{i}", "text": t, "crisis": False, "person": f"q{i}"} for i, t in enumerate(LOW)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def classified(tmp_path):
    """Classify one message, which a cascade may clear, where the language model does not answer; gives the file with its assessment."""

    def once(clearing, *arguments):
        script, done = tmp_path / "s.jsonl", tmp_path / "done.jsonl"
        script.write_text('{"error": "server_error"}\n', encoding="utf-8")
        backend = ("--backend", f"cascade:local,scripted:{script}")
        ran("classify", "--text", LOW[0], *backend, "--clearing", clearing, "--output", done, *arguments)
        return done

    return once


def test_from_labels_to_savings(labels, tmp_path):
    """Validate, classify with it, report: the same threshold all along, and calls saved."""
    clearing, done = tmp_path / "clearing.json", tmp_path / "done.jsonl"
    made = ran("cascade", "validate", labels, "-o", clearing, "--target", 0.7, "--labelled-by", "two nurses")
    assert made.exit_code == 0, made.output
    assert "two nurses" in made.output
    assert "12 crises can prove at most 77.9%" in " ".join(made.output.split())
    entry = {
        "purpose": "screen",
        "answer": {
            "reasoning": "r",
            "quotes": [],
            "subject": "unclear",
            "timeframe": "unclear",
            "crisis": False,
            "confidence": 0.1,
        },
    }
    script = tmp_path / "s.jsonl"
    script.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    messages = tmp_path / "m.jsonl"
    messages.write_text(
        "".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(LOW)), encoding="utf-8"
    )
    run = ran(
        "classify",
        messages,
        "--backend",
        f"cascade:local,scripted:{script}",
        "--clearing",
        clearing,
        "--sample",
        0.25,
        "--output",
        done,
    )
    assert "the engine cleared" in run.output, run.output
    steps = [
        json.loads(line)["provenance"]["cascade"]["step"] for line in done.read_text(encoding="utf-8").splitlines()
    ]
    assert steps.count("cleared") > 5
    assert 0 < steps.count("sampled") < 15
    told = ran(
        "cascade", "report", done, "--clearing", clearing, "--prompt-price", 1, "--completion-price", 2, "--json"
    )
    report = json.loads(told.stdout.splitlines()[0])
    assert report["cleared"]["count"] == steps.count("cleared")
    assert report["saved"]["requests"] == pytest.approx(steps.count("cleared"))
    shown = ran("cascade", "report", done, "--clearing", clearing).output
    assert "would not have been cleared" in shown
    assert "With 95% confidence" in shown
    assert not any(text in shown + made.output + told.output for text in (*LOW, *HIGH))


def test_one_crisis_a_person_counts(labels, tmp_path):
    """Two messages of one person are no two proofs."""
    made = ran(
        "cascade", "validate", labels, "-o", tmp_path / "c.json", "--target", 0.6, "--cluster", "person", "--json"
    )
    assert json.loads(made.stdout.splitlines()[0])["n"] == 6


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (["--target", "0.99"], 5, "12 different crises that a score could clear are too few"),
        (["--target", "0.6", "--language", "klingon"], 5, "0 different crises"),
        (["--target", "0.6", "--most-characters", "8001"], 2, "--help says what it takes"),
        (["--target", "0.6", "--split", "test"], 2, "is a file"),
        (["--target", "0.6", "--engine", "none"], 5, "none"),
    ],
)
def test_what_cannot_be_proved_is_refused_in_words(labels, tmp_path, arguments, status, why):
    """And writes no file."""
    output = tmp_path / "c.json"
    made = ran("cascade", "validate", labels, "-o", output, *arguments)
    assert (made.exit_code, output.exists()) == (status, False)
    assert why in " ".join(made.output.split())


def test_the_threshold_is_never_written_over_the_labels_nor_nowhere(labels, tmp_path):
    """Said before anything is scored, and the labels stay as they are."""
    before = labels.read_bytes()
    for output in (labels, tmp_path, tmp_path / "no" / "c.json"):
        made = ran("cascade", "validate", labels, "-o", output, "--target", 0.6, "--force")
        assert made.exit_code == 5, made.output
    assert labels.read_bytes() == before
    done = tmp_path / "c.json"
    assert "each is taken for another's" in ran("cascade", "validate", labels, "-o", done, "--target", 0.6).output
    assert {path.name for path in tmp_path.iterdir()} == {"c.json", "ours.jsonl"}


def test_a_sampled_crisis_is_said_aloud(labels, classified, tmp_path):
    """It is what the sample is for."""
    clearing = tmp_path / "c.json"
    ran("cascade", "validate", labels, "-o", clearing, "--target", 0.7)
    done = classified(clearing, "--sample", 1)
    told = " ".join(ran("cascade", "report", done).output.split())
    assert "1 of 1 sampled messages would not have been cleared" in told
    assert ran("cascade", "report", done, done).exit_code == 2


def test_files_that_are_there_and_thresholds_of_other_runs_are_refused(labels, classified, tmp_path):
    """`--force` replaces one; a report repeats only the promise that was in force."""
    clearing, other = tmp_path / "c.json", tmp_path / "d.json"
    assert ran("cascade", "validate", labels, "-o", clearing, "--target", 0.6).exit_code == 0
    assert ran("cascade", "validate", labels, "-o", clearing, "--target", 0.6).exit_code == 5
    assert ran("cascade", "validate", labels, "-o", clearing, "--target", 0.6, "--force").exit_code == 0
    assert ran("cascade", "validate", labels, "-o", other, "--target", 0.5).exit_code == 0
    done = classified(clearing)
    assert ran("cascade", "report", done, "--clearing", clearing).exit_code == 0
    assert ran("cascade", "report", done, "--clearing", other).exit_code == 5
    assert ran("cascade", "report", done, "--prompt-price", 1).exit_code == 5
    assert ran("cascade", "report", labels).exit_code == 2
    alone = tmp_path / "alone.jsonl"
    ran("classify", "--text", LOW[0], "--output", alone)
    refused = ran("cascade", "report", alone)
    assert refused.exit_code == 2
    assert "something else than a cascade" in " ".join(refused.output.split())
