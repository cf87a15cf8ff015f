"""Promotion: what is refused and why, what is written, and what is left by a kill in between."""

from __future__ import annotations

import json

import pytest

from crisis_filter.errors import ConfigurationError
from crisis_filter.experiments.changelog import HEADER
from crisis_filter.experiments.released import RELEASED, read_released
from crisis_filter.prompting.prompt import load_prompt
from tests.experiments.by_hand import NEW, OLD, made
from tests.experiments.candidates import (
    BOUNDS,
    ITEMS,
    RIGHT,
    WHEN,
    change,
    copied,
    go,
    new_prompt,
    refused,
    tried,
)
from tests.experiments.making_experiments import LABELLED_BY


@pytest.fixture
def prompts(tmp_path):
    """A folder of prompts with a new one, not yet released."""
    return new_prompt(tmp_path / "prompts")


def files(folder) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_prompt_that_kept_its_bounds_is_released_with_its_measured_effect(prompts):
    done = go(tried(prompts, {NEW: ["u", *RIGHT[1:]]}), what="looks | twice")
    assert (done.already, [ref.id for ref in done.prompts]) == (False, ["screen/new-v1"])
    assert read_released(prompts) == {"screen/new-v1": load_prompt(str(prompts / "screen/new-v1.md")).sha256}
    lines = (prompts / "README.md").read_text().splitlines()
    (line,) = [each for each in lines if each.startswith("| `screen/new-v1`")]
    assert line.startswith(f"| `screen/new-v1` | {WHEN} | looks \\| twice | ")
    for words in (
        "drawn-v1, validation, n = 200 (100 crises)",
        f"labels: {LABELLED_BY}",
        "sensitivity 99/100 (95% interval 0.946 to 0.998), specificity 100/100 (95% interval 0.963 to 1.000)",
        "undetermined 1 of 200",
        "of 99 answers that say crisis 0 without a category, 0 with a fault",
        "against screen/terse-v2 (released): sensitivity -0.010 (-0.054 to +0.027, p = 1.0000)",
        "macro F1 0.995 against 1.000",
        "looks at these messages so far not known",
        "all 2 declared bounds kept",
        "asked of model",
        "experiment abababababababab",
    ):
        assert words in line, words
    assert lines[lines.index(line) - 2] == HEADER


def test_the_same_again_does_nothing_and_says_so(prompts):
    one = tried(prompts)
    first = go(one)
    before = files(prompts)
    again = go(one)
    assert (first.already, again.already) == (False, True)
    assert again.prompts == first.prompts
    assert files(prompts) == before


def test_a_line_is_added_at_the_end_of_a_table_and_nothing_else_changes(prompts):
    readme = prompts / "README.md"
    begun = f"# Ours\r\n\r\n{HEADER}\r\n|---|---|---|---|\r\n| `screen/terse-v2` | 2026-01-01 | a | b |\r\n\r\nAfter the table.\r\n| not | a row |\r\n"
    readme.write_bytes(begun.encode())
    readme.chmod(0o640)
    go(tried(prompts), what="more")
    found = readme.read_bytes().decode().split("\r\n")
    (at,) = [number for number, line in enumerate(found) if line.startswith("| `screen/new-v1`")]
    assert found[at - 1] == "| `screen/terse-v2` | 2026-01-01 | a | b |"
    del found[at]
    assert "\r\n".join(found) == begun
    assert readme.stat().st_mode & 0o777 == 0o640


def test_another_changelog_may_be_named(prompts, tmp_path):
    notes = tmp_path / "CHANGES.md"
    done = go(tried(prompts), changelog=notes)
    assert done.changelogs == (str(notes),)
    assert "`screen/new-v1`" in notes.read_text()
    assert not (prompts / "README.md").exists()


def test_a_kill_between_the_two_writes_leaves_what_a_second_call_finishes(prompts):
    """The table of releases cannot be put in its place: the line stands, nothing is released, and the prompt may still be mended."""
    one = tried(prompts)
    in_the_way = prompts / f".{RELEASED}.new"
    in_the_way.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        go(one)
    assert "`screen/new-v1`" in (prompts / "README.md").read_text()
    assert read_released(prompts) == {}
    in_the_way.rmdir()
    done = go(one, date="2026-11-22")
    assert not done.already
    assert list(read_released(prompts)) == ["screen/new-v1"]
    lines = [line for line in (prompts / "README.md").read_text().splitlines() if "`screen/new-v1`" in line]
    assert len(lines) == 1
    assert WHEN in lines[0]


def test_a_kill_before_the_first_write_leaves_nothing(prompts):
    in_the_way = prompts / ".README.md.new"
    in_the_way.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        go(tried(prompts))
    in_the_way.rmdir()
    assert set(files(prompts)) == {"screen/new-v1.md", "screen/new-v1.examples.yaml"}


def test_earlier_releases_stay(prompts):
    (prompts / RELEASED).write_text(json.dumps({"screen/a-v1": "0" * 64}))
    go(tried(prompts))
    assert set(read_released(prompts)) == {"screen/a-v1", "screen/new-v1"}


def dropped(one):
    """Without its last answer."""
    from tests.experiments.making_experiments import without

    return without(one, [(NEW, "n99", 1)])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: tried(p, {NEW: ["n"] * 10 + RIGHT[10:]}), "sensitivity_margin: not passed"),
        (lambda p: tried(p, {NEW: RIGHT[:-10] + ["c"] * 10}), "specificity_margin: not passed"),
        (lambda p: tried(p, {NEW: ["u"] * 200}), "sensitivity_margin: not passed"),
        (lambda p: dropped(tried(p)), "the experiment has 399 of 400 answers"),
        (lambda p: tried(p, split="development"), "add --allow-development"),
        (lambda p: tried(p, split="training"), "on which prompts are tried out"),
        (lambda p: undeclared(tried(p)), "declares no bounds"),
        (lambda p: renamed(tried(p)), "is not in the experiment"),
    ],
)
def test_what_is_refused_writes_nothing(prompts, spoil, words):
    before = files(prompts)
    assert words in refused(spoil(prompts))
    assert files(prompts) == before


def undeclared(one):
    return change(one, plan=one.state.plan.model_copy(update={"acceptance": None}))


def renamed(one):
    bounds = one.state.acceptance.model_copy(update={"incumbent": "somebody else"})
    return change(one, plan=one.state.plan.model_copy(update={"acceptance": bounds}))


def test_all_reasons_are_told_at_once(prompts):
    one = tried(prompts, {NEW: ["n"] * 10 + RIGHT[10:-10] + ["c"] * 10})
    copied(prompts, "screen/terse-v2", "screen/new-v1", more="Look three times.")
    told = refused(one)
    assert "sensitivity_margin" in told
    assert "specificity_margin" in told
    assert "now; the experiment tried" in told


def test_the_incumbent_is_not_promoted(prompts):
    assert "is the incumbent itself" in refused(tried(prompts), OLD)


def test_a_variant_that_asks_with_the_incumbents_prompts_has_nothing_to_release(prompts):
    one = tried(prompts)
    same = tuple(v.model_copy(update={"screen": one.state.variants[0].screen}) for v in one.state.variants)
    assert "nothing to release" in refused(change(one, variants=same))


def test_a_prompt_that_was_changed_since_is_refused_with_both_hashes(prompts):
    one = tried(prompts)
    path = copied(prompts, "screen/terse-v2", "screen/new-v1", more="Look three times.")
    told = refused(one)
    assert one.state.variants[1].screen.sha256 in told
    assert load_prompt(str(path)).sha256 in told


def test_a_released_id_is_not_released_again_with_another_hash(prompts):
    (prompts / RELEASED).write_text(json.dumps({"screen/new-v1": "0" * 64}))
    told = refused(tried(prompts))
    assert "0" * 64 in told
    assert "an id of its own" in told


def test_development_is_allowed_when_asked_for_and_the_line_says_so(prompts):
    go(tried(prompts, split="development"), allow_development=True)
    assert "development: exploration, no claim" in (prompts / "README.md").read_text()


def test_p_values_know_how_many_candidates_were_tried(prompts):
    others = {NEW: RIGHT, "newer @ model": ["n"] * 10 + RIGHT[10:], "new @ elsewhere": ["n"] * 200}
    done = go(tried(prompts, others))
    # Asked of another provider it is no candidate against this incumbent.
    assert "p adjusted for 2 candidates" in done.effect


def test_a_changelog_without_a_table_is_refused_before_anything_is_written(prompts):
    (prompts / "README.md").write_text("# Ours\n")
    with pytest.raises(ConfigurationError, match="has no table"):
        go(tried(prompts))
    assert read_released(prompts) == {}
    assert (prompts / "README.md").read_text() == "# Ours\n"


def test_a_relative_path_is_taken_from_the_folder_of_the_experiments_file(prompts):
    one = tried(prompts)
    choices = tuple(
        c.model_copy(update={"screen": "prompts/screen/new-v1.md"}) if c.label == "new" else c
        for c in one.state.plan.prompts
    )
    one = change(one, plan=one.state.plan.model_copy(update={"prompts": choices}))
    assert not go(one, beside=prompts.parent).already


def test_repeats_are_told(prompts):
    twice = [word * 2 for word in RIGHT]
    one = made({OLD: twice, NEW: twice}, ITEMS, acceptance=BOUNDS)
    as_tried = tried(prompts)
    one = change(one, variants=as_tried.state.variants, plan=as_tried.state.plan)
    done = go(one)
    assert "each asked about 2 times" in done.effect
    assert "sensitivity 200/200" in done.effect
