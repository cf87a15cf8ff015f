"""Words spelled out letter by letter: "k i l l", "k.i.l.l"."""

from __future__ import annotations

from itertools import pairwise

import regex

from crisis_filter.text.confusables import LOOKS_LATIN, as_latin


def _runs(letters: str) -> tuple[regex.Pattern[str], regex.Pattern[str]]:
    """Patterns of runs of single letters, parted by spaces and parted by signs; `letters` is the inside of a class."""
    letter, after = f"[{letters}]", f"[{letters}']"
    spaced = rf"(?<![^ \n(\[\"']){letter}(?: {after}(?![^\s.,!?;:)\]\"]))++"
    parted = (
        rf"(?<![\p{{L}}\p{{N}}])(?<![\p{{L}}\p{{N}}][.\-_*·•~|,/:])"
        rf"{letter}(?P<by>[.\-_*·•~|,/:]){after}(?:(?P=by){after})*+(?!(?P=by)?[\p{{L}}\p{{N}}])"
    )
    return regex.compile(spaced), regex.compile(parted)


_ASCII_RUNS = _runs("A-Za-z")
_ALL_RUNS = _runs(LOOKS_LATIN)
_LATIN = regex.compile(r"\p{Latin}")
# More than one space, a line's end or a sign: a space alone parts letters as well as words.
_WIDE_BEFORE = regex.compile(r"(?:^|\s\s|\n|[(\[\"])$")
_WIDE_AFTER = regex.compile(r"$|\s\s|\n|[.,!?;:)\]\"]")
# Written with dots or dashes by custom: nothing is hidden in them.
_CUSTOMARY = regex.compile(
    "aka|asap|bid|bmi|bpm|cbt|dob|dwz|dui|ecg|eeg|ekg|eta|etc|faq|fyi|hiv|idk|idr|iou|lol|maw|mri|nhs|ocd|omg|pms|prn|ptsd|qid|rip|"
    "rsvp|sml|sob|sos|std|tba|tbc|tbh|tid|tmi|uam|una|usa|uti|vip|wfh|wtf|www"
)
# Single letters that are words: in Slavic and Romance languages, in texting ("n i r late"). A short run of nothing else is
# a sentence. Kisses (x o x o) are no word at any length.
_ONE_LETTER_WORDS = (frozenset("aiouwzksv"), frozenset("aeiouy"), frozenset("abciknoruxy"))
_KISSES = frozenset("xo")
_SHORT = 3
_LONG_INITIALS = 6


def joined(text: str) -> tuple[str, list[int]] | None:
    """The text with spelled-out words as words: three single letters or more, all parted by the same sign.

    Lists in alphabetical order, repeated letters, initials in capitals with dots and customary abbreviations stay. Where one
    word is spelled out, shorter runs with the same sign are joined as well.

    Args:
        text: any text in which white space still has its width.

    Returns:
        The new text and, for each of its code points, its place in `text`; `None` when no word was spelled out.
    """
    spaced, parted = _ASCII_RUNS if text.isascii() else _ALL_RUNS
    runs = [(*m.span(), " ") for m in spaced.finditer(text)]
    runs += [(*m.span(), m.group("by")) for m in parted.finditer(text)]
    words = [run for run in runs if _spells_a_word(text[run[0] : run[1]], run[2])]
    if not words:
        return None
    signs = {by for _, _, by in words}
    chosen = {*words, *(run for run in runs if run[2] in signs and (run[2] != " " or _stands_apart(text, *run[:2])))}
    gone = {at for start, end, _ in chosen for at in range(start + 1, end, 2)}
    places = [at for at in range(len(text)) if at not in gone]
    return "".join(text[at] for at in places), places


def _stands_apart(text: str, start: int, end: int) -> bool:
    """Whether more than one space, or a sign, stands on both sides."""
    return bool(_WIDE_BEFORE.search(text[max(0, start - 2) : start]) and _WIDE_AFTER.match(text, end))


def _spells_a_word(run: str, by: str) -> bool:
    if not _LATIN.search(run):
        return False
    word = as_latin(run[::2])
    folded = word.casefold()
    kinds = set(folded)
    if len(word) < _SHORT or len(kinds) == 1 or kinds <= _KISSES or _CUSTOMARY.fullmatch(folded):
        return False
    if all(ord(b) - ord(a) == 1 for a, b in pairwise(folded)):
        return False
    if by == "." and word.isupper() and len(word) < _LONG_INITIALS:
        return False
    if by == " " and len(folded.strip("ai")) < _SHORT:  # "was i a b student": one-letter words at the ends
        return False
    return len(folded) > _SHORT or not any(kinds <= words for words in _ONE_LETTER_WORDS)
