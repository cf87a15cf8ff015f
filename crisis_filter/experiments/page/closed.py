"""One closed page: style, script, policy and templates of the evaluation report, with what the pages of experiments have besides."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined

from crisis_filter.evaluation.report.closed import part as of_the_report
from crisis_filter.evaluation.report.closed import policy

_PACKAGE = "crisis_filter.experiments.page"
_SHARED = "macros.html.j2"


def closed(template: str, context: Mapping[str, object]) -> str:
    """A template as a page whose policy lets nothing be fetched or sent, and only our style and our script act.

    Args:
        template: name of a file under `templates`.
        context: what it shows; escaped there.
    """
    style = of_the_report("page.css") + _text("page.css")
    script = of_the_report("page.js") + _text("page.js")
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {"style": style, "script": script, "policy": policy(style, script)}
    return environment.get_template(template).render({**shared, **context})


def _template(name: str) -> str:
    return of_the_report(f"templates/{name}") if name == _SHARED else _text(f"templates/{name}")


def _text(name: str) -> str:
    return (resources.files(_PACKAGE) / name).read_text(encoding="utf-8")
