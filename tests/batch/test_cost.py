"""What a run would cost: the arithmetic, the sample in the real prompts, the table, and the command."""

from __future__ import annotations

import json
from itertools import pairwise
from math import isclose

import numpy as np
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from crisis_filter.batch.cost import DESIGNS, Assumptions, Call, Measured, costed, uses
from crisis_filter.batch.cost_prices import BUNDLED, Price, load_prices
from crisis_filter.batch.cost_sample import by_characters, drawn, measure
from crisis_filter.batch.rate_bucket import Limits
from crisis_filter.cli.batch_cost import batch_cost
from crisis_filter.errors import ConfigurationError
from crisis_filter.schema import Message
from crisis_filter.triage.policy import load_policy

POLICY = load_policy("default-v3")
TEXTS = (
    "can i move my scan to friday?",
    "i dont want to be here any more",
    "thanks for the letter \N{SMILING FACE WITH SMILING EYES}",
)


def price(**changed):
    given = {
        "model": "m",
        "input": 1.0,
        "cached_input": 0.1,
        "output": 4.0,
        "source": "here",
        "looked_at": "2026-01-02",
    }
    return Price.model_validate({**given, **changed})


def call(prefix, message=25.0, negative=60.0, positive=60.0):
    return Call(prompt="p", prefix=prefix, message=message, negative=negative, positive=positive)


def measured(*, texts=1.0, terse=1152.0):
    return Measured(
        messages=1000,
        sampled=10,
        texts=texts,
        reasoned=call(2048),
        terse=call(terse, negative=8, positive=8),
        categorise=call(2560, negative=150, positive=150),
    )


def test_by_hand():
    """Design A, C, C' and D with round figures: nothing cached."""
    assumed = Assumptions(flag_rate=0.1, cached=0.0, passed=0.2, audited=0.0)
    found = uses(measured(), assumed, price())
    assert found["A"].model_dump() == pytest.approx({"requests": 2, "input": 2073 + 2585, "cached": 0, "output": 210})
    assert found["C"].model_dump() == pytest.approx({"requests": 1.1, "input": 2073 + 258.5, "cached": 0, "output": 75})
    assert found["C'"].model_dump() == pytest.approx(
        {"requests": 1.1, "input": 1177 + 258.5, "cached": 0, "output": 23}
    )
    assert found["D"].model_dump() == pytest.approx(
        {"requests": 0.3, "input": 0.2 * 1177 + 258.5, "cached": 0, "output": 1.6 + 15}
    )
    assert found["A"].money(price()) == pytest.approx((4658 * 1.0 + 210 * 4.0) / 1e6)


@pytest.mark.parametrize(("prefix", "cached"), [(1023, 0), (1024, 1024), (1151.9, 1024), (1152, 1152), (6157.25, 6144)])
def test_only_whole_steps_from_the_least_length_are_cached(prefix, cached):
    found = uses(measured(terse=prefix), Assumptions(flag_rate=0.0, cached=1.0), price())
    assert found["C'"].cached == cached


SHARES = st.floats(0, 1)


@given(flag=SHARES, more=SHARES, cached=SHARES, audited=SHARES, texts=st.floats(0, 5), hidden=st.floats(0, 500))
def test_each_design_costs_no_more_than_the_one_before(flag, more, cached, audited, texts, hidden):
    """By requests, tokens and money, whatever is assumed."""
    assumed = Assumptions(
        flag_rate=flag, cached=cached, passed=flag + more * (1 - flag), audited=audited, hidden=hidden
    )
    found = costed(measured(texts=texts), assumed, price(), Limits(60, 1000))
    assert [one.design for one in found] == list(DESIGNS)
    for before, after in pairwise(found):
        for name in ("requests", "input_tokens", "output_tokens", "money", "minutes"):
            assert getattr(after, name) <= getattr(before, name) * (1 + 1e-9) + 1e-9, name
    for one in found:
        assert one.cached_tokens <= one.input_tokens
        assert one.ratio is None or one.ratio >= 1 - 1e-9


def test_time_is_what_the_tighter_limit_takes():
    by_requests, by_tokens = (
        costed(measured(), Assumptions(), price(), limits)[0]
        for limits in (Limits(100, 1e12, share=1.0), Limits(1e12, 5000, share=1.0))
    )
    assert (by_requests.minutes, by_requests.bound_by) == (pytest.approx(20.0), "requests")
    assert by_tokens.bound_by == "tokens"
    assert by_tokens.minutes == pytest.approx((by_tokens.input_tokens + by_tokens.output_tokens) / 5000)
    assert costed(measured(), Assumptions(), price())[0].minutes is None


def test_a_cascade_cannot_clear_what_is_found_to_be_a_crisis():
    with pytest.raises(ValueError, match="passed is at least flag_rate"):
        Assumptions(flag_rate=0.3, passed=0.2)


def test_the_sample_goes_through_the_real_prompts():
    """The nonce is counted in the message and in the answer, and the schema in the prefix."""
    sample = [Message(id=f"{n}", text=text) for n, text in enumerate(TEXTS)]
    found = measure(sample, 300, POLICY)
    assert (found.messages, found.sampled, found.texts) == (300, 3, 1.0)
    assert (found.reasoned.prompt, found.terse.prompt) == ("screen/reasoned-v2", "screen/terse-v2")
    assert found.terse.prefix < found.reasoned.prefix < found.categorise.prefix
    assert found.terse.negative < found.reasoned.negative / 4
    assert found.categorise.negative < found.categorise.positive
    bare = measure([Message(id="x", text="")], 1, POLICY)
    assert bare.texts == 0.0
    assert bare.terse.message < found.terse.message
    characters = measure(sample, 3, POLICY, tokens=len)
    assert 3.5 < characters.terse.prefix / found.terse.prefix <= 4.0
    nonces = measure(sample, 3, POLICY, tokens=lambda text: float("0f1e2d" in text))
    assert (nonces.terse.prefix, nonces.terse.negative, nonces.terse.positive) == (0, 1, 1)
    halves = measure(sample, 3, POLICY, tokens=lambda text: text.count('"0f1') + text.count('"e2d'))
    assert halves.terse.message == 2


@pytest.mark.parametrize(
    ("message", "texts"),
    [
        ({"text": "hello"}, 1),
        ({"text": ""}, 0),
        ({"text": "   "}, 0),
        ({"text": "", "unreadable": True}, 0),
        ({"text": "a" * 1_000_001}, 0),
        ({"text": "word " * 4000}, 3),
        ({"text": "i want to d\N{CYRILLIC SMALL LETTER IE}\N{ZERO WIDTH SPACE}ad"}, 2),
        ({"text": "broken \ud83d surrogate"}, 1),
    ],
)
def test_texts_are_counted_as_they_are_judged(message, texts):
    assert measure([Message(id="x", **message)], 1, POLICY).texts == texts


def test_tokens_by_characters():
    assert by_characters("") == 0
    assert by_characters("what now") == 2
    assert by_characters("0f1e2d3c") == 4
    assert by_characters("decade of a faded cafe") < by_characters("0123456789 of a faded cafe")


@given(count=st.integers(0, 60), most=st.integers(1, 20), seed=st.integers(0, 9))
def test_a_sample_is_of_the_messages_and_as_large_as_it_may_be(count, most, seed):
    messages = [Message(id=f"{n}", text="x") for n in range(count)]
    kept, seen = drawn(iter(messages), most, np.random.default_rng(seed))
    assert seen == count
    assert len(kept) == min(count, most)
    assert len({message.id for message in kept}) == len(kept)


def test_each_message_is_as_likely_to_be_drawn():
    rng = np.random.default_rng(7)
    messages = [Message(id=f"{n}", text="x") for n in range(20)]
    drawn_ids = [message.id for _ in range(2000) for message in drawn(messages, 5, rng)[0]]
    shares = np.array([drawn_ids.count(f"{n}") for n in range(20)]) / 2000
    assert np.abs(shares - 0.25).max() <= 0.05


def test_the_bundled_table_says_where_it_comes_from():
    table = load_prices()
    assert table.currency == "USD"
    for one in table.models:
        assert one.source.startswith("https://")
        assert one.cached_input <= one.input <= one.output
        assert one.looked_at.year >= 2026


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models = [", "not valid TOML"),
        ("currency = 'USD'", "models: Field required"),
        ("models = []", "models"),
        ("[[models]]\nmodel = 'm'\ninput = 1\ncached_input = 1\noutput = 1\nsource = 's'", "models.0.looked_at"),
        ("[[models]]\nmodel = 'm'\ninput = -1\ncached_input = 1\noutput = 1\nsource = 's'\nlooked_at = 2026-01-01", "models.0.input"),
        ("[[models]]\nmodel = 'm'\ninput = nan\ncached_input = 1\noutput = 1\nsource = 's'\nlooked_at = 2026-01-01", "models.0.input"),
        (2 * "[[models]]\nmodel = 'm'\ninput = 1\ncached_input = 1\noutput = 1\nsource = 's'\nlooked_at = 2026-01-01\n", "stands there twice"),
    ],
)  # fmt: skip
def test_a_broken_table_is_refused_by_name_and_place(tmp_path, text, words):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_prices(path)
    assert "mine.toml" in str(caught.value)
    assert words in str(caught.value)


def app():
    found = typer.Typer()
    found.command()(batch_cost)
    return found


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "in.jsonl"
    rows = ({"id": f"{n}", "text": f"{TEXTS[n % 3]} {n}"} for n in range(60))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def ran(*arguments):
    return CliRunner().invoke(app(), list(map(str, arguments)))


def test_the_command_prints_a_table_with_its_assumptions(file):
    told = ran(file, "--messages", 1_000_000, "--model", "gpt-5-nano", "--rpm", 30_000, "--sample", 20)
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert "1,000,000 messages, 20 of 60 looked at" in words
    for part in (
        "D: C' behind a validated cascade",
        "assumed: 4.0%",
        "four characters",
        "looked at on 2026",
        "requests",
    ):
        assert part in words
    assert "gpt-4o-mini" not in words
    assert not any(text in told.output for text in TEXTS)


def test_the_command_as_json_is_the_arithmetic_of_the_library(file, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(BUNDLED.read_text(encoding="utf-8").replace("gpt-5-nano", "ours"), encoding="utf-8")
    told = ran(
        file, "--prices", mine, "--model", "ours", "--flag-rate", 0.1, "--passed", 0.2, "--cached", 0.5, "--json"
    )
    assert told.exit_code == 0, told.output
    report = json.loads(told.output)
    again = Measured.model_validate(report["measured"])
    assumed = Assumptions(flag_rate=0.1, passed=0.2, cached=0.5)
    expected = costed(again, assumed, load_prices(mine).of("ours"))
    assert [one["design"] for one in report["designs"]] == list(DESIGNS)
    assert all(isclose(one["money"], two.money) for one, two in zip(report["designs"], expected, strict=True))
    assert (report["messages"], report["measured"]["sampled"]) == (60, 60)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--model", "nobody's"], 5, "no price for"),
        (["--passed", "0.01"], 5, "at least --flag-rate"),
        (["--prices", "/no/such/file.toml"], 5, "cannot be read"),
        (["--policy", "no-such-policy"], 5, "no-such-policy"),
        (["--text-column", "nothing"], 2, "nothing"),
    ],
)
def test_what_is_wrong_is_told(file, arguments, status, words):
    told = ran(file, *arguments)
    assert told.exit_code == status, told.output
    assert words in told.output


def test_an_empty_input_is_wrong(tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("", encoding="utf-8")
    told = ran(empty)
    assert told.exit_code == 2
    assert "no messages" in told.output
