"""Letters that look like Latin ones, read as those where they are used for them.

A word that mixes scripts is read as Latin; so is one wholly of look-alikes when the text around it is Latin. Words of a
language that the text really uses stay: a Russian sentence is no disguise, whatever Latin names stand in it.

Source: the single-letter mappings to a-z and A-Z of confusables.txt, Unicode 13.0 (UTS #39), for the scripts below, with
these changes: look-alikes of I, which UTS #39 joins with l, keep their case; letters that only resemble a Latin one in a
decorative font are kept apart as `loose`; look-alikes of digits, and signs that units and formulas need, are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import regex

# Each look-alike before its Latin letter. Under "Latin": small capitals and letters of phonetic alphabets.
_CLOSE = {
    "Cyrillic": "аaАAВBсcСCԁdеeҽeЕEԌGһhНHіiІIꙇiӏlӀIјjЈJКKМMоoОOрpРPԛqԚQѕsЅSТTѵvѴVԝwԜWхxХXуyУYүyҮY",
    "Greek": "αaΑAΒBΕEϜFΗHιiΙIϳjͿJΚKΜMϺMΝNοoσoΟOρpΡPΤTυuνvΧXγyΥYΖZ",
    "Armenian": "ցgհhոnռnօoՕOզqՏSսuՍU",
    "Cherokee": "ᎪAᏏbᏴBꮯcᏟCᏧdᎠDᎬEᏀGᏳGᏂhᎻHꭵiᎥiᎫJᏦKᏞLᎷMᏢPꮁrᎡRᏒRꮪsᏕSᏚSᎢTꮩvᏙVꮃwᎳWᏔWᎩYᎽYꮓzᏃZ",
    "Canadian": "ᗅAᗩAᑲbᖯbᗷBᑕCᑯdᗞDᗪDᖴFᘜGᕼHᒍJᒪLᗰMᑎNᑭPᑫqᖇRᔕSᑌUᐯVᗯW᙭Xᘔz",
    "Lisu": "ꓮAꓐBꓚCꓒdꓓDꓰEꓝFꓖGꓧHꓲIꓙJꓗKꓡLꓟMꓠNꓳOꓑPꓣRꓢSꓔTꓴUꓦVꓪWꓫXꓬYꓜZ",
    "Latin": "ᴀaʙbᴄcᴅdᴇeꜰfɢgʜhɪiᴊjᴋkʟlᴍmɴnᴏoᴘpꞯqʀrꜱsᴛtᴜuᴠvᴡwʏyᴢzɑaɡgƽsꞟu",
}
_LOOSE = {
    "Cyrillic": "ЬbьbвbгrєeЄEзzиnИNкkмmнhпnтtшwШWщwѡwяrЯRѓr",
    "Greek": "ςcεeηnκkτtωwχx",
    "Armenian": "քfաwյjղn",
    "Sign": "∂d¢c℮e⍺a⍳i",
    "Latin": "ƒf",
}
_BLOCKS = {
    "Cyrillic": "\u0400-\u0482\u048a-\u052f\u1c80-\u1c8f\ua640-\ua69d",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Armenian": "\u0531-\u0588",
    "Cherokee": "\u13a0-\u13ff\uab70-\uabbf",
    "Canadian": "\u1401-\u167f\u18b0-\u18f5",
    "Lisu": "\ua4d0-\ua4f7",
    "Latin": "ŊŋƁ-ƔƖ-ƞƩ-ƿɐ-ʯᴀ-ᴥꜰꜱꞯꞟ",  # those that few languages use
}
_SIGNS = "∂¢℮⍺⍳"


def _pairs(table: dict[str, str]) -> dict[str, str]:
    return {row[at]: row[at + 1] for row in table.values() for at in range(0, len(row), 2)}


_CLOSE_LETTERS = _pairs(_CLOSE)
_ALL = _CLOSE_LETTERS | _pairs(_LOOSE)
_FOLD = str.maketrans(_ALL)
LOOKS_LATIN = "A-Za-z" + "".join(_CLOSE_LETTERS)
"""The inside of a character class: Latin letters and the very images of them."""
_ANY = regex.compile("[" + "".join(_ALL) + "]")
_WORD = regex.compile(rf"[\p{{L}}\p{{M}}\p{{Nd}}{_SIGNS}]++")
_ACCENT = regex.compile(rf"(?<=[{''.join(_ALL)}])\p{{M}}+")
_LATIN = regex.compile(r"[A-Za-z]")
_KIND = regex.compile(
    "|".join([*(f"(?P<{name}>[{block}])" for name, block in _BLOCKS.items()), f"(?P<Sign>[{_SIGNS}])"])
)
_OTHER = regex.compile(r"(?!\p{Latin})\p{L}")
# One Greek letter at an end of capitals and digits (TNF-alpha, gamma-GT) names something and hides nothing.
_FORMULA = regex.compile(r"\p{Greek}[A-Z0-9]+|[A-Z0-9]+\p{Greek}")
# Small capitals are Latin already, so that few of them need a reason.
_FEW_SMALL_CAPITALS = 3


@dataclass(frozen=True, slots=True)
class _Word:
    """What a word outside ASCII is made of."""

    start: int
    end: int
    scripts: frozenset[str]
    """Scripts of its letters other than common Latin ones."""
    mixed: bool
    """Letters of two scripts at least."""
    foldable: bool
    """Every letter is Latin or looks like one."""
    close: bool
    """Every letter is Latin or the very image of one."""
    interleaved: bool
    """The scripts change more than once, which no name with an ending does."""
    letters: int


def _word(text: str, start: int, end: int) -> _Word | None:
    """The word, or `None` when all its letters are common Latin ones."""
    if text[start:end].isascii():
        return None
    letters = [c for c in text[start:end] if c.isalpha() or c in _SIGNS]
    kinds = [(m.lastgroup or "") if (m := _KIND.match(c)) else ("Other" if _OTHER.match(c) else "") for c in letters]
    scripts = frozenset(kinds) - {""}
    if not scripts:
        return None
    changes = sum(a != b for a, b in pairwise(kinds))
    foreign = [c for c, kind in zip(letters, kinds, strict=True) if kind]
    mixed = len(set(kinds)) > 1 and not _FORMULA.fullmatch(text, start, end)
    foldable = all(c in _ALL for c in foreign)
    close = all(c in _CLOSE_LETTERS for c in foreign)
    return _Word(start, end, scripts, mixed, foldable, close, changes > 1, len(letters))


def _spoken(words: Iterable[_Word]) -> frozenset[str]:
    """Scripts in which the text has words of its own.

    A word with a letter that looks like no Latin one is proof, unless more words mix the script with another. Words that
    resemble Latin ones are too, unless more words go back and forth between scripts or one holds two besides Latin.
    """
    own: Counter[str] = Counter()
    alike: Counter[str] = Counter()
    mixed: Counter[str] = Counter()
    tangled: Counter[str] = Counter()
    decorated: set[str] = set()
    for word in words:
        if not word.foldable:
            own.update(word.scripts if len(word.scripts) == 1 else ())
        elif word.mixed:
            mixed.update(word.scripts)
            tangled.update(word.scripts if word.interleaved else ())
            decorated |= word.scripts if len(word.scripts) > 1 else set()
        elif not word.close:
            alike.update(word.scripts)
    proven = {script for script, n in own.items() if n >= mixed[script]}
    likely = {script for script, n in alike.items() if n >= tangled[script]} - decorated
    return frozenset(proven | likely)


def unmasked(text: str) -> tuple[str, list[int]] | None:
    """The text with look-alikes as the Latin letters they stand for.

    Args:
        text: any text, composed by NFC.

    Returns:
        The new text, without accents on look-alikes, and for each of its code points its place in `text`; `None` when no
        word is to be read another way.
    """
    if text.isascii() or not _ANY.search(text):
        return None
    words = [w for m in _WORD.finditer(text) if (w := _word(text, *m.span())) is not None]
    spoken = _spoken(words)
    chosen = [w for w in words if w.foldable and w.mixed and _is_disguise(w, spoken)]
    pure = [w for w in words if w.foldable and not w.mixed and not w.scripts & spoken]
    chosen += pure if chosen else _surrounded(text, pure)
    if not chosen:
        return None
    chars = list(text)
    for word in chosen:
        chars[word.start : word.end] = as_latin(text[word.start : word.end])
        for mark in _ACCENT.finditer(text, word.start, word.end):
            chars[mark.start() : mark.end()] = [""] * (mark.end() - mark.start())
    return "".join(chars), [at for at, char in enumerate(chars) if char]


def _is_disguise(word: _Word, spoken: frozenset[str]) -> bool:
    """Whether a word that mixes scripts hides a Latin one, rather than give a Latin name an ending in another script."""
    return not word.scripts & spoken or (word.close and word.interleaved)


def _surrounded(text: str, pure: list[_Word]) -> list[_Word]:
    """Words wholly of look-alikes in a text that is otherwise Latin: there they can hardly be words of their own."""
    capitals = [w for w in pure if w.scripts == {"Latin"}]
    foreign = [w for w in pure if w.scripts != {"Latin"} and w.close and w.letters > 1]
    enough = len(_LATIN.findall(text)) >= 2 * sum(w.letters for w in foreign)
    few = sum(w.letters for w in capitals) < _FEW_SMALL_CAPITALS
    return (foreign if enough else []) + ([] if few else capitals)


def as_latin(word: str) -> str:
    """The word with every look-alike as a Latin letter; one of capital I after a small letter is an l."""
    read = word.translate(_FOLD)
    return "".join(
        "l" if new == "I" != old and at and read[at - 1].islower() else new
        for at, (old, new) in enumerate(zip(word, read, strict=True))
    )
