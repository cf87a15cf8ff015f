"""Letters in circles, boxes and flags that NFKC leaves as they are.

Sources: blocks Enclosed Alphanumeric Supplement (U+1F100) and Enclosed Alphanumerics of the Unicode Standard; the regions
that have a flag are those of emoji-sequences.txt (Unicode Emoji 15).
"""

from __future__ import annotations

import regex

_BOXES = {
    **{0x1F150 + i: chr(65 + i) for i in range(26)},  # negative circled
    **{0x1F170 + i: chr(65 + i) for i in range(26)},  # negative squared
}
# These are emoji as well (blood types, parking, a metro, information): letters only beside other letters.
_EMOJI_TOO = {0x1F170: "A", 0x1F171: "B", 0x1F17E: "O", 0x1F17F: "P", 0x24C2: "M", 0x2139: "i"}
_LETTERS = _BOXES | _EMOJI_TOO | {0x1F1E6 + i: chr(65 + i) for i in range(26)}
_CODES = (
    "ACADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCPCRCUCV"
    "CWCXCYCZDEDGDJDKDMDODZEAECEEEGEHERESETEUFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHUICIDIE"
    "ILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMW"
    "MXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSV"
    "SXSYSZTATCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUNUSUYUZVAVCVEVGVIVNVUWFWSXKYEYTZAZMZW"
)
_REGIONS = frozenset(_CODES[at : at + 2] for at in range(0, len(_CODES), 2))
_FLAGS = regex.compile(r"\p{Regional_Indicator}+")
_EMOJI_CLASS = "[" + "".join(map(chr, _EMOJI_TOO)) + "]"
_BOX = regex.compile("[" + "".join(chr(c) for c in _BOXES if c not in _EMOJI_TOO) + "]")
_BESIDE_LETTERS = regex.compile(rf"(?<=\p{{L}}){_EMOJI_CLASS}\ufe0f?|{_EMOJI_CLASS}\ufe0f?(?=\p{{L}})")
_ANY_BOX = regex.compile("[" + "".join(chr(c) for c in _BOXES | _EMOJI_TOO) + r"]\ufe0f?")


def bared(text: str) -> tuple[str, list[int]] | None:
    """The text with enclosed letters as plain ones.

    Pairs of regional letters that are flags stay, and so does a lone emoji that happens to be a letter (a blood type).

    Args:
        text: any text.

    Returns:
        The new text and, for each of its code points, its place in `text`; `None` when there was nothing to bare.
    """
    if text.isascii():
        return None
    spans = [m.span() for m in _FLAGS.finditer(text) if not _all_flags(m.group())]
    boxes = _ANY_BOX if _BOX.search(text) else _BESIDE_LETTERS
    spans += [m.span() for m in boxes.finditer(text)]
    if not spans:
        return None
    chars = list(text)
    for start, end in spans:
        for at in range(start, end):
            chars[at] = _LETTERS.get(ord(text[at]), "")  # a variation selector goes
    return "".join(chars), [at for at, char in enumerate(chars) if char]


def _all_flags(run: str) -> bool:
    letters = run.translate(_LETTERS)
    return all(letters[at : at + 2] in _REGIONS for at in range(0, len(letters), 2))
