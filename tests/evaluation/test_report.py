"""The report of an evaluation, as HTML, as Markdown and on a terminal: whole, closed, escaped, and never a figure without its n."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import altair as alt
import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.errors import ConfigurationError
from crisis_filter.evaluation.records import Evaluation, Point, Scores, Unscored
from crisis_filter.evaluation.report.curves import roc
from crisis_filter.evaluation.report.html import html
from crisis_filter.evaluation.report.ink import look
from crisis_filter.evaluation.report.markdown import markdown
from crisis_filter.evaluation.report.outline import sections
from crisis_filter.evaluation.report.overall import overall
from crisis_filter.evaluation.report.stage_one import FATES
from crisis_filter.evaluation.report.thresholds import IN_USE, in_use, thin
from crisis_filter.evaluation.report.waffle import whole as squares_for
from crisis_filter.evaluation.report.words import expected, p_value, rate, whole
from crisis_filter.stats.intervals import wilson
from tests.evaluation.making import HOSTILE, LABELLED_BY, hostile, made
from tests.evaluation.page_reading import Page

MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return made()


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    return html(evaluation)


@pytest.fixture(scope="module")
def parsed(page: str) -> Page:
    return Page(page)


def test_it_is_one_small_file_that_asks_for_nothing(page, parsed):
    assert len(page.encode()) <= MOST_BYTES
    assert "http" not in page.replace("http-equiv", "")
    assert "clip-path" not in page
    assert not list(parsed.values("src"))
    assert all(link.startswith("#") for link in parsed.values("href"))
    assert not re.search(r"@import|\bfetch\b|XMLHttpRequest|WebSocket|sendBeacon|url\((?!#)|//\w+\.\w+", page)


def test_its_policy_lets_nothing_act_but_our_style_and_script(parsed):
    (policy,) = (a["content"] for _, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    (style,) = parsed.raw["style"]
    script = parsed.raw["script"][-1]
    for text, kind in ((style, "style-src"), (script, "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    scripts = [a.get("type") for tag, a in parsed.elements if tag == "script"]
    assert scripts == ["application/json", None]


def test_no_attribute_acts_or_styles(parsed):
    for _, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_ids_are_unique_and_what_is_referred_to_is_there(parsed):
    ids = Counter(parsed.values("id"))
    assert max(ids.values()) == 1
    wanted = {link[1:] for link in parsed.values("href")}
    several = ("aria-labelledby", "aria-describedby", "popovertarget", "list")
    wanted |= {one for name in several for value in parsed.values(name) for one in value.split()}
    assert wanted <= set(ids)


def test_every_figure_has_a_caption_the_labels_sentence_and_its_numbers(page, parsed):
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 10
    for figure in figures:
        assert "<figcaption>" in figure
        assert LABELLED_BY in figure
        assert "<table" in figure
    for tag, attributes in parsed.elements:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")


def test_every_mark_says_its_counts_and_its_interval(page):
    marks = re.findall(r'aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="(?:point|rect)', page)
    assert len(marks) > 100
    for mark in marks:
        assert re.search(r"\d of \d|[\d,]+ messages", mark)
        assert re.search(r"interval|\d messages|PPV [\d.]+ \(", mark)


def test_headings_go_down_one_at_a_time(parsed):
    depths = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert depths[0] == 1
    assert depths.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(depths))


def test_colours_come_from_the_page(page):
    assert not re.search(r'(?:fill|stroke)="(?:#0|black|white)', page.split("<body>")[1])


def test_systems_differ_in_more_than_colour():
    looks = [look(place) for place in range(42)]
    assert len({(one.colour, one.shape) for one in looks}) == 42
    assert len({one.shape for one in looks[:7]}) == 7
    assert len({one.dash for one in looks[:5]}) == 5


def test_counts_stand_before_rates_and_undetermined_in_a_column(evaluation, parsed):
    for one in evaluation.systems:
        measures, crises = one.screening.measures, one.screening.crises
        for of in (measures.sensitivity, measures.specificity):
            assert f"{of.count:,} of {of.nobs:,}" in parsed.text
            assert f"{of.estimate:.3f} ({of.low:.3f} to {of.high:.3f})" in parsed.text
        assert f"{crises['undetermined']} undetermined, {crises['no_crisis']} missed" in parsed.text
    (outcomes,) = [s for part in sections(evaluation) for s in part.sheets if s.caption.startswith("Outcomes")]
    assert outcomes.heads.count("undetermined") == 2
    for row, one in zip(outcomes.rows, evaluation.systems, strict=True):
        assert row[3] == f"{one.screening.crises['undetermined']:,}"
        assert row[7] == f"{one.screening.others['undetermined']:,}"


def test_ids_stand_there_and_texts_only_where_they_were_asked_for(evaluation, page):
    missed = evaluation.systems[2].screening.missed
    assert missed
    assert all(f"<li>{one}</li>" in page for one in missed)
    assert "fictional" not in page
    texts = {one: f"fictional & <b>{one}</b>" for one in missed}
    told = html(evaluation, texts={**texts, "nobody": "fictional nobody"})
    assert "This file holds the words of messages" in Page(told).text
    assert "This file holds" not in page
    assert "fictional nobody" not in told
    for one in missed:
        hidden = re.search(
            rf"<details class=\"text\"><summary>{one}</summary><p id=\"(text-\d+)\"[^>]*>([^<]*)</p>", told
        )
        assert hidden is not None
        assert hidden[2] == f"fictional &amp; &lt;b&gt;{one}&lt;/b&gt;"
        assert f'<a href="#{hidden[1]}">{one}</a>' in told
    assert len(told.encode()) <= MOST_BYTES


def test_it_is_the_same_each_time(evaluation, page):
    assert roc(evaluation) == roc(evaluation)
    assert all(panel.svg in page for make in (roc, overall) for panel in make(evaluation).panels)


def test_nothing_that_a_user_wrote_acts_in_html():
    attacked = hostile()
    ids = {one: HOSTILE for each in attacked.systems for one in each.screening.missed + each.screening.false_alarms}
    assert ids
    text = html(attacked, texts=ids)
    parsed = Page(text)
    assert [a.get("type") for tag, a in parsed.elements if tag == "script"] == ["application/json", None]
    assert not [tag for tag, _ in parsed.elements if tag == "img"]
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert all(link.startswith("#") for link in parsed.values("href"))
    assert """<script>alert("x")</script>' | `a`""" in parsed.text
    data = json.loads(parsed.raw["script"][0])
    assert data["systems"][0]["name"].startswith("<script>")


@pytest.mark.parametrize(("crises", "others"), [(0, 12), (12, 0)])
def test_what_was_not_counted_is_undefined(crises, others):
    found = made(crises, others, (("a", "assessments", 1.0), ("b", "binary", 1.0)))
    for text in (markdown(found), Page(html(found)).text):
        assert "undefined" in text
        assert not re.search(r"\bnan\b|\bNone\b|\binf\b", text)
    sides = found.systems[0].screening.measures
    for of in (sides.sensitivity, sides.specificity):
        if of.nobs == 0:
            assert rate(of) == "0 of 0\nundefined"


def test_a_section_without_figures_says_why():
    found = made(15, 15, (("guard", "binary", 1.0),))
    assert isinstance(found.systems[0].scores, Unscored)
    text = Page(html(found)).text
    assert "guard: no figures from scores, because this system gives no scores." in text
    assert "guard: no Stage 2, because this system names no categories." in text
    assert "There is one system only, guard, so" in text
    assert "What a threshold costs" not in text


def test_a_missing_extra_is_told(evaluation, monkeypatch):
    for name in ("altair", "vl_convert"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(ConfigurationError, match=r"pip install 'crisis-filter\[report\]'"):
                html(evaluation)
            assert markdown(evaluation).startswith("# ")


def test_charts_fit_the_schema(evaluation, monkeypatch):
    """They are drawn without the check, which costs as much time as the drawing."""
    specs = []
    draw = vl_convert.vegalite_to_svg
    monkeypatch.setattr(vl_convert, "vegalite_to_svg", lambda spec, **how: (specs.append(spec), draw(spec, **how))[1])
    overall(evaluation)
    assert len(specs) == 2
    for spec in specs:
        alt.LayerChart.from_dict(spec, validate=True)


def test_the_explorer_has_the_counts_of_the_points(evaluation, parsed):
    data = json.loads(parsed.raw["script"][0])
    scored = [one.scores for one in evaluation.systems if isinstance(one.scores, Scores)]
    assert len(data["systems"]) == len(scored) == 2
    for shown, scores in zip(data["systems"], scored, strict=True):
        assert (shown["crises"], shown["others"]) == (scores.crises, scores.others)
        assert {tuple(one) for one in shown["points"]} <= {(p.threshold, p.found, p.alarms) for p in scores.points}
        assert shown["points"][-1][1:] == [scores.points[-1].found, scores.points[-1].alarms]


def test_the_explorer_opens_where_the_system_ran(evaluation, parsed):
    data = json.loads(parsed.raw["script"][0])
    scored = [one for one in evaluation.systems if isinstance(one.scores, Scores)]
    for shown, one in zip(data["systems"], scored, strict=True):
        of = one.screening
        found, alarms = of.crises["crisis"], of.others["crisis"]
        assert shown["ran"] == (
            f"{found} of {sum(of.crises.values())} crises found, {alarms} of {sum(of.others.values())} others taken for a crisis"
        )
        _, near, false = shown["points"][shown["used"]]
        off = abs(near - found) / shown["crises"] + abs(false - alarms) / shown["others"]
        assert all(
            off <= abs(point.found - found) / shown["crises"] + abs(point.alarms - alarms) / shown["others"]
            for point in one.scores.points
        )
    (table,) = [s for part in sections(evaluation) for s in part.sheets if s.figure == "explorer"]
    assert sum(IN_USE in row[1] for row in table.rows) == len(scored)
    assert not any("." in cell for row in table.rows for cell in row[2:])


def test_scores_that_say_something_else_have_no_threshold_in_use(evaluation):
    one = evaluation.systems[0]
    away = one.screening.model_copy(update={"crises": {"crisis": 60, "no_crisis": 60}})
    changed = one.model_copy(update={"screening": away})
    assert in_use(one, one.scores) is not None
    assert in_use(changed, changed.scores) is None
    found = evaluation.model_copy(update={"systems": (changed,)})
    assert json.loads(Page(html(found)).raw["script"][0])["systems"][0]["used"] is None


@given(st.integers(4, 80), st.integers(3, 60), st.data())
def test_thinning_keeps_the_ends_and_the_one_in_use(length, most, data):
    points = tuple(Point(threshold=1 - n / 100, found=n, alarms=n) for n in range(length))
    keep = data.draw(st.none() | st.integers(0, length - 1))
    some = thin(points, most, keep)
    assert len(some) <= most
    assert (some[0], some[-1]) == (points[0], points[-1])
    assert list(some) == sorted(some, key=lambda point: point.found)
    assert keep is None or points[keep] in some


def test_the_matrix_has_hits_on_its_diagonal_and_all_errors_last(evaluation, page):
    tables = re.findall(r'<table class="matrix">.*?</table>', page, re.DOTALL)
    found = [one.categorising for one in evaluation.systems if one.categorising is not None]
    sheets = [s for part in sections(evaluation) for s in part.sheets if s.figure == "matrix"]
    assert len(tables) == len(found) == len(sheets) == 2
    for table, one, sheet in zip(tables, found, sheets, strict=True):
        right = [f"{row.hierarchical.sensitivity.count:,}" for row in one.rows]
        errors = [f"{cell.messages:,}" for cell in one.matrix if cell.truth == cell.said]
        assert re.findall(r'<td class="h0 hit">(\d+)</td>', table) == right
        assert re.findall(r'<td class="h0 errors">(?:<button[^>]*>)?(\d+)', table) == errors
        assert sheet.heads[-1] == "all errors"
        assert [row[at + 1] for at, row in enumerate(sheet.rows)] == right
        assert [row[-1] for row in sheet.rows] == errors


def test_the_page_begins_in_plain_words_and_whole_numbers(evaluation, page):
    begin = Page(page.split('<nav aria-label="Contents">')[0] + "</header></body></html>").text
    assert LABELLED_BY in begin
    assert "no proof that a system is fit for use" in begin
    assert "SHA-256" not in begin
    for one in evaluation.systems:
        of = one.screening
        missed = of.crises["no_crisis"] / sum(of.crises.values()) * 1000
        alarms = of.others["crisis"] / sum(of.others.values()) * 1000
        said = (
            f"{one.system.name}. Of 1,000 crises like those here about {whole(missed)} would be missed (95% interval "
        )
        assert said in begin
        assert f"of 1,000 other messages about {whole(alarms)} would be false alarms" in begin.replace("Of", "of")


def test_a_long_labels_sentence_stands_at_the_top_and_under_each_figure_alone(evaluation):
    gold = evaluation.gold.model_copy(update={"labelled_by": "somebody " * 20 + "indeed"})
    page = html(evaluation.model_copy(update={"gold": gold}))
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert all("indeed" in figure for figure in figures)
    # Beside those: the top, and the table of what was evaluated.
    assert page.count("indeed") == len(figures) + 2


NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="needs a JavaScript program")
def test_the_page_computes_the_same_wilson_interval(parsed):
    script = parsed.raw["script"][-1]
    (function,) = re.findall(r"const wilson = .*?\n  };", script, re.DOTALL)
    data = json.loads(parsed.raw["script"][0])
    cases = [(0, 7), (7, 7), (1, 900), (594, 600)]
    program = f"const data = {{z: {data['z']}}};{function};console.log(JSON.stringify({[list(c) for c in cases]}.map((c) => wilson(...c))))"
    done = subprocess.run([str(NODE), "-e", program], capture_output=True, text=True, check=True, timeout=60)
    for (count, of), found in zip(cases, json.loads(done.stdout), strict=True):
        ours = wilson(count, of)
        assert (found["rate"], found["low"], found["high"]) == pytest.approx(
            (ours.estimate, ours.low, ours.high), abs=1e-12
        )


@pytest.mark.skipif(NODE is None, reason="needs a JavaScript program")
def test_the_page_rounds_as_we_do(parsed):
    script = parsed.raw["script"][-1]
    functions = [re.search(rf"const {name} = .*;", script) for name in ("fixed", "whole")]
    cases = [0, 1e-12, 0.2, 0.999, 1, 7.8, 46.7, 2793.6, 12345.2]
    program = (
        "\n".join(str(found and found.group()) for found in functions)
        + f"console.log(JSON.stringify({cases}.map((n) => whole(n))))"
    )
    done = subprocess.run([str(NODE), "-e", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [whole(case) for case in cases]


@given(st.lists(st.floats(min_value=0, max_value=1e4), min_size=len(FATES), max_size=len(FATES)))
def test_squares_add_up_and_none_that_is_expected_is_lost(values):
    wanted = dict(zip(FATES, values, strict=True))
    squares = squares_for(wanted)
    assert sum(squares.values()) == 10_000
    assert all(count >= 0 for count in squares.values())
    if sum(values):
        assert all(squares[fate] > 0 for fate, n in wanted.items() if n / sum(values) > 1e-12)
        assert all(abs(squares[f] - n / sum(values) * 10_000) <= len(FATES) for f, n in wanted.items())


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0"), (0.034, "0.034"), (3.04, "3.0"), (12.3, "12"), (9207.2, "9,207")]
)
def test_a_small_expectation_is_not_taken_for_none(value, words):
    assert expected(value) == words


@pytest.mark.parametrize(("p", "words"), [(1.0, "1.0000"), (0.0312, "0.0312"), (0.00001, "<0.0001"), (0.0, "<0.0001")])
def test_a_p_value_is_never_zero(p, words):
    assert p_value(p) == words
