"""Sentences in a crisis, and ways to hide their words from a reader of code points. All are made up."""

from __future__ import annotations

from collections.abc import Callable

import regex

SENTENCES = (
    "I want to die tonight.",
    "i cant do this anymore, i want to end it",
    "I have decided to kill myself and nobody knows",
    "There is no reason left for me to live",
    "i wrote the goodbye letters, they are on the table",
    "Everyone would be better off without me. I mean it.",
    "I don't want to wake up tomorrow",
    "i am going to hurt myself when they leave",
    "I've started cutting again and I can't stop",
    "my arms are full of new scars and i hide them",
    "I keep thinking about suicide all day at work",
    "please help me, i am not safe alone",
    "He hit me again last night and I am afraid of him",
    "My stepfather touches me and says to keep quiet",
    "she locks me in the room and takes my phone",
    "I think my husband will kill me if I go",
    "Mum hasn't fed the little ones for three days",
    "my carer leaves me in bed all day with no water",
    "We are 9 and 6 and nobody has come home since Sunday",
    "i make myself sick after every meal",
    "I have not eaten in five days and I feel proud",
    "i faint when i stand up but i am still too fat",
    "The voices tell me to walk out of the house",
    "they put a chip in my head and read my thoughts",
    "God chose me and I must punish them all",
    "the neighbours send messages to me through the radio",
    "I drank all day again and now I am shaking",
    "i took too many of my pills an hour ago",
    "My brother is on the floor and does not breathe right",
    "I need the stuff every morning or I fall apart",
    "I am going to make him pay, he will not see Monday",
    "i want to hurt the people at my school",
    "I could kill my manager and I know where he parks",
    "my son says he will shoot someone and i believe him",
    "My friend said goodbye to us all and gave away her dog",
    "My daughter talks about dying and she means it",
    "I am on the roof and I am not afraid now",
    "tell my kids I love them, this is the last message",
    "nobody can reach me, i switched everything off. bye",
    "I hear him outside, he broke the door, help",
    "what is the point, i will be gone by friday",
    "Is it normal to plan your own funeral at 15?",
    "I just want the pain to stop for good",
    "my wife threw everything out and says she will end it",
)

_IN_WORDS = regex.compile(r"[A-Za-z']*[A-Za-z][A-Za-z']*")
CYRILLIC = dict(zip("acehijopsxyABCEHIJKMOPSTXY", "асеһіјорѕхуАВСЕНІЈКМОРЅТХУ", strict=True))
TURNED = dict(zip("abcdefghijklmnopqrstuvwxyz", "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz", strict=True)) | {
    ".": "˙",
    ",": "'",
    "'": ",",
    "?": "¿",
    "6": "9",
    "9": "6",
    "1": "Ɩ",
    "5": "ϛ",
}
SMALL_CAPITALS = dict(zip("abcdefghijklmnopqrstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘꞯʀꜱᴛᴜᴠᴡʏᴢ", strict=True))
DECORATIVE = dict(zip("abcdefhijkmnoprstuvwxy", "αв¢∂єƒнιʝкмησρяѕтυνωχу", strict=True)) | {"j": "j"}
GREEK = dict(zip("aiopuvyABEHIKMNOPTXYZ", "αιορυνγΑΒΕΗΙΚΜΝΟΡΤΧΥΖ", strict=True))


def _inside(mark: str) -> Callable[[str], str]:
    """A mark after the first letter of every word."""
    return lambda text: _IN_WORDS.sub(lambda m: m[0][0] + mark + m[0][1:], text)


def _swapped(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: "".join(table.get(c, c) for c in text)


def _shifted(upper: int, lower: int) -> Callable[[str], str]:
    """Letters moved to an alphabet of their own elsewhere in Unicode."""
    return _swapped({chr(65 + i): chr(upper + i) for i in range(26)} | {chr(97 + i): chr(lower + i) for i in range(26)})


def _stacked(text: str) -> str:
    return "".join(c + "\u0336\u0301\u0317\u0489\u033e" if c.isalpha() else c for c in text)


def _parted(by: str, between: str) -> Callable[[str], str]:
    """Each word letter by letter, words further apart than letters."""
    return lambda text: between.join(_IN_WORDS.sub(lambda m: by.join(m[0]), word) for word in text.split(" "))


def _flags(text: str) -> str:
    """Regional letters, which a zero-width space keeps from joining into flags."""
    return "".join(chr(0x1F1E6 + ord(c) - 65) + "\u200b" if c.isalpha() else c for c in text.upper())


KEEPS_CASE: dict[str, Callable[[str], str]] = {
    "soft hyphen": _inside("\u00ad"),
    "zero-width space": _inside("\u200b"),
    "zero-width joiner": _inside("\u200d"),
    "zero-width non-joiner": _inside("\u200c"),
    "word joiner": _inside("\u2060"),
    "grapheme joiner": _inside("\u034f"),
    "Hangul filler": _inside("\u3164"),
    "variation selector": _inside("\ufe0f"),
    "NUL": _inside("\x00"),
    "direction isolate inside words": _inside("\u2066\u2069"),
    "right-to-left mark inside words": _inside("\u200f"),
    "right-to-left override": lambda t: f"\u202e{t}\u202c",
    "left-to-right isolate": lambda t: f"\u2066{_inside(chr(0x2069))(t)}",
    "fullwidth": _swapped({chr(c): chr(c + 0xFEE0) for c in range(33, 127)}),
    "mathematical bold": _shifted(0x1D400, 0x1D41A),
    "mathematical script": _shifted(0x1D4D0, 0x1D4EA),
    "mathematical Fraktur": _shifted(0x1D56C, 0x1D586),
    "mathematical double-struck": lambda t: _shifted(0x1D538, 0x1D552)(
        t.translate(str.maketrans("CHNPQRZ", "ℂℍℕℙℚℝℤ"))
    ),
    "mathematical monospace": _shifted(0x1D670, 0x1D68A),
    "circled": _shifted(0x24B6, 0x24D0),
    "tag characters": lambda t: "".join(chr(0xE0000 + ord(c)) for c in t),
    "tag characters behind an emoji": lambda t: "🙂" + "".join(chr(0xE0000 + ord(c)) for c in t),
    "tag characters behind a black flag": lambda t: "🏴" + "".join(chr(0xE0000 + ord(c)) for c in t) + "\U000e007f",
    "annotation marks": lambda t: _inside("\ufff9")(t) + "\ufffa\ufffb",
    "Cyrillic look-alikes": _swapped(CYRILLIC),
    "Greek look-alikes": _swapped(GREEK),
    "stacked marks": _stacked,
    "struck through": lambda t: "".join(c + "\u0336" if c.isalpha() else c for c in t),
    "underlined": lambda t: "".join(c + "\u0332" if c.isalpha() else c for c in t),
    "letters apart by spaces": _parted(" ", "   "),
    "letters apart by spaces, words by lines": _parted(" ", "\n"),
    "letters apart by dots": _parted(".", " "),
    "letters apart by dashes": _parted("-", " "),
    "letters apart by stars": _parted("*", " "),
    "look-alikes apart": lambda t: _parted(" ", "   ")(t).translate(str.maketrans(CYRILLIC)),
}
"""Disguises whose undoing gives the sentence back as it was."""

LOSES_CASE: dict[str, Callable[[str], str]] = {
    "upside down": lambda t: "".join(TURNED.get(c, c) for c in reversed(t.lower())),
    "small capitals": lambda t: _swapped(SMALL_CAPITALS)(t.lower()),
    "decorative Greek and Cyrillic": lambda t: _swapped(DECORATIVE)(t.lower()),
    "negative circled": lambda t: _shifted(0x1F150, 0x1F150)(t),
    "negative squared": lambda t: _shifted(0x1F170, 0x1F170)(t),
    "squared": lambda t: _shifted(0x1F130, 0x1F130)(t),
    "regional letters": _flags,
}
"""Disguises that have one case only."""


def reversed_for_the_eye(text: str) -> str:
    """Written backwards, and turned round again on the screen by an override."""
    return f"\u202e{text[::-1]}\u202c"
