"""Fuzzing what is said of a text without judging it: views, pieces, quotes, signs of an attack, language.

Any code points, unpaired surrogates included.
"""

from __future__ import annotations

from zlib import crc32

import regex

from crisis_filter.text import QuoteFinder, chunks, mended, normalise, views
from crisis_filter.text.attack import attack_seen, attack_signs
from crisis_filter.text.language import unvalidated

LETTERS = (
    "abcdefghijklmnopqrstuvwxyz ABIKDE 0134579 .,:;!?'\"-_*/|@#()[]{}<>\n\r\t\\`~^&%$=+"
    "\x00\x85\u00ad\u034f\u061c\u115f\u180e\u200b\u200c\u200d\u200e\u202a\u202c\u202d\u202e\u2028\u2060\u2066\u2069\u2800\u3164"
    "\ufe00\ufe0f\ufeff\ud83d\udc80\udfff\U000e0001\U000e0041\U000e0064\U000e0069\U000e0065\U000e007f\U000e0100"
    "\u0300\u0301\u0308\u0323\u0332\u0336\u0338\u0345\u0483\u0489\u0591\u064b\u093c\u0e31\u1ab0\u1dc0\u20dd\u20e3\ufe20"
    "éßſƒøłıİǰŉΐ\u1e9eﬁﷺªº²№℠Ωµμαοеіасԁһɐǝᴉɯʇɹɥ\u2c7c"
    "ａＺ１𝐢𝟎𝕯🅰🅱🅾🅿🆀🅐Ⓜℹ🇬🇧🇦\U0001f3f4🙂👩❤🏿死にたいह्मा서울กيא"
    "‘’“”–—…´ˈ·•。！？「」"
)
"""Picked by single bytes: plain letters, and those that hide, fold, turn, join, box, stack or grow."""
TIED = regex.compile(r"\s[\p{M}\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]")
"""White space that is one cluster with what follows, so that cutting there makes other clusters."""
SEEN = regex.compile(r"[\p{L}\p{N}\p{P}\p{S}]")
"""What is there to see; marks with nothing beneath them may come closer by the first folding and go by the second."""
GROWTH = 18
"""Most code points that compatibility folding makes of one (U+FDFA)."""
REPEATS, RARELY = 12, 64
"""One text in 64 is repeated: what a pattern is slow at is mostly a repetition. A checksum says which, so that no fuzzer makes a
habit of it."""


def one(data: bytes) -> None:
    """Check one text. The first byte says how the rest is meant and what is checked.

    Raises:
        AssertionError: a law of the functions is broken.
    """
    if len(data) < 2:
        return
    how, rest = data[0], data[1:]
    match how & 3:
        case 0:
            text = rest.decode("utf-8", "surrogateescape")
        case 1:
            text = rest[: len(rest) // 2 * 2].decode("utf-16-le", "surrogatepass") if _paired(rest) else _units(rest)
        case _:
            text = "".join(LETTERS[byte % len(LETTERS)] for byte in rest)
    repeated = crc32(data) % RARELY == 0
    CHECKS[(how >> 2) % len(CHECKS)](text * REPEATS if repeated else text)


def _paired(rest: bytes) -> bool:
    try:
        rest[: len(rest) // 2 * 2].decode("utf-16-le", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def _units(rest: bytes) -> str:
    """Each two bytes as one code point, surrogates unpaired."""
    return "".join(chr(int.from_bytes(rest[at : at + 2], "little")) for at in range(0, len(rest), 2))


def check_views(text: str) -> None:
    """Every view maps into the raw text, none is larger than folding can make it, and none is made of nothing."""
    found = views(text)
    plain = normalise(text)
    assert bool(found) == bool(plain.text)
    assert not found or (found[0].name, found[0].text) == ("raw", text)
    for view in (*found, plain):
        assert len(view.starts) == len(view.ends) == len(view.text) <= GROWTH * len(text)
        assert all(0 <= a < b <= len(text) for a, b in zip(view.starts, view.ends, strict=True))
    assert len(mended(text)) == len(text)
    mended(text).encode("utf-8")


def check_folding(text: str) -> None:
    """Without glyphs the map never falls back; folding twice hides nothing more; folding case keeps the map valid."""
    flat = normalise(text, glyphs=False)
    assert list(flat.starts) == sorted(flat.starts)
    once = normalise(text).text
    assert bool(SEEN.search(normalise(once).text)) == bool(SEEN.search(once))
    assert "  " not in once
    assert once == once.strip()
    folded = normalise(text, casefold=True)
    assert len(folded.starts) == len(folded.text) <= 3 * GROWTH * len(text)
    assert all(0 <= a < b <= len(text) for a, b in zip(folded.starts, folded.ends, strict=True))


def check_quotes(text: str) -> None:
    """Evidence lies in the text; the raw view and any stretch of its words can be quoted."""
    finder = QuoteFinder(text)
    words = text.split()
    middle = len(words) // 2
    quotes = [text, " ".join(words[middle : middle + 3]), text[: len(text) // 2], text[::-1]]
    evidence, dropped = finder.find(quotes)
    assert dropped <= len(quotes)
    assert all(e.quote == text[e.start : e.end] and e.quote for e in evidence)
    assert TIED.search(text) or finder.find(quotes[:2])[1] == 0


def check_pieces(text: str) -> None:
    """Pieces overlap, none is too long, and together they are the text."""
    size = 2 + sum(map(ord, text[:3])) % 40
    overlap = ord(text[0]) % size if text else 0
    pieces = chunks(text, size=size, overlap=overlap)
    assert all(len(piece) <= size for piece in pieces)
    whole = pieces[0]
    for piece in pieces[1:]:
        assert whole.endswith(piece[:overlap])
        whole += piece[overlap:]
    assert whole == text


def check_attack(text: str) -> None:
    """Lines before and after hide nothing, and the two functions agree."""
    seen = attack_seen(text)
    assert seen == bool(attack_signs(text))
    assert not seen or attack_seen(f"hello\n{text}\nthank you")


def check_language(text: str) -> None:
    """English is said of every text or it is not, and a foreign sentence beside it is never cleared."""
    assert unvalidated(text, ("en",)) in (True, False)
    assert unvalidated(f"{text}\nя хочу умереть сегодня", ("en",))


CHECKS = (
    *(check_views, check_quotes, check_pieces, check_attack, check_language, check_folding),
    *(check_views, check_pieces, check_views, check_pieces, check_folding, check_pieces, check_views),
    *(check_attack, check_pieces, check_language),
)
"""By bits of the first byte; the quick ones stand here more often."""
