"""`experiment compare` and `experiment promote`: what is shown, what is written, and with which exit status."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
import typer
from typer.testing import CliRunner

from crisis_filter.cli.experiment_compare import experiment_compare
from crisis_filter.cli.experiment_promote import experiment_promote
from crisis_filter.experiments.comparison import Comparison
from crisis_filter.experiments.folder import read_experiment
from crisis_filter.experiments.looks import Look, Looks
from crisis_filter.experiments.released import read_released
from tests.experiments.by_hand import NEW, OLD, item, made, put
from tests.experiments.candidates import naming, new_prompt
from tests.experiments.making_experiments import LABELLED_BY, QUOTE, REASON, experiment
from tests.experiments.trying import messages, plan_file, serving
from tests.experiments.trying import tried as tried_for_real

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


def test_an_experiment_within_its_second_round_can_be_looked_at(tmp_path):
    words = {OLD: [f"{word}{word}." for word in RIGHT], NEW: [f"{word}.." for word in WORSE]}
    ran = compare(put(tmp_path / "half", made(words, ITEMS)))
    assert ran.exit_code == 0
    out = " ".join(ran.stdout.split())
    assert "the first 1 of 3 repeats of the 120 messages" in out
    assert "it is valid to stop" in out


def test_what_is_not_whole_and_the_difference_of_the_names_are_shown(tmp_path):
    one = naming(made({OLD: RIGHT, NEW: RIGHT}, ITEMS), NEW, "unspecified", items=["c0", "c1"])
    out = " ".join(compare(put(tmp_path / "one", one)).stdout.split())
    assert "of 60 crisis: unnamed 0, with a fault 0" in out
    assert "of 60 crisis: unnamed 2, with a fault 0" in out
    assert "macro F1 of the categories, end to end: difference" in out


def looked(path, data_sha256, *times):
    """A ledger with so many looks."""
    ledger = Looks(path)
    for at in times:
        ledger.add(
            Look(
                at=at,
                data="d",
                split="validation",
                data_sha256=data_sha256,
                experiment=at.rjust(64, "0"),
                variants=("a",),
                items=1,
                reason="r",
                version="0.1.0",
            )
        )


def test_looks_are_counted_in_the_ledger_beside_the_data_where_it_is_found(tmp_path, monkeypatch):
    one = made({OLD: RIGHT, NEW: RIGHT}, ITEMS)
    folder = put(tmp_path / "experiments" / "one", one)
    assert Comparison.model_validate_json(compare(folder, "--json").stdout).measured.looks is None
    looked(tmp_path / "looks.jsonl", ("another",), "1")
    assert Comparison.model_validate_json(compare(folder, "--json").stdout).measured.looks is None
    looked(tmp_path / "looks.jsonl", one.state.data_sha256, "2", "3", "4")
    assert "looked at by 3 experiments" in " ".join(compare(folder).stdout.split())
    named = tmp_path / "elsewhere.jsonl"
    looked(named, one.state.data_sha256, "5")
    found = compare(folder, "--looks", named, "--json")
    assert Comparison.model_validate_json(found.stdout).measured.looks == 1


MARGIN = {"incumbent": "terse-v2", "sensitivity_margin": 0.2}


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory):
    """A real experiment: two prompts, a server that knows the labels, and everything that was said."""
    where = tmp_path_factory.mktemp("ran")
    new_prompt(where / "prompts")
    messages(where, each=20)
    with serving(where) as url:
        file = plan_file(
            where,
            url,
            prompts=["screen/terse-v2", "file://prompts/screen/new-v1.md"],
            tests={"data": "messages.jsonl", "split": "validation", "labelled_by": "two nurses"},
            acceptance=MARGIN,
        )
        assert asyncio.run(tried_for_real(file, where / "x")).whole
    looked(where / "looks.jsonl", read_experiment(where / "x").state.data_sha256, "1", "2")
    return where


@pytest.fixture
def ran(ran_once, tmp_path):
    """A copy of it, to be changed."""
    shutil.copytree(ran_once, tmp_path / "ran")
    return tmp_path / "ran"


def promote(where, *more):
    return run(experiment_promote, f"{where / 'x'}#new-v1", where / "try.yaml", *more)


def test_promote_writes_and_the_same_again_does_nothing(ran):
    done = promote(ran, "--what", "looks twice", "--date", "2026-11-21")
    assert done.exit_code == 0, done.stderr
    assert "screen/new-v1: released. " in done.stdout
    assert "2 looks at these messages so far" in done.stdout
    assert list(read_released(ran / "prompts")) == ["screen/new-v1"]
    again = promote(ran)
    assert again.exit_code == 0
    assert "nothing was done" in again.stdout
    assert json.loads(promote(ran, "--json").stdout)["already"] is True


def test_promote_refuses_answers_that_were_changed_by_hand(ran):
    cells = ran / "x" / "cells.jsonl"
    lines = [json.loads(line) for line in cells.read_text().splitlines()]
    at = next(at for at, line in enumerate(lines) if line["assessment"]["outcome"] == "no_crisis")
    lines[at]["assessment"]["screen"]["rationale"] = "changed"
    cells.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    refused = promote(ran)
    assert refused.exit_code == 4
    assert "1 of 80 answers are not those that the recorded replies give" in refused.stderr
    assert lines[at]["item"] in refused.stderr
    assert read_released(ran / "prompts") == {}


def test_promote_refuses_with_reasons_and_exit_status_4(ran):
    prompt = ran / "prompts" / "screen" / "new-v1.md"
    prompt.write_text(prompt.read_text().replace("Look twice.", "Look three times."))
    refused = promote(ran)
    assert refused.exit_code == 4
    assert "now; the experiment tried screen/new-v1" in refused.stderr
    assert read_released(ran / "prompts") == {}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--date", "yesterday"], "--date is a day"),
        (["--date", "2026-13-40"], "--date is a day"),
        (["--looks", "none.jsonl"], "no such ledger"),
    ],
)
def test_promote_with_wrong_input_is_exit_status_2(ran, more, words):
    refused = promote(ran, *more)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert read_released(ran / "prompts") == {}


def test_promote_needs_the_file_and_the_data(ran):
    assert run(experiment_promote, f"{ran / 'x'}#new-v1").exit_code == 2
    assert run(experiment_promote, f"{ran / 'x'}#new-v1", "nowhere.yaml").exit_code == 2
    (ran / "messages.jsonl").unlink()
    refused = promote(ran)
    assert refused.exit_code in (2, 5)
    assert "messages.jsonl" in refused.stderr
    assert read_released(ran / "prompts") == {}


def test_the_file_of_another_experiment_is_refused(ran):
    file = ran / "try.yaml"
    file.write_text(file.read_text().replace("sensitivity_margin: 0.2", "sensitivity_margin: 0.1"))
    assert promote(ran).exit_code == 5
    assert read_released(ran / "prompts") == {}
