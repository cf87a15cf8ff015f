"""`experiment compare` and `experiment promote`: what is shown, what is written, and with which exit status."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from crisis_filter.cli.experiment_compare import experiment_compare
from crisis_filter.cli.experiment_promote import experiment_promote
from crisis_filter.experiments.comparison import Comparison
from crisis_filter.experiments.released import read_released
from tests.experiments.by_hand import NEW, OLD, item, made, put
from tests.experiments.candidates import new_prompt, tried
from tests.experiments.making_experiments import LABELLED_BY, QUOTE, REASON, experiment

ITEMS = [item(f"c{at}", "abuse") for at in range(60)] + [item(f"n{at}") for at in range(60)]
RIGHT = ["c"] * 60 + ["n"] * 60
WORSE = ["n"] * 20 + RIGHT[20:]
BOUNDS = {"incumbent": "old", "sensitivity_margin": 0.1}


def run(command, *arguments):
    app = typer.Typer()
    app.command()(command)
    ran = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "160"})
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    return ran


def compare(*arguments):
    return run(experiment_compare, *arguments)


@pytest.fixture
def prompts(tmp_path):
    return new_prompt(tmp_path / "prompts")


@pytest.fixture
def folder(tmp_path):
    return put(tmp_path / "spring", made({OLD: RIGHT, NEW: WORSE}, ITEMS, acceptance=BOUNDS))


def test_a_declared_bound_that_is_not_kept_is_exit_status_4(folder):
    ran = compare(f"{folder}#old", f"{folder}#new")
    assert ran.exit_code == 4
    out = " ".join(ran.stdout.split())
    assert "Gates of new @ model: not passed" in out
    assert "newly missed crises: 20 (c0, c1, c2, c3, c4, c5, c6, c7 and 12 more)" in out
    assert f"120 messages of drawn-v1, validation, 60 of them crises. Labels: {LABELLED_BY}" in out
    assert "sensitivity 20 / 0 of 60" in out
    assert "not kept by new @ model" in ran.stderr


def test_one_that_keeps_its_bounds_is_exit_status_0(tmp_path):
    folder = put(tmp_path / "one", made({OLD: WORSE, NEW: RIGHT}, ITEMS, acceptance=BOUNDS))
    ran = compare(folder)
    assert ran.exit_code == 0
    assert "Gates of new @ model: all passed" in ran.stdout


def test_bounds_of_another_incumbent_are_not_judged_and_that_is_said(folder):
    ran = compare(f"{folder}#new", f"{folder}#old")
    assert ran.exit_code == 0
    assert "not judged" in ran.stderr
    assert "Gates" not in ran.stdout


def test_bounds_may_be_named(folder, tmp_path):
    bounds = tmp_path / "bounds.yaml"
    bounds.write_text(f"incumbent: {NEW}\nspecificity_margin: 0.2\n")
    assert compare(f"{folder}#new", f"{folder}#old", "--acceptance", bounds).exit_code == 0
    assert compare(f"{folder}#old", f"{folder}#new", "--acceptance", bounds).exit_code == 5
    bounds.write_text("incumbent: old\nmargin: 1\n")
    assert compare(f"{folder}#old", f"{folder}#new", "--acceptance", bounds).exit_code == 2


def test_json_holds_the_whole_comparison_and_no_words_of_anybody(tmp_path):
    folder = put(tmp_path / "one", experiment(20, 20))
    ran = compare(folder, "--json")
    found = Comparison.model_validate_json(ran.stdout)
    assert len(found.candidates) == 2
    for word in (QUOTE, REASON):
        assert word not in ran.stdout + ran.stderr


def test_files_are_written_and_nothing_is_replaced_unasked(folder, tmp_path):
    page, junit = tmp_path / "out.json", tmp_path / "out.xml"
    assert compare(folder, "--output", page, "--junit", junit).exit_code == 4
    assert Comparison.model_validate_json(page.read_text()).candidates[0].passed is False
    assert 'failures="21"' in junit.read_text().splitlines()[0]
    assert compare(folder, "--output", page).exit_code == 2
    assert compare(folder, "--output", page, "--force").exit_code == 4
    assert compare(folder, "--output", tmp_path / "out.pdf").exit_code == 2
    assert compare(folder, "--output", folder / "cells.json").exit_code == 2
    assert compare(folder, "--output", tmp_path / "nowhere" / "a.json").exit_code == 2


def test_a_page_is_written_without_any_words_of_a_model(tmp_path):
    folder, page = put(tmp_path / "one", experiment(15, 15)), tmp_path / "page.html"
    assert compare(folder, "--output", page).exit_code == 0
    found = page.read_text()
    assert found.lower().startswith("<!doctype html>")
    assert "reasoned-v2@model-a" in found
    assert not any(word in found for word in (QUOTE, REASON))


def answers(path, words):
    outcomes = {"c": "crisis", "n": "no_crisis", "u": "undetermined"}
    rows = ({"id": one.id, "outcome": outcomes[word]} for one, word in zip(ITEMS, words, strict=True))
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_files_of_answers_are_compared_by_labels_or_with_an_experiment(folder, tmp_path):
    gold, one, two = (
        tmp_path / "gold.jsonl",
        answers(tmp_path / "one.jsonl", RIGHT),
        answers(tmp_path / "two.jsonl", WORSE),
    )
    rows = ({"id": each.id, "crisis": each.crisis, "categories": list(each.categories)} for each in ITEMS)
    gold.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    ran = compare(one, f"better={two}", "--gold", gold, "--labelled-by", "two nurses", "--json")
    found = Comparison.model_validate_json(ran.stdout)
    assert [system.name for system in found.systems] == ["one", "better"]
    assert (found.measured.labelled_by, found.measured.split) == ("two nurses", None)
    assert found.candidates[0].sides[0].only_incumbent == 20
    assert compare(one, two).exit_code == 2
    assert "name them with --gold" in compare(one, two).stderr
    mixed = Comparison.model_validate_json(compare(f"{folder}#old", two, "--json").stdout)
    assert mixed.candidates[0].sides[0].only_incumbent == 20
    assert any("matched by id" in warning for warning in mixed.warnings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{f}", "{f}#new"], "has several variants; name one after '#'"),
        (["{f}#none", "{f}#new"], "no variant 'none'"),
        (["{f}#old"], "one system only"),
        (["{f}#old", "nowhere"], "no such folder of an experiment and no such file"),
        (["{f}#old", "{f}#old"], "the same name"),
        (["{f}#old", "{f}#new", "--split", "test"], "about the labels of --gold"),
        (["{f}#old", "{f}#new", "--looks", "none.jsonl"], "no such ledger"),
        (["{p}", "{f}#new"], "is no folder of an experiment"),
    ],
)
def test_what_cannot_be_compared_is_exit_status_2(folder, arguments, words):
    ran = compare(*(each.format(f=folder, p=folder.parent) for each in arguments))
    assert ran.exit_code == 2
    assert words in ran.stderr


def test_an_unfinished_experiment_is_compared_without_p_and_passes_no_gate(tmp_path):
    words = {OLD: RIGHT, NEW: [*RIGHT[:-5], *"....."]}
    ran = compare(put(tmp_path / "half", made(words, ITEMS, acceptance=BOUNDS)))
    assert ran.exit_code == 4
    assert "withheld" in ran.stdout
    assert "not every answer is in" in ran.stdout


def test_a_narrow_terminal_keeps_every_figure(folder):
    app = typer.Typer()
    app.command()(experiment_compare)
    ran = CliRunner().invoke(app, [f"{folder}#old", f"{folder}#new"], env={"COLUMNS": "80"})
    assert "sensitivity 0.667" in " ".join(ran.stdout.split())


def promote(*arguments):
    return run(experiment_promote, *arguments)


def test_promote_writes_and_the_same_again_does_nothing(prompts, tmp_path):
    folder = put(tmp_path / "good", tried(prompts))
    ran = promote(f"{folder}#new", "--what", "looks twice", "--date", "2026-11-21")
    assert ran.exit_code == 0
    assert "screen/new-v1: released. " in ran.stdout
    assert list(read_released(prompts)) == ["screen/new-v1"]
    again = promote(f"{folder}#new")
    assert again.exit_code == 0
    assert "nothing was done" in again.stdout
    assert json.loads(promote(f"{folder}#new", "--json").stdout)["already"] is True


def test_promote_refuses_with_reasons_and_exit_status_4(prompts, tmp_path):
    folder = put(tmp_path / "bad", tried(prompts, {NEW: ["n"] * 100 + ["n"] * 100}))
    ran = promote(f"{folder}#new")
    assert ran.exit_code == 4
    assert "- sensitivity_margin: not passed" in ran.stderr
    assert read_released(prompts) == {}


@pytest.mark.parametrize("more", [["--date", "yesterday"], ["--date", "2026-13-40"], ["nowhere.yaml"]])
def test_promote_with_wrong_input_is_exit_status_2(prompts, tmp_path, more):
    folder = put(tmp_path / "good", tried(prompts))
    assert promote(f"{folder}#new", *more).exit_code == 2
    assert read_released(prompts) == {}
