"""The ways a text may be meant to be read: spelled plainly, with look-alike letters, with digits for letters, letter by letter.

The canonical views of `crisis_filter.text.views` keep what a person wrote; these readings fold much harder, because nobody is
shown them and no offset is reported from them.
"""

from __future__ import annotations

import re
import unicodedata

import regex

# Sorting long runs of marks takes quadratic time in NFKD, and no written language needs more than a few.
_STACKED = regex.compile(r"(\p{M}{3})\p{M}+")
_HIDDEN = regex.compile(
    r"[\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]|(?![\t\n\r])\p{Cc}|[\u2800\ufeff\ufff9-\ufffb]"
)
_MARK = regex.compile(r"\p{Mn}+")
_TAGS = {0xE0000 + code: chr(code) for code in range(0x20, 0x7F)}
# One code point of eighteen letters, and one of eight: a megabyte of them would become many.
_LIGATURES = {0xFDFA: " ", 0xFDFB: " "}
# Letters that look Latin, beyond what compatibility folding unites: Cyrillic, Greek, small capitals, letters in boxes.
_ALIKE = {
    ord(odd): plain
    for pairs in (
        "аaвbеeіiјjкkмmнhоoрpсcѕsтtуyхxԁdԛqԝwһhӏlґrпnѵvьb",  # Cyrillic
        "αaβbεeηnιiκkνvοoρpτtυuχxωwγy",  # Greek
        "օoոnսuհhյjցgզqոn",  # Armenian
        "ɑaɡgɩiʀrʏyɴnʟlʜhɪiɢgʙbᴀaᴄcᴅdᴇeᴊjᴋkᴍmᴏoᴘpᴛtᴜuᴠvᴡwᴢzꜰfꜱsłløođdıi",
    )
    for odd, plain in zip(pairs[::2], pairs[1::2], strict=True)
}
_BOXED = {first + offset: chr(97 + offset) for first in (0x1F130, 0x1F150, 0x1F170, 0x1F1E6) for offset in range(26)}
_FOLDED = {**_TAGS, **_LIGATURES, **_BOXED}
_LEET = str.maketrans("013457@$!|€", "oieastasiie")
_LEET_L = str.maketrans("013457@$!|€", "oleastaslle")
_LEET_WORD = re.compile(r"[a-z][013457@$!|€]|[013457@$!|€][a-z]")
_APOSTROPHES = re.compile(r"['’‘`´]")
_INNER_STOP = re.compile(r"[.!?…](?=\S)")
_STOPS = re.compile(r"[.!?。！？…]+")
_APART = re.compile(r"[^\w.|]+|_+")
_SPACES = re.compile(r" {2,}")
_LETTER_BY_LETTER = re.compile(r"(?<![^\W_])(?:[^\W\d_][\s.\-_*·,/]{1,3}){7,}[^\W\d_](?![^\W_])")
_NOT_A_LETTER = re.compile(r"[\W_]+")


def marks(text: str) -> str:
    """The text with case, compatibility forms, accents and hidden code points folded, its marks and lines kept."""
    if not text.isascii():
        text = _HIDDEN.sub("", _STACKED.sub(r"\1", text).translate(_FOLDED))
        text = unicodedata.normalize("NFC", _MARK.sub("", unicodedata.normalize("NFKD", text)))
    return text.casefold().replace("\r", "\n")


def prose(folded: str) -> str:
    """Words only, one space between: stops become ` . `, line ends ` | `, apostrophes vanish."""
    text = _INNER_STOP.sub(" ", _APOSTROPHES.sub("", folded).replace("|", " ")).replace("\n", " | ")
    return " " + _SPACES.sub(" ", _APART.sub(" ", _STOPS.sub(" . ", text))) + " "


def readings(folded: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The different ways of reading a folded text.

    Returns:
        With the letters it has or resembles, the plain reading first; and with digits and signs read as letters, where some
        stand next to letters, else none.
    """
    latin = folded if folded.isascii() else folded.translate(_ALIKE)
    leet = (latin.translate(_LEET), latin.translate(_LEET_L)) if _LEET_WORD.search(latin) else ()
    return tuple(dict.fromkeys((folded, latin))), tuple(dict.fromkeys(leet))


def spelled(folded: str) -> tuple[str, ...]:
    """Stretches of eight or more letters that stand apart from one another, each joined to one word."""
    return tuple(_NOT_A_LETTER.sub("", run.group()) for run in _LETTER_BY_LETTER.finditer(folded))
