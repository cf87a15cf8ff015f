"""The pages of experiments: closed, escaped, without a private word unless it was asked for, and every figure that of the records."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from dataclasses import replace
from html import unescape
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import Fault
from crisis_filter.evaluation.report.ink import look
from crisis_filter.evaluation.report.words import signed
from crisis_filter.experiments.comparing import compare
from crisis_filter.experiments.comparison import Comparison
from crisis_filter.experiments.page import compare_page, matrix_page
from crisis_filter.experiments.page.answers import box
from crisis_filter.experiments.page.changes import change, shifts
from crisis_filter.experiments.page.columns import columns
from crisis_filter.experiments.page.forest import Axis, Bar, forest, least, reach
from crisis_filter.experiments.page.prompts import changed_lines, diffs
from crisis_filter.experiments.page.rows import groups
from crisis_filter.experiments.page.wording import score_words
from crisis_filter.experiments.plan import Acceptance
from crisis_filter.experiments.records import Experiment, Item, PromptText
from crisis_filter.experiments.systems import of_variant
from crisis_filter.schema import OUTCOMES, PromptRef
from crisis_filter.stats.intervals import wilson
from tests.evaluation.page_reading import Page
from tests.experiments.making_experiments import (
    HOSTILE,
    LABELLED_BY,
    QUOTE,
    REASON,
    TEXT,
    Judge,
    experiment,
    hostile,
    texts_of,
    without,
)

MOST_BYTES = 2_000_000
ROW = r'<tr><th scope="row">(.*?)</th>(.*?)</tr>'
BOUNDS = Acceptance(incumbent="plain-v1", sensitivity_margin=0.5, specificity_margin=0.001, flip_rate_at_most=0.5)


def compared(one: Experiment, acceptance: Acceptance | None = None) -> Comparison:
    return compare([of_variant(one, variant) for variant in one.state.variants], acceptance=acceptance).comparison


@pytest.fixture(scope="module")
def whole() -> Experiment:
    return experiment()


@pytest.fixture(scope="module")
def comparison(whole: Experiment) -> Comparison:
    return compared(whole, BOUNDS)


@pytest.fixture(scope="module")
def pages(whole: Experiment, comparison: Comparison) -> dict[str, str]:
    attacked = hostile()
    texts = dict.fromkeys(texts_of(attacked), HOSTILE)
    states = [attacked.state]
    return {
        "matrix": matrix_page(whole),
        "matrix with texts": matrix_page(whole, texts_of(whole)),
        "compare": compare_page(comparison, [whole.state]),
        "compare with texts": compare_page(comparison, [whole.state], texts_of(whole)),
        "compare without states": compare_page(compared(whole)),
        "hostile matrix": matrix_page(attacked, texts),
        "hostile compare": compare_page(compared(attacked), states, texts),
    }


NAMES = (
    "matrix",
    "matrix with texts",
    "compare",
    "compare with texts",
    "compare without states",
    "hostile matrix",
    "hostile compare",
)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_well_formed_and_asks_for_nothing(pages, name):
    page = pages[name]
    parsed = Page(page)
    assert not list(parsed.values("src"))
    assert all(link.startswith("#") for link in parsed.values("href"))
    own = "".join(parsed.raw["style"] + parsed.raw["script"])
    assert not re.search(r"@import|\bfetch\b|XMLHttpRequest|WebSocket|sendBeacon|url\((?!#)|//\w+\.\w+|https?:", own)
    if "hostile" not in name:
        assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_acts_but_our_style_and_script(pages, name):
    parsed = Page(pages[name])
    (policy,) = (a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (style,), (script,) = parsed.raw["style"], parsed.raw["script"]
    for text, kind in ((style, "style-src"), (script, "script-src")):
        assert f"{kind} 'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    for tag, attributes in parsed.elements:
        assert tag not in ("img", "iframe", "object", "link", "base")
        assert not [one for one in attributes if one.startswith("on") or one == "style"]


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_what_is_referred_to_is_there(pages, name):
    parsed = Page(pages[name])
    ids = Counter(parsed.values("id"))
    assert max(ids.values()) == 1
    wanted = {link[1:] for link in parsed.values("href")}
    wanted |= {one for value in parsed.values("aria-labelledby") for one in value.split()}
    assert wanted <= set(ids)


@pytest.mark.parametrize("name", ["hostile matrix", "hostile compare"])
def test_words_of_users_and_models_are_shown_and_do_not_act(pages, name):
    page = pages[name]
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '<script>alert("x")</script>' in unescape(page)


@pytest.mark.parametrize("name", ["matrix", "compare", "compare without states"])
def test_no_word_of_a_message_or_a_model_stands_in_a_page_unless_it_was_asked_for(pages, name):
    for word in (TEXT, REASON, QUOTE):
        assert word not in pages[name]
    assert "This file holds the words" not in pages[name]


@pytest.mark.parametrize("name", ["matrix with texts", "compare with texts"])
def test_private_words_that_were_asked_for_are_hidden_until_opened(pages, name):
    page = pages[name]
    notice = re.search(r'<p class="notice" role="note">.*?</p>', page)
    assert notice is not None
    assert notice[0] in (resources.files("crisis_filter.evaluation.report") / "templates/page.html.j2").read_text()
    assert TEXT in page
    # What stands outside of details elements, none of which is open.
    assert "<details open" not in page
    outside = re.sub(r"<details(?:(?!<details|</details>).)*</details>", "", page, flags=re.DOTALL)
    outside = re.sub(r"<details(?:(?!<details|</details>).)*</details>", "", outside, flags=re.DOTALL)
    for word in (TEXT, REASON, QUOTE):
        assert word not in outside
    if name.startswith("matrix"):
        assert REASON in page
        assert QUOTE in page
        assert all(f"{text}</p>" in page for text in texts_of(experiment()).values())


def test_only_messages_that_a_comparison_names_are_taken_up(comparison, pages):
    flipped = {flip.id for one in comparison.candidates for flip in one.flips}
    shown = set(re.findall(rf"{TEXT} (m\d+):", pages["compare with texts"]))
    assert 0 < len(flipped) < comparison.measured.messages
    assert shown == flipped


@pytest.mark.parametrize("name", ["matrix", "compare"])
def test_who_gave_the_labels_stands_at_every_table_with_a_rate(pages, name):
    page = pages[name]
    assert LABELLED_BY in page.split("<nav")[0]
    for section in re.findall(r"<section id=.*?</section>", page, re.DOTALL):
        if re.search(r"<td[^>]*>\d+ of \d+", section):
            assert LABELLED_BY in section


def cells_of(page: str) -> dict[str, list[str]]:
    """The table of variants: what stands in each row, by its name."""
    (table,) = re.findall(r'<section id="variants".*?</table>', page, re.DOTALL)
    rows = re.findall(ROW, table, re.DOTALL)
    return {
        name: [re.sub(r"<[^>]+>", "|", td) for td in re.findall(r"<td[^>]*>(.*?)</td>", rest)] for name, rest in rows
    }


@pytest.mark.parametrize("one", [experiment(), experiment(7, 0), experiment(0, 5), experiment(9, 9, repeats=1)])
def test_counts_are_those_of_the_first_answers(one):
    found = cells_of(matrix_page(one))
    for place, variant in enumerate(one.state.variants):
        answers = [(item.crisis, one.cells[variant.id, item.id, 1].assessment) for item in one.state.items]
        count = Counter((crisis, answer.outcome) for crisis, answer in answers)
        crises, others = (sum(crisis == side for crisis, _ in answers) for side in (True, False))
        faults = Counter(answer.fault for _, answer in answers if answer.outcome == "undetermined")
        assert found["crises found"][place] == f"{count[True, 'crisis']} of {crises}"
        assert found["crises missed"][place] == str(count[True, "no_crisis"])
        assert found["crises undetermined"][place] == str(count[True, "undetermined"])
        assert found["others cleared"][place] == f"{count[False, 'no_crisis']} of {others}"
        assert found["false alarms"][place] == str(count[False, "crisis"])
        assert found["others undetermined"][place] == str(count[False, "undetermined"])
        for fault, times in faults.items():
            assert f"{fault.replace('_', ' ')} {times}" in found["undetermined, by fault"][place]
        for name, right, of in (
            ("sensitivity", count[True, "crisis"], crises),
            ("specificity", count[False, "no_crisis"], others),
        ):
            interval = wilson(right, of)
            rate = f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})" if of else "undefined"
            assert found[name][place] == f"{right} of {of}||{rate}|"
        assert found["requests"][place] == f"{one.spent[variant.id].requests:,}"
        assert found["tokens of the answers, whoever paid"] == found["tokens, read and written"]
        tokens = one.spent[variant.id]
        assert found["tokens, read and written"][place] == f"{tokens.prompt_tokens:,} and {tokens.completion_tokens:,}"


def test_an_undetermined_answer_never_raises_a_rate():
    judges = (Judge("a", "m", undetermined=0.0, wavering=0.0), Judge("b", "m", undetermined=0.5, wavering=0.0))
    sure, unsure = columns(experiment(200, 200, judges))
    assert sum(unsure.unsure) > 100
    assert unsure.found.count < sure.found.count
    assert unsure.found.nobs == sure.found.nobs == 200
    assert unsure.told.count == unsure.found.count + unsure.unsure[0]


def test_every_message_has_a_row_with_every_answer_in_words(whole, pages):
    page = pages["matrix"]
    rows = dict(re.findall(r'<tr id="m\d+"[^>]*><th scope="row">([^<]+)<(.*?)</tr>', page, re.DOTALL))
    assert set(rows) == {item.id for item in whole.state.items}
    says = {
        (True, "crisis"): "● crisis",
        (True, "no_crisis"): "○ not crisis: missed",
        (True, "undetermined"): "? undetermined: ",
        (False, "crisis"): "● crisis: false alarm",
        (False, "no_crisis"): "○ not crisis",
        (False, "undetermined"): "? undetermined: ",
    }
    for item in whole.state.items:
        boxes = re.findall(r"<td[^>]*><details><summary>(.*?)</summary>", rows[item.id])
        assert len(boxes) == len(whole.state.variants)
        for shown, variant in zip(boxes, whole.state.variants, strict=True):
            outcomes = [whole.cells[variant.id, item.id, at].assessment.outcome for at in (1, 2, 3)]
            same = f"{outcomes.count(outcomes[0])}/3"
            mark = "em" if len(set(outcomes)) > 1 else "i"
            assert shown.startswith(says[item.crisis, outcomes[0]])
            assert shown.endswith(f" <{mark}>{same}</{mark}>")


def test_rows_are_marked_for_what_they_can_be_shown_for(whole):
    rows = {row.id: row for group in groups(whole, None) for row in group.rows}
    for item in whole.state.items:
        answers = {
            variant.id: [whole.cells[variant.id, item.id, at].assessment.outcome for at in (1, 2, 3)]
            for variant in whole.state.variants
        }
        every = {outcome for outcomes in answers.values() for outcome in outcomes}
        wanted = {
            "d": len({outcomes[0] for outcomes in answers.values()}) > 1,
            "w": ("no_crisis" if item.crisis else "crisis") in every,
            "u": "undetermined" in every,
            "s": any(len(set(outcomes)) > 1 for outcomes in answers.values()),
        }
        assert rows[item.id].marks.split() == [letter for letter, holds in wanted.items() if holds]


def test_crises_come_first_and_of_them_those_on_which_variants_differ(whole):
    crisis = {item.id: item.crisis for item in whole.state.items}
    shown = [(crisis[row.id], "d" in row.marks.split()) for group in groups(whole, None) for row in group.rows]
    assert shown == sorted(shown, reverse=True)
    assert len(set(shown)) == 4


def test_checkboxes_ask_for_marks_that_rows_carry(pages):
    parsed = Page(pages["matrix"])
    boxes = [a["value"] for tag, a in parsed.elements if tag == "input"]
    marks = {one for tag, a in parsed.elements if tag == "tr" for one in str(a.get("class", "")).split()}
    assert set(boxes) == {"d", "w", "u", "s"}
    assert set(boxes) <= marks
    assert "repeats differ" not in matrix_page(experiment(repeats=1)).split('<table class="grid">')[0]


def test_links_to_changed_verdicts_lead_to_the_rows_of_those_messages(whole, pages):
    page = pages["matrix"]
    for shift, variant in zip(shifts(whole), whole.state.variants[1:], strict=True):
        first = whole.state.variants[0]
        listed = {}
        for ids in shift.lists:
            for one in ids.ids:
                assert re.search(rf'<tr id="{one.anchor}"[^>]*><th scope="row">{one.id}<', page)
                listed[one.id] = ids.title
        for item in whole.state.items:
            before, now = (whole.cells[v.id, item.id, 1].assessment.outcome for v in (first, variant))
            kind = change(before, now, item.crisis)
            assert (item.id in listed) == (kind is not None)


@pytest.mark.parametrize(
    ("before", "now", "crisis", "kind"),
    [
        ("crisis", "no_crisis", True, "broken"),
        ("crisis", "no_crisis", False, "fixed"),
        ("no_crisis", "crisis", True, "fixed"),
        ("no_crisis", "crisis", False, "broken"),
        ("undetermined", "no_crisis", True, "sure"),
        ("undetermined", "crisis", True, "fixed"),
        ("undetermined", "crisis", False, "sure"),
        ("no_crisis", "undetermined", True, "unsure"),
        ("crisis", "undetermined", True, "unsure"),
        ("crisis", "crisis", True, None),
        ("undetermined", "undetermined", False, None),
    ],
)
def test_a_changed_verdict_has_one_name(before, now, crisis, kind):
    assert change(before, now, crisis) == kind


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=5), st.booleans())
def test_a_box_is_right_only_where_its_first_answer_is(outcomes, crisis):
    made = experiment(1, 1, (Judge("p", "m"),), repeats=1)
    example = next(iter(made.cells.values()))
    item = Item(id="x", crisis=crisis, categories=(), text_sha256="0" * 64)
    findings = {cell.assessment.outcome: cell.assessment.findings for cell in experiment(4, 4).cells.values()}["crisis"]
    cells = []
    for outcome in outcomes:
        update = {
            "outcome": outcome,
            "fault": Fault.TIMEOUT if outcome == "undetermined" else None,
            "findings": findings if outcome == "crisis" else (),
        }
        cells.append(example.model_copy(update={"assessment": example.assessment.model_copy(update=update)}))
    found = box(item, cells, reasons=False)
    right = "crisis" if crisis else "no_crisis"
    fates = {right: "", "undetermined": "u", "no_crisis" if crisis else "crisis": "m" if crisis else "a"}
    assert found.fate == fates[outcomes[0]]
    assert found.unstable == (len(set(outcomes)) > 1)
    assert found.undetermined == ("undetermined" in outcomes)
    assert found.wrong == (("no_crisis" if crisis else "crisis") in outcomes)
    assert found.reasons == ()
    # Every answer is told of in some line.
    told = {one for line in found.lines for one in re.findall(r"\d+(?=[,:])", line.split(": ")[0] + ":")}
    assert len(found.lines) == 1 or told == {str(place) for place in range(1, len(outcomes) + 1)}


def test_two_faults_of_one_message_are_both_named(whole):
    item = whole.state.items[0]
    example = whole.cells[whole.state.variants[0].id, item.id, 1]
    faults = (Fault.TIMEOUT, Fault.SCHEMA)
    cells = [
        example.model_copy(
            update={
                "assessment": example.assessment.model_copy(
                    update={"outcome": "undetermined", "fault": fault, "findings": ()}
                )
            }
        )
        for fault in faults
    ]
    found = box(item, cells, reasons=False)
    assert "timeout" in found.said
    assert [fault.value in line for fault, line in zip(faults, found.lines, strict=True)] == [True, True]


def test_what_was_not_asked_yet_is_no_answer_and_is_told(whole):
    gone = whole.state.items[3].id
    first, second = whole.state.variants[:2]
    some = without(whole, [(first.id, gone, at) for at in (1, 2, 3)] + [(second.id, gone, 1)])
    page = matrix_page(some)
    assert not some.complete
    assert "Not finished: 536 of 540 answers are there." in page
    shown = columns(some)
    assert [one.unasked for one in shown] == [1, 1, 0]
    assert [one.found.nobs for one in shown] == [29, 29, 30]
    row = re.search(rf'<th scope="row">{gone}<.*?</tr>', page, re.DOTALL)
    assert row is not None
    assert '<td class="n">- not asked yet</td>' in row[0]
    empty = matrix_page(replace(whole, cells={}))
    assert Page(empty).text.count("undefined") >= 6


def test_a_provider_that_answers_nonsense_throughout_is_told_of():
    page = matrix_page(experiment(5, 5, (Judge("p", "good"), Judge("p", "broken", undetermined=1.0, wavering=0.0))))
    assert "p@broken: every answer is undetermined" in page
    assert "p@good: every answer" not in page


def test_an_experiment_of_usual_size_is_a_small_file():
    judges = [Judge(f"prompt-v{at}", "model-a", 0.95 + at / 200, cleverer=f"{at}. More.\n") for at in range(6)]
    one = experiment(900, 900, judges)
    assert one.complete
    page = matrix_page(one)
    assert len(page.encode()) <= MOST_BYTES
    assert page.count('<tr id="m') == 1800
    assert len(compare_page(compared(one)).encode()) <= MOST_BYTES


LINES = st.lists(st.text(alphabet="ab  .", max_size=12), max_size=12)


@given(LINES, LINES)
def test_a_diff_tells_every_line_that_differs(before, after):
    lines = changed_lines("\n".join(before), "\n".join(after))
    kept = [("".join(piece.text for piece in line.pieces), line.kind) for line in lines if line.kind != "gap"]
    old = [text for text, kind in kept if kind in ("same", "cut")]
    new = [text for text, kind in kept if kind in ("same", "put")]
    was, now = "\n".join(before).splitlines(), "\n".join(after).splitlines()
    assert bool(lines) == (was != now)
    assert Counter(old) <= Counter(was)
    assert Counter(new) <= Counter(now)
    # Lines that one text has more often than the other are all there.
    assert not (Counter(was) - Counter(now)) - Counter(old)
    assert not (Counter(now) - Counter(was)) - Counter(new)


def test_inside_a_changed_line_only_the_changed_words_are_marked():
    cut, put = changed_lines("mark it as a crisis today", "mark it as no crisis today")
    assert [(piece.text.strip(), piece.changed) for piece in cut.pieces] == [
        ("mark it as", False),
        ("a", True),
        ("crisis today", False),
    ]
    assert [piece.text.strip() for piece in put.pieces if piece.changed] == ["no"]
    (cut, put) = changed_lines("one two three", "four five six")
    assert [piece.changed for piece in (*cut.pieces, *put.pieces)] == [True, True]


def test_prompts_are_held_against_one_another_once():
    refs = [PromptRef(id=f"screen/p-v{at}", sha256=f"{at}" * 64) for at in range(1, 7)]
    texts = [PromptText(id=ref.id, sha256=ref.sha256, system=f"line {ref.id}", user="same") for ref in refs]
    assert len(diffs([refs[:3] + refs[:3]], texts)) == 3
    assert len(diffs([refs], texts)) == 5
    assert diffs([refs[:1]], texts) == ()
    assert diffs([refs], texts[:1]) == ()
    (one,) = diffs([refs[:2]], texts)
    assert [part.title for part in one.parts] == [
        "Stable part: 1 line taken out, 1 line put in",
        "Changing part: the same in both",
    ]


def test_a_page_shows_both_parts_of_prompts_that_changed(pages):
    for name in ("matrix", "compare"):
        assert "Stable part: 1 line taken out, 2 lines put in" in pages[name]
        assert "Changing part: 1 line taken out, 1 line put in" in pages[name]
        assert "<ins>3. Allow for spelling, slang and code words.</ins>" in pages[name]
    assert "Prompts that changed" not in pages["compare without states"]


def test_a_comparison_begins_with_what_was_found_in_counts(comparison, pages):
    begin = unescape(Page(pages["compare"].split("<nav")[0] + "</header></body></html>").text)
    first, second = comparison.systems[:2]
    assert (
        f"Of {second.sensitivity.answers} answers about crises it found {second.sensitivity.right} ({second.sensitivity.undetermined} "
        f"undetermined), the incumbent {first.sensitivity.right} ({first.sensitivity.undetermined} undetermined)"
    ) in begin
    assert "no proof that a prompt or a model is fit for use" in begin
    assert LABELLED_BY in begin


def test_differences_and_verdicts_are_those_of_the_comparison(comparison, pages):
    page = unescape(pages["compare"])
    for one in comparison.candidates:
        for side in one.sides:
            of = side.difference
            assert f"{signed(of.estimate)}<br><span>({signed(of.low)} to {signed(of.high)})</span>" in page
            assert f"{one.name}: {signed(of.estimate)} (95% interval {signed(of.low)} to {signed(of.high)})" in page
        for at in one.categories:
            assert f"<td>{at.category.replace('_', ' ')}</td><td>{at.verdict}</td>" in page
        for gate in one.gates:
            row = f'<th scope="row">{one.name}</th><td>{gate.name.replace("_", " ")}</td><td>{"passed" if gate.passed else "not passed"}</td>'
            assert row in page
    kept = [gate.passed for one in comparison.candidates for gate in one.gates]
    assert True in kept
    assert False in kept


def test_each_system_stands_with_its_own_counts(comparison, pages):
    (table,) = re.findall(r'<section id="systems".*?</table>', pages["compare"], re.DOTALL)
    rows = {name: re.findall(r"<td[^>]*>(.*?)</td>", rest) for name, rest in re.findall(ROW, table, re.DOTALL)}
    for place, one in enumerate(comparison.systems):
        for side, tally, names in (
            ("crises", one.crises, ("crises found", "crises undetermined", "crises missed")),
            ("others", one.others, ("false alarms", "others undetermined", "others cleared")),
        ):
            counts = (tally.crisis, tally.undetermined, tally.no_crisis)
            for name, count in zip(names, counts, strict=True):
                right = name in ("crises found", "others cleared")
                assert rows[name][place] == (f"{count} of {tally.answers}" if right else str(count)), side
        assert f"{one.sensitivity.estimate:.3f} ({one.sensitivity.low:.3f} to" in rows["sensitivity"][place]
        assert f"undetermined {one.specificity.undetermined}" in rows["specificity"][place]
        assert f"{one.sensitivity.if_right:.3f}" in rows["crises found or undetermined: a person is told"][place]


def test_every_flip_stands_in_its_list(comparison, pages):
    (section,) = re.findall(r'<section id="flips".*?</section>', pages["compare"], re.DOTALL)
    lists = re.findall(r"<summary>(.*?): (\d+) messages?</summary>(.*?)</table>", section, re.DOTALL)
    found = Counter()
    for title, count, table in lists:
        ids = re.findall(r'<th scope="row">(?:<a[^>]*>)?(m\d+)', table)
        assert len(ids) == int(count)
        found.update((title.split(":")[0], one) for one in ids)
    wanted = Counter()
    for one in comparison.candidates:
        for flip in one.flips:
            side = "Crises" if flip.crisis else "Others"
            kinds = [flip.change] * (flip.change != "alike")
            kinds += ["newly undetermined"] * flip.newly_undetermined + ["newly missed"] * flip.newly_missed
            wanted.update((f"{side}, {kind}", flip.id) for kind in kinds or ["right equally often, but not alike"])
    assert found == wanted


@pytest.mark.parametrize(
    ("split", "words"), [("development", "(exploration, no claim)"), ("validation", "after Holm for 2 candidates")]
)
def test_p_values_on_a_development_split_are_called_exploration(split, words):
    page = compare_page(compared(experiment(split=split)))
    assert words in page
    assert ("exploration, no claim" in page) == (split == "development")


def test_an_unfinished_comparison_has_no_p_value_but_that_of_an_early_look(whole):
    page = compare_page(compared(without(whole, [(whole.state.variants[1].id, whole.state.items[0].id, 2)])))
    assert "no p-value but that of an early look" in page
    assert "not every answer is in" in page
    assert "no: p-values are those of early looks alone" in page


@pytest.mark.parametrize(("crises", "others"), [(0, 6), (6, 0)])
def test_a_side_without_messages_is_undefined_and_not_zero(crises, others):
    page = Page(compare_page(compared(experiment(crises, others)))).text
    assert "undefined" in page
    assert f"No message is among the {'other messages' if crises else 'crises'}" in page


def test_one_repeat_says_nothing_of_repeats():
    page = compare_page(compared(experiment(repeats=1)))
    assert '<section id="repeats"' not in page
    assert "Of 30 crises it found" in page


def test_an_interval_beyond_the_axis_is_cut_off_and_an_undefined_one_is_told():
    axis = Axis("difference", -0.1, 0.1, (0.0, -0.02))
    bars = [
        Bar("wide", "3 gained", 0.0, -0.9, 0.9, look(0), "wide: 0"),
        Bar("none", "0 messages", None, -1.0, 1.0, look(1), "none: undefined"),
    ]
    svg = forest(bars, axis, "two & a margin")
    assert "two &amp; a margin" in svg
    places = [float(x) for x in re.findall(r"M([\d.]+),", svg)]
    assert min(places) >= 0
    assert max(places) <= 440
    assert svg.count('role="graphics-symbol"') == 1
    assert ">undefined</text>" in svg
    assert svg.count("stroke-dasharray") == 1


@pytest.mark.parametrize(
    ("begin", "end", "ticks"),
    [
        (0.9, 1.0, ["0.9", "0.925", "0.95", "0.975", "1"]),
        (0.7, 1.0, ["0.7", "0.8", "0.9", "1"]),
        (0.0, 1.0, ["0", "0.25", "0.5", "0.75", "1"]),
        (-0.05, 0.05, ["\u22120.05", "\u22120.025", "0", "+0.025", "+0.05"]),
    ],
)
def test_ticks_are_round(begin, end, ticks):
    assert re.findall(r'<text class="tick"[^>]*>([^<]*)<', forest([], Axis("x", begin, end), "x"))[:-1] == ticks


@given(st.lists(st.floats(-1, 1), max_size=8))
def test_axes_reach_as_far_as_what_they_show(bounds):
    assert reach(bounds) >= max(map(abs, bounds), default=0)
    rates = [abs(one) for one in bounds]
    assert 0 <= least(rates) <= 0.9
    assert least(rates) <= min(rates, default=1.0)


@pytest.mark.parametrize(("score", "words"), [(1.0, "1.000"), (0.9999, ">0.999"), (0.5, "0.500"), (0.0, "0.000")])
def test_a_score_below_one_is_not_shown_as_one(score, words):
    assert score_words(score) == words


def test_answers_that_are_not_whole_or_taken_over_stand_on_both_pages(whole: Experiment):
    one = replace(whole, taken={whole.state.variants[1].id: 7})
    variant = one.state.variants[1]
    said = [
        cell.assessment for at, cell in one.cells.items() if at[0] == variant.id and cell.assessment.outcome == "crisis"
    ]
    for page in (matrix_page(one), compare_page(compared(one), [one.state])):
        rows = dict(re.findall(ROW, page, re.DOTALL))
        assert f"0 of {len(said):,}" in rows["answers that say crisis and name no category"]
        assert f"0 of {len(said):,}" in rows["answers that say crisis and carry a fault"]
        assert "7 of 180" in rows["answers taken over from an earlier experiment"]
    assert "taken over" not in matrix_page(whole)
