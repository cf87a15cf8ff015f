"""Figures and names in words: counts before rates, and `undefined` where nothing was counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crisis_filter.evaluation.category_records import Scope
    from crisis_filter.stats.intervals import Interval
    from crisis_filter.stats.resampling import Span

UNDEFINED = "undefined"
NO_INTERVAL = "no interval"
# Control characters, direction overrides and lone surrogates in a name must not act on the page.
_ACTIVE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_SPACE = re.compile(r"\s+")
_DOUBTFUL = 0.01
_LEAST_P = 0.0001
_NOTHING = 1e-9


def clean(text: str) -> str:
    """A user's text on one line, with U+FFFD for characters that act rather than show; `(no name)` where nothing is left."""
    return _ACTIVE.sub("\ufffd", _SPACE.sub(" ", text)).strip() or "(no name)"


def short(text: str, most: int = 24) -> str:
    """A cleaned text, cut to so many characters."""
    name = clean(text)
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def category_words(category: str) -> str:
    """`self_harm` as `self harm`."""
    return clean(category.replace("_", " "))


def system_words(name: str, scope: Scope | None, category: str) -> str:
    """A system's name; where it is known what the system is meant for, on a second line `scope: partial`."""
    mark = scope.marks.get(category) if scope is not None else None
    return clean(name) if mark is None else f"{clean(name)}\nscope: {mark}"


def ratio(of: Interval) -> str:
    """`891 of 900`."""
    return f"{of.count:,} of {of.nobs:,}"


def between(of: Interval | Span, digits: int = 3) -> str:
    """`0.981 to 0.995`."""
    return f"{of.low:.{digits}f} to {of.high:.{digits}f}"


def estimate(of: Interval) -> str:
    """`0.990 (0.981 to 0.995)`, or `undefined`."""
    return UNDEFINED if of.estimate is None else f"{of.estimate:.3f} ({between(of)})"


def rate(of: Interval) -> str:
    """Two lines: the counts, then the estimate with its interval."""
    return f"{ratio(of)}\n{estimate(of)}"


def sentence(of: Interval) -> str:
    """`891 of 900, 0.990 (95% interval 0.981 to 0.995)`."""
    if of.estimate is None:
        return f"{ratio(of)}, {UNDEFINED}"
    return f"{ratio(of)}, {of.estimate:.3f} ({level(of.level)} interval {between(of)})"


def spanned(value: float | None, span: Span | None, digits: int = 3) -> str:
    """A coefficient with its interval, on two lines; says where over 1% of the resamples lacked it."""
    if value is None:
        return UNDEFINED
    if span is None:
        return f"{value:.{digits}f}\n{NO_INTERVAL}"
    text = f"{value:.{digits}f}\n({between(span, digits)})"
    if span.undefined > span.resamples * _DOUBTFUL:
        text += f"\ndoubtful: undefined in {span.undefined:,} of {span.resamples:,} resamples"
    return text


def number(value: float | None, digits: int = 3) -> str:
    """A coefficient without an interval."""
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def signed(value: float) -> str:
    """A difference: `+0.012`, and a real minus sign below 0."""
    return f"{value:+.3f}".replace("-", "\u2212")


def p_value(p: float) -> str:
    """Four digits, or that it is below them."""
    return f"<{_LEAST_P}" if p < _LEAST_P else f"{p:.4f}"


def level(of: float) -> str:
    """`95%`."""
    return f"{of * 100:g}%"


def share(of: float) -> str:
    """A prevalence: `0.1%`."""
    return f"{of * 100:.3g}%"


def expected(of: float) -> str:
    """An expected number of messages; a small one keeps its digits, so that it is not taken for none."""
    if of == 0 or of >= 10:
        return f"{of:,.0f}"
    return f"{of:.1f}" if of >= 1 else f"{of:.2g}"


def whole(of: float) -> str:
    """An estimated number of messages without a fraction; `under 1` where there is some of one, so that it is not taken for none."""
    # What rounding leaves of none is none.
    return "under 1" if _NOTHING < of < 1 else f"{max(of, 0.0):,.0f}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 message`, `2 messages`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
