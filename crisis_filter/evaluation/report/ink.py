"""How figures look: one colour, shape and dash for each system, and a chart drawn to SVG that takes its colours from the page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from crisis_filter.errors import ConfigurationError

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, object]]

# Hex values that no chart has by chance; each becomes a colour of the page, which has a light and a dark form.
TEXT, MUTED, GRID = "#010101", "#020202", "#030303"
_SERIES = ("#0a0a01", "#0a0a02", "#0a0a03", "#0a0a04", "#0a0a05", "#0a0a06")
_PAGE: Mapping[str, str] = MappingProxyType(
    {
        TEXT: "currentColor",
        MUTED: "var(--muted)",
        GRID: "var(--grid)",
        **{value: f"var(--s{place})" for place, value in enumerate(_SERIES, 1)},
    }
)
_SHAPES = (
    "M0,-1A1,1,0,1,1,0,1A1,1,0,1,1,0,-1Z",
    "M-.9,-.9H.9V.9H-.9Z",
    "M0,-1.1L1.1,.9H-1.1Z",
    "M0,-1.25L1.25,0L0,1.25L-1.25,0Z",
    "M-.4,-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z",
    "M0,1.1L1.1,-.9H-1.1Z",
    "M-1.1,-.5H1.1V.5H-1.1Z",
)
_DASHES = ((1, 0), (7, 3), (2, 3), (9, 3, 2, 3), (4, 2))
_TAG = re.compile(r"<[^>]*>")
_COLOUR = re.compile(r'\b(fill|stroke)="(#[0-9a-f]{6})"')
_PLACE = re.compile(r'\s(?:d|transform|x1|x2|y1|y2|x|y|width|height)="[^"]*"')
_LONG = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)" viewBox="[^"]*"')
_NAMESPACE = re.compile(r'\s(?:xmlns(?::xlink)?|version)="[^"]*"')


@dataclass(frozen=True, slots=True)
class Look:
    """How one system is drawn, everywhere: never by colour alone."""

    colour: str
    """A stand-in that `draw` replaces."""
    variable: str
    """The page's name for the colour, `--s1` to `--s6`."""
    shape: str
    """An SVG path within -1.25 to 1.25."""
    dash: tuple[int, ...]


def look(place: int) -> Look:
    """Of the system at this place, from 0. Colours repeat after six, shapes after seven, so both together after 42."""
    colour = place % len(_SERIES)
    return Look(_SERIES[colour], f"--s{colour + 1}", _SHAPES[place % len(_SHAPES)], _DASHES[place % len(_DASHES)])


def altair() -> Any:
    """The charting library.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import altair as alt
        import vl_convert  # noqa: F401  # asked for here, so that a half installation is told the same way
    except ImportError as error:
        message = "the figures of an HTML report need an extra: pip install 'crisis-filter[report]'"
        raise ConfigurationError(message) from error
    return alt


def data(rows: Rows) -> alt.Data:
    """Rows inside the chart. User text may stand in values only: a field's name or an expression would be run."""
    charts = altair()
    made: alt.Data = charts.Data(values=[dict(row) for row in rows])
    return made


def draw(chart: Any, description: str, *, slack: tuple[int, int] = (0, 0), font: int = 12) -> str:
    """A chart as an SVG element for the page.

    Args:
        chart: an Altair chart with its data inside.
        description: what the figure shows, for who cannot see it.
        slack: room at the left and the right, in pixels, for a page whose font is wider than the one that was measured.
        font: size of the words, in pixels; larger in a drawing that shrinks on a small screen.

    Returns:
        `<svg ...>...</svg>` with the page's colours, without a namespace (it stands in HTML), fonts or links.
    """
    import vl_convert

    axis = {
        "labelColor": TEXT,
        "titleColor": TEXT,
        "tickColor": MUTED,
        "domainColor": MUTED,
        "gridColor": GRID,
        "labelFontSize": font,
        "titleFontSize": font,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelFlush": False,
    }
    config = {
        "background": "transparent",
        "view": {"stroke": None},
        "axis": axis,
        "text": {"fontSize": font, "color": TEXT},
    }
    # The charts are ours, and tests hold them against the schema; checking each again would double the time. No address may be asked for.
    svg = vl_convert.vegalite_to_svg(chart.to_dict(validate=False), config=config, allowed_base_urls=[])
    svg = _TAG.sub(lambda tag: _COLOUR.sub(_paged, _PLACE.sub(_rounded, tag.group())), svg)
    head, rest = svg.split(">", 1)
    head = _SIZE.sub(lambda at: _widened(float(at[1]), at[2], *slack), head)
    return f'{_NAMESPACE.sub("", head)} role="graphics-document" aria-label="{escape(description)}">{rest}'


def _widened(width: float, height: str, left: int, right: int) -> str:
    whole = width + left + right
    return f'width="{whole:g}" height="{height}" viewBox="{-left} 0 {whole:g} {height}"'


def _paged(found: re.Match[str]) -> str:
    return f'{found[1]}="{_PAGE.get(found[2], found[2])}"'


def _rounded(found: re.Match[str]) -> str:
    return _LONG.sub(lambda at: f"{float(at.group()):.2f}".rstrip("0").rstrip("."), found.group())
