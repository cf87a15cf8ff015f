"""Canonical views, chunks, and looking quotes up."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crisis_filter.text import QuoteFinder, beyond_latin, chunks, mended, normalise, runs_together, views
from crisis_filter.text.turned import displayed
from crisis_filter.text.views import as_displayed
from tests.strategies import texts

PLAIN = "i want to die tonight"


def tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(c)) for c in text)


@pytest.mark.parametrize(
    "hidden",
    [
        "i want to d\u00adie tonight",
        "i\u200b want to\u200d die tonight",
        "i want to d\u034fi\u3164e tonight",
        "ｉ ｗａｎｔ ｔｏ ｄｉｅ ｔｏｎｉｇｈｔ",
        "𝐢 𝐰𝐚𝐧𝐭 𝐭𝐨 𝐝𝐢𝐞 𝐭𝐨𝐧𝐢𝐠𝐡𝐭",
        "i want to d\u2066\u2069ie tonight",
        tags("i want to die tonight"),
        "i want\x00 to die tonight",
        "i want to d\u0336\u0337\u0338\u0334i\u0336\u0337\u0338\u0334e tonight",
    ],
)
def test_hidden_words_come_out_in_the_normalised_view(hidden):
    """A second view is made, and it reads as the plain text does."""
    found = views(hidden)
    assert [v.name for v in found] == ["raw", "normalised"]
    assert found[1].text == PLAIN


@pytest.mark.parametrize(
    "ordinary",
    [
        "Can't make it… “see you” – soon",
        "two  spaces\nand a line",
        "café, naïve, Zoë",
        "🙂 👩‍👩‍👧 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣",
        "नमस्ते, สวัสดี, مرحبا",
        "😭",
    ],
)
def test_ordinary_typing_is_judged_once(ordinary):
    """Phone typography, emoji and other scripts are no reason for a second judgement."""
    assert [v.name for v in views(ordinary)] == ["raw"]


@pytest.mark.parametrize("blank", ["", " \t\n", "\u200b" * 500, "\ufe0f", "\u3164\u2800", "\u00ad", "\x00"])
def test_nothing_visible_gives_no_view(blank):
    """Text that shows nothing has nothing to judge."""
    assert views(blank) == ()


def test_tag_characters_on_an_emoji_are_spelled_out():
    """A message smuggled behind an emoji is read."""
    assert "die" in normalise("🙂" + tags("die")).text


@pytest.mark.parametrize("code", ["gbeng", "gbsct", "gbwls", "gbnir", "ustx"])
def test_a_flag_of_a_region_spells_nothing(code):
    """Tags that make a flag are drawn as one."""
    flag = f"🏴{tags(code)}\U000e007f"
    assert [v.name for v in views(f"home {flag}")] == ["raw"]


@pytest.mark.parametrize("spelled", ["die", "kys", "usa", "killme", "gbeng die", "i want to die tonight", "GBENG"])
@pytest.mark.parametrize("end", ["", "\U000e007f", "\U000e007f\U000e007f"])
def test_what_tags_spell_behind_a_black_flag_is_read(spelled, end):
    """Only the code of a region, ended as it should be, is a flag."""
    found = views(f"have a nice day 🏴{tags(spelled)}{end}")
    assert [v.name for v in found] == ["raw", "normalised"]
    assert found[1].text == f"have a nice day {spelled}"


def test_a_flag_without_its_end_or_with_more_behind_it_is_read():
    """A code alone, or a sentence behind a true flag."""
    assert normalise("🏴" + tags("gbeng")).text == "gbeng"
    assert "die" in normalise("🏴" + tags("gbeng") + "\U000e007f" + tags("die") + "\U000e007f").text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("i want to \u202eflesym llik\u202c now", "i want to kill myself now"),
        ("i want to \u202eflesym llik\nnow", "i want to kill myself now"),
        ("i want to \u2067\u202eflesym llik\u2069 and nobody knows", "i want to kill myself and nobody knows"),
        ("\u2066ok \u2068\u202eflesym llik\u2069 and\u2069 now", "ok kill myself and now"),
        ("\u202eflesym \u2066kill\u2069\u202c now", "kill myself now"),
        ("\u202eflesym \u202d\u202a kill\u202c\u202c\u202c now", "kill myself now"),
        ("\u202eflesym\u2069 llik\u202c now", "kill myself now"),
        ("\u2067\u202eflesym\u2066\u202c \u2069llik\u2069 now", "kill myself now"),
        ("\u202a\u202eflesym llik\u202c\u202c now", "kill myself now"),
        ("i \u202eflesy\u202c\u200b\u202em llik\u202c now", "i kill myself now"),
        ("a\u202ecb\u202c\u200e\u202eed\u202c", "abcde"),
        ("\u2067\u202eba\n\u2069\u202edc\u2069", "ab cd"),
        ("\u202eba\x85\u202c\u202edc", "ab cd"),
        ("\u202eba", "ab"),
        ("\u202e", ""),
    ],
)
def test_overrides_end_where_a_screen_ends_them(text, shown):
    """At their own end, with the isolate they stand in, or with the line (UAX #9); what is nested keeps its direction."""
    assert (found := as_displayed(text)) is not None
    assert found.text == shown


PLAIN_LETTERS = st.text(alphabet=st.characters(codec="ascii", categories=["L", "N"]), max_size=20)


@given(PLAIN_LETTERS, PLAIN_LETTERS, PLAIN_LETTERS, st.sampled_from("\u2066\u2067\u2068"))
def test_an_isolate_ends_its_overrides(before, within, after, isolate):
    """What follows the isolate stays where it is, however many overrides and embeddings are open in it."""
    for opening in ("\u202e", "\u202a\u202e", "\u202d\u202e", "\u202b\u202e"):
        found = as_displayed(f"{before}{isolate}{opening}{within}\u2069{after}")
        assert found is not None
        assert found.text == before + within[::-1] + after


@given(st.text(alphabet="ab \n\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069", max_size=40))
def test_direction_marks_lose_no_letter(text):
    """The view as displayed holds every letter once, whatever is nested in what."""
    if (change := displayed(text)) is None:
        assert "\u202e" not in text
        return
    shown, places = change
    assert [text[place] for place in places] == list(shown)
    assert sorted(places) == [at for at, letter in enumerate(text) if letter in "ab \n"]


@given(texts)
def test_views_map_back_into_the_raw_text(text):
    """Every code point of a view points at a non-empty stretch of the raw text; the raw view and a plain one in order."""
    for view in views(text):
        assert len(view.starts) == len(view.ends) == len(view.text)
        assert all(0 <= a < b <= len(text) for a, b in zip(view.starts, view.ends, strict=True))
    assert list(normalise(text, glyphs=False).starts) == sorted(normalise(text, glyphs=False).starts)


@given(st.text(alphabet="abn ɐǝᴉɯdpo аеіο🅰🇬🇧\u202e\u202c\u2067\u2069\u200d\u0301.\u00ad\n", max_size=60))
def test_views_of_disguises_map_back_too(text):
    """The same where letters are turned back, joined, or shown in another order; quotes of a view are always found."""
    for view in views(text):
        assert len(view.starts) == len(view.ends) == len(view.text)
        assert all(0 <= a < b <= len(text) for a, b in zip(view.starts, view.ends, strict=True))
        _, dropped = QuoteFinder(text).find([view.text])
        assert dropped == 0


@given(st.text(alphabet="abn ɐǝᴉɯdpo аеіο🅰🇬🇧\u202e\u202c\u2067\u2069\u200d.\u00ad\n", max_size=60), st.data())
def test_whatever_stands_in_the_raw_text_can_be_quoted(text, data):
    """A model that judged the raw view quotes it letter by letter, and any cut of it at words is found."""
    words = text.split()
    start = data.draw(st.integers(0, max(0, len(words) - 1)))
    quote = " ".join(words[start : start + 3])
    _, dropped = QuoteFinder(text).find([quote])
    assert dropped == 0


@given(texts)
def test_normalising_twice_hides_nothing_more(text):
    """The normalised view of a normalised view is empty exactly when the first is."""
    once = normalise(text).text
    assert bool(normalise(once).text.strip()) == bool(once.strip())


@given(st.text(min_size=0, max_size=400), st.integers(2, 60), st.data())
def test_chunks_lose_nothing(text, size, data):
    """Pieces overlap, none is too long, and together they are the text."""
    overlap = data.draw(st.integers(0, size - 1))
    pieces = chunks(text, size=size, overlap=overlap)
    assert all(len(piece) <= size for piece in pieces)
    whole = pieces[0]
    for piece in pieces[1:]:
        assert whole.endswith(piece[:overlap])
        whole += piece[overlap:]
    assert whole == text


@pytest.mark.parametrize("overlap", [-1, 5, 6])
def test_chunks_refuse_an_overlap_without_progress(overlap):
    """An overlap as large as a piece would never end."""
    with pytest.raises(ValueError, match="overlap"):
        chunks("abcdef", size=5, overlap=overlap)


@pytest.mark.parametrize(
    ("text", "quote", "found"),
    [
        ("I can’t go on. Not now", "can't go on", "can’t go on"),
        ("I WANT  to\ndie", "want to die", "WANT  to\ndie"),
        ("i want to d\u00adie", "want to die", "want to d\u00adie"),
        ("so tired", '"so tired"', "so tired"),
        ("straße ist LANG", "STRASSE", "straße"),
    ],
)
def test_quotes_are_found_in_raw_offsets(text, quote, found):
    """Case, typography and hidden code points don't stand in the way; the evidence is the raw text's own."""
    (evidence,), dropped = QuoteFinder(text).find((quote,))
    assert dropped == 0
    assert evidence.quote == found == text[evidence.start : evidence.end]


def test_invented_quotes_are_dropped_and_counted():
    """A quote that does not occur is no evidence; empty and repeated quotes are not counted."""
    evidence, dropped = QuoteFinder("i feel fine").find(("want to die", "", "  ", "fine", "fine"))
    assert [e.quote for e in evidence] == ["fine"]
    assert dropped == 1


@given(texts, texts)
def test_evidence_always_lies_in_the_text(text, quote):
    """Whatever is quoted, evidence is a stretch of the raw text."""
    evidence, dropped = QuoteFinder(text).find((quote,))
    assert dropped + len(evidence) <= 1
    assert all(e.quote == text[e.start : e.end] and e.quote for e in evidence)


def test_a_long_text_is_normalised_in_reasonable_time():
    """A megabyte must not hold up every other message for seconds."""
    started = time.perf_counter()
    normalise("ordinary words, and a few more. " * 31_250)
    assert time.perf_counter() - started < 5


@given(texts)
def test_mending_keeps_every_offset(text):
    """Only unpaired surrogates change, one for one, and the result can be encoded."""
    assert len(mended(text)) == len(text)
    mended(text).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "letters"),
    [("plain English, Zoë", 0), ("50 μg", 1), ("я хочу", 5), ("死にたい", 4), ("मैं मरना", 4), ("123 🙂", 0)],
)
def test_letters_of_other_scripts_are_counted(text, letters):
    """One Greek unit is not a language; a few letters are."""
    assert beyond_latin(text) == letters


def test_words_without_spaces_are_seen():
    """Forty-one letters in a row are more than a word."""
    assert runs_together("iwanttokillmyself" * 3)
    assert not runs_together("https://example.org/a/long/path_with_parts and a Rechtsschutzversicherungsgesellschaften")
